"""The pool: its methods, its four numbers, resizing and closing. Its timeouts are in test_pool_timeouts.py.

Long, since every method is called in every way that the user's page shows.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from psqlpy import (
    Connection,
    ConnectionPool,
    QueryResult,
    SingleQueryResult,
    connect,
    connect_pool,
    exceptions,
)
from tests.concurrency import AsyncEvent, AsyncGroup, Started, async_fail_after, async_wait_until

BACKENDS_ALIVE = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1::int4[])"


def numbers(pool: ConnectionPool) -> tuple[int, int, int, int]:
    """max_size, size, available, waiting."""
    status = pool.status()
    return status.max_size, status.size, status.available, status.waiting


async def count_alive(observer: ConnectionPool, *pids: int) -> int:
    """How many of these backends there are, as another session sees."""
    alive: int = await observer.fetch_val(BACKENDS_ALIVE, [list(pids)])
    return alive


# Statements


async def test_execute_and_fetch_return_rows(pool: ConnectionPool) -> None:
    for method in (pool.execute, pool.fetch):
        result = await method(
            "SELECT i AS number, $1::text AS name FROM generate_series(1, 2) AS i", ["Alex"]
        )
        assert isinstance(result, QueryResult)
        assert result.result() == [{"number": 1, "name": "Alex"}, {"number": 2, "name": "Alex"}]
    assert (await pool.execute("SELECT $(a)p::int4 AS a", {"a": 5})).result() == [{"a": 5}]
    assert (await pool.execute("SELECT $1::int4 AS a", [6], False)).result() == [{"a": 6}]
    assert (await pool.fetch(querystring="SELECT 7 AS a", parameters=None, prepared=True)).result() == [
        {"a": 7}
    ]


async def test_fetch_row_and_fetch_val(pool: ConnectionPool) -> None:
    row = await pool.fetch_row("SELECT 1 AS a, $1::text AS b", ["x"])
    assert isinstance(row, SingleQueryResult)
    assert row.result() == {"a": 1, "b": "x"}
    assert await pool.fetch_val("SELECT $1::int4, 9", [4]) == 4
    with pytest.raises(exceptions.NoRowsError):
        await pool.fetch_row("SELECT 1 WHERE false")
    with pytest.raises(exceptions.TooManyRowsError):
        await pool.fetch_val("SELECT i FROM generate_series(1, 2) AS i")


async def test_execute_many_is_all_or_nothing(pool: ConnectionPool, table: str) -> None:
    await pool.execute_many(f"INSERT INTO {table} VALUES ($1, $2)", [[1, "a"], [2, "b"]])
    with pytest.raises(exceptions.DivisionByZero):
        await pool.execute_many(f"INSERT INTO {table} VALUES (6 / $1::int4, $2)", [[1, "c"], [0, "d"]])
    assert (await pool.fetch(f"SELECT id, name FROM {table} ORDER BY id")).result(as_tuple=True) == [
        (1, "a"),
        (2, "b"),
    ]


async def test_a_failed_statement_gives_the_connection_back(pool: ConnectionPool) -> None:
    pool.resize(1)
    pid = await pool.fetch_val("SELECT pg_backend_pid()")
    with pytest.raises(exceptions.ConnectionExecuteError) as caught:
        await pool.execute("SELECT 1 / 0")
    assert isinstance(caught.value, exceptions.DivisionByZero)
    assert numbers(pool) == (1, 1, 1, 0)
    assert await pool.fetch_val("SELECT pg_backend_pid()") == pid


async def test_statements_of_one_pool_run_at_once(pool: ConnectionPool) -> None:
    async with AsyncGroup() as group:
        calls = [group.start(pool.fetch_val, "SELECT pg_backend_pid() FROM pg_sleep(0.3)") for _ in range(4)]
    assert len({call.result() for call in calls}) == 4


# Connections


async def test_a_connection_is_made_on_demand_and_used_again(pool: ConnectionPool) -> None:
    assert numbers(pool) == (4, 0, 0, 0)
    connection = await pool.connection()
    pid = connection.backend_pid
    assert numbers(pool) == (4, 1, 0, 0)
    connection.close()
    assert numbers(pool) == (4, 1, 1, 0)
    async with pool.acquire() as connection:
        assert isinstance(connection, Connection)
        assert connection.backend_pid == pid
        assert numbers(pool) == (4, 1, 0, 0)
    assert numbers(pool) == (4, 1, 1, 0)


async def test_one_connection_may_be_used_by_several_at_once(pool: ConnectionPool) -> None:
    async def use(name: str) -> None:
        for number in range(30):
            token = f"{name} {number}"
            prepared = number % 3 != 0
            assert await connection.fetch_val("SELECT $1::text", [token], prepared) == token

    async with pool.acquire() as connection:
        async with AsyncGroup() as group:
            for name in "abcde":
                group.start(use, name)
        assert numbers(pool) == (4, 1, 0, 0)


async def test_connection_as_a_block(pool: ConnectionPool) -> None:
    async with pool.connection() as connection:
        assert await connection.fetch_val("SELECT 1") == 1
        assert numbers(pool) == (4, 1, 0, 0)
    assert numbers(pool) == (4, 1, 1, 0)
    assert connection.is_closed()


async def test_acquire_holds_nothing_before_its_block_and_after(pool: ConnectionPool) -> None:
    handle = pool.acquire()
    assert numbers(pool) == (4, 0, 0, 0)
    with pytest.raises(exceptions.ConnectionClosedError, match="not acquired yet"):
        await handle.execute("SELECT 1")
    async with handle as connection:
        assert await connection.fetch_val("SELECT 1") == 1
    with pytest.raises(exceptions.ConnectionClosedError, match="returned to the pool"):
        await connection.execute("SELECT 1")
    connection.close()
    connection.back_to_pool()
    assert numbers(pool) == (4, 1, 1, 0)


async def test_a_block_that_raises_gives_its_connection_back(pool: ConnectionPool) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with pool.acquire() as connection:
            await connection.execute("SELECT 1")
            raise KeyError("mine")
    assert numbers(pool) == (4, 1, 1, 0)


async def test_the_last_used_connection_comes_first(pool: ConnectionPool) -> None:
    first, second = await pool.connection(), await pool.connection()
    pid = second.backend_pid
    first.close()
    second.close()
    for _ in range(3):
        # Not by a statement: one whose traces are still being cleaned away comes last.
        async with pool.acquire() as conn:
            assert conn.backend_pid == pid


async def test_waiters_are_served_in_order(pool: ConnectionPool) -> None:
    pool.resize(1)
    served: list[int] = []

    async def use(number: int) -> None:
        async with pool.acquire():
            served.append(number)

    held = await pool.connection()
    async with AsyncGroup() as group:
        for number in range(5):
            group.start(use, number)
            await async_wait_until(lambda number=number: pool.status().waiting == number + 1)  # type: ignore[misc]
        assert numbers(pool) == (1, 1, 0, 5)
        held.close()
    assert served == [0, 1, 2, 3, 4]
    assert numbers(pool) == (1, 1, 1, 0)


async def test_a_dead_connection_is_replaced_unseen(pool: ConnectionPool, observer: ConnectionPool) -> None:
    pid = await pool.fetch_val("SELECT pg_backend_pid()")
    await observer.execute("SELECT pg_terminate_backend($1)", [pid])

    async def is_gone() -> bool:
        return await count_alive(observer, pid) == 0

    await async_wait_until(is_gone)
    assert await pool.fetch_val("SELECT pg_backend_pid()") != pid
    assert numbers(pool) == (4, 1, 1, 0)


async def test_startup_opens_one_connection_or_says_why_not(pool: ConnectionPool, dsn: str) -> None:
    await pool.startup()
    assert numbers(pool) == (4, 1, 1, 0)
    async with ConnectionPool(dsn, options="-c no_such_setting=1") as refused:
        with pytest.raises(exceptions.BaseConnectionPoolError, match="no_such_setting"):
            await refused.startup()
        assert numbers(refused) == (10, 0, 0, 0)


async def test_a_failed_attempt_lets_the_next_waiter_try(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, options="-c no_such_setting=1") as pool:
        async with AsyncGroup(keep_errors=True) as group:
            calls = [group.start(pool.execute, "SELECT 1") for _ in range(5)]
        assert all(isinstance(call.error, exceptions.BaseConnectionPoolError) for call in calls)
        assert numbers(pool) == (1, 0, 0, 0)


# Resizing


async def test_growing_serves_waiters_at_once(pool: ConnectionPool) -> None:
    pool.resize(1)
    held = await pool.connection()
    async with AsyncGroup() as group:
        calls = [group.start(pool.fetch_val, "SELECT pg_backend_pid()") for _ in range(2)]
        await async_wait_until(lambda: pool.status().waiting == 2)
        pool.resize(3)
        await async_wait_until(lambda: all(call.done for call in calls))
        assert pool.status().max_size == 3
    assert held.backend_pid not in [call.result() for call in calls]
    held.close()


async def test_shrinking_closes_idle_connections_at_once(
    pool: ConnectionPool, observer: ConnectionPool
) -> None:
    handles = [await pool.connection() for _ in range(4)]
    pids = [handle.backend_pid for handle in handles]
    for handle in handles:
        handle.close()
    pool.resize(1)
    assert numbers(pool) == (1, 1, 1, 0)

    async def is_one() -> bool:
        return await count_alive(observer, *pids) == 1

    await async_wait_until(is_one)
    assert await pool.fetch_val("SELECT pg_backend_pid()") == pids[-1]


async def test_shrinking_closes_used_connections_on_return(pool: ConnectionPool) -> None:
    handles = [await pool.connection() for _ in range(4)]
    async with AsyncGroup() as group:
        running = group.start(handles[0].fetch_val, "SELECT 'done' FROM pg_sleep(0.3)")
        pool.resize(2)
        assert numbers(pool) == (2, 4, 0, 0)
        handles[3].close()
        assert numbers(pool) == (2, 3, 0, 0)
        handles[2].close()
        assert numbers(pool) == (2, 2, 0, 0)
    assert running.result() == "done"
    handles[1].close()
    handles[0].close()
    assert numbers(pool) == (2, 2, 2, 0)


@pytest.mark.parametrize("size", [0, -1, True, "5", 2.0, None])
async def test_sizes_that_are_none(pool: ConnectionPool, dsn: str, size: Any) -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="new_max_size"):
        pool.resize(size)
    assert numbers(pool) == (4, 0, 0, 0)
    if size is not None:
        with pytest.raises(ValueError, match="max_db_pool_size"):
            ConnectionPool(dsn, max_db_pool_size=size)


# Closing


async def test_close_ends_idle_connections_and_leaves_used_ones(
    pool: ConnectionPool, observer: ConnectionPool
) -> None:
    used, idle = await pool.connection(), await pool.connection()
    pids = [used.backend_pid, idle.backend_pid]
    idle.close()
    pool.close()
    assert numbers(pool) == (0, 1, 0, 0)

    async def is_left(count: int) -> bool:
        return await count_alive(observer, *pids) == count

    await async_wait_until(lambda: is_left(1))
    assert await used.fetch_val("SELECT 1") == 1
    used.close()
    assert numbers(pool) == (0, 0, 0, 0)
    await async_wait_until(lambda: is_left(0))


async def test_a_closed_pool_says_so(pool: ConnectionPool) -> None:
    pool.close()
    pool.close()
    with pytest.raises(exceptions.BaseConnectionPoolError, match="pool has been closed"):
        await pool.connection()
    with pytest.raises(exceptions.BaseConnectionPoolError, match="pool has been closed"):
        async with pool.acquire():
            pass
    with pytest.raises(exceptions.BaseConnectionPoolError, match="pool has been closed"):
        await pool.execute("SELECT 1")
    pool.resize(5)
    assert numbers(pool) == (0, 0, 0, 0)


async def test_waiters_of_a_closed_pool_get_an_error(pool: ConnectionPool) -> None:
    pool.resize(1)
    held = await pool.connection()
    async with AsyncGroup(keep_errors=True) as group:
        calls: list[Started[Any]] = [group.start(pool.execute, "SELECT 1") for _ in range(3)]
        await async_wait_until(lambda: pool.status().waiting == 3)
        pool.close()
        await async_wait_until(lambda: all(call.done for call in calls), 1)
    assert [type(call.error) for call in calls] == [exceptions.BaseConnectionPoolError] * 3
    assert await held.fetch_val("SELECT 1") == 1
    held.close()
    assert numbers(pool) == (0, 0, 0, 0)


async def test_the_block_closes(dsn: str) -> None:
    async with ConnectionPool(dsn) as pool:
        assert await pool.fetch_val("SELECT 1") == 1
    with pytest.raises(exceptions.BaseConnectionPoolError, match="closed"):
        await pool.connection()


async def test_aclose_waits_for_the_present_users_and_takes_no_new_ones(pool: ConnectionPool) -> None:
    used = await pool.connection()
    entered = AsyncEvent()

    async def close() -> None:
        entered.set()
        await pool.aclose()

    async with AsyncGroup() as group:
        closing = group.start(close)
        await entered.wait()
        await async_wait_until(lambda: pool.status().max_size == 0)
        with pytest.raises(exceptions.BaseConnectionPoolError, match="closed"):
            await pool.connection()
        assert await used.fetch_val("SELECT 1 FROM pg_sleep(0.1)") == 1
        assert not closing.done
        used.close()
    assert numbers(pool) == (0, 0, 0, 0)
    await pool.aclose()


async def test_aclose_cuts_whoever_takes_longer(pool: ConnectionPool, observer: ConnectionPool) -> None:
    used, resting = await pool.connection(), await pool.connection()
    pids = [used.backend_pid, resting.backend_pid]
    async with AsyncGroup(keep_errors=True) as group:
        call = group.start(used.execute, "SELECT pg_sleep(30)")
        with async_fail_after(2):
            await pool.aclose(timeout=0.2)
            await async_wait_until(lambda: call.done)
    assert isinstance(call.error, exceptions.ConnectionLostError)
    with pytest.raises(exceptions.ConnectionClosedError):
        await resting.execute("SELECT 1")
    used.close()
    resting.close()
    assert numbers(pool) == (0, 0, 0, 0)

    async def is_gone() -> bool:
        return await count_alive(observer, resting_pid) == 0

    resting_pid = pids[1]
    await async_wait_until(is_gone)


# connect


async def test_connect_returns_a_pool(dsn: str) -> None:
    for make in (connect, connect_pool):
        async with make(dsn, max_db_pool_size=2) as pool:
            assert isinstance(pool, ConnectionPool)
            assert await pool.fetch_val("SELECT 1") == 1
            assert numbers(pool) == (2, 1, 1, 0)


def test_connect_has_the_signature_of_the_class() -> None:
    of_class = inspect.signature(ConnectionPool)
    for make in (connect, connect_pool):
        assert inspect.signature(make).parameters == of_class.parameters
    names = list(of_class.parameters)
    assert names[:3] == ["dsn", "username", "password"]
    assert names[22:28] == [
        "max_db_pool_size",
        "conn_recycling_method",
        "ssl_mode",
        "ca_file",
        "timeout",
        "acquire_timeout",
    ]
    new = {of_class.parameters[name].kind for name in names[26:]}
    assert new == {inspect.Parameter.KEYWORD_ONLY}


async def test_repr_shows_the_state(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        assert "size 1 of 4, 0 available, 0 waiting" in repr(pool)
        assert f"backend {connection.backend_pid}" in repr(connection)
    assert "returned" in repr(connection)
