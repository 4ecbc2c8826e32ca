"""A server's machine that is gone without a word: what notices it where no timeout is set, and how soon.

Nothing that the client sends is acknowledged any more, which the proxies of the other tests can't do: their kernel
acknowledges what they don't read.
"""

from __future__ import annotations

import sys
import time

import anyio
import pytest

from psqlpy import ConnectionPool, exceptions, sync
from tests.hostile.proxy import Proxy
from tests.hostile.test_black_hole import taking

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sockets are made deaf by Linux's filters")

# The kernel looks when it has something to send again, which is each time twice as long after it: 0.2, 0.4, 0.8 s.
LATE = 1.0


async def test_what_was_sent_is_not_acknowledged(proxied_dsn: str, proxy: Proxy) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=2, tcp_user_timeout_sec=1) as pool:
        connection = await pool.connection()
        await connection.execute("SELECT 1")
        proxy.vanish()
        with taking(1, 1 + LATE), pytest.raises(exceptions.ConnectionLostError) as caught:
            await connection.execute("SELECT 1")
        assert caught.value.may_have_committed
        assert connection.is_closed()
        connection.close()
        assert await pool.fetch_val("SELECT 1", timeout=1) == 1
        assert pool.status().size == pool.status().available == 1


async def test_nothing_is_sent(proxied_dsn: str, proxy: Proxy) -> None:
    """While the answer is waited for: keepalives. 1 s of silence, and two probes that nobody answers."""
    async with ConnectionPool(
        proxied_dsn,
        max_db_pool_size=2,
        keepalives_idle_sec=1,
        keepalives_interval_sec=1,
        keepalives_retries=2,
    ) as pool:
        connection = await pool.connection()
        async with anyio.create_task_group() as group:

            async def vanish() -> None:
                await anyio.sleep(0.2)
                proxy.vanish()

            group.start_soon(vanish)
            with taking(2, 3 + LATE), pytest.raises(exceptions.ConnectionLostError):
                await connection.execute("SELECT pg_sleep(60)")
        assert connection.is_closed()
        connection.close()
        assert await pool.fetch_val("SELECT 1", timeout=1) == 1


@pytest.mark.backend("sync")
def test_idle_connections_are_replaced(proxied_dsn: str, proxy: Proxy) -> None:
    """Their keepalives found out meanwhile: no request is spent on that."""
    with sync.ConnectionPool(
        proxied_dsn,
        max_db_pool_size=3,
        keepalives_idle_sec=1,
        keepalives_interval_sec=1,
        keepalives_retries=1,
    ) as pool:
        held = [pool.connection() for _ in range(3)]
        for connection in held:
            connection.execute("SELECT 1")
        for connection in held:
            connection.close()
        # Until the reset is acknowledged: before that tcp_user_timeout counts, and no keepalive is sent.
        time.sleep(0.3)
        proxy.vanish()
        time.sleep(2 + LATE)
        begun = time.monotonic()
        for _ in range(3):
            assert pool.fetch_val("SELECT 1") == 1
        assert time.monotonic() - begun < 0.5
        assert pool.status().available == pool.status().size


@pytest.mark.backend("sync")
def test_without_either_only_a_timeout_ends_it(proxied_dsn: str, proxy: Proxy) -> None:
    with sync.ConnectionPool(proxied_dsn, max_db_pool_size=2) as pool, pool.acquire() as connection:
        connection.execute("SELECT 1")
        proxy.vanish()
        with taking(3, 3.5), pytest.raises(exceptions.QueryTimeoutError):
            connection.execute("SELECT 1", timeout=3)
