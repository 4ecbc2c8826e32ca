"""Outages: what a pool does when one of its connections tells that others are of no use any more."""

from __future__ import annotations

from math import inf
from typing import Any

from psqlpy import exceptions
from psqlpy._async.connection import Connection
from psqlpy._async.lending import Lending
from psqlpy._io.links import AsyncLink
from psqlpy._io.primitives import monotonic
from psqlpy._pooling.counts import LOST
from psqlpy._protocol.outage import ends_all

# What the server said before it could have read a statement arrives this much later, at most. Seconds.
ON_ITS_WAY = 0.25


class Outages(Lending):
    """The part of a pool that survives its servers."""

    __slots__ = ()

    def _follow_outage(self, link: AsyncLink) -> None:
        """Close the idle connections that were opened before the last outage, of which `link` tells.

        Where it was closed because its server refuses writes, those in use follow when they come back.
        """
        self._retire(link.era, in_use_too=link.session.close_reason is None)

    async def _open(self, deadline: float | None) -> AsyncLink:
        try:
            return await super()._open(deadline)
        except exceptions.Error as error:
            if ends_all(error.sqlstate):
                self._retire(self._era, in_use_too=False)
            raise

    def _retire(self, era: int, *, in_use_too: bool) -> None:
        with self._lock:
            if era != self._era:
                # Others of its time have told before. What was opened since is of the time after.
                return
            self._era += 1
            outcome = self._policy.expire() if in_use_too else self._policy.retire_idle(LOST)
            self._sharing.close_lanes()
        self._act(outcome)

    async def _with_connection(
        self: Any,  # the pool
        method: str,
        deadline: float | None,
        *arguments: object,
        **options: object,
    ) -> Any:
        """Call a method of a connection of the pool's; once more if that turns out to have ended before."""
        again = True
        while True:
            link = await self.take_link(deadline)
            connection = None
            try:
                connection = Connection(self, link)
                # Not None, which would be the pool's default again.
                left = inf if deadline is None else max(0.0, deadline - monotonic())
                return await getattr(connection, method)(*arguments, timeout=left, **options)
            except exceptions.ConnectionLostError as error:
                # Nothing was executed where it had ended before, and the news of it was still on its way.
                if not error.safe_to_retry or not again:
                    raise
                again = False
            finally:
                if connection is not None:
                    connection.close()
                else:
                    # A KeyboardInterrupt struck before there was a handle to give it back.
                    self.give_back(link)


def is_worth_another(error: exceptions.ConnectionLostError, began: float, repeatable: bool) -> bool:
    """Whether a statement that met a dying connection is to be run on another one.

    Of `safe_to_retry` nothing was executed. Other ones must be `repeatable`, and young: what ran for longer may be why
    the server ended it, or an administrator.
    """
    return error.safe_to_retry or (repeatable and monotonic() - began < ON_ITS_WAY)
