"""Outages: what a pool does when one of its connections tells that others are of no use any more."""

from __future__ import annotations

from psqlpy import exceptions
from psqlpy._async.lending import Lending
from psqlpy._io.links import AsyncLink
from psqlpy._io.primitives import monotonic
from psqlpy._pooling.counts import LOST

# What the server said before it could have read a statement arrives this much later, at most. Seconds.
ON_ITS_WAY = 0.25


class Outages(Lending):
    """The part of a pool that survives its servers."""

    __slots__ = ()

    def _follow_outage(self, link: AsyncLink) -> None:
        """Close the idle connections that were opened before the last outage, of which `link` tells.

        Where it was closed because its server refuses writes, those in use follow when they come back.
        """
        with self._lock:
            if link.era != self._era:
                # Others of its time have told before. What was opened since is of the time after.
                return
            self._era += 1
            in_use_too = link.session.close_reason is None
            outcome = self._policy.expire() if in_use_too else self._policy.retire_idle(LOST)
            self._sharing.close_lanes()
        self._act(outcome)


def is_worth_another(error: exceptions.ConnectionLostError, began: float, repeatable: bool) -> bool:
    """Whether a statement that met a dying connection is to be run on another one.

    Of `safe_to_retry` nothing was executed. Other ones must be `repeatable`, and young: what ran for longer may be why
    the server ended it, or an administrator.
    """
    return error.safe_to_retry or (repeatable and monotonic() - began < ON_ITS_WAY)
