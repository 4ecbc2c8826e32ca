"""close(), a plain function: in the loop, after it, in another one, in another thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.shells.running import RUNNERS, Main, each_runner, join, run_in_thread

Run = Callable[[Main[Any]], Any]


async def _fill(pool: ConnectionPool) -> list[int]:
    """Two idle connections."""
    handles = [await pool.connection() for _ in range(2)]
    pids = [handle.backend_pid for handle in handles]
    for handle in handles:
        handle.close()
    return pids


@each_runner
def test_close_inside_the_loop(dsn: str, run: Run, observer: Observer) -> None:
    pool = ConnectionPool(dsn)

    async def main() -> None:
        pids = await _fill(pool)
        pool.close()
        observer.await_gone(pids)
        with pytest.raises(exceptions.BaseConnectionPoolError, match="closed"):
            await pool.connection()

    run(main)


@each_runner
def test_close_after_the_loop(dsn: str, run: Run, observer: Observer) -> None:
    pool = ConnectionPool(dsn)
    pids = run(lambda: _fill(pool))
    assert observer.count_alive(pids) == 2
    pool.close()
    observer.await_gone(pids)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_close_between_two_runs_of_a_loop(dsn: str, name: str, observer: Observer) -> None:
    loop = asyncio.new_event_loop() if name == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    try:
        pool = ConnectionPool(dsn)
        pids = loop.run_until_complete(_fill(pool))
        pool.close()
        observer.await_gone(pids)
        loop.run_until_complete(asyncio.sleep(0.01))
    finally:
        loop.close()


@pytest.mark.parametrize("names", list(product(RUNNERS, repeat=2)), ids=" inside ".join)
def test_close_inside_another_loop(dsn: str, names: tuple[str, str], observer: Observer) -> None:
    """Of a used connection only its use is seen: it works on, and is closed when it comes back."""
    pool = ConnectionPool(dsn)
    used: list[Connection] = []

    async def begin() -> list[int]:
        pids = await _fill(pool)
        used.append(await pool.connection())
        return pids

    pids = RUNNERS[names[1]](begin)
    in_use = used[0].backend_pid

    async def close() -> None:
        pool.close()
        observer.await_gone([pid for pid in pids if pid != in_use])
        assert await used[0].fetch_val("SELECT pg_backend_pid()") == in_use
        assert pool.status() == (0, 1, 0, 0)
        used[0].close()
        observer.await_gone([in_use])
        assert pool.status() == (0, 0, 0, 0)

    RUNNERS[names[0]](close)


def _plainly(call: Callable[[], None]) -> None:
    call()


def _in_a_loop(call: Callable[[], None]) -> None:
    async def main() -> None:
        call()

    asyncio.run(main())


@each_runner
@pytest.mark.parametrize("inside", [_plainly, _in_a_loop], ids=["plain", "in a loop"])
def test_close_in_another_thread(dsn: str, run: Run, inside: Callable[..., None], observer: Observer) -> None:
    """The loop runs on: waiters get an error at once, used connections keep working, idle ones are closed."""
    pool = ConnectionPool(dsn, max_db_pool_size=3)

    async def main() -> None:
        pids = await _fill(pool)
        used = [await pool.connection() for _ in range(3)]
        pids = [connection.backend_pid for connection in used]
        used.pop().close()
        refused: list[type[Exception]] = []

        async def wait() -> None:
            try:
                async with pool.acquire(), pool.acquire():
                    raise AssertionError("there was one connection")
            except exceptions.BaseConnectionPoolError as error:
                refused.append(type(error))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await async_wait_until(lambda: pool.status().waiting == 1)
            thread, errors = run_in_thread(lambda: inside(pool.close))
            await async_wait_until(lambda: bool(refused), 2)
        join(thread, errors)
        assert refused == [exceptions.BaseConnectionPoolError]
        for connection in used:
            assert await connection.fetch_val("SELECT 1") == 1
            connection.close()
        assert pool.status() == (0, 0, 0, 0)
        await async_wait_until(lambda: observer.count_alive(pids) == 0, 2)

    run(main)


def test_close_of_a_pool_that_was_never_used(dsn: str) -> None:
    for pool in (ConnectionPool(dsn), sync.ConnectionPool(dsn)):
        pool.close()
        pool.close()
        assert pool.status() == (0, 0, 0, 0)


@pytest.mark.backend("sync")
def test_close_in_another_thread_of_a_synchronous_pool(dsn: str, observer: Observer) -> None:
    pool = sync.ConnectionPool(dsn, max_db_pool_size=1)
    held = pool.connection()
    pid = held.backend_pid
    thread, errors = run_in_thread(lambda: pool.execute("SELECT 1"))
    while not pool.status().waiting:
        time.sleep(0.005)
    pool.close()
    thread.join(2)
    assert [type(error) for error in errors] == [exceptions.BaseConnectionPoolError]
    assert held.fetch_val("SELECT 1") == 1
    held.close()
    observer.await_gone([pid])


@each_runner
def test_both_kinds_of_block_close(dsn: str, run: Run, observer: Observer) -> None:
    async def main() -> None:
        with ConnectionPool(dsn) as pool:
            pids = await _fill(pool)
        observer.await_gone(pids)
        async with ConnectionPool(dsn) as pool:
            pids = await _fill(pool)
        observer.await_gone(pids)

    run(main)
