"""The fixtures of tests/_async, under asyncio alone: that all sides behave alike is shown there and in tests/_sync."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from psqlpy import sync
from psqlpy._config import PoolConfig
from tests._async.conftest import conn, observer, pool, table

__all__ = ["anyio_backend", "conn", "observer", "parts", "pool", "table"]


# As a parameter, though there is but one: the summary counts by it.
@pytest.fixture(scope="module", params=[("asyncio", {"use_uvloop": False})], ids=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.fixture
def parts(dsn: str) -> dict[str, Any]:
    """The tests' server as separate parameters."""
    plan = PoolConfig.from_parameters(dsn).plan
    return {
        "username": plan.parameters["user"],
        "password": plan.parameters.get("password"),
        "host": plan.endpoints[0].host,
        "port": plan.endpoints[0].port,
        "db_name": plan.parameters["dbname"],
    }


@pytest.fixture(scope="module")
def sync_pool(dsn: str) -> Iterator[sync.ConnectionPool]:
    with sync.ConnectionPool(dsn, max_db_pool_size=2) as pool:
        yield pool
