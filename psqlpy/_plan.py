"""ConnectPlan: where a pool's connections go and what they start with, complete and immutable but for what it learns.

Not here: where the values come from (psqlpy._config), and the attempts themselves (psqlpy._protocol.attempts, connect).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_NUMERIC = r"\d+\.\d+\.\d+\.\d+|.*:.*"

# What every session starts with, as the startup parameter `options`. There, and not by SET after connecting, since it
# costs no round trip, RESET and DISCARD ALL come back to it, and it outranks ALTER ROLE and ALTER DATABASE. In front of
# the user's options: of two the server takes the last.
#
# Connection poolers refuse startup parameters that they don't track. PgBouncer before 1.20 refuses `options` as such;
# from 1.20 on it looks into it and takes DateStyle and IntervalStyle, but not the others, unless its
# ignore_startup_parameters names them. An endpoint that refuses is asked again with the next, shorter list, and the
# plan remembers which one it took. What is left out then is the server's default, which is the same value on any server
# where nobody changed it; DateStyle is reported by the server and followed where text is decoded, intervals and bytea
# tell by themselves.
_SETTINGS = (
    "-c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1",
    "-c DateStyle=ISO -c IntervalStyle=postgres",
    "",
)

# How a pooler, or a server that isn't PostgreSQL, says no: PgBouncer 08P01, RDS Proxy 0A000, unknown names 42704.
_REFUSALS = frozenset(("08P01", "0A000", "42704"))


def users_options(options: str) -> str:
    """A session's `options` without what every session starts with."""
    own = next(settings for settings in _SETTINGS if options.startswith(settings))
    return options[len(own) :].strip()


class Endpoint:
    """One host of the list: a name to resolve, an address, or the directory of a Unix socket."""

    __slots__ = ("host", "hostaddr", "port")

    def __init__(self, host: str, port: int, hostaddr: str | None = None) -> None:
        self.host = host
        self.port = port
        self.hostaddr = hostaddr or (
            host if not host.startswith(("/", "@")) and re.fullmatch(_NUMERIC, host) else None
        )

    @property
    def is_unix(self) -> bool:
        return self.hostaddr is None and self.host.startswith(("/", "@"))

    @property
    def needs_resolving(self) -> bool:
        return self.hostaddr is None and not self.is_unix

    def describe(self, address: str | None = None) -> str:
        """How messages name it: `db1 (10.0.0.7), port 5432`."""
        address = address or self.hostaddr
        shown = f" ({address})" if address and address != self.host and self.host else ""
        return f"{self.host or address}{shown}, port {self.port}"

    def __repr__(self) -> str:
        return f"<Endpoint {self.describe()}>"


class ConnectPlan:
    """What one attempt after the other needs to know. May be shared by threads.

    `parameters` are libpq's, without host, hostaddr, port, target_session_attrs and options. `connect_timeout` is
    in seconds and per address.
    """

    __slots__ = (
        "_levels",
        "connect_timeout",
        "endpoints",
        "load_balance",
        "options",
        "parameters",
        "target_session_attrs",
    )

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        parameters: Mapping[str, str],
        *,
        options: str = "",
        target_session_attrs: str = "any",
        load_balance: bool = False,
        connect_timeout: float | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.parameters = MappingProxyType(dict(parameters))
        self.options = options
        self.target_session_attrs = target_session_attrs
        self.load_balance = load_balance
        self.connect_timeout = connect_timeout
        self._levels: dict[Endpoint, int] = {}

    def with_password(self, password: str) -> ConnectPlan:
        """The same plan with another password; what one of them learns the other knows."""
        plan = ConnectPlan(
            self.endpoints,
            {**self.parameters, "password": password},
            options=self.options,
            target_session_attrs=self.target_session_attrs,
            load_balance=self.load_balance,
            connect_timeout=self.connect_timeout,
        )
        plan._levels = self._levels
        return plan

    @property
    def user(self) -> str:
        return self.parameters.get("user", "")

    @property
    def db_name(self) -> str:
        return self.parameters.get("dbname") or self.user

    def level(self, endpoint: Endpoint) -> int:
        """Which of the lists of settings the endpoint is to get: 0 is the full one."""
        return self._levels.get(endpoint, 0)

    def step_down(self, endpoint: Endpoint, level: int, sqlstate: str | None) -> bool:
        """After an attempt with the settings of `level` failed: whether another one with fewer of them makes sense."""
        if sqlstate not in _REFUSALS:
            return False
        if level + 1 < len(_SETTINGS):
            self._levels[endpoint] = level + 1
            return True
        # It wasn't our settings that it refused.
        self._levels.pop(endpoint, None)
        return False

    def startup(self, endpoint: Endpoint, address: str | None, target: str) -> dict[str, str]:
        """libpq's parameters for one attempt, `address` being what the endpoint's name was resolved to."""
        parameters = dict(self.parameters)
        if endpoint.host:
            parameters["host"] = endpoint.host
        address = address or endpoint.hostaddr
        if address:
            parameters["hostaddr"] = address
        parameters["port"] = str(endpoint.port)
        parameters["target_session_attrs"] = target
        options = f"{_SETTINGS[self.level(endpoint)]} {self.options}".strip()
        if options:
            parameters["options"] = options
        return parameters

    def __repr__(self) -> str:
        where = "; ".join(endpoint.describe() for endpoint in self.endpoints)
        return f"<ConnectPlan {self.user!r} at {where}, database {self.db_name!r}>"
