"""Texts travel as UTF-8: a session can't be made to take their bytes for other characters."""

from __future__ import annotations

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_closed, ensure_usable

pytestmark = pytest.mark.loops(1)

REFUSED = (
    "SET client_encoding = 'LATIN1'",
    "set session CLIENT_ENCODING to latin1",
    '/* why */ SET LOCAL "client_encoding" TO SQL_ASCII',
    "SET NAMES 'WIN1252'",
    "SELECT set_config('client_encoding', 'LATIN1', false)",
    "SELECT 1, pg_catalog.SET_CONFIG ( 'Client_Encoding', 'sql_ascii', true) FROM pg_class",
)
ALLOWED = (
    "SET client_encoding = 'UTF8'",
    "SET client_encoding TO 'utf-8'",
    "SET client_encoding TO DEFAULT",
    "SET NAMES 'unicode'",
    "SET NAMES",
    "RESET client_encoding",
    "SET application_name = 'client_encoding'",
    "SELECT 'SET client_encoding = LATIN1' AS names",
    "SELECT set_config('client_encoding', 'utf8', false)",
    "SELECT set_config('application_name', 'client_encoding', false)",
    "SELECT current_setting('client_encoding')",
)


@pytest.mark.parametrize("query", REFUSED)
async def test_another_encoding_is_refused(conn: Connection, query: str) -> None:
    for prepared in (True, False):
        with pytest.raises(exceptions.ConnectionExecuteError, match="psqlpy speaks UTF8") as caught:
            await conn.execute(query, prepared=prepared)
        assert isinstance(caught.value, exceptions.NotSupportedError)
    for batch in (query, f"SET application_name = 'changed'; {query};", f"{query}; SELECT 1"):
        with pytest.raises(exceptions.NotSupportedError, match="client_encoding can't be"):
            await conn.execute_batch(batch)
    assert conn.parameter_status("client_encoding") == "UTF8"
    assert conn.parameter_status("application_name") != "changed"
    assert await conn.fetch_val("SELECT length($1)", ["äöü"]) == 3
    await ensure_usable(conn)


@pytest.mark.parametrize("query", ALLOWED)
async def test_ours_may_be_said_again(conn: Connection, query: str) -> None:
    for prepared in (True, False):
        await conn.execute(query, prepared=prepared)
    await conn.execute_batch(f"{query}; SELECT 1")
    assert await conn.fetch_val("SELECT length($1)", ["äöü"]) == 3
    await ensure_usable(conn)


UNSEEN: tuple[tuple[str, list[object] | None], ...] = (
    ("SELECT set_config($1, $2, false)", ["client_encoding", "LATIN1"]),
    ("SELECT set_config('client_' || 'encoding', 'LATIN1', false), 'ä'", None),
    ("DO $do$ BEGIN EXECUTE format('SET client_%s = LATIN1', 'encoding'); END $do$", None),
)


@pytest.mark.parametrize(("query", "parameters"), UNSEEN)
@pytest.mark.parametrize("way", ["prepared", "unprepared", "batch", "stream"])
async def test_one_that_no_text_tells_ends_the_connection(
    pool: ConnectionPool, query: str, parameters: list[object] | None, way: str
) -> None:
    """At once: nothing that is sent or read behind it can be trusted."""
    pool.resize(1)
    async with pool.acquire() as conn:
        with pytest.raises(exceptions.ConnectionLostError, match="client_encoding was set to LATIN1"):
            if way == "stream" and not query.startswith("DO"):
                async for _row in conn.stream(query, parameters):
                    pass
            elif way == "batch" and parameters is None:
                await conn.execute_batch(f"SELECT 1; {query}")
            else:
                await conn.execute(query, parameters, way == "prepared")
        await ensure_closed(conn)
    assert await pool.fetch_val("SHOW client_encoding") == "UTF8"
    # One that lasts as long as a statement is no change.
    await pool.execute("SELECT set_config($1, $2, true)", ["client_encoding", "LATIN1"])
    await ensure_usable(pool)
