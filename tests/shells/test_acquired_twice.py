"""One `pool.acquire()` entered by two tasks at once: one of them has the connection, the other an error."""

from __future__ import annotations

import asyncio

from psqlpy import ConnectionPool, exceptions


def test_the_second_is_refused_and_nothing_is_lost(dsn: str) -> None:
    async def main() -> None:
        async with ConnectionPool(dsn, max_db_pool_size=2) as pool:
            acquired = pool.acquire()

            async def use() -> object:
                async with acquired as connection:
                    return await connection.fetch_val("SELECT 1")

            results = await asyncio.gather(use(), use(), return_exceptions=True)
            assert results[0] == 1
            assert isinstance(results[1], exceptions.InterfaceError)
            assert pool.status() == (2, 1, 1, 0)

    asyncio.run(main())
