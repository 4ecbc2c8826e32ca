"""psycopg with its C module, asynchronous, and psycopg_pool.

Statements are prepared at their first use and results are binary: neither is its default, both make it faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row, namedtuple_row, tuple_row

from benchmarks.drivers import Shape
from benchmarks.placeholders import formatted

# Of the row factories that come with psycopg, a named tuple is the one that knows its columns as others' records do.
FACTORIES: dict[str, Any] = {"tuples": tuple_row, "dicts": dict_row, "records": namedtuple_row}


class Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor(binary=True)

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        await self._cursor.execute(formatted(query), (key,))
        row = await self._cursor.fetchone()
        return row[0], row[1]

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Any:
        cursor = self._connection.cursor(binary=True, row_factory=FACTORIES[shape])
        await cursor.execute(formatted(query), values)
        return await cursor.fetchall()

    async def execute(self, query: str) -> None:
        await self._cursor.execute(query)

    async def execute_many(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        async with self._connection.transaction():
            await self._cursor.executemany(formatted(query), rows)

    async def transaction(self, query: str, key: int) -> None:
        async with self._connection.transaction():
            await self._connection.execute(formatted(query), (key,))

    async def copy_records(self, table: str, columns: Sequence[str], records: Sequence[Any]) -> None:
        types = await self._types(table, columns)
        names = ", ".join(columns)
        async with self._cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(types)
            for record in records:
                await copy.write_row(record)

    async def _types(self, table: str, columns: Sequence[str]) -> list[int]:
        """In binary psycopg has to be told; asyncpg and psqlpy ask the server too."""
        await self._cursor.execute(f"SELECT {', '.join(columns)} FROM {table} LIMIT 0")
        return [column.type_code for column in self._cursor.description]

    async def copy_csv(self, table: str, data: bytes) -> None:
        async with self._cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
            await copy.write(data)

    async def close(self) -> None:
        await self._connection.close()


class Pool:
    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(formatted(query), (key,))
            row = await cursor.fetchone()
        return row[0], row[1]

    acquired_pair = pair

    async def close(self) -> None:
        await self._pool.close()


class Driver:
    def versions(self) -> dict[str, str]:
        number = psycopg.pq.version()
        return {
            "psycopg": psycopg.__version__,
            "implementation": psycopg.pq.__impl__,
            "libpq": f"{number // 10000}.{number % 10000}",
        }

    async def connect(self, dsn: str) -> Connection:
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0)
        return Connection(connection)

    async def pool(self, dsn: str, size: int) -> Pool:
        from psycopg_pool import AsyncConnectionPool

        options = {"autocommit": True, "prepare_threshold": 0}
        # By default it gives up on those who wait after 30 s, the others never.
        pool = AsyncConnectionPool(dsn, min_size=0, max_size=size, kwargs=options, open=False, timeout=300)
        await pool.open()
        return Pool(pool)

    async def connect_at_once(self, dsn: str, count: int) -> list[Connection]:
        return await asyncio.gather(*(self.connect(dsn) for _ in range(count)))


def make(loop: str) -> Driver:
    return Driver()
