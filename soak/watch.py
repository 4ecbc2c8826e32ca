"""How long calls take, what they end with, and what shouldn't have been; one for each runtime."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psqlpy import exceptions
from soak.runtimes import Runtime, settle

# What a call may take beyond its timeout, the scheduler's own delay aside. Seconds.
GRACE = 0.1
# What else a machine with other work may take, as in all tests of time.
SLACK = 0.25
BEAT = 0.01


class Watch:
    """`findings` is what must be empty in the end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        #: By how much calls were later than their timeouts: the most, and without the scheduler's own delay.
        self.latest = 0.0
        self.latest_net = 0.0
        #: How many calls were later than GRACE, without that delay.
        self.late = 0
        self._lock = threading.Lock()
        self._taken: list[float] = []
        self._failed = 0
        # (when, how late) of the last beats.
        self._beats: deque[tuple[float, float]] = deque(maxlen=1000)
        self._last_beat = time.monotonic()
        self.over = False

    def find(self, what: str) -> None:
        if len(self.findings) < 100:
            self.findings.append(f"{self.name}: {what}")

    async def beat(self, runtime: Runtime) -> None:
        """Note how late whoever sleeps is woken, until it is over."""
        while not self.over:
            await runtime.sleep(BEAT)
            now = time.monotonic()
            self._beats.append((now, now - self._last_beat - BEAT))
            self._last_beat = now

    def _asleep(self, since: float, now: float) -> float:
        """For how long, of this time, those weren't woken who should have been awake.

        A call that ends needs several turns, one after the other; each may come so late.
        """
        beats = [*tuple(self._beats), (now, max(0.0, now - self._last_beat - BEAT))]
        return sum(max(0.0, min(at, now) - max(at - by, since)) for at, by in beats)

    def note(self, kind: str, begun: float, limit: float | None, outcome: str | None) -> None:
        """One call has ended, with an error's name or None. `limit`: how long it could take."""
        now = time.monotonic()
        with self._lock:
            self.kinds[kind] += 1
            if outcome is None:
                self._taken.append(now - begun)
            else:
                self._failed += 1
                self.outcomes[outcome] += 1
        if limit is not None:
            self.note_end(f"{kind} with a limit of {limit:.3f} s", begun + limit, outcome)

    def note_end(self, what: str, due: float, outcome: str | None) -> None:
        """Something has ended that had to by then."""
        now = time.monotonic()
        over = now - due
        if over <= 0.0:
            return
        net = over - self._asleep(due, now)
        with self._lock:
            self.latest = max(self.latest, over)
            self.latest_net = max(self.latest_net, net)
            self.late += net > GRACE
        if net > GRACE + SLACK:
            self.find(f"{what} ended {over:.3f} s too late ({net:.3f} s of it its own): {outcome}")

    async def call(self, kind: str, limit: float, function: Any, *args: Any, **options: Any) -> Any:
        """Call with a timeout, and note how that went."""
        return await self.step(kind, limit, functools.partial(function, timeout=limit, **options), *args)

    @asynccontextmanager
    async def block(self, kind: str, limit: float, manager: Any) -> AsyncIterator[Any]:
        """A block of either API, whose beginning and end are calls; `limit` is its pool's timeout."""
        entered = await self.step(f"{kind}: begin", limit, _enter, manager)
        try:
            yield entered
        except BaseException as error:
            if not await self.step(f"{kind}: end", limit, _exit, manager, error):
                raise
        else:
            await self.step(f"{kind}: end", limit, _exit, manager, None)

    async def step(self, kind: str, limit: float | None, function: Any, *args: Any) -> Any:
        """Call what takes no timeout of its own."""
        begun = time.monotonic()
        outcome: str | None = "cancelled"
        try:
            result = await settle(function(*args))
            outcome = None
            return result
        except exceptions.Error as error:
            outcome = type(error).__name__
            raise
        finally:
            self.note(kind, begun, limit, outcome)

    def take(self) -> tuple[list[float], int]:
        """How long the successful calls since the last time took, and how many failed."""
        with self._lock:
            taken, failed = self._taken, self._failed
            self._taken, self._failed = [], 0
        return taken, failed


def _enter(manager: Any) -> Any:
    return manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()


def _exit(manager: Any, error: BaseException | None) -> Any:
    leave = manager.__aexit__ if hasattr(manager, "__aexit__") else manager.__exit__
    return leave(
        None if error is None else type(error), error, None if error is None else error.__traceback__
    )
