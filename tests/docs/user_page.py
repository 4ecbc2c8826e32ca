"""What the blocks of docs/connection-pool.md must have done, and what else that page says. test_pages.py runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import psqlpy
from psqlpy import sync

PAGE = "docs/connection-pool.md"

Namespace = dict[str, Any]

# `call` runs a method of the pool or of a connection under the block's shell.

Call = Callable[..., Any]


def is_pool_of_ten(found: Namespace, call: Call) -> None:
    pool = found["db_pool"]
    assert pool.status() == (10, 0, 0, 0)
    assert call(pool.fetch_val, "SELECT 1") == 1
    assert pool.status() == (10, 1, 1, 0)


def is_resized(found: Namespace, call: Call) -> None:
    assert found["db_pool"].status().max_size == 15


def is_alex(found: Namespace, call: Call) -> None:
    assert found["dict_results"] == [{"id": 100, "username": "Alex"}]
    assert isinstance(found["results"], psqlpy.QueryResult)
    assert found["db_pool"].status() == (10, 1, 1, 0)


def is_given_back(found: Namespace, call: Call) -> None:
    assert isinstance(found["connection"], psqlpy.Connection | sync.Connection)
    assert found["connection"].is_closed()
    assert found["db_pool"].status() == (10, 1, 1, 0)


def is_connection(found: Namespace, call: Call) -> None:
    connection = found["connection"]
    assert call(connection.fetch_val, "SELECT 1") == 1
    assert found["db_pool"].status() == (10, 1, 0, 0)
    connection.close()


def is_closed(found: Namespace, call: Call) -> None:
    with pytest.raises(psqlpy.exceptions.BaseConnectionPoolError, match="closed"):
        call(found["db_pool"].fetch_val, "SELECT 1")


def is_count(found: Namespace, call: Call) -> None:
    assert found["number"] == 2
    assert found["sync_pool"].status().max_size == 0


def has_fetched(found: Namespace, call: Call) -> None:
    assert found["row"].result() == {"id": 100, "username": "Alex"}
    assert found["username"] == "Alex"
    assert call(found["db_pool"].fetch_val, "SELECT count(*) FROM users") == 4


def has_timed_out(found: Namespace, call: Call) -> None:
    pool = found["db_pool"]
    assert found["printed"][0].startswith("acquire_timeout: ")
    assert found["printed"][1].startswith("timeout: ")
    assert pool.timeout == 30
    assert call(pool.fetch_val, "SELECT 1") == 1


def is_one(found: Namespace, call: Call) -> None:
    assert found["number"] == 1
    assert found["connection"].is_closed()


def has_shared(found: Namespace, call: Call) -> None:
    assert found["printed"] == ["{'username': 'Alex'}", "2"]
    assert found["shared_pool"].status().size == 0


def has_renewed(found: Namespace, call: Call) -> None:
    assert found["printed"] == ["0 0"]
    assert found["renewing_pool"].status().size == 0


CHECKS: dict[str, Callable[[Namespace, Call], None]] = {
    "Initialize Connection Pool with separate parameters": is_pool_of_ten,
    "Initialize Connection Pool with DSN": is_pool_of_ten,
    "Create Connection Pool with one function": is_pool_of_ten,
    "Resize": is_resized,
    "Execute": is_alex,
    "Fetch": is_alex,
    "Acquire": is_given_back,
    "Connection": is_connection,
    "Close": is_closed,
    "Event loops and threads": is_count,
    "Fetch row, fetch value, execute many": has_fetched,
    "Timeouts": has_timed_out,
    "Giving connections back": is_given_back,
    "Renewing connections": has_renewed,
    "Closing": is_closed,
    "Connect": is_one,
    "Shared connections": has_shared,
    "Builder": is_pool_of_ten,
}

# The first says with `await` what the synchronous `connect` has no need of.
NOT_RUN = [("Connect", "threads")]
