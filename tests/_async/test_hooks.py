"""What a pool calls of its user's: setup, reset, the query logger, the password."""

from __future__ import annotations

import logging
from uuid import uuid4

import pytest

from psqlpy import Connection, ConnectionPool, QueryEvent, exceptions
from psqlpy._config import PoolConfig
from tests._async.usable import ensure_usable
from tests.concurrency import async_fail_after, async_sleep, async_wait_until

pytestmark = pytest.mark.loops(2)

# setup and reset


async def test_setup_after_connecting_and_reset_before_the_next_user(dsn: str) -> None:
    calls: list[tuple[str, int]] = []

    async def setup(connection: Connection) -> None:
        await connection.execute("CREATE TEMP TABLE IF NOT EXISTS of_setup (id int4)")
        calls.append(("setup", connection.backend_pid))

    async def reset(connection: Connection) -> None:
        calls.append(("reset", connection.backend_pid))
        await connection.execute("SELECT set_config('search_path', 'of_reset', false)")
        # It stays the pool's.
        connection.close()

    async with ConnectionPool(dsn, max_db_pool_size=1, setup=setup, reset=reset) as pool:
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            assert calls == [("setup", pid)]
            assert await connection.fetch_val("SELECT count(*) FROM of_setup") == 0
        for number in (1, 2):
            assert await pool.fetch_val("SHOW search_path") == "of_reset"
            assert calls == [("setup", pid)] + [("reset", pid)] * number
        await ensure_usable(pool)


async def test_plain_functions_are_called(dsn: str) -> None:
    calls: list[object] = []
    async with ConnectionPool(dsn, max_db_pool_size=1, setup=calls.append, reset=calls.append) as pool:
        await pool.execute("SELECT 1")
        await pool.execute("SELECT 1")
    assert len(calls) == 2
    # The handle was the hook's alone.
    for connection in calls:
        assert isinstance(connection, Connection) and connection.is_closed()
        with pytest.raises(exceptions.ConnectionClosedError):
            await connection.execute("SELECT 1")


async def test_a_failing_setup_goes_to_the_caller_and_leaves_nothing(
    dsn: str, observer: ConnectionPool
) -> None:
    name = uuid4().hex

    async def is_gone() -> bool:
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
        return bool(await observer.fetch_val(count, [name]) == 0)

    failing = [True]

    async def setup(connection: Connection) -> None:
        await connection.execute("SELECT 1 / $1::int4", [0 if failing else 1])

    async with ConnectionPool(dsn, max_db_pool_size=1, application_name=name, setup=setup) as pool:
        for number in (1, 2):
            with pytest.raises(exceptions.DivisionByZero):
                await pool.execute("SELECT 1")
            assert (pool.status().size, pool.stats().errors) == (0, number)
        await async_wait_until(is_gone)
        failing.clear()
        await ensure_usable(pool)


