"""Counts: what a pool has done since it was made. Changed under the pool's lock, like everything of its policy."""

from __future__ import annotations

#: Why connections are closed; what `Counts.closed` is told.
LOST = "lost"  # broken, or it could not be reset
EXPIRED = "expired"  # by expire_connections()
SURPLUS = "surplus"  # the pool was made smaller
POOL_CLOSED = "pool closed"
MAX_LIFETIME = "max_lifetime"  # it was as old as the pool's max_lifetime allows
MAX_IDLE = "max_idle"  # nobody used it for the pool's max_idle
REASONS = (LOST, EXPIRED, SURPLUS, POOL_CLOSED, MAX_LIFETIME, MAX_IDLE)


class Counts:
    """Plain numbers; `closed` has one for each reason."""

    __slots__ = ("acquired", "closed", "errors", "opened", "timed_out", "waited")

    def __init__(self) -> None:
        self.acquired = 0
        self.opened = 0
        self.closed = dict.fromkeys(REASONS, 0)
        self.waited = 0
        self.timed_out = 0
        self.errors = 0

    def as_tuple(self) -> tuple[int, int, dict[str, int], int, int, int]:
        """A copy, in the order of ConnectionPoolStats."""
        return self.acquired, self.opened, dict(self.closed), self.waited, self.timed_out, self.errors
