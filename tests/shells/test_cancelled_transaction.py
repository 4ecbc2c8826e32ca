"""Transactions whose body is cancelled, and what may not be awaited. Neither has a counterpart among threads."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from psqlpy import ConnectionPool
from tests._async.usable import ensure_usable


@pytest.mark.parametrize("statement", ["running", "done", "none"])
@pytest.mark.parametrize("nested", [True, False])
async def test_cancelled_body_rolls_back(dsn: str, statement: str, nested: bool) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=2) as pool, pool.acquire() as conn:
        await conn.execute("CREATE TEMPORARY TABLE cancelled (id int4)")

        async def body() -> None:
            async with conn.transaction() as transaction:
                if statement != "none":
                    await transaction.execute("INSERT INTO cancelled VALUES (1)")
                if statement == "running":
                    await transaction.execute("SELECT pg_sleep(30)")
                await anyio.sleep(30)

        with anyio.move_on_after(0.2) as scope, anyio.fail_after(5):
            if nested:
                async with conn.transaction():
                    await body()
            else:
                await body()
        assert scope.cancelled_caught
        assert not await conn.in_transaction()
        assert await conn.fetch_val("SELECT count(*) FROM cancelled") == 0
        await ensure_usable(conn)


async def test_acquire_is_not_awaited(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        wrong: Any = pool.acquire()
        with pytest.raises(TypeError, match=r"async with pool\.acquire\(\).*pool\.connection\(\)"):
            await wrong
        # No connection was taken.
        async with pool.acquire() as conn:
            transaction: Any = conn.transaction()
            with pytest.raises(TypeError, match=r"async with connection\.transaction\(\).*begin\(\)"):
                await transaction
            await ensure_usable(conn)
