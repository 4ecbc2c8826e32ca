"""psqlpy, this package: asyncio, uvloop and trio; in threads its synchronous mirror."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psqlpy
import psqlpy.sync
from benchmarks.drivers import Shape


def rows_of(result: Any, shape: Shape) -> Any:
    if shape == "tuples":
        return result.result(as_tuple=True)
    return result.result() if shape == "dicts" else result.records()


class Connection:
    def __init__(self, connection: psqlpy.Connection) -> None:
        self._connection = connection

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        row = (await self._connection.fetch_row(query, [key])).result()
        return row["id"], row["name"]

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Any:
        return rows_of(await self._connection.fetch(query, values), shape)

    async def execute(self, query: str) -> None:
        await self._connection.execute(query)

    async def execute_many(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        await self._connection.execute_many(query, rows)

    async def transaction(self, query: str, key: int) -> None:
        async with self._connection.transaction() as transaction:
            await transaction.execute(query, [key])

    async def copy_records(self, table: str, columns: Sequence[str], records: Sequence[Any]) -> None:
        await self._connection.copy_records_to_table(table, records, columns)

    async def copy_csv(self, table: str, data: bytes) -> None:
        await self._connection.copy_in(table, data, format="csv")

    async def close(self) -> None:
        self._connection.close()


class Pool:
    def __init__(self, pool: psqlpy.ConnectionPool) -> None:
        self._pool = pool

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        row = (await self._pool.fetch_row(query, [key])).result()
        return row["id"], row["name"]

    async def acquired_pair(self, query: str, key: int) -> tuple[Any, Any]:
        async with self._pool.acquire() as connection:
            row = (await connection.fetch_row(query, [key])).result()
        return row["id"], row["name"]

    async def close(self) -> None:
        self._pool.close()


class Driver:
    def versions(self) -> dict[str, str]:
        return versions()

    async def connect(self, dsn: str) -> Connection:
        return Connection(await psqlpy.ConnectionPool(dsn, max_db_pool_size=1).connection())

    async def pool(self, dsn: str, size: int) -> Pool:
        return Pool(psqlpy.ConnectionPool(dsn, max_db_pool_size=size))

    async def connect_at_once(self, dsn: str, count: int) -> list[Connection]:
        pool = psqlpy.ConnectionPool(dsn, max_db_pool_size=count)

        async def connect() -> Connection:
            return Connection(await pool.connection())

        return await asyncio.gather(*(connect() for _ in range(count)))


class SyncConnection:
    def __init__(self, connection: psqlpy.sync.Connection) -> None:
        self._connection = connection

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        row = self._connection.fetch_row(query, [key]).result()
        return row["id"], row["name"]

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Any:
        return rows_of(self._connection.fetch(query, values), shape)

    async def close(self) -> None:
        self._connection.close()


class SyncDriver:
    def versions(self) -> dict[str, str]:
        return versions()

    async def connect(self, dsn: str) -> SyncConnection:
        return SyncConnection(psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1).connection())


def versions() -> dict[str, str]:
    number = psqlpy.capabilities.libpq_version
    return {"psqlpy": psqlpy.__version__, "libpq": f"{number // 10000}.{number % 10000}"}


def make(loop: str) -> Driver | SyncDriver:
    return SyncDriver() if loop == "sync" else Driver()
