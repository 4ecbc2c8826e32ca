"""Connections that an interrupt has kept from their handles: the pool finds them, and takes nobody else's."""

from __future__ import annotations

import time
from typing import Any

import pytest

from psqlpy import ConnectionPool, exceptions
from tests.concurrency import async_fail_after


def lose(connection: Any) -> None:
    """As an interrupt in the middle of `close` does: the handle has let go of it, and nobody has given it back."""
    connection._link = None
    connection._pool = None


async def test_a_lost_connection_is_found_by_who_waits(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=2) as pool:
        lost, held = await pool.connection(), await pool.connection()
        await lost.execute("SET search_path TO lost")
        pid = lost.backend_pid
        lose(lost)
        assert pool._policy.status() == (2, 2, 0, 0)
        with async_fail_after(5):
            found = await pool.connection()
        assert found.backend_pid == pid
        assert await found.fetch_val("SHOW search_path") != "lost"
        found.close()
        assert await held.fetch_val("SELECT 1") == 1
        held.close()
        assert pool.status() == (2, 2, 2, 0)


async def test_status_finds_a_lost_connection(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=2) as pool:
        lose(await pool.connection())
        held = await pool.connection()
        assert pool.status() == (2, 2, 1, 0)
        assert await held.fetch_val("SELECT 1") == 1
        held.close()


async def test_the_pools_end_does_not_wait_for_a_lost_connection(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=2) as pool:
        lose(await pool.connection())
        begun = time.monotonic()
        with async_fail_after(5):
            await pool.aclose()
        assert time.monotonic() - begun < 0.5
        assert pool.status().size == 0


async def test_what_somebody_has_is_not_lost(dsn: str) -> None:
    """Whatever it is had by, and though nothing happens on it for longer than a waiting call's looks are apart."""
    async with ConnectionPool(dsn, max_db_pool_size=6) as pool:
        handle = await pool.connection()
        block = pool.acquire()
        await block.__aenter__()
        begun = pool.transaction()
        transaction = await begun.__aenter__()
        prepared = await (await pool.connection()).prepare("SELECT 3")
        cursor = (await pool.connection()).cursor("SELECT 4")
        await cursor.start()
        stream = (await pool.connection()).stream("SELECT 5", as_tuple=True)
        await stream.__aenter__()
        with pytest.raises(exceptions.QueryTimeoutError):
            await pool.fetch_val("SELECT 0", timeout=2.5)
        assert pool.status() == (6, 6, 0, 0)
        assert await handle.fetch_val("SELECT 1") == await block.fetch_val("SELECT 1") == 1
        assert await transaction.fetch_val("SELECT 2") == 2
        assert (await prepared.execute()).result(as_tuple=True) == [(3,)]
        assert (await cursor.fetchone()).result(as_tuple=True) == [(4,)]
        async for row in stream:
            assert row == (5,)
        await begun.__aexit__(None, None, None)
