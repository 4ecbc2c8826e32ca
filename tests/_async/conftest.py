"""One fixture per object, under the same name in both mirrors."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
