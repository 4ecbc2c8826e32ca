"""A server behind a proxy that misbehaves on demand, and a pool that goes through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from psqlpy import ConnectionPool, sync
from tests.hostile.proxy import Proxy
from tests.shells.observing import Observer


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    """In front of the tests' server."""
    parameters = conninfo_to_dict(dsn)
    with Proxy((str(parameters["host"]), int(parameters["port"] or 5432))) as proxy:
        yield proxy


@pytest.fixture
def proxied_dsn(dsn: str, proxy: Proxy) -> str:
    return make_conninfo(dsn, host="127.0.0.1", port=proxy.port)


@pytest.fixture
async def pool(proxied_dsn: str) -> AsyncIterator[ConnectionPool]:
    """A pool of 4, through the proxy."""
    async with ConnectionPool(proxied_dsn, max_db_pool_size=4) as pool:
        yield pool


@pytest.fixture
def sync_pool(proxied_dsn: str) -> Iterator[sync.ConnectionPool]:
    """A synchronous pool of 4, through the proxy."""
    with sync.ConnectionPool(proxied_dsn, max_db_pool_size=4) as pool:
        yield pool


@pytest.fixture
def observer(dsn: str) -> Iterator[Observer]:
    """Another driver's session on the same server, not through the proxy."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Observer(connection)
