"""`max_lifetime` and `max_idle`: which connections are replaced when, and that nobody is disturbed by it."""

from __future__ import annotations

from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from psqlpy import Connection, ConnectionPool, QueryEvent, connect_pool, exceptions
from psqlpy._pooling.policy import Policy
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup, async_sleep, async_wait_until

pytestmark = pytest.mark.loops(1)

PID = "SELECT pg_backend_pid()"


class Clock:
    """What policies take for the time, which a test may put forward. Deadlines have the real one."""

    def __init__(self) -> None:
        self.ahead = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    age = Policy.age
    monkeypatch.setattr(Policy, "age", lambda policy, now: age(policy, now + clock.ahead))
    return clock


async def fill(pool: ConnectionPool, count: int) -> list[int]:
    """So many idle connections; their backends."""
    handles = [await pool.connection() for _ in range(count)]
    pids = [handle.backend_pid for handle in handles]
    for handle in handles:
        handle.close()
    return pids


async def ensure_gone(observer: ConnectionPool, pids: list[int]) -> None:
    async def are_gone() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1::int4[])"
        return bool(await observer.fetch_val(query, [pids], shared=False) == 0)

    await async_wait_until(are_gone)


def closed(pool: ConnectionPool) -> dict[str, int]:
    """What was closed, without the reasons for which nothing was."""
    return {reason: count for reason, count in pool.stats().closed.items() if count}


async def test_nothing_gets_old_by_default(pool: ConnectionPool, clock: Clock) -> None:
    [pid] = await fill(pool, 1)
    clock.ahead = 1e8
    assert await pool.fetch_val(PID) == pid
    assert closed(pool) == {}


@pytest.mark.parametrize("limit", ["max_lifetime", "max_idle"])
async def test_idle_ones_are_closed_when_one_is_acquired(
    dsn: str, observer: ConnectionPool, clock: Clock, limit: str
) -> None:
    limits: Any = {limit: 100}
    async with ConnectionPool(dsn, max_db_pool_size=3, **limits) as pool:
        pids = await fill(pool, 3)
        clock.ahead = 80
        assert await pool.fetch_val(PID, shared=False) in pids
        clock.ahead = 190
        async with pool.acquire() as connection:
            assert connection.backend_pid not in pids
            await ensure_usable(connection)
            assert pool.status() == (3, 1, 0, 0)
        assert closed(pool) == {limit: 3}
        await ensure_gone(observer, pids)


@pytest.mark.parametrize("limit", ["max_lifetime", "max_idle"])
async def test_idle_ones_are_closed_when_one_comes_back(dsn: str, clock: Clock, limit: str) -> None:
    limits: Any = {limit: 100}
    async with ConnectionPool(dsn, max_db_pool_size=3, **limits) as pool:
        used = await pool.connection()
        await fill(pool, 2)
        clock.ahead = 101
        assert pool.status() == (3, 3, 2, 0)
        used.close()
        # The one that was in use until now is as old, but wasn't idle.
        left = 1 if limit == "max_idle" else 0
        assert pool.status() == (3, left, left, 0)


async def test_max_idle_closes_what_a_pool_has_too_many_of(dsn: str, clock: Clock) -> None:
    """The one used last comes first, as long as nothing is on its way, so that those which a burst had needed rest."""
    async with ConnectionPool(dsn, max_db_pool_size=4, max_idle=10) as pool:
        await fill(pool, 4)
        for second in range(4, 24, 4):
            clock.ahead = second
            [pid] = await fill(pool, 1)
        assert pool.status() == (4, 1, 1, 0)
        assert await fill(pool, 1) == [pid]
        assert closed(pool) == {"max_idle": 3}


async def test_who_uses_an_old_one_is_not_disturbed(dsn: str, clock: Clock) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, max_lifetime=100) as pool:
        async with pool.acquire() as connection, connection.transaction() as transaction:
            pid = await transaction.fetch_val(PID)
            clock.ahead = 1000
            # Somebody looks at the clock meanwhile.
            with pytest.raises(exceptions.QueryTimeoutError):
                await pool.execute("SELECT 1", timeout=0.02)
            assert await transaction.fetch_val(PID) == pid
        assert pool.status() == (1, 0, 0, 0)
        assert closed(pool) == {"max_lifetime": 1}
        assert await pool.fetch_val(PID) != pid


@pytest.mark.loops(3)
async def test_who_waits_for_an_old_one_opens_another(dsn: str, clock: Clock) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, max_lifetime=100) as pool:
        pids: list[int] = []

        async def ask() -> None:
            pids.append(await pool.fetch_val(PID, timeout=20))

        async with AsyncGroup() as group, pool.acquire() as connection:
            old = connection.backend_pid
            clock.ahead = 1000
            group.start(ask)
            await async_wait_until(lambda: pool.status().waiting == 1)
        assert len(pids) == 1
        assert old not in pids
        assert pool.status() == (1, 1, 1, 0)
        assert closed(pool) == {"max_lifetime": 1}


@pytest.mark.loops(3)
async def test_old_after_a_statement_that_was_given_up(
    dsn: str, observer: ConnectionPool, clock: Clock
) -> None:
    """The connection is closed when the rest of that statement has been read."""
    async with ConnectionPool(dsn, max_db_pool_size=1, max_lifetime=100) as pool:
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            clock.ahead = 1000
            with pytest.raises(exceptions.QueryTimeoutError):
                await connection.execute("SELECT pg_sleep(20)", timeout=0.02)
        await async_wait_until(lambda: pool.status() == (1, 0, 0, 0))
        assert closed(pool) == {"max_lifetime": 1}
        await ensure_gone(observer, [pid])
        assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.loops(3)
