"""A connection's own questions, and its way back to the pool."""

from __future__ import annotations

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_closed, ensure_usable
from tests.concurrency import AsyncGroup, async_wait_until


async def test_what_it_knows_of_its_backend(conn: Connection) -> None:
    assert conn.backend_pid == await conn.fetch_val("SELECT pg_backend_pid()")
    assert conn.server_version == int(await conn.fetch_val("SHOW server_version_num"))
    assert conn.conn_dbname == await conn.fetch_val("SELECT current_database()::text")
    assert conn.user == await conn.fetch_val("SELECT current_user::text")
    await conn.execute("SET application_name = 'changed'")
    assert conn.parameter_status("application_name") == "changed"
    for name in ("no such setting", "", "\ud800"):
        assert conn.parameter_status(name) is None
    for no_name in (None, 5, b"TimeZone"):
        with pytest.raises(exceptions.ParameterTypeError, match="setting's name is a str"):
            conn.parameter_status(no_name)  # type: ignore[arg-type]
    await ensure_usable(conn)


QUESTIONS = (
    "backend_pid",
    "server_version",
    "conn_dbname",
    "user",
    "host_addrs",
    "hosts",
    "ports",
    "options",
)


async def test_where_it_goes_is_known_to_its_transactions_and_afterwards(pool: ConnectionPool) -> None:
    conn = await pool.connection()
    transaction = conn.transaction()
    names = QUESTIONS[2:]
    known = {name: getattr(conn, name) for name in names}
    assert {name: getattr(transaction, name) for name in names} == known
    conn.close()
    assert {name: getattr(conn, name) for name in names} == known
    assert {name: getattr(transaction, name) for name in names} == known
    with pytest.raises(exceptions.ConnectionClosedError):
        _ = conn.backend_pid
    pool.close()
    for name in names:
        with pytest.raises(exceptions.ConnectionClosedError):
            getattr(conn, name)
    unused = pool.acquire()
    for name in names:
        with pytest.raises(exceptions.ConnectionClosedError, match="not acquired"):
            getattr(unused, name)


@pytest.mark.loops(1)
@pytest.mark.parametrize("options", [None, "", "-c geqo=off -c work_mem=1MB"])
async def test_its_options_are_those_that_were_given(dsn: str, options: str | None) -> None:
    async with ConnectionPool(dsn, options=options) as pool, pool.acquire() as connection:
        assert connection.options == connection.cursor("SELECT 1").options == (options or "")
        assert await connection.fetch_val("SHOW geqo") == ("off" if options else "on")


async def test_a_lost_connection_answers_no_questions(conn: Connection) -> None:
    with pytest.raises(exceptions.ConnectionClosedError):
        await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    for question in QUESTIONS:
        with pytest.raises(exceptions.ConnectionClosedError, match="connection is lost"):
            getattr(conn, question)
    with pytest.raises(exceptions.ConnectionClosedError, match="connection is lost"):
        conn.parameter_status("TimeZone")
    assert repr(conn) == "<Connection closed>"
    await ensure_closed(conn)


@pytest.mark.parametrize("method", ["close", "back_to_pool"])
async def test_giving_back(pool: ConnectionPool, method: str) -> None:
    conn = await pool.connection()
    pid = conn.backend_pid
    assert not conn.is_closed()
    await ensure_usable(conn)
    for _ in range(2):
        getattr(conn, method)()
        await ensure_closed(conn)
        assert "returned" in repr(conn)
    async with pool.acquire() as again:
        assert again.backend_pid == pid
        await ensure_usable(again)


async def test_timeout(conn: Connection) -> None:
    with pytest.raises(exceptions.QueryTimeoutError, match="timeout: waited") as caught:
        await conn.execute("SELECT pg_sleep(10)", timeout=0.1)
    assert isinstance(caught.value, TimeoutError)
    await ensure_usable(conn)
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.execute_batch("SELECT pg_sleep(10)", timeout=0.1)
    await ensure_usable(conn)


async def test_cancel_ends_what_others_run(conn: Connection, observer: ConnectionPool) -> None:
    pid = conn.backend_pid

    async def is_asleep() -> bool:
        event = "SELECT wait_event FROM pg_stat_activity WHERE pid = $1"
        return bool(await observer.fetch_val(event, [pid]) == "PgSleep")

    await conn.cancel()
    async with AsyncGroup(keep_errors=True) as group:
        call = group.start(conn.execute, "SELECT pg_sleep(60)")
        await async_wait_until(is_asleep)
        await conn.cancel()
        await async_wait_until(lambda: call.done, 2)
    assert isinstance(call.error, exceptions.QueryCanceled)
    assert isinstance(call.error, exceptions.ConnectionExecuteError)
    # With nothing that runs it does nothing, now or later.
    await conn.cancel()
    assert await conn.fetch_val("SELECT pg_backend_pid() FROM pg_sleep(0.05)") == pid
    await ensure_usable(conn)


async def test_repr_has_no_password(conn: Connection) -> None:
    assert str(conn.backend_pid) in repr(conn)
    assert "secret" not in repr(conn)
    await ensure_usable(conn)
