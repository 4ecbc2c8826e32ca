"""psycopg with its C module, synchronous; prepared and binary as psycopg_async.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from benchmarks.drivers import Shape
from benchmarks.drivers.psycopg_async import FACTORIES
from benchmarks.drivers.psycopg_async import Driver as AsyncDriver
from benchmarks.placeholders import formatted


class Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor(binary=True)

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        self._cursor.execute(formatted(query), (key,))
        row = self._cursor.fetchone()
        return row[0], row[1]

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Any:
        cursor = self._connection.cursor(binary=True, row_factory=FACTORIES[shape])
        cursor.execute(formatted(query), values)
        return cursor.fetchall()

    async def close(self) -> None:
        self._connection.close()


class Driver:
    def versions(self) -> dict[str, str]:
        return AsyncDriver().versions()

    async def connect(self, dsn: str) -> Connection:
        return Connection(psycopg.connect(dsn, autocommit=True, prepare_threshold=0))


def make(loop: str) -> Driver:
    return Driver()
