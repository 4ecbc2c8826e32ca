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
QUERY = "SELECT oid FROM pg_catalog.pg_class WHERE oid = $1"


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
