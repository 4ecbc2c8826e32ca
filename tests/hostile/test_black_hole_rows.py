"""A network that forwards nothing any more, in the middle of a cursor, a stream, a pipeline: every call ends in time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests.concurrency import async_wait_until
from tests.hostile.proxy import Proxy
from tests.hostile.test_black_hole import LATE, Cut, each_cut, taking

ENDLESS = "SELECT generate_series(1, 100000000) AS g, repeat('x', 1000) AS t"
TEN = "SELECT generate_series(1, 10)"


@pytest.mark.parametrize(
    "call",
    [
        lambda conn: anext(conn.stream("SELECT 1", timeout=0.3)),
        lambda conn: conn.cursor("SELECT 1").start(timeout=0.3),
        lambda conn: conn.cursor().execute("SELECT 1", timeout=0.3),
        lambda conn: conn.prepare("SELECT 1", timeout=0.3),
        lambda conn: conn.pipeline([("SELECT 1",), ("SELECT 2",)], timeout=0.3),
        lambda conn: conn.pipeline([("SELECT 1",), ("SELECT 2",)], False, timeout=0.3),
    ],
    ids=["stream", "start", "execute", "prepare", "pipeline", "unprepared pipeline"],
)
async def test_opening(
    pool: ConnectionPool, proxy: Proxy, call: Callable[[Connection], Awaitable[Any]]
) -> None:
    async with pool.acquire() as connection:
        proxy.black_hole()
        for _ in range(2):
            with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
                await call(connection)
        # Leaving waits for nothing.
        begun = time.monotonic()
    assert time.monotonic() - begun < LATE
    proxy.restore()
    with taking(0, 1):
        assert await pool.fetch_val("SELECT 1") == 1
    await async_wait_until(lambda: pool.status().available == pool.status().size)


@each_cut
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "in a transaction"])
async def test_in_the_middle_of_a_stream(proxied_dsn: str, proxy: Proxy, cut: Cut, inside: bool) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=1) as pool:

        async def read(timeout: float | None = None) -> None:
            rows = connection.stream(ENDLESS, chunk_size=10, timeout=timeout)
            count = 0
            async for _ in rows:
                count += 1
                if count == 15:
                    proxy.black_hole()
                    begun.append(time.monotonic())

        begun: list[float] = []
        async with pool.acquire() as connection:
            if inside:
                await connection.execute("BEGIN")
            await cut(read)
            taken = time.monotonic() - begun[0]
            # What was on the way when the network went is read first.
            assert 0.9 < taken < 1.5 + LATE, taken
            with taking(0.3, 0.3 + LATE), pytest.raises(exceptions.QueryTimeoutError):
                await connection.execute("SELECT 1", timeout=0.3)
            await async_wait_until(connection.is_closed, 3)
        proxy.restore()
        assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("way", ["stream", "cursor"])
async def test_closing(proxied_dsn: str, proxy: Proxy, way: str) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=1) as pool:
        async with pool.acquire() as connection:
            if way == "stream":
                rows: Any = connection.stream(ENDLESS, chunk_size=10)
                await anext(rows)
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
