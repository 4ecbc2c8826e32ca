"""Fixtures for tests that are written once for each shell: a pool for tasks, one for threads, and an observer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

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


@pytest.fixture
def table(observer: Observer) -> Iterator[str]:
    """The name of a table with one row, and, after `seq_`, of a sequence."""
    name = f"t_{uuid4().hex}"
    observer.command(f"CREATE TABLE {name} AS SELECT 1 AS id; CREATE SEQUENCE seq_{name}")
    yield name
    observer.command(f"SET lock_timeout = '5s'; DROP TABLE {name}; DROP SEQUENCE seq_{name}")
