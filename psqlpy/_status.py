"""ConnectionPoolStatus: what `ConnectionPool.status()` returns."""

from __future__ import annotations

from typing import NamedTuple


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
