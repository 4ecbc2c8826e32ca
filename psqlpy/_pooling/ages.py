"""Ages: how long a pool's connections may live, and lie idle. It knows no clock: the policy is told the time."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, Generic, TypeVar

C = TypeVar("C")

# By up to how much of `max_lifetime` a connection's life is shorter, lest those that were opened together, after a
# restart for example, end together.
JITTER: Final = 0.1


def _random() -> float:
    # Its module makes tables and reads the system's randomness; most pools have no limits.
    from random import random

    return random()


class Ages(Generic[C]):
    """The limits of one pool, in seconds, None for none, and when each of its connections has reached its age.

    `draw` returns a number from 0 to 1.
    """

    __slots__ = ("_draw", "_ends", "_next", "max_idle", "max_lifetime", "now")

    def __init__(
        self,
        max_lifetime: float | None = None,
        max_idle: float | None = None,
        draw: Callable[[], float] = _random,
    ) -> None:
        self.max_lifetime = max_lifetime
        self.max_idle = max_idle
        self.now = 0.0
        self._draw = draw
        self._ends: dict[C, float] = {}
        # No life ends before.
        self._next = inf

    @property
    def are_limited(self) -> bool:
        """Whether there is any limit."""
        return self.max_lifetime is not None or self.max_idle is not None

    def begin(self, connection: C) -> None:
        """A connection was opened now."""
        if self.max_lifetime is not None:
            end = self._ends[connection] = self.now + self.max_lifetime * (1 - JITTER * self._draw())
            self._next = min(self._next, end)

    def forget(self, connections: tuple[C, ...]) -> None:
        """These have left the pool."""
        if self._ends:
            for connection in connections:
                self._ends.pop(connection, None)

    def ended(self) -> list[C]:
        """Whose life is over by now; each is named once."""
        if self.now < self._next:
            return []
        ended = [connection for connection, end in self._ends.items() if end <= self.now]
        for connection in ended:
            del self._ends[connection]
        self._next = min(self._ends.values(), default=inf)
        return ended

    @property
    def idle_since(self) -> float:
        """Whoever is idle since then, or longer, has been so for too long."""
        return -inf if self.max_idle is None else self.now - self.max_idle
