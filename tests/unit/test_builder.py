"""ConnectionPoolBuilder and KeepaliveConfig: every setter against the parameter of the pool that it stands for."""

from __future__ import annotations

import copy
import inspect
import pickle
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

import psqlpy
from psqlpy import (
    ConnRecyclingMethod,
    KeepaliveConfig,
    LoadBalanceHosts,
    SslMode,
    TargetSessionAttrs,
    exceptions,
    sync,
)
from psqlpy.types import Types

BUILDERS: list[Any] = [psqlpy.ConnectionPoolBuilder, sync.ConnectionPoolBuilder]


def plan_of(pool: Any) -> Any:
    return pool._config.plan


# Setter, its argument, and the same as parameters of the pool.
SAME = [
    ("max_pool_size", 1, {"max_db_pool_size": 1}),
    ("conn_recycling_method", ConnRecyclingMethod.Clean, {"conn_recycling_method": "clean"}),
    ("user", "a", {"username": "a"}),
    ("password", "it's \\ secret", {"password": "it's \\ secret"}),
    ("dbname", "b c", {"db_name": "b c"}),
    ("options", "-c geqo=off", {"options": "-c geqo=off"}),
    ("application_name", "x", {"application_name": "x"}),
    ("ssl_mode", SslMode.VerifyFull, {"ssl_mode": "verify-full"}),
    ("host", "db1", {"host": "db1"}),
    ("hostaddr", IPv4Address("10.0.0.1"), {"host": "10.0.0.1"}),
    ("hostaddr", IPv6Address("::1"), {"host": "::1"}),
    ("port", 6000, {"port": 6000}),
    ("connect_timeout", 5, {"connect_timeout_sec": 5}),
    ("tcp_user_timeout", 6, {"tcp_user_timeout_sec": 6}),
    ("target_session_attrs", TargetSessionAttrs.Primary, {"target_session_attrs": "primary"}),
    ("load_balance_hosts", LoadBalanceHosts.Random, {"load_balance_hosts": "random"}),
    ("keepalives", False, {"keepalives": False}),
    ("keepalives_idle", 7, {"keepalives_idle_sec": 7}),
    ("keepalives_interval", 8, {"keepalives_interval_sec": 8}),
    ("keepalives_retries", 9, {"keepalives_retries": 9}),
    (
        "keepalives",
        KeepaliveConfig(10, 11, 12),
        {
            "keepalives": True,
            "keepalives_idle_sec": 10,
            "keepalives_interval_sec": 11,
            "keepalives_retries": 12,
        },
    ),
    ("keepalives", KeepaliveConfig(10), {"keepalives": True, "keepalives_idle_sec": 10}),
]


def startup(plan: Any) -> list[dict[str, str]]:
    """What libpq is told for each host, however the host was given."""
    told = [plan.startup(endpoint, None, plan.target_session_attrs) for endpoint in plan.endpoints]
    return [{key: value for key, value in each.items() if key != "host"} for each in told]


@pytest.mark.parametrize("make", BUILDERS, ids=["psqlpy", "sync"])
@pytest.mark.parametrize(("setter", "value", "parameters"), SAME)
def test_setter_is_the_parameter(make: Any, setter: str, value: object, parameters: dict[str, Any]) -> None:
    builder = make()
    assert getattr(builder, setter)(value) is builder
    built = builder.build()
    pool = (sync if make is sync.ConnectionPoolBuilder else psqlpy).ConnectionPool(**parameters)
    assert type(built) is type(pool)
    assert built.status() == pool.status()
    assert built._config.recycling is pool._config.recycling
    assert startup(plan_of(built)) == startup(plan_of(pool))
    for name in ("connect_timeout", "load_balance"):
        assert getattr(plan_of(built), name) == getattr(plan_of(pool), name)


@pytest.mark.parametrize("make", BUILDERS, ids=["psqlpy", "sync"])
@pytest.mark.parametrize("through_address", [False, True])
def test_what_the_pool_does_besides(make: Any, through_address: bool) -> None:
    types, functions = Types(), [lambda *_: None for _ in range(5)]
    builder = make().timeout(5).acquire_timeout(6.5).types(types).log_parameters(True).prepared(False)
    builder = builder.max_lifetime(3600).max_idle(60.5)
    builder = builder.setup(functions[0]).reset(functions[1]).on_notice(functions[2]).on_query(functions[3])
    builder = builder.password(functions[4]).user("u")
    if through_address:
        builder = builder.hostaddr(IPv4Address("10.0.0.1"))
    for pool in (builder.build(), builder.build()):
        hooks = pool._hooks
        assert [hooks.setup, hooks.reset, hooks.on_notice, hooks.on_query, hooks.password] == functions
        assert hooks.log_parameters and not pool.prepared
        assert (pool.timeout, pool._acquire_timeout) == (5.0, 6.5)
        ages = pool._policy._ages
        assert (ages.max_lifetime, ages.max_idle) == (3600.0, 60.5)
        assert plan_of(pool).user == "u"
        with pytest.raises(exceptions.ConnectionPoolConfigurationError):
            types.enum("mood", Mood)
    assert make().timeout(None).build().timeout is None


