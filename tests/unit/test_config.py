"""The pool's parameters: what each becomes, and what is refused, at construction; no server."""

from __future__ import annotations

import pickle
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from psqlpy._config import (
    ConnRecyclingMethod,
    IsolationLevel,
    LoadBalanceHosts,
    PoolConfig,
    ReadVariant,
    SslMode,
    TargetSessionAttrs,
)
from psqlpy._plan import Endpoint
from psqlpy._pq import conninfo
from psqlpy.exceptions import ConnectionPoolBuildError, ConnectionPoolConfigurationError, SSLError

make = PoolConfig.from_parameters
OURS = "-c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1"


def where(config: PoolConfig) -> list[tuple[str, str | None, int]]:
    return [(endpoint.host, endpoint.hostaddr, endpoint.port) for endpoint in config.plan.endpoints]


# Enums


def test_enums_take_members_and_words() -> None:
    assert TargetSessionAttrs.coerce("read-write", "x") is TargetSessionAttrs.ReadWrite
    assert SslMode.coerce(SslMode.VerifyFull, "x") is SslMode.coerce("verify-full", "x")
    assert IsolationLevel.coerce("read committed", "x") is IsolationLevel.ReadCommitted
    assert ReadVariant.ReadOnly.value == "READ ONLY"
    assert len(TargetSessionAttrs) == len(SslMode) == 6


def test_enums_are_hashable_and_picklable() -> None:
    classes: list[type[Enum]] = [ConnRecyclingMethod, LoadBalanceHosts, SslMode, TargetSessionAttrs]
    for member in [member for one in classes for member in one]:
        assert pickle.loads(pickle.dumps(member)) is member
        assert {member: 1}[member] == 1


@pytest.mark.parametrize("value", ["sometimes", "", 1, None, SslMode.Disable])
def test_a_wrong_word_is_refused_with_the_right_ones(value: object) -> None:
    with pytest.raises(ConnectionPoolConfigurationError, match=r"^lb must be .*'random'"):
        LoadBalanceHosts.coerce(value, "lb")


