"""Tasks that are cancelled while they wait for a cursor's or a stream's rows: the connection is usable afterwards."""

from __future__ import annotations

import anyio
import pytest

from psqlpy import ConnectionPool

SLOW = "SELECT generate_series(1, 1000) AS g, repeat('x', 20000), pg_sleep(0.005)"


@pytest.mark.parametrize("seconds", [0.0, 0.002, 0.01, 0.05])
@pytest.mark.parametrize("way", ["stream", "cursor"])
async def test_cancelled_at_any_point(dsn: str, way: str, seconds: float) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as conn:
        pid = conn.backend_pid
        with anyio.move_on_after(seconds) as scope:
            if way == "stream":
                async for _ in conn.stream(SLOW, chunk_size=3):
                    pass
            else:
                async with conn.transaction() as transaction, transaction.cursor(SLOW) as cursor:
                    async for _ in cursor:
                        pass
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            assert await conn.fetch_val("SELECT count(*) FROM pg_cursors WHERE name <> ''") == 0
            assert not await conn.in_transaction()
        assert conn.backend_pid == pid
