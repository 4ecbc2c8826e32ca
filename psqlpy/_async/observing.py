"""Observing: what a pool tells of itself, and how its connections are renewed while it is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy._async.lending import Lending

if TYPE_CHECKING:
    from psqlpy._status import ConnectionPoolStats


class Observing(Lending):
    """A pool's counters, and the end of its connections' lives."""

    __slots__ = ()

    def stats(self) -> ConnectionPoolStats:
        """What the pool has done since it was made, in numbers that only grow; waits for nothing."""
        from psqlpy._status import ConnectionPoolStats

        if self._dropped:
            self._collect()
        with self._lock:
            return ConnectionPoolStats(*self._policy.counts.as_tuple())

    def expire_connections(self) -> None:
        """Let every connection that exists now be replaced: idle ones close at once, others when they come back.

        For after a fail-over, a change of DNS or of credentials. Nobody who uses a connection is disturbed, and
        connections are made as they are needed. Waits for nothing.
        """
        with self._lock:
            outcome = self._policy.expire()
            self._sharing.close_lanes()
        self._act(outcome)
        if self._dropped:
            self._collect()