# What is refused


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"connect_timeout_nanosec": 1}, "connect_timeout_nanosec"),
        ({"tcp_user_timeout_nanosec": 1}, "tcp_user_timeout_nanosec"),
        ({"keepalives_idle_nanosec": 1}, "keepalives_idle_nanosec"),
        ({"keepalives_interval_nanosec": 1}, "keepalives_interval_nanosec"),
        ({"connect_timeout_sec": -1}, "connect_timeout_sec"),
        ({"connect_timeout_sec": 1.5}, "connect_timeout_sec"),
        ({"connect_timeout_sec": True}, "connect_timeout_sec"),
        ({"connect_timeout_sec": 1, "connect_timeout_nanosec": "5"}, "connect_timeout_nanosec"),
        ({"tcp_user_timeout_sec": 2147484}, "tcp_user_timeout_sec"),
        ({"keepalives_idle_sec": 2**31}, "keepalives_idle_sec"),
        ({"keepalives_interval_sec": 2**31 - 1, "keepalives_interval_nanosec": 1}, "keepalives_interval_sec"),
        ({"keepalives_retries": 2**31}, "keepalives_retries"),
        ({"keepalives": 1}, "keepalives"),
        ({"keepalives_retries": -1}, "keepalives_retries"),
        ({"keepalives_retries": "3"}, "keepalives_retries"),
        ({"port": 70000}, "port"),
        ({"port": 0}, "port"),
        ({"port": -1}, "port"),
        ({"port": "5"}, "port"),
        ({"port": True}, "port"),
        ({"ports": [5432, 70000], "hosts": ["a", "b"]}, "ports"),
        ({"ports": "5432"}, "ports"),
        ({"ports": [1, 2], "hosts": ["a"]}, "ports"),
        ({"ports": [1, 2], "hosts": ["a", "b", "c"]}, "hosts"),
        ({"ports": [1, 2]}, "ports"),
        ({"hosts": "localhost"}, "hosts"),
        ({"hosts": [1]}, "hosts"),
        ({"host": "a,b"}, "host"),
        ({"host": 5}, "host"),
        ({"username": 5}, "username"),
        ({"username": "a\0b"}, "username"),
        ({"password": b"x"}, "password"),
        ({"password": "x\ud800"}, "password"),
        ({"db_name": 5}, "db_name"),
        ({"options": 5}, "options"),
        ({"application_name": 5}, "application_name"),
        ({"dsn": 5}, "dsn"),
        ({"target_session_attrs": "sometimes"}, "target_session_attrs"),
        ({"load_balance_hosts": "sometimes"}, "load_balance_hosts"),
        ({"conn_recycling_method": "sometimes"}, "conn_recycling_method"),
        ({"conn_recycling_method": ""}, "conn_recycling_method"),
        ({"ssl_mode": "sometimes"}, "ssl_mode"),
        ({"max_db_pool_size": 0}, "max_db_pool_size"),
        ({"max_db_pool_size": -1}, "max_db_pool_size"),
        ({"max_db_pool_size": True}, "max_db_pool_size"),
        ({"max_db_pool_size": "5"}, "max_db_pool_size"),
        ({"ca_file": 5}, "ca_file"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], name: str) -> None:
    with pytest.raises(ConnectionPoolConfigurationError, match=rf"\b{name}\b") as caught:
        make(**parameters)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("sslmode=sometimes", "sslmode"),
        ("target_session_attrs=sometimes", "target_session_attrs"),
        ("load_balance_hosts=sometimes", "load_balance_hosts"),
        ("connect_timeout=soon", "connect_timeout"),
        ("connect_timeout=1_0", "connect_timeout"),
        ("keepalives_idle=long", "keepalives_idle"),
        ("keepalives_retries=99999999999", "keepalives_count"),
        ("tcp_user_timeout=1.5", "tcp_user_timeout"),
        ("port=hush", "port"),
        ("port=70000", "port"),
        ("host=a,b&port=1,2,3", "ports"),
        ("host=a,b&hostaddr=127.0.0.1", "hostaddr"),
        ("client_encoding=LATIN1", "client_encoding"),
    ],
)
def test_a_wrong_value_in_the_dsn_is_named(options: str, name: str) -> None:
    for dsn in (f"postgresql://?{options}", options.replace("&", " ")):
        with pytest.raises(ConnectionPoolBuildError, match=rf"\b{name}\b") as caught:
            make(dsn)
        assert "hush" not in str(caught.value)


def test_the_password_is_never_shown() -> None:
    for config in (make(username="me", password="hush", host="h"), make("postgresql://me:hush@h/d")):
        assert config.plan.parameters["password"] == "hush"
        assert "hush" not in repr(config) + repr(config.plan) + str(config)
        assert "me" in repr(config)


def test_it_is_immutable() -> None:
    config = make(host="h")
    with pytest.raises(AttributeError, match="max_size"):
        config.max_size = 3
    with pytest.raises(TypeError):
        config.plan.parameters["user"] = "x"  # type: ignore[index]


# What the parameters become


def test_no_arguments_are_libpqs_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    config = make()
    assert config.max_size == 10
    assert config.recycling is ConnRecyclingMethod.Fast
    (endpoint,) = config.plan.endpoints
    assert endpoint.is_unix and endpoint.port == 5432
    assert config.plan.connect_timeout is None
    assert config.plan.target_session_attrs == "any"
    assert not config.plan.load_balance
    monkeypatch.setenv("PGHOST", "h1,h2")
    monkeypatch.setenv("PGPORT", "77")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "7")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "read-only")
    assert where(make()) == [("h1", None, 77), ("h2", None, 77)]
    assert make().plan.connect_timeout == 7.0
    assert make().plan.target_session_attrs == "read-only"


def test_hosts_go_before_host_and_ports_before_port() -> None:
    config = make(host="last", hosts=["h1", "h2"], port=3, ports=[1, 2])
    assert where(config) == [("h1", None, 1), ("h2", None, 2), ("last", None, 3)]
    assert where(make(hosts=["h1", "h2"], port=7)) == [("h1", None, 7), ("h2", None, 7)]
    assert where(make(hosts=["h1"], ports=[])) == [("h1", None, 5432)]


