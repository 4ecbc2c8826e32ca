"""The pool's configuration: its public enums, and PoolConfig, which checks every parameter when the pool is made.

Not here: connecting, and how libpq reads connection strings (psqlpy._pq.conninfo).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeVar

from psqlpy._checks import (
    INT_MAX,
    MAX_KEEPALIVES_COUNT,
    MAX_KEEPALIVES_TIME,
    Given,
    check_ca_file,
    check_host,
    check_list,
    check_pool_size,
    check_text,
    check_time,
    configuration_error,
    parse_integer,
    parse_port,
    whole_number,
)
from psqlpy._plan import ConnectPlan, Endpoint
from psqlpy._pq import conninfo
from psqlpy.exceptions import (
    BaseConnectionPoolError,
    ConnectionPoolBuildError,
    ConnectionPoolConfigurationError,
)

__all__ = [
    "ConnRecyclingMethod",
    "ConnectPlan",
    "Endpoint",
    "IsolationLevel",
    "LoadBalanceHosts",
    "PoolConfig",
    "ReadVariant",
    "SslMode",
    "SynchronousCommit",
    "TargetSessionAttrs",
    "check_pool_size",
]

Word = TypeVar("Word", bound="_Words")

DEFAULT_POOL_SIZE = 10
_DEFAULT_KEEPALIVES_IDLE = "7200"

# libpq's options that are whole numbers, as far as psqlpy or a socket option depends on them.
_INTEGERS = (
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
)

# What an attempt sets itself (host to options), or what is already resolved (service).
_NOT_FOR_LIBPQ = (
    "host",
    "hostaddr",
    "port",
    "target_session_attrs",
    "options",
    "connect_timeout",
    "load_balance_hosts",
    "service",
    "servicefile",
)


class _Words(Enum):
    """An enum whose values are the words that libpq or SQL has for them."""

    @classmethod
    def coerce(cls: type[Word], value: object, parameter: str) -> Word:
        """Return the member that `value` is, or is the word of, in any case of its letters."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            for member in cls:
                if member.value.lower() == value.lower():
                    return member
        words = ", ".join(repr(member.value) for member in cls)
        raise configuration_error(f"{parameter} must be a {cls.__name__} or one of {words}, not {value!r}")


class ConnRecyclingMethod(_Words):
    """How a connection that comes back to the pool is made clean for its next user."""

    Fast = "fast"
    Verified = "verified"
    Clean = "clean"


class LoadBalanceHosts(_Words):
    """In which order hosts and their addresses are tried."""

    Disable = "disable"
    Random = "random"


class SslMode(_Words):
    """libpq's sslmode (PostgreSQL manual, section "Protection Provided in Different Modes")."""

    Disable = "disable"
    Allow = "allow"
    Prefer = "prefer"
    Require = "require"
    VerifyCa = "verify-ca"
    VerifyFull = "verify-full"


class TargetSessionAttrs(_Words):
    """libpq's target_session_attrs: which kind of server is acceptable."""

    Any = "any"
    ReadWrite = "read-write"
    ReadOnly = "read-only"
    Primary = "primary"
    Standby = "standby"
    PreferStandby = "prefer-standby"


class IsolationLevel(_Words):
    """Isolation level of a transaction."""

    ReadUncommitted = "READ UNCOMMITTED"
    ReadCommitted = "READ COMMITTED"
    RepeatableRead = "REPEATABLE READ"
    Serializable = "SERIALIZABLE"


class ReadVariant(_Words):
    """Whether a transaction may write."""

    ReadOnly = "READ ONLY"
    ReadWrite = "READ WRITE"


class SynchronousCommit(_Words):
    """How far a transaction's commit must have come before it counts as done (manual, synchronous_commit)."""

    On = "on"
    Off = "off"
    Local = "local"
    RemoteWrite = "remote_write"
    RemoteApply = "remote_apply"


