"""Attempts: which address of which host is tried when. No clock, no socket: times and events come in, decisions go out.

The rules:
1. Hosts are tried in their order, and a host's addresses in theirs; with load balancing both are shuffled.
2. The next one starts when the one before has failed, or has been without a TCP connection for HEDGE_DELAY: a silent
   host costs that much, a slow one that lives is never overtaken.
3. While one of them has a TCP connection no other is started.
4. The first whose server answers has the others closed, before any of them sends a password. They come back, in their
   order, should it fail.
5. A refused password ends it all: the same one would be refused, and counted, by the next server too.
6. `prefer-standby` is two passes: a standby anywhere, then any of the servers that answered.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from psqlpy._plan import Endpoint

if TYPE_CHECKING:
    import random

HEDGE_DELAY = 0.25
_NEVER = float("inf")


class Phase(IntEnum):
    """How far an attempt is."""

    WAITING = 0
    RESOLVING = 1
    CONNECTING = 2
    CONNECTED = 3  # TCP
    ANSWERED = 4
    AUTHENTICATED = 5


class Attempt:
    """One address to try, or one name to resolve first; `target` is libpq's target_session_attrs for it."""

    __slots__ = ("address", "endpoint", "expires_at", "order", "phase", "target")

    def __init__(
        self, endpoint: Endpoint, target: str, order: tuple[int, int], address: str | None = None
    ) -> None:
        self.endpoint = endpoint
        self.target = target
        self.order = order
        self.address = address
        self.phase = Phase.WAITING
        self.expires_at = _NEVER

    @property
    def needs_resolving(self) -> bool:
        return self.address is None and self.endpoint.needs_resolving

    def describe(self) -> str:
        return self.endpoint.describe(self.address)

    def __repr__(self) -> str:
        return f"<Attempt {self.describe()}, {self.phase.name}>"


class Attempts:
    """All attempts of one connect. Its driver reports what becomes of an attempt, and closes those it is told to."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        target: str = "any",
        load_balance: bool = False,
        connect_timeout: float | None = None,
        rng: random.Random | None = None,
    ) -> None:
        hosts = list(endpoints)
        self._rng = (rng or _make_rng()) if load_balance else None
        if self._rng is not None:
            self._rng.shuffle(hosts)
        self._is_first_of_two = target == "prefer-standby"
        first_target = "standby" if self._is_first_of_two else target
        self._waiting = [Attempt(host, first_target, (index, 0)) for index, host in enumerate(hosts)]
        self._connect_timeout = connect_timeout
        self._next_at = -_NEVER
        self._latest: Attempt | None = None
        self._no_standby: list[Attempt] = []
        self.running: list[Attempt] = []

    @property
    def is_over(self) -> bool:
        """Nothing runs and nothing is left to try."""
        return not self.running and not self._waiting

    def start(self, now: float) -> Attempt | None:
        """The next attempt if one is to start now; ask again until it is None."""
        if not self._waiting or (self.running and (self._is_taken or now < self._next_at)):
            return None
        attempt = self._waiting.pop(0)
        attempt.phase = Phase.RESOLVING if attempt.needs_resolving else Phase.CONNECTING
        attempt.expires_at = _NEVER if self._connect_timeout is None else now + self._connect_timeout
        self.running.append(attempt)
        self._latest = attempt
        self._next_at = now + HEDGE_DELAY
        return attempt

    def wake_at(self) -> float:
        """When to call `expire` and `start` again should nothing happen before; infinite for never."""
        times = [attempt.expires_at for attempt in self.running]
        if self._waiting and not self._is_taken:
            times.append(self._next_at)
        return min(times, default=_NEVER)

    def resolved(self, attempt: Attempt, addresses: Sequence[str]) -> None:
        """A name has these addresses, at least one: each of them is an attempt, in the place of this one."""
        self.running.remove(attempt)
        unique = list(dict.fromkeys(addresses))
        if self._rng is not None:
            self._rng.shuffle(unique)
        for index, address in enumerate(unique):
            order = (attempt.order[0], index)
            self._put_back(Attempt(attempt.endpoint, attempt.target, order, address))
        # It is still its turn.
        self._next_at = -_NEVER

    def reached(self, attempt: Attempt, phase: Phase) -> list[Attempt]:
        """A running attempt got this far. Returns the others if they have to be closed now; they come back later."""
        if phase <= attempt.phase:
            return []
        answers = attempt.phase < Phase.ANSWERED <= phase
        attempt.phase = phase
        if not answers:
            return []
        losers = [other for other in self.running if other is not attempt]
        self.running = [attempt]
        for loser in losers:
            loser.phase = Phase.WAITING
            self._put_back(loser)
        return losers

    def failed(self, attempt: Attempt, *, is_final: bool = False) -> None:
        """A running attempt came to nothing; `is_final`: the others would too."""
        self.running.remove(attempt)
        if is_final:
            self._waiting.clear()
            return
        if attempt is self._latest:
            self._next_at = -_NEVER
        if self._is_first_of_two and attempt.phase >= Phase.ANSWERED:
            self._no_standby.append(attempt)
        if self.is_over and self._is_first_of_two:
            self._is_first_of_two = False
            for refused in self._no_standby:
                self._put_back(Attempt(refused.endpoint, "any", refused.order, refused.address))

    def expired(self, now: float) -> list[Attempt]:
        """Running attempts whose time is over: report each of them as failed."""
        return [attempt for attempt in self.running if attempt.expires_at <= now]

    @property
    def _is_taken(self) -> bool:
        return any(attempt.phase >= Phase.CONNECTED for attempt in self.running)

    def _put_back(self, attempt: Attempt) -> None:
        bisect.insort(self._waiting, attempt, key=lambda waiting: waiting.order)


def _make_rng() -> random.Random:
    # Imported by those who balance only: it costs more than all of this package's start.
    import random

    return random.Random()
