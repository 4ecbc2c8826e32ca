"""ConnectionPoolBuilder: a pool's parameters one by one. They are those of the pool, under libpq's names."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

from psqlpy._async.executor import check_timeout
from psqlpy._async.hooks import Hook, Hooks, check_hook
from psqlpy._async.pool import ConnectionPool
from psqlpy._checks import (
    INT_MAX,
    check_ca_file,
    check_flag,
    check_host,
    check_pool_size,
    check_text,
    configuration_error,
    whole_number,
)
from psqlpy._config import (
    ConnRecyclingMethod,
    LoadBalanceHosts,
    SslMode,
    TargetSessionAttrs,
)
from psqlpy._keepalive import KeepaliveConfig
from psqlpy._naming import public
from psqlpy._secret import hide
from psqlpy.types import Types

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


@public
class ConnectionPoolBuilder:
    """Collects a pool's parameters; every setter checks one, changes the builder and returns it.

    A wrong value raises ConnectionPoolConfigurationError. What isn't set is libpq's default, as with ConnectionPool.
    """

    __slots__ = ("_addresses", "_hosts", "_parameters", "_ports")

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._hosts: list[str] = []
        self._addresses: list[str] = []
        self._ports: list[int] = []

    def build(self) -> ConnectionPool:
        """Make the pool; the builder may go on to make others."""
        parameters = dict(self._parameters)
        if not self._addresses:
            return ConnectionPool(hosts=self._hosts or None, ports=self._ports or None, **parameters)
        if self._hosts and len(self._hosts) != len(self._addresses):
            raise configuration_error(
                f"hostaddr must be set as often as host: {len(self._addresses)} addresses, {len(self._hosts)} hosts"
            )
        # Only a connection string knows both.
        attrs = parameters.pop("target_session_attrs", None)
        password = parameters.get("password", "")
        if not callable(password):
            parameters.pop("password", None)
        words = {
            "host": ",".join(self._hosts),
            "hostaddr": ",".join(self._addresses),
            "port": ",".join(map(str, self._ports)),
            "user": parameters.pop("username", ""),
            "password": "" if callable(password) else password,
            "dbname": parameters.pop("db_name", ""),
            "target_session_attrs": "" if attrs is None else attrs.value,
        }
        dsn = hide(" ".join(f"{keyword}={_quote(value)}" for keyword, value in words.items() if value))
        return ConnectionPool(dsn, **parameters)

    # The pool

    def max_pool_size(self, pool_size: int) -> ConnectionPoolBuilder:
        """Set how many connections there may be at most: 1 or more; 10 if it isn't set."""
        return self._set("max_db_pool_size", check_pool_size(pool_size, "max_pool_size"))

    def conn_recycling_method(
        self, conn_recycling_method: ConnRecyclingMethod | str
    ) -> ConnectionPoolBuilder:
        """Set how a connection is made clean for its next user."""
        method = ConnRecyclingMethod.coerce(conn_recycling_method, "conn_recycling_method")
        return self._set("conn_recycling_method", method)

    # Who and what

    def user(self, user: str) -> ConnectionPoolBuilder:
        """Set the role to log in with."""
        return self._set("username", check_text(user, "user"))

    def password(self, password: str | Callable[[], Any]) -> ConnectionPoolBuilder:
        """Set the password, or a function that is asked for it at each connect."""
        password = hide(password)
        return self._set("password", password if callable(password) else check_text(password, "password"))

    def dbname(self, dbname: str) -> ConnectionPoolBuilder:
        """Set the database."""
        return self._set("db_name", check_text(dbname, "dbname"))

    def options(self, options: str) -> ConnectionPoolBuilder:
        """Set command-line options for the server."""
        return self._set("options", check_text(options, "options"))

    def application_name(self, application_name: str) -> ConnectionPoolBuilder:
        """Set the name that pg_stat_activity shows."""
        return self._set("application_name", check_text(application_name, "application_name"))

    def ssl_mode(self, ssl_mode: SslMode | str) -> ConnectionPoolBuilder:
        """Set libpq's sslmode."""
        return self._set("ssl_mode", SslMode.coerce(ssl_mode, "ssl_mode"))

    def ca_file(self, ca_file: str | PathLike[str]) -> ConnectionPoolBuilder:
        """Set the file with the authorities that the server's certificate may be signed by; raises SSLError."""
        return self._set("ca_file", check_ca_file(ca_file))

    # Where

    def host(self, host: str) -> ConnectionPoolBuilder:
        """Add a host: a name, an address, or the directory of a Unix socket. They are tried in order."""
        self._hosts.append(check_host(host, "host"))
        return self

    def hostaddr(self, hostaddr: IPv4Address | IPv6Address) -> ConnectionPoolBuilder:
        """Add an address. With hosts there must be one for each: their names are for TLS then, and not resolved."""
        from ipaddress import ip_address

        try:
            self._addresses.append(str(ip_address(hostaddr)))
        except ValueError:
            raise configuration_error(
                f"hostaddr must be an IPv4Address or IPv6Address, not {hostaddr!r}"
            ) from None
        return self

    def port(self, port: int) -> ConnectionPoolBuilder:
        """Add a port: one for all hosts, or one for each."""
        self._ports.append(whole_number(port, "port", 1, 65535))
        return self

    def target_session_attrs(self, target_session_attrs: TargetSessionAttrs | str) -> ConnectionPoolBuilder:
        """Set which kind of server is acceptable."""
        attrs = TargetSessionAttrs.coerce(target_session_attrs, "target_session_attrs")
        return self._set("target_session_attrs", attrs)

    def load_balance_hosts(self, load_balance_hosts: LoadBalanceHosts | str) -> ConnectionPoolBuilder:
        """Set in which order hosts and their addresses are tried."""
        balance = LoadBalanceHosts.coerce(load_balance_hosts, "load_balance_hosts")
        return self._set("load_balance_hosts", balance)

    # How long

    def connect_timeout(self, connect_timeout: int) -> ConnectionPoolBuilder:
        """Set how many seconds connecting to one address may take."""
        return self._seconds("connect_timeout", connect_timeout)

    def tcp_user_timeout(self, tcp_user_timeout: int) -> ConnectionPoolBuilder:
        """Set for how many seconds sent data may remain unacknowledged, where the system knows that."""
        return self._seconds("tcp_user_timeout", tcp_user_timeout)

    def keepalives(self, keepalives: bool | KeepaliveConfig) -> ConnectionPoolBuilder:
        """Set whether TCP keepalive is used, or all of its settings."""
        if isinstance(keepalives, KeepaliveConfig):
            self._seconds("keepalives_idle", keepalives.idle)
            if keepalives.interval is not None:
                self._seconds("keepalives_interval", keepalives.interval)
            if keepalives.retries is not None:
                self.keepalives_retries(keepalives.retries)
            return self._set("keepalives", True)
        if not isinstance(keepalives, bool):
            raise configuration_error(f"keepalives must be a bool or KeepaliveConfig, not {keepalives!r}")
        return self._set("keepalives", keepalives)

    def keepalives_idle(self, keepalives_idle: int) -> ConnectionPoolBuilder:
        """Set after how many seconds without traffic the first keepalive probe is sent."""
        return self._seconds("keepalives_idle", keepalives_idle)

    def keepalives_interval(self, keepalives_interval: int) -> ConnectionPoolBuilder:
        """Set how many seconds are between keepalive probes."""
        return self._seconds("keepalives_interval", keepalives_interval)

    def keepalives_retries(self, keepalives_retries: int) -> ConnectionPoolBuilder:
        """Set how many unanswered keepalive probes break a connection."""
        return self._set(
            "keepalives_retries", whole_number(keepalives_retries, "keepalives_retries", 0, INT_MAX)
        )

    def timeout(self, timeout: float | None) -> ConnectionPoolBuilder:
        """Set how many seconds any call may take that says nothing else; None for no end."""
        return self._set("timeout", check_timeout("timeout", timeout))

    def acquire_timeout(self, acquire_timeout: float | None) -> ConnectionPoolBuilder:
        """Set how many seconds a call may wait for a connection while all are in use; None for no end."""
        return self._set("acquire_timeout", check_timeout("acquire_timeout", acquire_timeout))

    def max_lifetime(self, max_lifetime: float | None) -> ConnectionPoolBuilder:
        """Set the age, in seconds, at which connections are replaced; None for any age."""
        return self._set("max_lifetime", check_timeout("max_lifetime", max_lifetime))

    def max_idle(self, max_idle: float | None) -> ConnectionPoolBuilder:
        """Set after how many unused seconds connections are closed; None for never."""
        return self._set("max_idle", check_timeout("max_idle", max_idle))

    # What a pool does besides

    def prepared(self, prepared: bool) -> ConnectionPoolBuilder:
        """Set whether statements are prepared; False for poolers in transaction mode."""
        return self._set("prepared", check_flag("prepared", prepared))

    def types(self, types: Types) -> ConnectionPoolBuilder:
        """Set how types are read and written."""
        if not isinstance(types, Types):
            raise configuration_error(f"types must be a psqlpy.types.Types, not {type(types).__name__}")
        return self._set("types", types)

    def setup(self, setup: Hook) -> ConnectionPoolBuilder:
        """Set the function that gets each new connection."""
        return self._set("setup", check_hook(setup, "setup"))

    def reset(self, reset: Hook) -> ConnectionPoolBuilder:
        """Set the function that gets a connection before its next user does."""
        return self._set("reset", check_hook(reset, "reset"))

    def on_notice(self, on_notice: Hook) -> ConnectionPoolBuilder:
        """Set the function that gets the server's notices."""
        return self._set("on_notice", check_hook(on_notice, "on_notice", plain=True))

    def on_query(self, on_query: Hook) -> ConnectionPoolBuilder:
        """Set the function that gets a QueryEvent for each statement."""
        return self._set("on_query", check_hook(on_query, "on_query", plain=True))

    def log_parameters(self, log_parameters: bool) -> ConnectionPoolBuilder:
        """Set whether these have the parameters' values, too, and not their types alone."""
        return self._set("log_parameters", Hooks(log_parameters=log_parameters).log_parameters)

    def shared(self, shared: bool) -> ConnectionPoolBuilder:
        """Set whether the pool pipelines small reads of several callers onto one connection."""
        return self._set("shared", check_flag("shared", shared))

    def _seconds(self, name: str, value: int) -> ConnectionPoolBuilder:
        return self._set(f"{name}_sec", whole_number(value, name, 0, INT_MAX))

    def _set(self, name: str, value: Any) -> ConnectionPoolBuilder:
        self._parameters[name] = value
        return self

    def __repr__(self) -> str:
        names = [name for name in self._parameters if name != "password"]
        where = ", ".join(self._hosts or self._addresses) or "libpq's default host"
        return f"<ConnectionPoolBuilder {where}; set: {', '.join(names) or 'nothing'}>"


def _quote(value: str) -> str:
    """A value in a connection string (manual, "Keyword/Value Connection Strings")."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
