"""`pool.stats()`, number by number, and `pool.expire_connections()`."""

from __future__ import annotations

import pytest

from psqlpy import ConnectionPool, exceptions
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup, async_wait_until

pytestmark = pytest.mark.loops(1)

NOTHING_CLOSED = {"lost": 0, "expired": 0, "surplus": 0, "pool closed": 0, "max_lifetime": 0, "max_idle": 0}


async def test_a_new_pool_has_done_nothing(pool: ConnectionPool) -> None:
    assert pool.stats() == (0, 0, NOTHING_CLOSED, 0, 0, 0)
    # A copy: the pool's own numbers are the pool's.
    pool.stats().closed["lost"] = 7
    assert pool.stats().closed == NOTHING_CLOSED


async def test_acquired_and_opened(pool: ConnectionPool) -> None:
    for _ in range(3):
        await pool.execute("SELECT 1")
    async with pool.acquire(), pool.acquire():
        pass
    stats = pool.stats()
    assert (stats.acquired, stats.opened, stats.waited, stats.errors) == (5, 2, 0, 0)


@pytest.mark.loops(3)
async def test_waited_and_timed_out(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, acquire_timeout=0.05) as pool:
        async with pool.acquire():
            with pytest.raises(exceptions.PoolTimeoutError):
                await pool.execute("SELECT 1")
            with pytest.raises(exceptions.QueryTimeoutError):
                await pool.execute("SELECT 1", timeout=0.02)
        assert (pool.stats().waited, pool.stats().timed_out, pool.stats().acquired) == (2, 2, 1)
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        async with AsyncGroup() as group, pool.acquire():
            group.start(pool.execute, "SELECT 1")
            await async_wait_until(lambda: pool.status().waiting == 1)
        assert (pool.stats().waited, pool.stats().timed_out, pool.stats().acquired) == (1, 0, 2)


async def test_errors_of_connecting(dsn: str) -> None:
    async with ConnectionPool(dsn, options="-c no_such_setting=1") as pool:
        for number in (1, 2):
            with pytest.raises(exceptions.BaseConnectionPoolError):
                await pool.execute("SELECT 1")
            assert pool.stats() == (0, 0, NOTHING_CLOSED, 0, 0, number)


@pytest.mark.loops(3)
async def test_closed_by_reason(dsn: str, observer: ConnectionPool) -> None:
    pool = ConnectionPool(dsn, max_db_pool_size=4)
    async with pool.acquire(), pool.acquire(), pool.acquire(), pool.acquire() as last:
        pid = last.backend_pid
    await observer.execute("SELECT pg_terminate_backend($1)", [pid])

    async def is_gone() -> bool:
        left = await observer.fetch_val("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", [pid])
        return bool(left == 0)

    await async_wait_until(is_gone)
    async with pool.acquire(), pool.acquire(), pool.acquire(), pool.acquire():
        assert (pool.stats().closed["lost"], pool.stats().opened) == (1, 5)
        pool.resize(3)
    assert pool.stats().closed == NOTHING_CLOSED | {"lost": 1, "surplus": 1}
    async with pool.acquire():
        pool.close()
        assert pool.stats().closed["pool closed"] == 2
    assert pool.stats().closed == NOTHING_CLOSED | {"lost": 1, "surplus": 1, "pool closed": 3}
    stats = pool.stats()
    assert stats.opened == sum(stats.closed.values()) == 5
    assert stats.acquired == 9


async def test_expired_connections_are_replaced(pool: ConnectionPool) -> None:
    async with pool.acquire() as used:
        async with pool.acquire() as idle:
            before = {used.backend_pid, idle.backend_pid}
        pool.expire_connections()
        assert pool.status().size == 1
        # Whoever uses one isn't disturbed.
        await ensure_usable(used)
        # What is made from now on isn't expired.
        async with pool.acquire() as newer:
            newer_pid = newer.backend_pid
            assert newer_pid not in before
    assert pool.stats().closed == NOTHING_CLOSED | {"expired": 2}
    async with pool.acquire() as connection, pool.acquire() as another:
        assert connection.backend_pid == newer_pid
        assert another.backend_pid not in before
    await pool.execute("SELECT 1")
    assert pool.stats().closed == NOTHING_CLOSED | {"expired": 2}
