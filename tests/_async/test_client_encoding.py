"""Texts travel as UTF-8: a session can't be made to take their bytes for other characters."""

from __future__ import annotations

import pytest

from psqlpy import Connection, exceptions
from tests._async.usable import ensure_usable

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
