"""Where a connection goes: the properties that say so, on the connection and on what is made with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy._plan import users_options

if TYPE_CHECKING:
    from psqlpy._pq.connection import PGconn


class Identity:
    """What libpq knows of a connection; still known when that was given back, but not when it was closed."""

    __slots__ = ()

    def _peer(self) -> PGconn:
        raise NotImplementedError

    @property
    def conn_dbname(self) -> str:
        """The database."""
        return self._peer().db

    @property
    def user(self) -> str:
        """The role it logged in with."""
        return self._peer().user

    @property
    def host_addrs(self) -> list[str]:
        """The numeric address it is connected to; empty for a Unix socket."""
        address = self._peer().hostaddr
        return [address] if address else []

    @property
    def hosts(self) -> list[str]:
        """The host it is connected to."""
        return [self._peer().host]

    @property
    def ports(self) -> list[int]:
        """The port it is connected to."""
        return [int(self._peer().port)]

    @property
    def options(self) -> str:
        """The command-line options that the pool was given; empty if it was given none."""
        return users_options(self._peer().options)