class Mood(Enum):
    ok = "ok"


def test_every_parameter_of_the_pool_has_a_setter() -> None:
    other_names = {"dsn": None, "username": "user", "db_name": "dbname", "max_db_pool_size": "max_pool_size"}
    other_names |= {"hosts": "host", "ports": "port"}
    for name in inspect.signature(psqlpy.ConnectionPool).parameters:
        setter = other_names.get(name, name.removesuffix("_sec").removesuffix("_nanosec"))
        assert setter is None or callable(getattr(psqlpy.ConnectionPoolBuilder, setter))


@pytest.mark.parametrize("make", BUILDERS, ids=["psqlpy", "sync"])
def test_in_one_chain(make: Any) -> None:
    builder = (
        make()
        .max_pool_size(3)
        .user("u")
        .password("p")
        .host("db1")
        .port(6001)
        .host("db2")
        .port(6002)
        .dbname("d")
    )
    pool = builder.build()
    assert pool.status().max_size == 3
    assert [(each.host, each.port) for each in plan_of(pool).endpoints] == [("db1", 6001), ("db2", 6002)]
    assert builder.build() is not pool
    assert make().build().status().max_size == 10


@pytest.mark.parametrize("make", BUILDERS, ids=["psqlpy", "sync"])
def test_addresses_of_named_hosts(make: Any) -> None:
    builder = make().user("it's").password("a b\\'").host("db1").hostaddr(IPv4Address("10.0.0.1")).port(6000)
    plan = plan_of(builder.target_session_attrs("read-write").max_pool_size(2).build())
    [endpoint] = plan.endpoints
    assert (endpoint.host, endpoint.hostaddr, endpoint.port) == ("db1", "10.0.0.1", 6000)
    assert plan.parameters["user"] == "it's"
    assert plan.parameters["password"] == "a b\\'"
    assert plan.target_session_attrs == "read-write"
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="hostaddr"):
        builder.host("db2").build()


WRONG: list[tuple[str, Any]] = [
    ("max_pool_size", 0),
    ("max_pool_size", "5"),
    ("conn_recycling_method", "dirty"),
    ("user", 5),
    ("password", b"x"),
    ("dbname", "a\0"),
    ("options", None),
    ("application_name", 1.5),
    ("ssl_mode", "perhaps"),
    ("host", "a,b"),
    ("hostaddr", "db1"),
    ("port", 70000),
    ("connect_timeout", -1),
    ("tcp_user_timeout", "6"),
    ("target_session_attrs", 5),
    ("load_balance_hosts", True),
    ("keepalives", 1),
    ("keepalives_idle", 1.5),
    ("keepalives_interval", None),
    ("keepalives_retries", -1),
    ("timeout", 0),
    ("acquire_timeout", "6"),
    ("max_lifetime", 0),
    ("max_lifetime", float("nan")),
    ("max_idle", "60"),
    ("max_idle", True),
    ("types", {}),
    ("setup", 5),
    ("reset", "x"),
    ("on_notice", []),
    ("on_query", 1),
    ("on_query", AsyncMock()),
    ("on_notice", AsyncMock()),
    ("log_parameters", "yes"),
    ("prepared", None),
]


@pytest.mark.parametrize(("setter", "value"), WRONG)
def test_a_wrong_value_is_refused_at_once(setter: str, value: Any) -> None:
    builder = psqlpy.ConnectionPoolBuilder()
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=setter):
        getattr(builder, setter)(value)
    assert builder.build().status().max_size == 10


@pytest.mark.parametrize("pool", [psqlpy.ConnectionPool, sync.ConnectionPool])
@pytest.mark.parametrize("name", ["on_notice", "on_query"])
def test_what_nobody_waits_for_is_plain(pool: Any, name: str) -> None:
    async def tell(_: object) -> None:
        """Would be made, and never run."""

    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=f"{name} must be a plain function"):
        pool(**{name: tell})


def test_ca_file(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(exceptions.SSLError):
        psqlpy.ConnectionPoolBuilder().ca_file(file)
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    plan = plan_of(psqlpy.ConnectionPoolBuilder().ca_file(file).build())
    assert plan.parameters["sslrootcert"] == str(file)
    assert plan.parameters["sslmode"] == "verify-full"


def test_no_password_is_shown() -> None:
    builder = psqlpy.ConnectionPoolBuilder().host("db1").password("secret").user("u")
    assert repr(builder) == "<ConnectionPoolBuilder db1; set: username>"


def test_keepalive_config_is_a_value() -> None:
    config = KeepaliveConfig(5, retries=3)
    assert (config.idle, config.interval, config.retries) == (5, None, 3)
    assert config == KeepaliveConfig(5, None, 3) != KeepaliveConfig(5)
    assert config != (5, None, 3)
    assert len({config, KeepaliveConfig(5, None, 3)}) == 1
    assert repr(config) == "KeepaliveConfig(idle=5, interval=None, retries=3)"
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    with pytest.raises(AttributeError):
        config.idle = 6
    for wrong in ((-1,), ("5",), (5, 1.5), (5, None, 2**31)):
        with pytest.raises(ValueError):
            KeepaliveConfig(*wrong)
