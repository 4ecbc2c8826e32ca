"""A network that forwards nothing any more while all sockets stay open: every call ends within its timeout."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, ConnRecyclingMethod, exceptions, sync
from tests.concurrency import async_wait_until
from tests.hostile.proxy import Proxy
from tests.shells.observing import Observer

# What a call may take beyond its time: much less than the two seconds that a statement gets to end after it was
# cancelled, and enough for a machine that has other things to do.
LATE = 0.5
CUT = 0.5


@contextmanager
def taking(at_least: float, at_most: float) -> Iterator[None]:
    """Assert how many seconds the block takes; an event loop's clock may be some milliseconds ahead."""
    begun = time.monotonic()
    yield
    taken = time.monotonic() - begun
    assert at_least - 0.01 <= taken <= at_most, f"took {taken:.3f} s"


async def _cut_by_the_event_loop(call: Callable[..., Awaitable[object]]) -> None:
    """asyncio's and trio's own timeouts, which cancel."""
    with pytest.raises(TimeoutError), anyio.fail_after(CUT):
        await call()


async def _cut_by_timeout(call: Callable[..., Awaitable[object]]) -> None:
    with pytest.raises(exceptions.QueryTimeoutError):
        await call(timeout=CUT)


each_cut = pytest.mark.parametrize("cut", [_cut_by_the_event_loop, _cut_by_timeout])

Cut = Callable[[Callable[..., Awaitable[object]]], Awaitable[None]]


@each_cut
async def test_pools_call(pool: ConnectionPool, proxy: Proxy, cut: Cut) -> None:
    await pool.execute("SELECT 1")
    proxy.black_hole()
    for _ in range(2):
        with taking(CUT, CUT + LATE):
            await cut(lambda **options: pool.execute("SELECT 1", **options))
    proxy.restore()
    with taking(0, 1):
        assert await pool.fetch_val("SELECT 1") == 1
    await async_wait_until(lambda: pool.status().available == pool.status().size)


@each_cut
@pytest.mark.parametrize("text", ["SELECT pg_sleep(60)", "SELECT 1"], ids=["running", "sent into it"])
async def test_call_on_a_connection(
    pool: ConnectionPool, proxy: Proxy, observer: Observer, cut: Cut, text: str
) -> None:
    async def call(timeout: float | None = None) -> object:
        async with anyio.create_task_group() as group:
            if "sleep" in text:

                async def fall_in() -> None:
                    await async_wait_until(lambda: observer.state(pid) == "active")
                    proxy.black_hole()

                group.start_soon(fall_in)
            else:
                proxy.black_hole()
            try:
                return await connection.execute(text, timeout=timeout)
            except exceptions.QueryTimeoutError as error:
                raised.append(error)
        raise raised[0]

    raised: list[Exception] = []
    with taking(CUT, CUT + LATE):
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            await cut(call)
            with taking(0, LATE):
                connection.close()
    with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
        await pool.execute("SELECT 1", timeout=0.3)
    proxy.restore()
    with taking(0, 1):
        assert await pool.fetch_val("SELECT 1") == 1
    await async_wait_until(lambda: pool.status().available == pool.status().size)
    # The cancel request comes out of the black hole with everything else.
    await async_wait_until(lambda: observer.state(pid) != "active")


@each_cut
async def test_transaction(pool: ConnectionPool, proxy: Proxy, cut: Cut) -> None:
    """Leaving the block doesn't wait for an answer that can't come."""

    async def use(timeout: float | None = None) -> None:
        async with pool.acquire() as connection, connection.transaction() as transaction:
            await transaction.execute("SELECT 1")
            proxy.black_hole()
            await transaction.execute("SELECT 2", timeout=timeout)

    with taking(CUT, CUT + LATE):
        await cut(use)
    proxy.restore()
    assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda conn: conn.execute("SELECT 1", timeout=0.3),
        lambda conn: conn.execute("SELECT 2", prepared=False, timeout=0.3),
        lambda conn: conn.fetch_val("SELECT $1::int", [1], timeout=0.3),
        lambda conn: conn.execute_many("SELECT $1::text", [["x" * 100_000]] * 100, timeout=0.3),
        lambda conn: conn.execute_batch("SELECT 1; SELECT 2", timeout=0.3),
        lambda conn: conn.transaction().begin(timeout=0.3),
    ],
    ids=["execute", "unprepared", "fetch_val", "execute_many", "execute_batch", "begin"],
)
async def test_each_call(
    pool: ConnectionPool, proxy: Proxy, call: Callable[[Connection], Awaitable[object]]
) -> None:
    async with pool.acquire() as connection:
        proxy.black_hole()
        with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
            await call(connection)
        # What comes next on the same connection waits for its end, within its own time.
        with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
            await call(connection)


