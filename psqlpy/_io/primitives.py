"""Pairs of one shape, `AsyncX` and `SyncX`: what the public classes wait with, besides links."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from sys import modules
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from psqlpy._io.notebook import keep_interruptible
from psqlpy._io.running import running_loop

if TYPE_CHECKING:
    from asyncio import Future

_locks: WeakSet[Any] = WeakSet()


def Lock() -> threading.Lock:
    """Make a lock, to be held for a few instructions and never while waiting, that is free in a forked child.

    The thread that held it at the fork isn't there.
    """
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def _free_locks() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)

monotonic = time.monotonic


def async_home() -> object:
    """What those have in common who may use one connection at once: asyncio's loop, or the thread that trio runs in."""
    return running_loop() or threading.get_ident()


def sync_home() -> object:
    """All threads may use one connection at once."""
    return "threads"


class AsyncWake:
    """Something one task waits for, again after a deadline, and any thread may announce, once.

    Made by the one who waits.
    """

    __slots__ = ("_announced", "_event", "_future", "_token", "loop")

    def __init__(self) -> None:
        self._announced = False
        self.loop = running_loop()
        self._future: Future[None] | None = None
        self._event: Any = None
        self._token: Any = None
        if self.loop is not None:
            self._future = self.loop.create_future()
        else:
            import trio

            self._event = trio.Event()
            self._token = trio.lowlevel.current_trio_token()

    def set(self) -> bool:
        """Announce it, from any thread; False when the event loop that waited has ended."""
        self._announced = True
        try:
            if self.loop is None:
                self._token.run_sync_soon(self._event.set)
            elif self.loop is running_loop():
                self._set_future()
            else:
                self.loop.call_soon_threadsafe(self._set_future)
        except Exception as error:
            # The event loop has ended, and with it the task that waited.
            if not isinstance(error, RuntimeError) and type(error).__name__ != "RunFinishedError":
                raise
            return False
        return True

    def _set_future(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, deadline: float | None) -> bool:
        """Wait until it is announced; False when the deadline (time.monotonic) passes first."""
        if self._announced:
            return True
        if self.loop is None:
            import trio

            timeout = float("inf") if deadline is None else max(0.0, deadline - monotonic())
            with trio.move_on_after(timeout):
                await self._event.wait()
            return self._announced
        assert self._future is not None
        if self._future.done():
            # By the timer of the wait before.
            self._future = self.loop.create_future()
        if "ipykernel" in modules:
            keep_interruptible(self.loop, self._future)
        if deadline is None:
            await self._future
            return True
        timer = self.loop.call_later(max(0.0, deadline - monotonic()), self._set_future)
        try:
            await self._future
        finally:
            timer.cancel()
        return self._announced


class SyncWake:
    """Something one thread waits for and any thread may announce, once."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> bool:
        self._event.set()
        return True

    def wait(self, deadline: float | None) -> bool:
        """Wait until it is announced; False when the deadline (time.monotonic) passes first."""
        return self._event.wait(None if deadline is None else max(0.0, deadline - monotonic()))


async def async_sleep(seconds: float) -> None:
    """Wait."""
    await AsyncWake().wait(monotonic() + seconds)


def sync_sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def both(first: Callable[[], None] | None, second: Callable[[], None]) -> Callable[[], None]:
    """One callback for two, of which the first may be missing."""
    if first is None:
        return second
    earlier = first

    def call() -> None:
        try:
            earlier()
        finally:
            second()

    return call
