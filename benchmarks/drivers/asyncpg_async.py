"""asyncpg: asyncio and uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import asyncpg

from benchmarks.drivers import Shape


class Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        row = await self._connection.fetchrow(query, key)
        return row["id"], row["name"]

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Any:
        rows = await self._connection.fetch(query, *values)
        if shape == "tuples":
            return [tuple(row) for row in rows]
        return [dict(row) for row in rows] if shape == "dicts" else rows

    async def execute(self, query: str) -> None:
        await self._connection.execute(query)

    async def execute_many(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        await self._connection.executemany(query, rows)

    async def transaction(self, query: str, key: int) -> None:
        async with self._connection.transaction():
            await self._connection.execute(query, key)

    async def copy_records(self, table: str, columns: Sequence[str], records: Sequence[Any]) -> None:
        await self._connection.copy_records_to_table(table, records=records, columns=columns)

    async def copy_csv(self, table: str, data: bytes) -> None:
        await self._connection.copy_to_table(table, source=BytesIO(data), format="csv")

    async def close(self) -> None:
        await self._connection.close()


class Pool:
    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        row = await self._pool.fetchrow(query, key)
        return row["id"], row["name"]

    async def acquired_pair(self, query: str, key: int) -> tuple[Any, Any]:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(query, key)
        return row["id"], row["name"]

    async def close(self) -> None:
        await self._pool.close()


class Driver:
    def versions(self) -> dict[str, str]:
        return {"asyncpg": asyncpg.__version__}

    async def connect(self, dsn: str) -> Connection:
        return Connection(await asyncpg.connect(dsn))

    async def pool(self, dsn: str, size: int) -> Pool:
        return Pool(await asyncpg.create_pool(dsn, min_size=0, max_size=size))

    async def connect_at_once(self, dsn: str, count: int) -> list[Connection]:
        return await asyncio.gather(*(self.connect(dsn) for _ in range(count)))


def make(loop: str) -> Driver:
    return Driver()
