"""A hundred statements at once on a pool of a hundred: on as many backends, whether they are there already or not."""

from __future__ import annotations

import threading
import time

import anyio
import pytest

from psqlpy import ConnectionPool, sync
from tests.shells.observing import Observer

COUNT = 100
LIMIT = 3.0
# Others may keep the machine busy, once.
ATTEMPTS = 2


@pytest.fixture(autouse=True)
def _room(observer: Observer) -> None:
    """The tests' own server allows 300 connections; another one may not."""
    room = observer.value("SELECT current_setting('max_connections')::int - count(*) FROM pg_stat_activity")
    if room < COUNT + 10:
        pytest.skip(f"the server has room for {room} connections, and {COUNT} are needed")


async def run_all(pool: ConnectionPool) -> tuple[float, set[int]]:
    """How many seconds they took, and on which backends."""
    seen: set[int] = set()

    async def run() -> None:
        result = await pool.execute("SELECT pg_sleep(0.5), pg_backend_pid() AS pid")
        seen.add(result.result()[0]["pid"])

    begun = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(COUNT):
            group.start_soon(run)
    taken = time.monotonic() - begun
    assert pool.status() == (COUNT, COUNT, COUNT, 0)
    assert len(seen) == COUNT
    return taken, seen


async def test_a_hundred_tasks(dsn: str) -> None:
    taken: list[float] = []
    for _ in range(ATTEMPTS):
        async with ConnectionPool(dsn, max_db_pool_size=COUNT, application_name="hundred") as pool:
            first, backends = await run_all(pool)
            second, again = await run_all(pool)
        assert again == backends
        taken.append(max(first, second))
        if taken[-1] < LIMIT:
            return
    pytest.fail(f"took {taken} s")


@pytest.mark.backend("sync")
def test_a_hundred_threads(dsn: str, observer: Observer) -> None:
    """How fast a hundred threads start is no matter of ours: here each waits on the server until all are there."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 100100 AND NOT granted"
    backends: list[set[int]] = []
    with sync.ConnectionPool(dsn, max_db_pool_size=COUNT, application_name="hundred") as pool:
        for _ in range(2):
            seen: set[int] = set()
            backends.append(seen)

            def run(seen: set[int] = seen) -> None:
                seen.add(pool.fetch_val("SELECT pg_backend_pid() FROM pg_advisory_lock_shared(100100)"))

            observer.value("SELECT pg_advisory_lock(100100)")
            threads = [threading.Thread(target=run, daemon=True) for _ in range(COUNT)]
            for thread in threads:
                thread.start()
            observer.wait(lambda: observer.value(waiting) == COUNT, 20, "all threads wait for the lock")
            assert pool.status() == (COUNT, COUNT, 0, 0)
            observer.value("SELECT pg_advisory_unlock(100100)")
            for thread in threads:
                thread.join(10)
            assert pool.status() == (COUNT, COUNT, COUNT, 0)
    assert len(backends[0]) == COUNT
    assert backends[1] == backends[0]


async def test_a_hundred_tasks_on_ten(dsn: str) -> None:
    """They wait for each other, and no more backends are made than the pool may have."""
    async with ConnectionPool(dsn, max_db_pool_size=10) as pool:
        seen: set[int] = set()

        async def run() -> None:
            seen.add(await pool.fetch_val("SELECT pg_backend_pid() FROM pg_sleep(0.02)"))

        async with anyio.create_task_group() as group:
            for _ in range(COUNT):
                group.start_soon(run)
        assert len(seen) == 10
        assert pool.status() == (10, 10, 10, 0)
