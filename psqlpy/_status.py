"""ConnectionPoolStatus and ConnectionPoolStats: what `ConnectionPool.status()` and `stats()` return."""

from __future__ import annotations

from typing import NamedTuple

from psqlpy._naming import public


@public
class ConnectionPoolStatus(NamedTuple):
    """A pool's numbers at one moment.

    `size` counts open connections and those being opened, `available` those that nobody holds, `waiting` the calls that
    have no connection yet.
    """

    max_size: int
    size: int
    available: int
    waiting: int

    def __str__(self) -> str:
        return (
            f"Connection Pool Status - [max_size: {self.max_size}, size: {self.size}, "
            f"available: {self.available}, waiting: {self.waiting}]"
        )


@public
class ConnectionPoolStats(NamedTuple):
    """What a pool has done since it was made.

    acquired: connections given to a call or a block.
    opened: connections made.
    closed: connections closed, a dict by reason: "lost" (broken, idle when another one broke, or refused by the
        `reset` hook), "expired" (by `expire_connections`, or their server has become read-only), "surplus" (by
        `resize`), "pool closed", "max_lifetime" and "max_idle" (at the pool's limit of that name).
    waited: calls that found all connections in use.
    timed_out: of these, those whose time was over before one became free.
    errors: connections that could not be made, the `setup` hook included.
    """

    acquired: int
    opened: int
    closed: dict[str, int]
    waited: int
    timed_out: int
    errors: int
