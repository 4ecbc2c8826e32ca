"""A server that is far away: statements share connections all the same."""

from __future__ import annotations

import time

import pytest

from psqlpy import ConnectionPool
from tests.concurrency import AsyncGroup
from tests.hostile.proxy import Proxy

pytestmark = pytest.mark.loops(1)

# Seconds: longer than a statement may run by itself before those behind it are sent elsewhere.
ROUND_TRIP = 0.08
# What a statement may take longer than the pool's fastest one by itself, several times.
FARTHER = 0.02
QUERY = "SELECT oid FROM pg_catalog.pg_class WHERE oid = $1"
OTHER = "SELECT relname FROM pg_catalog.pg_class WHERE oid = $1"


async def test_many_tasks_share_a_connection(proxied_dsn: str, proxy: Proxy) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=2) as pool:
        proxy.delay(to_server=ROUND_TRIP / 2, to_client=ROUND_TRIP / 2)
        for _ in range(4):
            assert await pool.fetch_val(QUERY, [1259]) == 1259
        for _ in range(2):
            begun = time.monotonic()
            async with AsyncGroup() as group:
                calls = [group.start(pool.fetch_val, QUERY, [1259]) for _ in range(60)]
            taken = time.monotonic() - begun
            assert [call.result() for call in calls] == [1259] * 60
        # One after the other, on two connections, they would take 30 round trips.
        assert taken < 10 * ROUND_TRIP


async def test_the_next_server_may_be_farther_away(proxied_dsn: str, proxy: Proxy) -> None:
    async with ConnectionPool(proxied_dsn, max_db_pool_size=2) as pool:
        for _ in range(4):
            assert await pool.fetch_val(QUERY, [1259]) == 1259
        # Primary and standby, one behind the other.
        proxy.delay(to_client=FARTHER)
        proxy.reset_all()
        for _ in range(4):
            assert await pool.fetch_val(OTHER, [1259]) == "pg_class"
        assert pool._standings[OTHER].is_light
