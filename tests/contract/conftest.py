"""The fixtures of tests/_async, under asyncio alone: that all sides behave alike is shown there and in tests/_sync."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy._config import PoolConfig
from tests._async.conftest import conn, observer, pool, table

__all__ = ["anyio_backend", "conn", "observer", "parts", "pool", "table"]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": False}


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