async def test_shared_connections_get_old_too(dsn: str, observer: ConnectionPool, clock: Clock) -> None:
    """Though they are never idle: nobody joins an old one any more, and those on it end as they would have."""
    async with ConnectionPool(dsn, max_db_pool_size=1, max_lifetime=100) as pool:
        standing = pool._standing("SELECT pg_backend_pid()", True)
        assert standing is not None
        while not standing.may_ride(monotonic()):
            await pool.execute("SELECT pg_backend_pid()")
        [old] = await fill(pool, 1)
        pids: list[int] = []
        crowds: list[int] = []
        ending = False

        async def read() -> None:
            while not ending:
                pids.append(await pool.fetch_val("SELECT pg_backend_pid()", timeout=20))
                crowds.append(sum(lane.users for lane in pool._sharing.lanes))

        async with AsyncGroup() as group:
            for _ in range(6):
                group.start(read)
            await async_wait_until(lambda: len(pids) > 20)
            assert set(pids) == {old}
            clock.ahead = 101
            await async_wait_until(lambda: pids[-1] != old)
            seen = len(pids)
            await async_wait_until(lambda: len(pids) > seen + 20)
            ending = True
        assert max(crowds) > 1
        assert len(set(pids)) == 2
        assert closed(pool) == {"max_lifetime": 1}
        await ensure_gone(observer, [old])


async def test_old_when_the_last_shared_statement_ends(dsn: str, clock: Clock) -> None:
    """Nobody else looks at the clock meanwhile."""

    def on_query(event: QueryEvent) -> None:
        if riding:
            clock.ahead = 101

    riding = False
    async with ConnectionPool(dsn, max_lifetime=100, on_query=on_query) as pool:
        standing = pool._standing("SELECT 7", True)
        assert standing is not None
        while not standing.may_ride(monotonic()):
            await pool.execute("SELECT 7")
        riding = True
        assert await pool.fetch_val("SELECT 7") == 7
        assert pool.status() == (10, 0, 0, 0)
        assert closed(pool) == {"max_lifetime": 1}


async def test_a_life_begins_when_the_connection_can_be_used(dsn: str, clock: Clock) -> None:
    async def setup(connection: Connection) -> None:
        clock.ahead = 50

    async with ConnectionPool(dsn, max_lifetime=100, setup=setup) as pool:
        pid = await pool.fetch_val(PID)
        clock.ahead = 130
        assert await pool.fetch_val(PID) == pid
        clock.ahead = 151
        assert await pool.fetch_val(PID) != pid


async def test_lives_that_began_together_end_one_after_the_other(dsn: str, clock: Clock) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=8, max_lifetime=1000) as pool:
        pids = await fill(pool, 8)
        sizes = set()
        for second in range(890, 1010, 5):
            clock.ahead = second
            async with pool.acquire() as connection:
                if connection.backend_pid in pids:
                    sizes.add(pool.status().size)
        assert closed(pool)["max_lifetime"] == 8
        # That all of them end within the same five seconds is less likely than one in ten million.
        assert len(sizes) > 1


async def test_by_the_clock_on_the_wall(dsn: str) -> None:
    async with connect_pool(dsn, max_db_pool_size=2, max_idle=0.05) as pool:
        pids = await fill(pool, 2)
        await async_sleep(0.06)
        assert await pool.fetch_val(PID) not in pids
        assert closed(pool) == {"max_idle": 2}
    async with connect_pool(dsn, max_db_pool_size=2, max_lifetime=0.05) as pool:
        pids = await fill(pool, 2)
        await async_sleep(0.06)
        assert await pool.fetch_val(PID) not in pids
        assert closed(pool) == {"max_lifetime": 2}


@pytest.mark.parametrize("wrong", [0, -1, "60", True, float("nan")])
async def test_limits_are_seconds_above_0(dsn: str, wrong: Any) -> None:
    for limit in ("max_lifetime", "max_idle"):
        with pytest.raises(
            exceptions.ConnectionPoolConfigurationError, match=f"{limit} must be a number of seconds above 0"
        ):
            ConnectionPool(dsn, **{limit: wrong})
    async with ConnectionPool(dsn, max_lifetime=None, max_idle=float("inf")) as pool:
        assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.loops(3)
async def test_connections_that_live_for_moments(dsn: str, observer: ConnectionPool) -> None:
    """Whatever they are used for meanwhile: nobody gets an error or another's answer, and none is left over."""
    name = f"psqlpy_ages_{uuid4().hex[:8]}"
    async with ConnectionPool(
        dsn, max_db_pool_size=3, application_name=name, max_lifetime=0.02, max_idle=0.005
    ) as pool:

        async def use(number: int) -> None:
            for turn in range(12):
                value = 100 * number + turn
                assert await pool.fetch_val("SELECT $1::int4", [value], timeout=20) == value
                async with pool.acquire() as connection, connection.transaction() as transaction:
                    assert await transaction.fetch_val("SELECT $1::int4 + 1", [value]) == value + 1
                if turn % 4 == 0:
                    with pytest.raises(exceptions.QueryTimeoutError):
                        await pool.execute("SELECT pg_sleep(10)", timeout=0.01)

        async with AsyncGroup() as group:
            for number in range(8):
                group.start(use, number)
        await async_wait_until(lambda: pool.status().size == pool.status().available)
        stats = pool.stats()
        assert stats.closed["max_lifetime"] > 3
        assert stats.opened - sum(stats.closed.values()) == pool.status().size <= 3

    async def are_gone() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
        return bool(await observer.fetch_val(query, [name], shared=False) == 0)

    await async_wait_until(are_gone)