async def test_connection_that_does_not_come_back_is_replaced(proxied_dsn: str, proxy: Proxy) -> None:
    """After a while a call without any timeout fails too, if a cancelled one was before it."""
    async with ConnectionPool(proxied_dsn, max_db_pool_size=1) as pool:
        async with pool.acquire() as connection:
            proxy.black_hole()
            with pytest.raises(exceptions.QueryTimeoutError):
                await connection.execute("SELECT 1", timeout=0.2)
            with taking(1, 3), pytest.raises(exceptions.ConnectionLostError, match="did not end"):
                await connection.execute("SELECT 1")
            assert connection.is_closed()
        proxy.restore()
        assert await pool.fetch_val("SELECT 1") == 1


async def test_connecting_through_it(pool: ConnectionPool, proxy: Proxy) -> None:
    proxy.black_hole()
    with taking(0.5, 0.5 + LATE), pytest.raises(exceptions.QueryTimeoutError):
        await pool.execute("SELECT 1", timeout=0.5)
    with taking(0.5, 0.5 + LATE), pytest.raises(TimeoutError), anyio.fail_after(0.5):
        await pool.connection()
    assert pool.status() == (4, 0, 0, 0)
    proxy.restore()
    assert await pool.fetch_val("SELECT 1") == 1


async def test_verified_connections(proxied_dsn: str, proxy: Proxy) -> None:
    """The question whether a connection is alive has no answer: it takes no longer than the call's timeout."""
    async with ConnectionPool(
        proxied_dsn, max_db_pool_size=2, conn_recycling_method=ConnRecyclingMethod.Verified
    ) as pool:
        await pool.execute("SELECT 1")
        proxy.black_hole()
        with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
            await pool.execute("SELECT 1", timeout=0.3)
        proxy.restore()
        with taking(0, 1):
            assert await pool.fetch_val("SELECT 1") == 1


async def test_many_calls_at_once(proxied_dsn: str, proxy: Proxy) -> None:
    """More than there are connections, and more than there are threads for cancel requests."""
    async with ConnectionPool(proxied_dsn, max_db_pool_size=30) as pool:
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(pool.execute, "SELECT pg_sleep(0.2)")
        proxy.black_hole()

        async def call() -> None:
            with taking(0.5, 0.5 + LATE), pytest.raises(exceptions.QueryTimeoutError):
                await pool.execute("SELECT pg_sleep(0.01)", timeout=0.5)

        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(call)
        proxy.restore()
        with taking(0, 2):
            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(pool.execute, "SELECT 1")
        await async_wait_until(lambda: pool.status().available == pool.status().size)


@pytest.mark.parametrize("used", [False, True], ids=["idle", "in use"])
async def test_closing_the_pool(pool: ConnectionPool, proxy: Proxy, used: bool) -> None:
    connection = await pool.connection()
    await connection.execute("SELECT 1")
    if not used:
        connection.close()
    proxy.black_hole()
    with taking(0, LATE):
        pool.close()
    with taking(0, 0.3 + LATE):
        await pool.aclose(timeout=0.3)
    with taking(0, LATE):
        connection.close()
    await async_wait_until(lambda: pool.status() == (0, 0, 0, 0))


# Threads


@pytest.mark.backend("sync")
def test_threads(sync_pool: sync.ConnectionPool, proxy: Proxy) -> None:
    sync_pool.execute("SELECT 1")
    proxy.black_hole()
    for _ in range(2):
        with taking(CUT, CUT + LATE), pytest.raises(exceptions.QueryTimeoutError):
            sync_pool.execute("SELECT 1", timeout=CUT)
    proxy.restore()
    with taking(0, 1):
        assert sync_pool.fetch_val("SELECT 1") == 1
    status = sync_pool.status()
    assert status.available == status.size


@pytest.mark.backend("sync")
def test_threads_on_a_connection(sync_pool: sync.ConnectionPool, proxy: Proxy, observer: Observer) -> None:
    with sync_pool.acquire() as connection:
        pid = connection.backend_pid
        proxy.black_hole()
        with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
            connection.execute("SELECT pg_sleep(60)", timeout=0.3)
        with taking(0, LATE), pytest.raises(exceptions.ConnectionLostError):
            connection.execute("SELECT 1", timeout=0.3)
    proxy.restore()
    assert sync_pool.fetch_val("SELECT 1") == 1
    observer.wait(lambda: observer.state(pid) != "active", 1, "the statement has ended")


@pytest.mark.backend("sync")
def test_threads_in_a_transaction(sync_pool: sync.ConnectionPool, proxy: Proxy) -> None:
    with (
        # With the first statement, which is prepared on the way, and the block's end.
        taking(0.3, 0.3 + LATE),
        pytest.raises(exceptions.QueryTimeoutError),
        sync_pool.acquire() as connection,
        connection.transaction() as transaction,
    ):
        transaction.execute("SELECT 1")
        proxy.black_hole()
        transaction.execute("SELECT 2", timeout=0.3)
    proxy.restore()
    assert sync_pool.fetch_val("SELECT 1") == 1


@pytest.mark.backend("sync")
def test_threads_connecting(sync_pool: sync.ConnectionPool, proxy: Proxy) -> None:
    proxy.black_hole()
    with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
        sync_pool.execute("SELECT 1", timeout=0.3)
    assert sync_pool.status() == (4, 0, 0, 0)
    proxy.restore()
    assert sync_pool.fetch_val("SELECT 1") == 1
