"""Turns: of work that many tasks come to at once, each turn of the event loop does as much as it has time for.

Without them five hundred connections that are begun together, or whose servers answer together, would hold the loop
until all of them have had their step.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from time import perf_counter
from typing import Any, Generic, TypeVar

from psqlpy._io.primitives import AsyncWake
from psqlpy._io.running import running_loop
from psqlpy._protocol.connect import Wait

# How long steps may take together until the loop gets its turn; the last one may take longer. Seconds.
BUDGET = 0.002

T = TypeVar("T")


class _Step(Generic[T]):
    """One call, its outcome, and who waits for it."""

    __slots__ = ("call", "error", "is_left", "result", "wake")

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call
        self.wake: AsyncWake | None = None
        self.result: T | None = None
        self.error: BaseException | None = None
        self.is_left = False

    def run(self) -> None:
        if self.is_left:
            return
        try:
            self.result = self.call()
        except BaseException as error:
            # Whoever waits is to have it, a KeyboardInterrupt too: trio ends when a callback raises.
            self.error = error
        if self.wake is not None:
            self.wake.set()


class Turns:
    """The steps of one event loop, first come, first served."""

    __slots__ = ("__weakref__", "_call_soon", "_is_taken", "_steps", "loop")

    def __init__(self, loop: Any, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self.loop = loop
        # Whose callbacks run in the loop's next turn.
        self._call_soon = call_soon
        self._is_taken = False
        self._steps: deque[_Step[Any]] = deque()

    async def run(self, call: Callable[[], T]) -> T:
        """Make a call that doesn't wait: now if nobody had this turn of the loop yet, else when its turn comes."""
        step = _Step(call)
        self._steps.append(step)
        if not self._is_taken:
            self._work()
        else:
            step.wake = AsyncWake()
            try:
                await step.wake.wait(None)
            except BaseException:
                step.is_left = True
                raise
        if step.error is not None:
            try:
                raise step.error
            finally:
                # Or it would refer to itself by way of this frame.
                step.error = None
        return step.result  # type: ignore[return-value]  # a step without an error has one, which may be None

    def _work(self) -> None:
        # First, since a KeyboardInterrupt may strike in a step.
        self._is_taken = True
        self._call_soon(self._next_turn)
        until = perf_counter() + BUDGET
        while self._steps:
            self._steps.popleft().run()
            if perf_counter() >= until:
                break

    def _next_turn(self) -> None:
        self._is_taken = False
        if self._steps:
            self._work()


# A weak reference: what a loop has left to do here the loop refers to, and it mustn't be kept when it has ended.
_running = threading.local()


def turns() -> Turns:
    """Those of the event loop that runs here."""
    loop: Any = running_loop()
    if loop is not None:
        call_soon = loop.call_soon
    else:
        import trio

        loop = trio.lowlevel.current_trio_token()
        call_soon = loop.run_sync_soon
    reference: weakref.ref[Turns] | None = getattr(_running, "turns", None)
    known = None if reference is None else reference()
    if known is None or known.loop is not loop:
        known = Turns(loop, call_soon)
        _running.turns = weakref.ref(known)
    return known


class _End:
    """What a generator has returned."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _advance(dialogue: Generator[Wait, set[int], Any], ready: set[int] | None) -> Wait | _End:
    try:
        return next(dialogue) if ready is None else dialogue.send(ready)
    except StopIteration as ended:
        # In a coroutine it would become a RuntimeError.
        return _End(ended.value)


async def _wait_for_work(wanted: Wait) -> set[int]:
    assert wanted.work is not None
    wake = AsyncWake()
    wanted.work.start(wake.set)
    await wake.wait(wanted.until)
    return set()


async def drive_in_turns(
    dialogue: Generator[Wait, set[int], Any], wait_any: Callable[[Wait], Awaitable[set[int]]]
) -> Any:
    """Run a generator that yields what to wait for; it is closed when the caller is cancelled."""
    mine = turns()
    ready: set[int] | None = None
    try:
        while not isinstance(wanted := await mine.run(partial(_advance, dialogue, ready)), _End):
            ready = await (wait_any(wanted) if wanted.work is None else _wait_for_work(wanted))
        return wanted.value
    finally:
        dialogue.close()
