"""Event loops whose clock can be put forward, and psqlpy's with it: a timeout ends without anybody having waited."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Main = Callable[[], Awaitable[Any]]

_real = time.monotonic


class Clock:
    """What `time.monotonic` says, and how to put it forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        # Those of event loops that don't ask `time.monotonic`.
        self.others: list[Callable[[float], object]] = []

    def now(self) -> float:
        return _real() + self.ahead

    def jump(self, seconds: float) -> None:
        self.ahead += seconds
        for other in self.others:
            other(seconds)


@contextmanager
def movable_clock() -> Iterator[Clock]:
    """While the block lasts all of Python's code that asks for monotonic time is told ours."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", clock.now)
        for name, module in list(sys.modules.items()):
            if name.startswith(("psqlpy", "tests.")) and getattr(module, "monotonic", None) is _real:
                patch.setattr(module, "monotonic", clock.now)
        yield clock


def run_asyncio(main: Main, clock: Clock) -> Any:
    async def call() -> Any:
        return await main()

    return asyncio.run(call())


def run_uvloop(main: Main, clock: Clock) -> Any:
    """Its timers are libuv's: those that are due after a jump are called by ourselves."""
    uvloop: Any = pytest.importorskip("uvloop")

    class Timer:
        def __init__(self, loop: Any, delay: float, call: Callable[[], object]) -> None:
            self.loop, self.call = loop, call
            self.moment: float = loop.time() + delay
            self.is_over = False
            loop.timers.add(self)
            uvloop.Loop.call_later(loop, delay, self.run)

        def run(self) -> None:
            self.loop.timers.discard(self)
            if not self.is_over:
                self.is_over = True
                self.call()

        def cancel(self) -> None:
            self.loop.timers.discard(self)
            self.is_over = True

        def cancelled(self) -> bool:
            return self.is_over

        def when(self) -> float:
            return self.moment

    class Loop(uvloop.Loop):  # type: ignore[misc]  # it is imported where it is wanted
        def __init__(self) -> None:
            self.timers: set[Timer] = set()

        def time(self) -> float:
            return float(super().time()) + clock.ahead

        def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
            return Timer(self, delay, lambda: callback(*args))

        def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
            return self.call_later(when - self.time(), callback, *args)

        def after_jump(self, _: float) -> None:
            for timer in list(self.timers):
                if timer.moment <= self.time():
                    self.call_soon(timer.run)

    async def call() -> Any:
        clock.others.append(asyncio.get_running_loop().after_jump)  # type: ignore[attr-defined]  # ours
        return await main()

    loop = Loop()
    asyncio.set_event_loop(loop)
    try:
        answer = loop.run_until_complete(call())
        loop.run_until_complete(loop.shutdown_asyncgens())
        return answer
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def run_trio(main: Main, clock: Clock) -> Any:
    trio = pytest.importorskip("trio")
    from trio.testing import MockClock

    its = MockClock(rate=1.0)
    clock.others.append(its.jump)
    return trio.run(main, clock=its)


RUNNERS: dict[str, Callable[[Main, Clock], Any]] = {
    "asyncio": run_asyncio,
    "uvloop": run_uvloop,
    "trio": run_trio,
}
