"""One adapter a driver: the work of work.py, said the way that driver's documentation says it.

An adapter adds a coroutine to each call, the same for all of them, and nothing else: no caching, no retrying. What a
driver can't do its adapter doesn't have, and parts.py doesn't ask it for.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Literal, Protocol

Shape = Literal["tuples", "dicts", "records"]

# What a driver is called, and the module of its adapter.
ADAPTERS = {
    "psqlpy": "psqlpy_cffi",
    # The same with another libpq, from an environment of its own.
    "psqlpy-libpq18": "psqlpy_cffi",
    "asyncpg": "asyncpg_async",
    "psycopg": "psycopg_async",
    "psycopg-sync": "psycopg_sync",
    "psycopg2": "psycopg2_sync",
    "psqlpy-rs": "psqlpy_rs",
    "psql": "psql_program",
    "libpq": "bare_libpq",
    "none": "no_driver",
}


class Connection(Protocol):
    """A held connection, in autocommit mode."""

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        """One row as the driver's own object, of which `id` and `name` are read."""

    async def rows(self, query: str, values: Sequence[Any], shape: Shape) -> Sequence[Any]:
        """All rows, each value as a Python object, in one of three shapes; "records" are the driver's own rows."""

    async def execute(self, query: str) -> None:
        """A statement without parameters that returns nothing."""

    async def execute_many(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement for every row, for all or for none."""

    async def transaction(self, query: str, key: int) -> None:
        """A transaction, as the driver's own block, of one statement with one parameter."""

    async def copy_records(
        self, table: str, columns: Sequence[str], records: Sequence[tuple[Any, ...]]
    ) -> None:
        """COPY of Python values."""

    async def copy_csv(self, table: str, data: bytes) -> None:
        """COPY of CSV."""

    async def close(self) -> None: ...


class Pool(Protocol):
    """A pool that may have so many connections, and has them when they are needed."""

    async def pair(self, query: str, key: int) -> tuple[Any, Any]:
        """`Connection.pair`, on any connection: the pool's own method where it has one."""

    async def acquired_pair(self, query: str, key: int) -> tuple[Any, Any]:
        """The same in a block that takes a connection and gives it back."""

    async def close(self) -> None: ...


class Driver(Protocol):
    def versions(self) -> dict[str, str]:
        """The driver's version, and libpq's where it uses one."""

    async def connect(self, dsn: str) -> Connection: ...

    async def pool(self, dsn: str, size: int) -> Pool: ...

    async def connect_at_once(self, dsn: str, count: int) -> list[Connection]:
        """So many connections, all of them begun before one is there."""


__all__ = ["ADAPTERS", "Connection", "Driver", "Pool", "Shape", "load"]


def load(name: str, loop: str) -> Driver:
    """The adapter of a driver; `loop` is asyncio, uvloop, trio, or sync for the driver's synchronous API."""
    driver: Driver = importlib.import_module(f"benchmarks.drivers.{ADAPTERS[name]}").make(loop)
    return driver