class PoolConfig:
    """A pool's parameters, checked and complete; immutable. Made by `from_parameters`."""

    __slots__ = ("max_size", "plan", "recycling")

    max_size: int
    plan: ConnectPlan
    recycling: ConnRecyclingMethod

    def __init__(self, plan: ConnectPlan, max_size: int, recycling: ConnRecyclingMethod) -> None:
        for name, value in (("plan", plan), ("max_size", max_size), ("recycling", recycling)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"PoolConfig is immutable, {name} can't be set")

    def __repr__(self) -> str:
        return f"<PoolConfig {self.plan!r}, max_size={self.max_size}, recycling={self.recycling.value!r}>"

    @classmethod
    def from_parameters(
        cls,
        dsn: str | None = None,
        username: str | None = None,
        password: str | None = None,
        host: str | None = None,
        hosts: Sequence[str] | None = None,
        port: int | None = None,
        ports: Sequence[int] | None = None,
        db_name: str | None = None,
        target_session_attrs: TargetSessionAttrs | str | None = None,
        options: str | None = None,
        application_name: str | None = None,
        connect_timeout_sec: int | None = None,
        connect_timeout_nanosec: int | None = None,
        tcp_user_timeout_sec: int | None = None,
        tcp_user_timeout_nanosec: int | None = None,
        keepalives: bool | None = None,
        keepalives_idle_sec: int | None = None,
        keepalives_idle_nanosec: int | None = None,
        keepalives_interval_sec: int | None = None,
        keepalives_interval_nanosec: int | None = None,
        keepalives_retries: int | None = None,
        load_balance_hosts: LoadBalanceHosts | str | None = None,
        max_db_pool_size: int | None = None,
        conn_recycling_method: ConnRecyclingMethod | str | None = None,
        ssl_mode: SslMode | str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> PoolConfig:
        """Check the pool's parameters and complete them from service file and environment, read now.

        Raises ConnectionPoolConfigurationError, which names the parameter, and ConnectionPoolBuildError where the
        connection string, the service file or the environment is wrong.
        """
        max_size = DEFAULT_POOL_SIZE if max_db_pool_size is None else check_pool_size(max_db_pool_size)
        recycling = ConnRecyclingMethod.Fast
        if conn_recycling_method is not None:
            recycling = ConnRecyclingMethod.coerce(conn_recycling_method, "conn_recycling_method")
        beside = Given()
        beside.text("options", options)
        beside.text("application_name", application_name)
        timeout = check_time("connect_timeout", connect_timeout_sec, connect_timeout_nanosec)
        if timeout is not None:
            beside["connect_timeout"] = ""  # ours is finer than libpq's whole seconds
        beside.duration("tcp_user_timeout", tcp_user_timeout_sec, tcp_user_timeout_nanosec, 10**6, INT_MAX)
        if keepalives is not None:
            if not isinstance(keepalives, bool):
                raise configuration_error(f"keepalives must be a bool, not {keepalives!r}")
            beside["keepalives"] = "1" if keepalives else "0"
        beside.duration(
            "keepalives_idle", keepalives_idle_sec, keepalives_idle_nanosec, 10**9, MAX_KEEPALIVES_TIME
        )
        beside.duration(
            "keepalives_interval",
            keepalives_interval_sec,
            keepalives_interval_nanosec,
            10**9,
            MAX_KEEPALIVES_TIME,
        )
        if keepalives_retries is not None:
            count = whole_number(keepalives_retries, "keepalives_retries", 0, MAX_KEEPALIVES_COUNT)
            beside["keepalives_count"] = str(count)
        if load_balance_hosts is not None:
            balance = LoadBalanceHosts.coerce(load_balance_hosts, "load_balance_hosts")
            beside["load_balance_hosts"] = balance.value
        if ssl_mode is not None:
            beside["sslmode"] = SslMode.coerce(ssl_mode, "ssl_mode").value
        if ca_file is not None:
            beside["sslrootcert"] = check_ca_file(ca_file)
        kind: type[BaseConnectionPoolError] = ConnectionPoolConfigurationError
        if dsn is None:
            given: dict[str, str] = _single_parameters(
                username, password, host, hosts, port, ports, db_name, target_session_attrs
            )
        else:
            kind = ConnectionPoolBuildError
            given = conninfo.parse(check_text(dsn, "dsn"))
        given.update(beside)
        plan = _plan_from(given, kind, None if timeout is None else timeout / 1e9, verify=ca_file is not None)
        return cls(plan, max_size, recycling)


def _single_parameters(
    username: object,
    password: object,
    host: object,
    hosts: object,
    port: object,
    ports: object,
    db_name: object,
    target_session_attrs: object,
) -> dict[str, str]:
    """libpq's keywords for the parameters that a dsn replaces."""
    given = Given()
    given.text("user", username, "username")
    given.text("password", password)
    given.text("dbname", db_name, "db_name")
    host_list = [check_host(name, "hosts") for name in check_list(hosts, "hosts", "host")]
    if host is not None:
        host_list.append(check_host(host, "host"))
    port_list = [whole_number(number, "ports", 1, 65535) for number in check_list(ports, "ports", "port")]
    if port is not None:
        port_list.append(whole_number(port, "port", 1, 65535))
    if host_list and len(port_list) not in (0, 1, len(host_list)):
        raise configuration_error(
            f"ports must be one for all hosts or as many as hosts: {len(port_list)} ports for {len(host_list)} hosts"
        )
    given["host"] = ",".join(host_list)
    given["port"] = ",".join(map(str, port_list))
    if target_session_attrs is not None:
        attrs = TargetSessionAttrs.coerce(target_session_attrs, "target_session_attrs")
        given["target_session_attrs"] = attrs.value
    return given


def _plan_from(
    given: dict[str, str],
    kind: type[BaseConnectionPoolError],
    connect_timeout: float | None,
    *,
    verify: bool,
) -> ConnectPlan:
    try:
        return _make_plan(given, kind, connect_timeout, verify=verify)
    except BaseException as error:
        # What isn't escaped in a connection string has put parts of the password into other options, and those are in
        # the variables of the frames it comes from.
        given.clear()
        raise error.with_traceback(None) from None


def _make_plan(
    given: Mapping[str, str],
    kind: type[BaseConnectionPoolError],
    connect_timeout: float | None,
    *,
    verify: bool,
) -> ConnectPlan:
    """The plan for libpq's keywords `given`; raises `kind`. `verify`: a CA file was given as a parameter."""
    given = {keyword: value for keyword, value in given.items() if value}
    if given.get("client_encoding", "auto").lower() not in ("auto", "utf8", "utf-8", "unicode"):
        raise kind("client_encoding can't be chosen: psqlpy speaks UTF8")
    values = conninfo.resolve(given)
    for keyword in _INTEGERS:
        parse_integer(values, keyword, kind)
    try:
        target = TargetSessionAttrs.coerce(values.get("target_session_attrs", "any"), "target_session_attrs")
        balance = LoadBalanceHosts.coerce(values.get("load_balance_hosts", "disable"), "load_balance_hosts")
        SslMode.coerce(values.get("sslmode", "prefer"), "sslmode")
    except ConnectionPoolConfigurationError as error:
        raise kind(str(error)) from None
    if verify and conninfo.is_default("sslmode", given, values):
        # Whoever names the CA wants the server verified; `prefer` would fall back to plain text where that fails.
        values["sslmode"] = SslMode.VerifyFull.value
    parameters = {keyword: value for keyword, value in values.items() if keyword not in _NOT_FOR_LIBPQ}
    parameters["client_encoding"] = "UTF8"
    parameters.setdefault("fallback_application_name", "psqlpy")
    parameters.setdefault("keepalives_idle", _DEFAULT_KEEPALIVES_IDLE)
    for keyword in ("keepalives_idle", "keepalives_interval", "keepalives_count"):
        # libpq's manual says that 0 is the system's default; libpq asks the system for 0, which refuses.
        if parse_integer(parameters, keyword, kind) <= 0:
            parameters.pop(keyword, None)
    if connect_timeout is None:
        connect_timeout = float(max(0, parse_integer(values, "connect_timeout", kind)))
    return ConnectPlan(
        _make_endpoints(given, values, kind),
        parameters,
        options=values.get("options", ""),
        target_session_attrs=target.value,
        load_balance=balance is LoadBalanceHosts.Random,
        connect_timeout=connect_timeout or None,
    )


def _make_endpoints(
    given: Mapping[str, str], values: Mapping[str, str], kind: type[BaseConnectionPoolError]
) -> tuple[Endpoint, ...]:
    """Hosts and ports, paired as in libpq's manual, section "Specifying Multiple Hosts"."""
    hosts = values.get("host", "").split(",")
    addresses = values.get("hostaddr", "").split(",")
    if "host" in given and "hostaddr" not in given:
        # libpq would go to the environment's PGHOSTADDR whatever host it is told.
        if any(not host or host.startswith(("/", "@")) for host in hosts) and values.get("hostaddr"):
            raise kind("PGHOSTADDR, or hostaddr in the service file, would replace the Unix socket: unset it")
        addresses = [""]
    if hosts == [""]:
        hosts = [""] * len(addresses)
    elif addresses == [""]:
        addresses = [""] * len(hosts)
    elif len(addresses) != len(hosts):
        raise kind(
            f"hostaddr must have as many entries as host: {len(addresses)} addresses for {len(hosts)} hosts"
        )
    ports = [parse_port(port, kind) for port in values.get("port", "").split(",")]
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise kind(
            f"ports must be one for all hosts or as many as hosts: {len(ports)} ports for {len(hosts)} hosts"
        )
    return tuple(
        Endpoint(host or ("" if address else conninfo.default_socket_directory()), port, address or None)
        for host, address, port in zip(hosts, addresses, ports, strict=True)
    )
