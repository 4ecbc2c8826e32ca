"""Parameters that are refused when the pool is made, whichever way it is made: the error names the parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import psqlpy
from psqlpy import exceptions, sync

MAKERS = [psqlpy.ConnectionPool, psqlpy.connect, psqlpy.connect_pool, sync.ConnectionPool, sync.connect]


@pytest.mark.parametrize(
    "make", MAKERS, ids=["class", "connect", "connect_pool", "sync class", "sync.connect"]
)
@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        *(({f"{time}_nanosec": 1}, f"{time}_nanosec") for time in ("connect_timeout", "tcp_user_timeout")),
        *(({f"keepalives_{time}_nanosec": 1}, f"keepalives_{time}_nanosec") for time in ("idle", "interval")),
        ({"port": 70000}, "port"),
        ({"ports": [5432, 70000], "hosts": ["a", "b"]}, "ports"),
        ({"hosts": ["a", "b", "c"], "ports": [1, 2]}, "ports"),
        ({"hosts": ["a"], "ports": [1, 2]}, "hosts"),
        ({"host": "a", "hosts": ["b"], "ports": [1, 2, 3]}, "ports"),
        ({"target_session_attrs": "sometimes"}, "target_session_attrs"),
        ({"load_balance_hosts": "sometimes"}, "load_balance_hosts"),
        ({"conn_recycling_method": "sometimes"}, "conn_recycling_method"),
        ({"ssl_mode": "sometimes"}, "ssl_mode"),
        ({"ssl_mode": psqlpy.LoadBalanceHosts.Random}, "ssl_mode"),
        *(({"max_db_pool_size": size}, "max_db_pool_size") for size in (0, -1, True, "5")),
        ({"keepalives": "yes"}, "keepalives"),
        ({"hosts": "localhost"}, "hosts"),
        ({"password": b"hush"}, "password"),
    ],
    ids=str,
)
def test_it_is_named(make: Callable[..., Any], parameters: dict[str, Any], name: str) -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=rf"\b{name}\b") as caught:
        make(**parameters)
    assert isinstance(caught.value, ValueError)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
def test_what_a_dsn_replaces_is_not_even_looked_at(make: Callable[..., Any]) -> None:
    pool = make(
        "postgresql://localhost/x", port=70000, hosts=["a"], ports=[1, 2], target_session_attrs="nonsense"
    )
    assert "localhost" in repr(pool)
    pool.close()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("options", 5),
        ("application_name", 5),
        ("connect_timeout_nanosec", 5),
        ("load_balance_hosts", "nonsense"),
        ("ssl_mode", "nonsense"),
        ("keepalives_retries", -1),
    ],
)
def test_what_counts_beside_a_dsn_is(make: Callable[..., Any], name: str, value: object) -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=rf"\b{name}\b"):
        make("postgresql://localhost/x", **{name: value})