def test_addresses_and_sockets_need_no_resolving() -> None:
    config = make(hosts=["10.0.0.7", "::1", "/run/pg", "@abstract", "db.example", "1.example"])
    kinds = [(one.hostaddr, one.is_unix, one.needs_resolving) for one in config.plan.endpoints]
    assert kinds == [
        ("10.0.0.7", False, False),
        ("::1", False, False),
        (None, True, False),
        (None, True, False),
        (None, False, True),
        (None, False, True),
    ]


def test_hostaddr_is_where_to_go_and_host_the_name() -> None:
    config = make("postgresql://a,b?hostaddr=10.0.0.1,10.0.0.2&port=1,2")
    assert where(config) == [("a", "10.0.0.1", 1), ("b", "10.0.0.2", 2)]
    assert where(make("hostaddr=10.0.0.1")) == [("", "10.0.0.1", 5432)]


def test_the_environments_hostaddr_is_not_for_a_host_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.9")
    assert where(make(host="h")) == [("h", None, 5432)]
    assert where(make()) == [("", "10.0.0.9", 5432)]
    with pytest.raises(ConnectionPoolConfigurationError, match="PGHOSTADDR"):
        make(host="/run/pg")


def test_an_empty_host_in_a_list_is_the_default_socket() -> None:
    first, second = make("postgresql://h,/d").plan.endpoints
    assert first.host == "h"
    assert second.is_unix and second.host == conninfo.default_socket_directory()


def test_dsn_outranks_the_parameters_it_has_a_place_for() -> None:
    config = make(
        "postgresql://u:p@h:1/d?target_session_attrs=read-write",
        username="x",
        password="x",
        host="x",
        hosts=["x", "x"],
        port=70000,
        ports="no list",  # type: ignore[arg-type]  # ignored, so not checked either
        db_name="x",
        target_session_attrs="nonsense",
    )
    assert where(config) == [("h", None, 1)]
    assert (config.plan.user, config.plan.db_name) == ("u", "d")
    assert config.plan.parameters["password"] == "p"
    assert config.plan.target_session_attrs == "read-write"


def test_options_beside_the_dsn_outrank_it() -> None:
    config = make(
        "postgresql://h/d?application_name=x&connect_timeout=9&tcp_user_timeout=9&keepalives=0&keepalives_idle=9"
        "&keepalives_retries=9&load_balance_hosts=disable&sslmode=disable&options=-c%20a%3D1",
        application_name="mine",
        connect_timeout_sec=1,
        tcp_user_timeout_sec=2,
        keepalives=True,
        keepalives_idle_sec=3,
        keepalives_retries=4,
        load_balance_hosts="random",
        ssl_mode=SslMode.Require,
        options="-c b=2",
    )
    parameters = config.plan.parameters
    assert parameters["application_name"] == "mine"
    assert config.plan.connect_timeout == 1.0
    assert parameters["tcp_user_timeout"] == "2000"
    assert (parameters["keepalives"], parameters["keepalives_idle"]) == ("1", "3")
    assert parameters["keepalives_count"] == "4"
    assert config.plan.load_balance
    assert parameters["sslmode"] == "require"
    assert config.plan.options == "-c b=2"


def test_times_are_rounded_up_to_what_the_system_has() -> None:
    config = make(
        host="h",
        connect_timeout_sec=1,
        connect_timeout_nanosec=250_000_000,
        tcp_user_timeout_sec=2,
        tcp_user_timeout_nanosec=1,
        keepalives_idle_sec=3,
        keepalives_idle_nanosec=1,
        keepalives_interval_sec=4,
        keepalives_interval_nanosec=999_999_999,
    )
    parameters = config.plan.parameters
    assert config.plan.connect_timeout == 1.25
    assert parameters["tcp_user_timeout"] == "2001"
    assert parameters["keepalives_idle"] == "4"
    assert parameters["keepalives_interval"] == "5"
    assert "connect_timeout" not in parameters


def test_a_zero_timeout_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "7")
    assert make("host=h connect_timeout=5", connect_timeout_sec=0).plan.connect_timeout is None
    assert make("host=h connect_timeout=-1").plan.connect_timeout is None
    assert make("host=h connect_timeout=1").plan.connect_timeout == 1.0


