"""Handles and pools that nobody refers to any more, and what may be awaited."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, connect, connect_pool, exceptions, sync
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.shells.running import Main, each_runner

Run = Callable[[Main[Any]], Any]


@pytest.fixture
def unreturned() -> Iterator[list[warnings.WarningMessage]]:
    """The ResourceWarnings of the test, which must say what to do."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ResourceWarning)
        yield caught
    for warning in caught:
        assert str(warning.message) == (
            "a connection was not given back: close it, or use it as a block; "
            "PSQLPY_DEBUG=1 tells where it was acquired"
        )


# Handles


async def test_a_hundred_connections_of_a_pool_of_four(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    """The user's page never closes them."""
    with anyio.fail_after(20):
        for number in range(100):
            connection = await pool.connection()
            assert await connection.fetch_val("SELECT $1::int4", [number]) == number
    assert pool.status().size <= 2
    assert len(unreturned) == 99
    connection.close()
    assert pool.status().available == pool.status().size


@pytest.mark.backend("sync")
def test_a_hundred_connections_of_a_synchronous_pool_whose_statement_fails(
    sync_pool: sync.ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    gc.disable()
    try:
        for _ in range(100):
            connection = sync_pool.connection()
            with pytest.raises(exceptions.UndefinedTable):
                connection.execute("SELECT * FROM no_such_table")
            with pytest.raises(exceptions.QueryTimeoutError):
                connection.execute("SELECT pg_sleep(1)", timeout=0.001)
    finally:
        gc.enable()
    assert len(unreturned) == 99
    connection.close()


@pytest.mark.backend("sync")
def test_a_hundred_connections_of_a_synchronous_pool_of_four(
    sync_pool: sync.ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    for number in range(100):
        connection = sync_pool.connection()
        assert connection.fetch_val("SELECT $1::int4", [number]) == number
    assert sync_pool.status().size <= 2
    assert len(unreturned) == 99
    connection.close()


async def test_a_hundred_connections_that_were_never_used(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    with anyio.fail_after(20):
        for _ in range(100):
            await pool.connection()
    assert len(unreturned) == 100
    assert pool.status() == (4, 1, 1, 0)


async def test_a_hundred_connections_whose_statement_fails(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    """The error refers to the frames of its traceback, but nothing refers back: no garbage collector is needed."""
    gc.disable()
    try:
        with anyio.fail_after(20):
            for _ in range(100):
                connection = await pool.connection()
                with pytest.raises(exceptions.UndefinedTable):
                    await connection.execute("SELECT * FROM no_such_table")
                with pytest.raises(exceptions.QueryTimeoutError):
                    await connection.execute("SELECT pg_sleep(1)", timeout=0.001)
    finally:
        gc.enable()
    assert len(unreturned) == 99
    connection.close()


async def test_all_handles_dropped_at_once(dsn: str, unreturned: list[warnings.WarningMessage]) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=30) as pool:
        handles = [await pool.connection() for _ in range(30)]
        for handle in handles:
            await handle.execute("SET work_mem = '1MB'")
        del handle
        handles.clear()
        assert pool.status() == (30, 30, 30, 0)
        assert len(unreturned) == 30
        assert await pool.fetch_val("SHOW work_mem") == "4MB"


async def test_a_dropped_handle_serves_a_waiter(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    pool.resize(1)
    handles = [await pool.connection()]
    served: list[int] = []

    async def wait() -> None:
        served.append(await pool.fetch_val("SELECT 1"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await async_wait_until(lambda: pool.status().waiting == 1)
            handles.clear()
    assert served == [1]
    assert len(unreturned) == 1


@pytest.mark.backend("sync")
def test_a_dropped_handle_serves_a_waiting_thread(
    sync_pool: sync.ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    sync_pool.resize(1)
    handles = [sync_pool.connection()]
    served: list[int] = []
    thread = threading.Thread(target=lambda: served.append(sync_pool.fetch_val("SELECT 1")), daemon=True)
    thread.start()
    while not sync_pool.status().waiting:
        time.sleep(0.005)
    handles.clear()
    thread.join(5)
    assert served == [1]
    assert len(unreturned) == 1


async def test_a_handle_in_a_cycle_is_found_by_the_garbage_collector(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    cycle: list[Any] = [await pool.connection()]
    cycle.append(cycle)
    assert pool.status() == (4, 1, 0, 0)
    del cycle
    gc.collect()
    assert pool.status() == (4, 1, 1, 0)
    assert len(unreturned) == 1


async def test_a_handle_dropped_in_another_thread(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    pool.resize(1)
    handles = [await pool.connection()]
    pid = handles[0].backend_pid
    thread = threading.Thread(target=handles.clear)
    thread.start()
    thread.join()
    assert await pool.fetch_val("SELECT pg_backend_pid()", timeout=5) == pid
    assert len(unreturned) == 1


async def test_a_handle_dropped_during_its_statement_lives_until_the_end(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    assert await (await pool.connection()).fetch_val("SELECT 5 FROM pg_sleep(0.1)") == 5
    assert pool.status() == (4, 1, 1, 0)
    assert len(unreturned) == 1


async def test_a_handle_that_was_given_back_says_nothing(
    pool: ConnectionPool, unreturned: list[warnings.WarningMessage]
) -> None:
    connection: Connection | None = await pool.connection()
    assert connection is not None
    connection.close()
    connection = None
    async with pool.acquire():
        pass
    pool.acquire()
    gc.collect()
    assert unreturned == []


# Pools


async def _fill(pool: ConnectionPool) -> list[int]:
    """Two idle connections, one of them with a reset on its way."""
    handles = [await pool.connection() for _ in range(2)]
    pids = [handle.backend_pid for handle in handles]
    await handles[0].execute("SET work_mem = '1MB'")
    for handle in handles:
        handle.close()
    return pids


async def test_a_dropped_pool_closes_its_backends(dsn: str, observer: Observer) -> None:
    """What running the pool's cell of a notebook again does."""
    pool = ConnectionPool(dsn)
    first = await _fill(pool)
    pool = ConnectionPool(dsn)
    await async_wait_until(lambda: observer.count_alive(first) == 0, 2)
    second = await _fill(pool)
    del pool
    await async_wait_until(lambda: observer.count_alive(second) == 0, 2)


@each_runner
def test_a_dropped_pool_whose_loop_is_gone(dsn: str, run: Run, observer: Observer) -> None:
    pool: ConnectionPool | None = ConnectionPool(dsn)
    pids = run(lambda: _fill(pool))  # type: ignore[arg-type]
    assert observer.count_alive(pids) == 2
    pool = None
    observer.await_gone(pids)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_dropped_pool_whose_loop_stands_still(dsn: str, name: str, observer: Observer) -> None:
    """Between two inputs of IPython the loop doesn't run; afterwards it finds nothing wrong."""
    loop = asyncio.new_event_loop() if name == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    failures: list[Any] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    pool = ConnectionPool(dsn)
    pids = loop.run_until_complete(_fill(pool))
    del pool
    observer.await_gone(pids)
    other = ConnectionPool(dsn)
    loop.run_until_complete(_fill(other))
    other.close()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    assert failures == []


@each_runner
def test_a_pool_dropped_in_another_thread(dsn: str, run: Run, observer: Observer) -> None:
    """The loop that its connections are registered with runs meanwhile, and afterwards."""
    pools = [ConnectionPool(dsn)]

    async def main() -> None:
        pids = await _fill(pools[0])
        thread = threading.Thread(target=pools.clear)
        thread.start()
        thread.join()
        await async_wait_until(lambda: observer.count_alive(pids) == 0, 2)
        async with ConnectionPool(dsn) as other:
            assert await other.fetch_val("SELECT 1") == 1

    run(main)


async def test_a_pool_dropped_after_a_cancelled_statement(dsn: str, observer: Observer) -> None:
    pool = ConnectionPool(dsn)
    pids = await _fill(pool)
    with anyio.move_on_after(0.1):
        await pool.execute("SELECT pg_sleep(60)")
    del pool
    gc.collect()
    await async_wait_until(lambda: gc.collect() >= 0 and observer.count_alive(pids) == 0, 1)


async def test_a_handle_outlives_its_dropped_pool(dsn: str, observer: Observer) -> None:
    pool = ConnectionPool(dsn)
    idle, pid = await _fill(pool)
    connection = await pool.connection()
    assert connection.backend_pid == pid
    del pool
    assert await connection.fetch_val("SELECT 1") == 1
    assert observer.count_alive([idle]) == 1
    connection.close()
    del connection
    await async_wait_until(lambda: observer.count_alive([idle, pid]) == 0, 2)


async def test_a_dropped_handle_of_a_closed_pool(
    dsn: str, observer: Observer, unreturned: list[warnings.WarningMessage]
) -> None:
    pool = ConnectionPool(dsn)
    connection: Connection | None = await pool.connection()
    assert connection is not None
    pid = connection.backend_pid
    pool.close()
    connection = None
    await async_wait_until(lambda: observer.count_alive([pid]) == 0, 2)
    assert len(unreturned) == 1


@pytest.mark.backend("sync")
def test_a_dropped_synchronous_pool_closes_its_backends(dsn: str, observer: Observer) -> None:
    pool: sync.ConnectionPool | None = sync.ConnectionPool(dsn)
    assert pool is not None
    pid = pool.fetch_val("SELECT pg_backend_pid()")
    pool = None
    observer.await_gone([pid])


# What may be awaited


async def test_acquire_can_not_be_awaited(pool: ConnectionPool) -> None:
    with pytest.raises(TypeError, match="async with pool.acquire") as caught:
        await pool.acquire()
    assert "connection()" in str(caught.value)
    assert pool.status() == (4, 0, 0, 0)
    assert await pool.fetch_val("SELECT 1") == 1


async def test_a_pool_can_not_be_awaited(pool: ConnectionPool, dsn: str) -> None:
    for one in (pool, connect_pool(dsn)):
        with pytest.raises(TypeError, match=r"connection\(\)"):
            await one


async def test_awaiting_connect_gives_a_connection_each_time(dsn: str, observer: Observer) -> None:
    connecting = connect(dsn, application_name="alone")
    first, second = await connecting, await connecting
    assert isinstance(first, Connection)
    assert isinstance(second, Connection)
    pids = [first.backend_pid, second.backend_pid]
    assert len(set(pids)) == 2
    assert connecting.status() == (10, 0, 0, 0)
    assert await first.fetch_val("SHOW application_name") == "alone"
    first.close()
    await async_wait_until(lambda: observer.count_alive(pids) == 1, 2)
    assert await second.fetch_val("SELECT 1") == 1
    async with second:
        pass
    await async_wait_until(lambda: observer.count_alive(pids) == 0, 2)
    assert await connecting.fetch_val("SELECT 1") == 1
    connecting.close()


async def test_an_awaited_connection_as_a_block(dsn: str, observer: Observer) -> None:
    async with await connect(dsn) as connection:
        pid = await connection.fetch_val("SELECT pg_backend_pid()")
    with pytest.raises(exceptions.ConnectionClosedError):
        await connection.execute("SELECT 1")
    await async_wait_until(lambda: observer.count_alive([pid]) == 0, 2)


async def test_a_dropped_awaited_connection_ends(
    dsn: str, observer: Observer, unreturned: list[warnings.WarningMessage]
) -> None:
    pid = (await connect(dsn)).backend_pid
    await async_wait_until(lambda: observer.count_alive([pid]) == 0, 2)
    assert len(unreturned) == 1


async def test_connection_works_with_what_takes_coroutines(pool: ConnectionPool) -> None:
    call = pool.connection()
    assert asyncio.iscoroutine(call)
    connection = await call
    connection.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        await call
    assert pool.status() == (4, 1, 1, 0)
