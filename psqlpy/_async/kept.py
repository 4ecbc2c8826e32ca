"""KeptConnection: a connection that its owner, the pool or a listener, shows to a function of the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy._async.connection import Connection
from psqlpy._async.executor import CheckedOut
from psqlpy._io.leases import async_end_lease
from psqlpy._io.links import AsyncLink

if TYPE_CHECKING:
    from psqlpy._async.pool import ConnectionPool


class KeptConnection(Connection):
    """A connection that stays its owner's: closing it does nothing. Its statements end by its owner's deadline."""

    __slots__ = ("_until",)

    def __init__(self, pool: ConnectionPool, link: AsyncLink, until: float | None = None) -> None:
        super().__init__(pool, link)
        self._until = until

    def close(self) -> None:
        """Do nothing: the connection stays its owner's."""

    def let_go(self) -> None:
        """Its owner needs it, or has closed it: this handle is of no use any more."""
        link, self._link = self._link, None
        if link is not None:
            async_end_lease(link)
        self._pool = None
        self._returned = True

    def __del__(self) -> None:
        """Nothing to give back."""

    def check_out(self, timeout: float | None) -> CheckedOut:
        """What carries a statement, until the owner's deadline at most."""
        run, deadline, begin, prepared = super().check_out(timeout)
        return run, self._earlier(deadline), begin, prepared

    _check_out = check_out

    def deadline(self, timeout: float | None) -> float | None:
        """The absolute end of a call, at the owner's deadline at most."""
        return self._earlier(super().deadline(timeout))

    def _earlier(self, deadline: float | None) -> float | None:
        if self._until is None or deadline is None:
            return self._until if deadline is None else deadline
        return min(self._until, deadline)
