"""psycopg2: synchronous, text in both directions, no prepared statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2
import psycopg2.extras

from benchmarks.drivers import Shape
from benchmarks.placeholders import formatted

FACTORIES: dict[str, Any] = {
    "tuples": psycopg2.extensions.cursor,
    "dicts": psycopg2.extras.RealDictCursor,
    "records": psycopg2.extras.DictCursor,
}


class Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        self._cursor.execute(formatted(query), (key,))
        row = self._cursor.fetchone()
        return row[0], row[1]

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Any:
        with self._connection.cursor(cursor_factory=FACTORIES[shape]) as cursor:
            cursor.execute(formatted(query), values)
            return cursor.fetchall()

    async def close(self) -> None:
        self._connection.close()


class Driver:
    def versions(self) -> dict[str, str]:
        number = psycopg2.extensions.libpq_version()
        return {
            "psycopg2": psycopg2.__version__.split()[0],
            "libpq": f"{number // 10000}.{number % 10000}",
        }

    async def connect(self, dsn: str) -> Connection:
        connection = psycopg2.connect(dsn)
        connection.autocommit = True
        return Connection(connection)


def make(loop: str) -> Driver:
    return Driver()