async def test_a_failing_reset_is_logged_and_the_connection_replaced(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def reset(connection: Connection) -> None:
        await connection.execute("SELECT 1 / 0")

    async with ConnectionPool(dsn, max_db_pool_size=1, reset=reset) as pool:
        first = await pool.fetch_val("SELECT pg_backend_pid()")
        assert await pool.fetch_val("SELECT pg_backend_pid()") != first
        assert pool.stats().closed["lost"] == 1
    assert "reset hook failed" in caplog.text and "division by zero" in caplog.text


@pytest.mark.parametrize("hook", ["setup", "reset"])
async def test_a_hook_may_not_leave_a_transaction_open(
    dsn: str, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def begin(connection: Connection) -> None:
        await connection.execute("BEGIN")

    pool = ConnectionPool(dsn, max_db_pool_size=1, **{hook: begin})  # type: ignore[arg-type]
    async with pool:
        if hook == "setup":
            with pytest.raises(exceptions.InterfaceError, match="left a transaction open"):
                await pool.execute("SELECT 1")
        else:
            await pool.execute("SELECT 1")
            async with pool.acquire() as connection:
                assert not await connection.in_transaction()
            assert "left a transaction open" in caplog.text


@pytest.mark.loops(3)
@pytest.mark.parametrize("hook", ["setup", "reset"])
async def test_a_hook_ends_with_its_callers_timeout(dsn: str, hook: str) -> None:
    async def sleep(connection: Connection) -> None:
        async with connection.transaction() as transaction:
            await transaction.execute("SELECT pg_sleep(10)")

    pool = ConnectionPool(dsn, max_db_pool_size=1, **{hook: sleep})  # type: ignore[arg-type]
    async with pool:
        if hook == "reset":
            await pool.execute("SELECT 1")
        with async_fail_after(3), pytest.raises(exceptions.QueryTimeoutError) as caught:
            await pool.execute("SELECT 1", timeout=0.3)
        if hook == "reset":
            assert str(caught.value) == "timeout: no time was left to open a connection"
        assert pool.status().available == 0


@pytest.mark.parametrize("name", ["setup", "reset", "on_notice", "on_query", "log_parameters"])
def test_hooks_that_are_none(dsn: str, name: str) -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=name):
        ConnectionPool(dsn, **{name: "x"})  # type: ignore[arg-type]


# The query logger


async def test_a_query_logger(dsn: str) -> None:
    events: list[QueryEvent] = []
    pool = ConnectionPool(dsn, max_db_pool_size=1, on_query=events.append)
    async with pool, pool.acquire() as connection:
        await connection.fetch("SELECT generate_series(1, $1::int4), $2::text", [3, "secret"])
        await connection.fetch("SELECT $1::int8", [4], prepared=False)
        with pytest.raises(exceptions.DivisionByZero):
            await connection.execute("SELECT 1 / 0")
        await connection.execute_batch("CREATE TEMP TABLE t (id int4); SELECT 1")
        await connection.execute_many("INSERT INTO t VALUES ($1)", [[1], [2]])
        async with connection.transaction() as transaction:
            await transaction.execute("UPDATE t SET id = $(id)p", {"id": 5})
        await connection.fetch_val("SELECT pg_sleep(0.1)")
        pid = connection.backend_pid
    seen = [(event.query, event.parameter_types, event.row_count) for event in events]
    assert seen == [
        ("SELECT generate_series(1, $1::int4), $2::text", ("int", "str"), 3),
        ("SELECT $1::int8", ("int",), 1),
        ("SELECT 1 / 0", (), None),
        ("CREATE TEMP TABLE t (id int4); SELECT 1", (), None),
        ("INSERT INTO t VALUES ($1)", ("int",), 2),
        ("UPDATE t SET id = $1", ("int",), 2),
        ("COMMIT", (), None),
        ("SELECT pg_sleep(0.1)", (), 1),
    ]
    assert {event.backend_pid for event in events} == {pid}
    assert [type(event.error).__name__ for event in events if event.error is not None] == ["DivisionByZero"]
    assert all(event.parameters is None for event in events)
    assert 0.09 < events[-1].duration < 5 and "secret" not in repr(events)


@pytest.mark.loops(3)
async def test_a_query_logger_that_sees_values(dsn: str) -> None:
    events: list[QueryEvent] = []
    pool = ConnectionPool(dsn, max_db_pool_size=1, on_query=events.append, log_parameters=True)
    async with pool:
        await pool.fetch("SELECT $1::int4", [7])
        with pytest.raises(exceptions.PyToRustValueMappingError):
            await pool.fetch("SELECT $1::int4", ["no number"])
        with pytest.raises(exceptions.QueryTimeoutError):
            await pool.fetch("SELECT pg_sleep($1)", [10], timeout=0.05)
    assert [event.parameters for event in events] == [[7], ["no number"], [10]]
    assert isinstance(events[2].error, exceptions.QueryTimeoutError)


async def test_a_query_logger_sees_sql_whatever_the_call(dsn: str) -> None:
    events: list[QueryEvent] = []
    pool = ConnectionPool(dsn, max_db_pool_size=1, on_query=events.append, log_parameters=True)
    numbers = "SELECT n, 1 / (4 - n) FROM generate_series(1, $1::int4) n"
    async with pool, pool.acquire() as connection:
        await connection.execute("CREATE TEMP TABLE t (id int4)")
        async with connection.transaction() as transaction:
            await transaction.pipeline([("SELECT $1::int4", [7]), ("SELECT $1::text", ["x"])])
            async with transaction.cursor(numbers, [2]) as cursor:
                await cursor.fetchall()
        await connection.copy_records_to_table("t", [[1], [2]])
        assert [row async for row in connection.copy_out(query="SELECT 1")]
        assert len([row async for row in connection.stream(numbers, [3], chunk_size=1)]) == 3
        with pytest.raises(exceptions.DivisionByZero):
            assert [row async for row in connection.stream(numbers, [5], chunk_size=1)]
    seen = [event.query for event in events]
    assert seen[:3] == ["CREATE TEMP TABLE t (id int4)", "SELECT $1::int4; SELECT $1::text", numbers]
    assert events[1].parameters == [7, "x"]
    # Whether a cursor's CLOSE is waited for differs, and COPY asks for the types of the columns.
    words = [text.split()[0] for text in seen[3:] if "pg_attribute" not in text]
    assert [word for word in words if word != "CLOSE"] == ["FETCH", "COMMIT", "COPY", "COPY", *["SELECT"] * 3]
    assert [type(event.error).__name__ for event in events if event.error] == ["DivisionByZero"]
    assert events[-1].query == numbers


async def test_a_query_logger_that_fails_is_logged(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: QueryEvent) -> None:
        raise LookupError("a mistake")

    with caplog.at_level(logging.ERROR, "psqlpy.queries"):
        async with ConnectionPool(dsn, max_db_pool_size=1, on_query=fail) as pool:
            await ensure_usable(pool)
    assert "a mistake" in caplog.text


async def test_without_a_query_logger_links_are_plain(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        assert "Logged" not in repr(connection.link.run)


# The password


async def test_the_password_is_asked_for_at_each_connect(dsn: str) -> None:
    plan = PoolConfig.from_parameters(dsn).plan
    right = plan.parameters.get("password", "")
    asked: list[str] = []

    async def password() -> str:
        asked.append("once more")
        await async_sleep(0)
        return right

    pool = ConnectionPool(
        username=plan.user,
        password=password,
        host=plan.endpoints[0].host,
        port=plan.endpoints[0].port,
        db_name=plan.db_name,
        max_db_pool_size=2,
    )
    assert asked == []
    async with pool, pool.acquire() as one, pool.acquire() as two:
        assert one.backend_pid != two.backend_pid
        assert len(asked) == 2


async def test_a_password_callable_beside_a_dsn(dsn: str) -> None:
    passwords = ["wrong"]
    async with ConnectionPool(dsn, max_db_pool_size=1, password=lambda: passwords[0]) as pool:
        plan = PoolConfig.from_parameters(dsn).plan
        if plan.parameters.get("password"):
            with pytest.raises(exceptions.InvalidPassword) as caught:
                await pool.execute("SELECT 1")
            assert "wrong" not in str(caught.value)
        passwords[:] = [plan.parameters.get("password", "")]
        await ensure_usable(pool)


async def test_a_password_callable_that_fails(dsn: str) -> None:
    async def password() -> str:
        raise LookupError("no token")

    async with ConnectionPool(dsn, max_db_pool_size=1, password=password) as pool:
        with pytest.raises(LookupError, match="no token"):
            await pool.execute("SELECT 1")
        assert (pool.status().size, pool.stats().errors) == (0, 1)
    for wrong in (7, None, b"x", "a\0b"):
        async with ConnectionPool(dsn, max_db_pool_size=1, password=lambda: wrong) as pool:  # noqa: B023
            with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="password"):
                await pool.execute("SELECT 1")
