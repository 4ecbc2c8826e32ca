"""The pool's parameters, and what connecting says when it fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from psqlpy import ConnectionPool, ConnectionPoolBuilder, exceptions
from psqlpy._config import PoolConfig
from tests._async.usable import ensure_usable


async def test_nothing_means_the_defaults_of_libpq(
    parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, part in (
        ("PGHOST", "host"),
        ("PGPORT", "port"),
        ("PGUSER", "username"),
        ("PGPASSWORD", "password"),
        ("PGDATABASE", "db_name"),
    ):
        monkeypatch.setenv(name, str(parts[part]))
    for pool in (ConnectionPool(), ConnectionPool(dsn=""), ConnectionPoolBuilder().build()):
        await ensure_usable(pool)
        pool.close()


def test_defaults() -> None:
    for pool in (ConnectionPool(host="db1"), ConnectionPoolBuilder().host("db1").build()):
        plan = pool._config.plan
        assert pool.status().max_size == 10
        assert plan.endpoints[0].port == 5432
        assert plan.db_name == plan.user


@pytest.mark.parametrize("size", [0, -1, "5", 1.5, True])
def test_a_pool_has_at_least_one_connection(size: Any) -> None:
    for make in (
        lambda: ConnectionPool(max_db_pool_size=size),
        lambda: ConnectionPoolBuilder().max_pool_size(size),
    ):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError) as caught:
            make()
        assert isinstance(caught.value, ValueError)
    assert ConnectionPool(max_db_pool_size=1).status().max_size == 1


@pytest.mark.parametrize(
    "name", ["connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval"]
)
def test_nanoseconds_need_seconds(name: str) -> None:
    nanoseconds: dict[str, Any] = {f"{name}_nanosec": 5}
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=f"{name}_nanosec"):
        ConnectionPool(**nanoseconds)
    nanoseconds[f"{name}_sec"] = 5
    ConnectionPool(**nanoseconds).close()


def test_keepalive_settings_without_keepalives_are_accepted() -> None:
    ConnectionPool(keepalives_idle_sec=5, keepalives_interval_sec=5, keepalives_retries=5).close()


def test_as_many_ports_as_hosts() -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="ports"):
        ConnectionPool(hosts=["a", "b", "c"], ports=[1, 2])
    ConnectionPool(hosts=["a", "b", "c"], ports=[1]).close()


def test_host_and_hosts_are_both_used_hosts_first() -> None:
    plan = ConnectionPool(host="c", hosts=["a", "b"], port=3, ports=[1, 2])._config.plan
    assert [(each.host, each.port) for each in plan.endpoints] == [("a", 1), ("b", 2), ("c", 3)]


async def test_after_a_dead_first_host_the_next_is_tried(parts: dict[str, Any]) -> None:
    host, port = parts.pop("host"), parts.pop("port")
    async with ConnectionPool(hosts=["127.0.0.1", host], ports=[1, port], **parts) as pool:
        await ensure_usable(pool)


def test_a_host_with_a_slash_is_a_socket() -> None:
    [endpoint] = ConnectionPool(host="/tmp/a")._config.plan.endpoints
    assert endpoint.is_unix


async def test_a_server_of_the_wrong_kind_is_refused(dsn: str, parts: dict[str, Any]) -> None:
    with pytest.raises(exceptions.BaseConnectionPoolError):
        await ConnectionPool(target_session_attrs="read-only", **parts).startup()
    # In a dsn's presence the parameter counts for nothing.
    async with ConnectionPool(dsn, target_session_attrs="read-only") as pool:
        await ensure_usable(pool)


@pytest.mark.parametrize("port", [70000, 0, -1, "5432"])
def test_port_out_of_range(port: Any) -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="port"):
        ConnectionPool(port=port)


def test_unknown_parameter() -> None:
    with pytest.raises(TypeError, match="prot"):
        ConnectionPool(prot=5432)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres://u:p@h1:1,h2:2/d?application_name=x",
        "postgresql://u:p@h1:1,h2:2/d?application_name=x",
        "host=h1,h2 port=1,2 user=u password=p dbname=d application_name=x",
    ],
)
def test_forms_of_a_dsn(dsn: str) -> None:
    plan = ConnectionPool(dsn)._config.plan
    assert [(each.host, each.port) for each in plan.endpoints] == [("h1", 1), ("h2", 2)]
    assert (plan.user, plan.db_name) == ("u", "d")
    assert plan.parameters["application_name"] == "x"
    [socket] = ConnectionPool("postgresql://u@%2Fvar%2Frun/d")._config.plan.endpoints
    assert socket.is_unix


def test_a_dsn_wins_over_who_and_where_but_not_over_options() -> None:
    pool = ConnectionPool(
        "postgresql://u:p@h1:1/d?application_name=x&connect_timeout=5",
        username="other",
        password="other",
        host="other",
        hosts=["other"],
        port=99999,
        ports=[99999],
        db_name="other",
        application_name="y",
        connect_timeout_sec=7,
        options="-c geqo=off",
    )
    plan = pool._config.plan
    assert repr(plan.endpoints) == "(<Endpoint h1, port 1>,)"
    assert (plan.user, plan.db_name, plan.parameters["password"]) == ("u", "d", "p")
    assert (plan.parameters["application_name"], plan.connect_timeout) == ("y", 7)
    assert plan.options == "-c geqo=off"


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u@h:port/d", "port"),
        ("host=h foo=bar", "foo"),
        ("host='h", "quot"),
        ("postgresql://[::1", "not a valid URL"),
    ],
)
def test_a_bad_dsn_is_refused_when_the_pool_is_made(dsn: str, said: str) -> None:
    with pytest.raises(exceptions.ConnectionPoolBuildError, match=said):
        ConnectionPool(dsn)


def test_a_dsn_takes_every_key_of_libpq() -> None:
    plan = ConnectionPool("host=h keepalives_retries=3 load_balance_hosts=random sslrootcert=a")._config.plan
    assert plan.load_balance
    assert plan.parameters["keepalives_count"] == "3"


@pytest.mark.parametrize(
    ("changed", "sqlstate"),
    [
        ({"host": "127.0.0.1", "port": 1}, None),
        ({"db_name": "no_such_database"}, "3D000"),
        ({"username": "no_such_role"}, None),
        ({"host": "no-such-host.invalid"}, None),
    ],
    ids=["refused", "database", "role", "name"],
)
async def test_what_cannot_be_reached(
    parts: dict[str, Any], changed: dict[str, Any], sqlstate: str | None
) -> None:
    with ConnectionPool(**{**parts, **changed}) as pool:
        for _ in range(2):
            with pytest.raises(exceptions.BaseConnectionPoolError) as caught:
                await pool.connection()
            if sqlstate:
                assert caught.value.sqlstate == sqlstate
            assert str(parts["password"]) not in str(caught.value)
        assert pool.status() == (10, 0, 0, 0)


# TLS; what each mode does on the wire is in tests/parameters/test_tls.py


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full", "require"])
@pytest.mark.parametrize("through", ["parameter", "dsn"])
async def test_no_mode_that_demands_tls_falls_back_to_plain_text(dsn: str, mode: str, through: str) -> None:
    plan = PoolConfig.from_parameters(dsn).plan
    if plan.endpoints[0].is_unix:
        pytest.skip("TLS is not for Unix sockets")
    given = f"{dsn}{'&' if '?' in dsn else '?'}sslmode={mode}" if through == "dsn" else dsn
    async with ConnectionPool(given, ssl_mode=None if through == "dsn" else mode) as pool:
        try:
            encrypted = await pool.fetch_val("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        except exceptions.BaseConnectionPoolError:
            # A server without TLS, or one whose certificate nobody vouches for.
            encrypted = True
    assert encrypted


@pytest.mark.parametrize("mode", [None, "disable", "verify-full"])
def test_a_ca_file_that_is_none(tmp_path: Path, mode: str | None) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(os.urandom(100))
    for path in (tmp_path / "missing", garbage):
        with pytest.raises(exceptions.SSLError):
            ConnectionPool(ca_file=path, ssl_mode=mode)


def test_a_ca_file_alone_demands_verification(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    assert ConnectionPool(ca_file=file)._config.plan.parameters["sslmode"] == "verify-full"
    assert ConnectionPool(ca_file=file, ssl_mode="require")._config.plan.parameters["sslmode"] == "require"
