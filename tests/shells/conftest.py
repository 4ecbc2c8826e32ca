"""Fixtures for tests that are written once for each shell: a pool for tasks, one for threads, and an observer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from psqlpy import ConnectionPool, sync
from tests.shells.observing import Observer


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[ConnectionPool]:
    """A pool of 4."""
    async with ConnectionPool(dsn, max_db_pool_size=4) as pool:
        yield pool


@pytest.fixture
def sync_pool(dsn: str) -> Iterator[sync.ConnectionPool]:
    """A synchronous pool of 4."""
    with sync.ConnectionPool(dsn, max_db_pool_size=4) as pool:
        yield pool


@pytest.fixture
def observer(dsn: str) -> Iterator[Observer]:
    """Another driver's session, to look at the server with. Its calls block for a millisecond."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Observer(connection)
