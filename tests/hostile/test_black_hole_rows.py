"""A network that forwards nothing any more, under cursors, streams and pipelines: every call ends in time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests.concurrency import async_wait_until
from tests.hostile.proxy import Proxy
from tests.hostile.test_black_hole import LATE, taking

ENDLESS = "SELECT generate_series(1, 100000000) AS g, repeat('x', 1000) AS t"
TEN = "SELECT generate_series(1, 10)"


@pytest.fixture(
    scope="module", params=[("asyncio", {"use_uvloop": False}), ("trio", {})], ids=["asyncio", "trio"]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Without uvloop: it has asyncio's driver, and these take seconds."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.mark.parametrize(
    "call",
    [
        lambda conn: conn.stream("SELECT 1", timeout=0.2).__anext__(),
        lambda conn: conn.cursor("SELECT 1").start(timeout=0.2),
        lambda conn: conn.cursor().execute("SELECT 1", timeout=0.2),
        lambda conn: conn.prepare("SELECT 1", timeout=0.2),
        lambda conn: conn.pipeline([("SELECT 1",), ("SELECT 2",)], timeout=0.2),
        lambda conn: conn.pipeline([("SELECT 1",), ("SELECT 2",)], False, timeout=0.2),
    ],
    ids=["stream", "start", "execute", "prepare", "pipeline", "unprepared pipeline"],
)
async def test_opening(
    pool: ConnectionPool, proxy: Proxy, call: Callable[[Connection], Awaitable[Any]]
) -> None:
    async with pool.acquire() as connection:
        proxy.black_hole()
        for _ in range(2):
            with taking(0.2, 0.2 + LATE), pytest.raises(exceptions.QueryTimeoutError):
                await call(connection)
        # Leaving waits for nothing.
        begun = time.monotonic()
    assert time.monotonic() - begun < LATE
    proxy.restore()
    with taking(0, 1):
        assert await pool.fetch_val("SELECT 1") == 1
    await async_wait_until(lambda: pool.status().available == pool.status().size)


async def _cut_by_the_event_loop(rows: Any) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.4):
        async for _ in rows:
            pass


async def _cut_by_timeout(rows: Any) -> None:
    with pytest.raises(exceptions.QueryTimeoutError):
        async for _ in rows:
            pass


@pytest.mark.parametrize(
    ("cut", "inside"), [(_cut_by_timeout, False), (_cut_by_timeout, True), (_cut_by_the_event_loop, False)]
)
async def test_in_the_middle_of_a_stream(
    proxied_dsn: str, proxy: Proxy, cut: Callable[[Any], Awaitable[None]], inside: bool
) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=1) as pool:
        async with pool.acquire() as connection:
            if inside:
                await connection.execute("BEGIN")
            rows = connection.stream(ENDLESS, chunk_size=10, timeout=0.4)
            for _ in range(15):
                await rows.__anext__()
            proxy.black_hole()
            # What was on its way when the network went is read first.
            with taking(0.35, 1 + LATE):
                await cut(rows)
            with taking(0.1, 0.1 + LATE), pytest.raises(exceptions.QueryTimeoutError):
                await connection.execute("SELECT 1", timeout=0.1)
            # Nobody waits any more, and still it ends.
            await async_wait_until(connection.is_closed, 2.5)
        proxy.restore()
        assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("way", ["stream", "cursor"])
async def test_closing(proxied_dsn: str, proxy: Proxy, way: str) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=1) as pool:
        async with pool.acquire() as connection:
            if way == "stream":
                rows: Any = connection.stream(ENDLESS, chunk_size=10)
                await rows.__anext__()
            else:
                rows = connection.cursor(TEN)
                await rows.start()
            proxy.black_hole()
            with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
                await rows.close(timeout=0.3)
            with taking(0, LATE):
                await rows.close()
        proxy.restore()
        with taking(0, 1):
            assert await pool.fetch_val("SELECT 1") == 1


async def test_fetching(proxied_dsn: str, proxy: Proxy) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=1) as pool:
        async with pool.acquire() as connection:
            cursor = connection.cursor(TEN)
            await cursor.start()
            await cursor.fetchone()
            proxy.black_hole()
            with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
                await cursor.fetchone(timeout=0.3)
            assert cursor.is_closed()
            with taking(0, LATE), pytest.raises(exceptions.CursorClosedError):
                await cursor.fetchone()
        proxy.restore()
        with taking(0, 1):
            assert await pool.fetch_val("SELECT 1") == 1


# Threads


@pytest.mark.backend("sync")
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "in a transaction"])
def test_threads_in_the_middle_of_a_stream(
    sync_pool: sync.ConnectionPool, proxy: Proxy, inside: bool
) -> None:
    with sync_pool.acquire() as connection:
        if inside:
            connection.execute("BEGIN")
        begun = last = 0.0
        with pytest.raises(exceptions.QueryTimeoutError):
            for row in connection.stream(ENDLESS, chunk_size=10, timeout=0.3):
                last = time.monotonic()
                if row["g"] == 15:
                    proxy.black_hole()
                    begun = last
        assert begun
        assert 0.3 <= time.monotonic() - last <= 0.3 + LATE
        assert connection.is_closed()
        with taking(0, LATE), pytest.raises(exceptions.ConnectionClosedError):
            connection.execute("SELECT 1")
    proxy.restore()
    assert sync_pool.fetch_val("SELECT 1") == 1


@pytest.mark.backend("sync")
@pytest.mark.parametrize("way", ["stream", "cursor", "fetch"])
def test_threads_closing(sync_pool: sync.ConnectionPool, proxy: Proxy, way: str) -> None:
    with sync_pool.acquire() as connection:
        if way == "stream":
            rows: Any = connection.stream(ENDLESS, chunk_size=10)
            next(rows)
        else:
            rows = connection.cursor(TEN)
            rows.start()
        proxy.black_hole()
        with taking(0, 0.3 + LATE):
            if way == "stream":
                # What it leaves is read for so long, and given up then.
                rows.close(timeout=0.3)
            else:
                with pytest.raises(exceptions.QueryTimeoutError):
                    rows.fetchone(timeout=0.3) if way == "fetch" else rows.close(timeout=0.3)
        with taking(0, LATE):
            rows.close()
        assert connection.is_closed()
    proxy.restore()
    assert sync_pool.fetch_val("SELECT 1") == 1
