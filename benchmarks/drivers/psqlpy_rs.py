"""psqlpy on Rust, the package of that name on PyPI: asyncio and uvloop, with threads of its own underneath."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import Any

from benchmarks.drivers import Shape

# Not an `import`: type checkers would take it for the package in this repository.
psqlpy: Any = importlib.import_module("psqlpy")


class Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        row = (await self._connection.fetch_row(query, [key])).result()
        return row["id"], row["name"]

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Any:
        result = await self._connection.fetch(query, list(values))
        if shape == "tuples":
            return result.result(as_tuple=True)
        return result.result() if shape == "dicts" else result.records()

    async def execute(self, query: str) -> None:
        await self._connection.execute(query)

    async def execute_many(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        await self._connection.execute_many(query, rows)

    async def transaction(self, query: str, key: int) -> None:
        async with self._connection.transaction() as transaction:
            await transaction.execute(query, [key])

    async def close(self) -> None:
        self._connection.close()


class Pool:
    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        # The pool itself executes nothing in this version.
        async with self._pool.acquire() as connection:
            row = (await connection.fetch_row(query, [key])).result()
        return row["id"], row["name"]

    acquired_pair = pair

    async def close(self) -> None:
        self._pool.close()


class Driver:
    def versions(self) -> dict[str, str]:
        return {"psqlpy-rs": importlib.metadata.version("psqlpy")}

    async def connect(self, dsn: str) -> Connection:
        # It takes no pool of one.
        return Connection(await psqlpy.ConnectionPool(dsn, max_db_pool_size=2).connection())

    async def pool(self, dsn: str, size: int) -> Pool:
        return Pool(psqlpy.ConnectionPool(dsn, max_db_pool_size=size))

    async def connect_at_once(self, dsn: str, count: int) -> list[Connection]:
        pool = psqlpy.ConnectionPool(dsn, max_db_pool_size=count)

        async def connect() -> Connection:
            return Connection(await pool.connection())

        return await asyncio.gather(*(connect() for _ in range(count)))


def make(loop: str) -> Driver:
    return Driver()
