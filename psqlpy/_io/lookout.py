"""Lookouts: who looks around now and then as long as others wait, `AsyncLookout` or `SyncLookout`.

Under asyncio that is one timer for all who wait on a loop: thousands wait at once, and a timer of each one's own would
be most of what waiting costs. It goes with its loop, so nobody depends on one that has ended. Under trio and in threads
everybody looks, since a wait costs the same whether it ends early or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from time import monotonic
from typing import TYPE_CHECKING
from weakref import ReferenceType, WeakMethod, ref

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

    from psqlpy._io.primitives import AsyncWake, SyncWake

# The pause before the first look is what the caller says, up to twice that, lest all look at once; then they grow.
# Seconds.
_LONGEST_PAUSE = 16.0
# None is taken with less than this left to wait, since it may take some time itself. Seconds.
_MARGIN = 0.25


class _Round:
    """The looks on one loop."""

    __slots__ = ("first", "is_joined", "loop", "pause", "timer", "until")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self.timer: TimerHandle | None = None
        # The one they are in, 0 if there are none any more; and the first one.
        self.pause = 0.0
        self.first = 0.0
        # Since the last look somebody came to wait, who is to be helped as soon as the first one would.
        self.is_joined = False
        # When the last of those who wait gives up.
        self.until = -inf

    def start(self, pause: float, loop: AbstractEventLoop, lookout: AsyncLookout) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.pause = pause
        self.timer = loop.call_later(pause, _ring, ref(lookout), self)


def _ring(reference: ReferenceType[AsyncLookout], found: _Round) -> None:
    lookout = reference()
    if lookout is not None:
        lookout.ring(found)


class AsyncLookout:
    """`look` is a method, whose object this doesn't keep. It returns whether somebody still waits."""

    __slots__ = ("__weakref__", "_look", "_rounds")

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = WeakMethod(look)
        # One for each loop. Replaced, never changed: each thread may have a loop.
        self._rounds: tuple[_Round, ...] = ()

    def begins(self, wake: AsyncWake, until: float | None, first: float) -> bool:
        """Note that somebody waits until then; returns whether nobody looked around for him before."""
        loop = wake.loop
        until = inf if until is None else until
        if loop is None or (until != inf and until <= monotonic() + first + _MARGIN):
            return True
        for found in self._rounds:
            if found.loop() is loop:
                break
        else:
            found = _Round(loop)
            self._rounds = (*(other for other in self._rounds if other.loop() is not None), found)
        found.is_joined = True
        found.until = max(found.until, until)
        if 0.0 < found.pause <= 2 * first:
            return False
        is_new = not found.pause
        found.first = first
        found.start(_first_pause(first), loop, self)
        return is_new

    def moments(self, wake: AsyncWake, until: float | None, first: float) -> Iterable[float]:
        """The times at which who waits until then is to look himself."""
        return _moments(until, first) if wake.loop is None else ()

    def ring(self, found: _Round) -> None:
        """It is time for a look, and for the next one if somebody still waits."""
        pause, found.pause = found.pause, 0.0
        look, loop = self._look(), found.loop()
        if look is None or loop is None:
            return
        is_joined, found.is_joined = found.is_joined, False
        if monotonic() + _MARGIN < found.until and look():
            found.start(_first_pause(found.first) if is_joined else _next_pause(pause), loop, self)
        else:
            found.until = -inf


class SyncLookout:
    """The same for threads: each looks himself."""

    __slots__ = ()

    def __init__(self, look: Callable[[], bool]) -> None: ...

    def begins(self, wake: SyncWake, until: float | None, first: float) -> bool:
        return True

    def moments(self, wake: SyncWake, until: float | None, first: float) -> Iterable[float]:
        """The times at which who waits until then is to look."""
        return _moments(until, first)


def _moments(until: float | None, first: float) -> Iterator[float]:
    pause = _first_pause(first)
    while until is None or monotonic() + pause + _MARGIN < until:
        yield monotonic() + pause
        pause = _next_pause(pause)


def _first_pause(first: float) -> float:
    from random import random

    return min(first * (1 + random()), _LONGEST_PAUSE)


def _next_pause(pause: float) -> float:
    return min(2 * pause, _LONGEST_PAUSE)
