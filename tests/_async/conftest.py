"""One fixture per object, under the same name in both mirrors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from psqlpy import Connection, ConnectionPool


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[ConnectionPool]:
    """A pool of 4."""
    async with ConnectionPool(dsn, max_db_pool_size=4) as pool:
        yield pool


@pytest.fixture
async def conn(pool: ConnectionPool) -> AsyncIterator[Connection]:
    """A connection of `pool`."""
    async with pool.acquire() as conn:
        yield conn


@pytest.fixture
async def observer(dsn: str) -> AsyncIterator[ConnectionPool]:
    """Another pool, to look at a pool's backends with."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        yield pool


@pytest.fixture
async def table(dsn: str) -> AsyncIterator[str]:
    """The name of an empty table (id int4, name text), which every session sees."""
    name = f"t_{uuid4().hex}"
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        await pool.execute(f"CREATE TABLE {name} (id int4, name text)")
        yield name
        # A test that failed may hold a lock on it.
        await pool.execute("SELECT set_config('lock_timeout', '5s', false)")
        await pool.execute(f"DROP TABLE IF EXISTS {name}", timeout=10)
