"""What a stream needs of its driver, in pairs: who reads it, when to look for input, and how to leave it."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from typing import Any

from psqlpy._io.asyncio_driver import AsyncioDriver
from psqlpy._io.cancel import DRAIN_BUDGET, THREAD_DRAIN_BUDGET
from psqlpy._io.links import AsyncLink, SyncLink
from psqlpy._io.running import running_loop
from psqlpy._protocol.stream import Stream


async def async_attach(link: AsyncLink, stream: Stream) -> None:
    """Tell a stream who reads it, and under which event loop."""
    await link.move_here()

    def set_reading(on: bool) -> None:
        driver = link.driver
        if isinstance(driver, AsyncioDriver):
            driver.set_reading(on)

    reader = _current_task()
    stream.set_reading = set_reading
    stream.is_own_caller = lambda: reader is not None and (_current_task() is reader or _has_ended(reader))


def sync_attach(_link: SyncLink, stream: Stream) -> None:
    """Tell a stream who reads it."""
    reader = threading.current_thread()
    stream.is_own_caller = lambda: threading.current_thread() is reader or not reader.is_alive()


def _current_task() -> Any:
    """The running task; None outside of any."""
    if running_loop() is not None:
        return asyncio.current_task()
    trio = sys.modules.get("trio")
    return trio.lowlevel.current_task() if trio is not None and trio.lowlevel.in_trio_task() else None


def _has_ended(task: Any) -> bool:
    """Whether a task, of asyncio or trio, will never run again."""
    if isinstance(task, asyncio.Future):
        return task.done()
    return bool(inspect.getcoroutinestate(task.coro) == inspect.CORO_CLOSED)


async def async_turn() -> None:
    """Let others have their turn: rows that are there already aren't waited for."""
    if running_loop() is not None:
        await asyncio.sleep(0)
    else:
        import trio

        await trio.lowlevel.checkpoint()


def sync_turn() -> None:
    """Threads take their turns."""


def patience(deadline: float | None) -> float:
    """How long a thread that waits until then may drain what it has left; the server is to have its chance."""
    if deadline is None:
        return DRAIN_BUDGET
    return min(DRAIN_BUDGET, max(THREAD_DRAIN_BUDGET, deadline - time.monotonic()))


def async_leave(link: AsyncLink, stream: Stream, _budget: float = 0.0) -> None:
    """Have a stream cancelled that nobody reads any more; waits for nothing."""
    driver = link.driver
    if driver is None:
        return
    if stream.let_go():
        driver.leave(stream)
    if link.is_closed:
        return
    if not isinstance(driver, AsyncioDriver):
        driver.pass_on()
    elif link.session.has_more or link.session.wants_write:
        driver.follow()


def sync_leave(link: SyncLink, stream: Stream, budget: float = THREAD_DRAIN_BUDGET) -> None:
    """Have a stream cancelled that nobody reads any more, and drop its rows for so many seconds at most."""
    with link.driver.inside():
        is_left = stream.let_go()
    if is_left:
        link.driver.leave(stream, budget)
    else:
        link.driver.pass_on()
