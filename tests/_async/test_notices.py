"""Notices of the server: to a function, and to `logging`."""

from __future__ import annotations

import logging

import pytest

from psqlpy import ConnectionPool, Notice, exceptions
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)

SHOUT = """DO $$ BEGIN
RAISE {level} 'it is {level}' USING HINT = 'a hint', DETAIL = 'a detail', ERRCODE = '01234';
END $$"""
NUMBERS = "SELECT generate_series(1, 100000)"


async def test_a_notice_is_told_before_its_statement_returns(dsn: str) -> None:
    notices: list[Notice] = []
    async with ConnectionPool(dsn, max_db_pool_size=1, on_notice=notices.append) as pool:
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            await connection.execute(SHOUT.format(level="NOTICE"))
            assert len(notices) == 1
            await connection.execute_batch(SHOUT.format(level="WARNING"))
            assert len(notices) == 2
            await ensure_usable(connection)
        await pool.execute("DROP TABLE IF EXISTS no_such_table_of_ours")
    told = [(notice.level, notice.sqlstate, notice.message, notice.backend_pid) for notice in notices]
    assert told == [
        ("NOTICE", "01234", "it is NOTICE", pid),
        ("WARNING", "01234", "it is WARNING", pid),
        ("NOTICE", "00000", 'table "no_such_table_of_ours" does not exist, skipping', pid),
    ]
    assert (notices[0].hint, notices[0].detail) == ("a hint", "a detail")
    assert "RAISE" in str(notices[0].context) and notices[0].table_name is None
    assert str(notices[1]) == "WARNING: it is WARNING"
    assert repr(notices[1]) == f"<Notice WARNING: 'it is WARNING', backend {pid}>"


async def test_only_a_rollback_of_the_users_own_is_warned_of(dsn: str) -> None:
    notices: list[Notice] = []
    async with ConnectionPool(dsn, max_db_pool_size=1, on_notice=notices.append) as pool:
        for _ in range(3):
            async with pool.acquire() as connection, connection.stream(NUMBERS, chunk_size=10) as stream:
                async for _row in stream:
                    break
                # Given back while the rest is still on its way: whether a transaction is open can't be known.
            assert await pool.fetch_val("SELECT 1") == 1
        assert notices == []
        await pool.execute("ROLLBACK")
    assert [notice.sqlstate for notice in notices] == ["25P01"]


async def test_notices_are_logged(pool: ConnectionPool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "psqlpy.notices"):
        async with pool.acquire() as connection:
            await connection.execute("SET client_min_messages = debug1")
            caplog.clear()
            for level in ("DEBUG", "LOG", "INFO", "NOTICE", "WARNING"):
                await connection.execute(SHOUT.format(level=level))
    logged = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if "it is" in record.msg % record.args
    ]
    assert [name for name, _ in logged] == ["DEBUG", "INFO", "INFO", "INFO", "WARNING"]
    assert logged[-1] == ("WARNING", "WARNING: it is WARNING")
    assert vars(caplog.records[-1])["notice"].hint == "a hint"


async def test_notices_of_a_failing_statement_and_of_many(dsn: str) -> None:
    notices: list[Notice] = []
    async with ConnectionPool(dsn, max_db_pool_size=1, on_notice=notices.append) as pool:
        with pytest.raises(exceptions.RaiseException):
            await pool.execute("DO $$ BEGIN RAISE NOTICE 'n'; RAISE EXCEPTION 'e'; END $$")
        assert [notice.message for notice in notices] == ["n"]
        notices.clear()
        await pool.execute("DO $$ BEGIN FOR i IN 1..500 LOOP RAISE NOTICE '%', i; END LOOP; END $$")
        assert [notice.message for notice in notices] == [str(number) for number in range(1, 501)]
        await ensure_usable(pool)


async def test_a_handler_that_fails_is_logged(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(notice: Notice) -> None:
        raise LookupError("a mistake")

    async with ConnectionPool(dsn, max_db_pool_size=1, on_notice=fail) as pool:
        await pool.execute(SHOUT.format(level="NOTICE"))
        await ensure_usable(pool)
    assert "a mistake" in caplog.text


@pytest.mark.loops(3)
async def test_why_a_connection_was_lost_is_still_known(dsn: str, observer: ConnectionPool) -> None:
    notices: list[Notice] = []
    async with ConnectionPool(dsn, max_db_pool_size=1, on_notice=notices.append) as pool:
        async with pool.acquire() as connection:
            await observer.execute("SELECT pg_terminate_backend($1, 5000)", [connection.backend_pid])
            with pytest.raises(exceptions.ConnectionLostError, match="administrator command"):
                await connection.execute("SELECT 1")
        await ensure_usable(pool)