def test_keepalives_by_default_and_switched_off() -> None:
    assert make(host="h").plan.parameters["keepalives_idle"] == "7200"
    assert "tcp_user_timeout" not in make(host="h").plan.parameters
    assert make(host="h", keepalives_interval_sec=5).plan.parameters["keepalives_interval"] == "5"
    off = make(host="h", keepalives=False, keepalives_retries=2).plan.parameters
    assert off["keepalives"] == "0"
    system = make(
        host="h", keepalives_idle_sec=0, keepalives_interval_sec=0, keepalives_retries=0
    ).plan.parameters
    assert not [keyword for keyword in system if keyword.startswith("keepalives")]


def test_tcp_user_timeout_in_a_dsn_is_milliseconds() -> None:
    assert make("host=h tcp_user_timeout=1500").plan.parameters["tcp_user_timeout"] == "1500"


# What a connection starts with


def test_our_settings_come_before_the_users_options(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make(host="h", options="-c DateStyle=German").plan
    started = plan.startup(plan.endpoints[0], "10.0.0.1", "any")
    assert started["options"] == f"{OURS} -c DateStyle=German"
    assert started["client_encoding"] == "UTF8"
    assert started["fallback_application_name"] == "psqlpy"
    assert (started["host"], started["hostaddr"], started["port"]) == ("h", "10.0.0.1", "5432")
    assert started["target_session_attrs"] == "any"
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    assert make(host="h").plan.options == "-c work_mem=1MB"


def test_an_endpoint_that_refuses_our_settings_gets_fewer() -> None:
    plan = make(hosts=["pooler", "server"], options="-c a=1").plan
    pooler, server = plan.endpoints

    def options(endpoint: Endpoint) -> str:
        return plan.startup(endpoint, None, "any")["options"]

    assert not plan.step_down(pooler, 0, "28P01")
    assert options(pooler) == f"{OURS} -c a=1"
    assert plan.step_down(pooler, 0, "08P01")
    assert options(pooler) == "-c DateStyle=ISO -c IntervalStyle=postgres -c a=1"
    assert plan.step_down(pooler, 1, "0A000")
    assert options(pooler) == "-c a=1"
    assert options(server) == f"{OURS} -c a=1"
    # The user's own option is what it refuses: ours are offered again.
    assert not plan.step_down(pooler, 2, "42704")
    assert options(pooler) == f"{OURS} -c a=1"


def test_a_unix_socket_is_given_to_libpq_without_an_address() -> None:
    plan = make(host="/run/pg", port=77).plan
    started = plan.startup(plan.endpoints[0], None, "any")
    assert started["host"] == "/run/pg" and started["port"] == "77"
    assert "hostaddr" not in started


def test_client_encoding_may_be_ours() -> None:
    for word in ("UTF8", "utf-8", "auto"):
        assert make(f"host=h client_encoding={word}").plan.parameters["client_encoding"] == "UTF8"


# TLS


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    return file


def test_a_ca_file_is_checked_at_construction(tmp_path: Path, ca_file: Path) -> None:
    with pytest.raises(SSLError, match="ca_file .*No such file"):
        make(host="h", ca_file=tmp_path / "none.pem")
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"\0garbage")
    with pytest.raises(SSLError, match="no certificate"):
        make(host="h", ca_file=str(garbage))
    config = make(host="h", ca_file=str(ca_file), ssl_mode="verify-ca")
    assert config.plan.parameters["sslrootcert"] == str(ca_file)
    assert config.plan.parameters["sslmode"] == "verify-ca"


def test_a_ca_file_alone_means_that_the_server_is_verified(
    ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(host="h", ca_file=ca_file).plan.parameters["sslmode"] == "verify-full"
    assert make("host=h sslmode=prefer", ca_file=ca_file).plan.parameters["sslmode"] == "prefer"
    assert make(host="h", ca_file=ca_file, ssl_mode="disable").plan.parameters["sslmode"] == "disable"
    monkeypatch.setenv("PGSSLMODE", "require")
    assert make(host="h", ca_file=ca_file).plan.parameters["sslmode"] == "require"


@pytest.mark.parametrize("mode", list(SslMode))
def test_every_ssl_mode_goes_to_libpq(mode: SslMode) -> None:
    assert make(host="h", ssl_mode=mode).plan.parameters["sslmode"] == mode.value
    assert make(host="h", ssl_mode=mode.value).plan.parameters["sslmode"] == mode.value
