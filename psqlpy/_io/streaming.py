"""What a stream needs of its driver, in pairs: who reads it, when to look for input, and how to leave it."""

from __future__ import annotations

import asyncio
import sys
import threading
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
    stream.is_own_caller = lambda: reader is not None and _current_task() is reader


def sync_attach(_link: SyncLink, stream: Stream) -> None:
    """Tell a stream who reads it."""
    reader = threading.get_ident()
    stream.is_own_caller = lambda: threading.get_ident() == reader


def _current_task() -> Any:
    """The running task; None outside of any."""
    if running_loop() is not None:
        return asyncio.current_task()
    trio = sys.modules.get("trio")
    return trio.lowlevel.current_task() if trio is not None and trio.lowlevel.in_trio_task() else None


async def async_turn() -> None:
    """Let others have their turn: rows that are there already aren't waited for."""
    if running_loop() is not None:
        await asyncio.sleep(0)
    else:
        import trio

        await trio.lowlevel.checkpoint()


def sync_turn() -> None:
    """Threads take their turns."""


def async_leave(link: AsyncLink, stream: Stream, *, at_once: bool = True) -> None:
    """Have a stream cancelled that nobody reads any more; waits for nothing."""
    driver = link.driver
    if driver is None:
        return
    if stream.let_go():
        driver.leave(stream)
    if not isinstance(driver, AsyncioDriver):
        driver.pass_on()
    elif link.session.has_more or link.session.wants_write:
        driver.follow()


def sync_leave(link: SyncLink, stream: Stream, *, at_once: bool = True) -> None:
    """Have a stream cancelled that nobody reads any more, and drop its rows; for a tenth of a second if `at_once`."""
    with link.driver.inside():
        is_left = stream.let_go()
    if is_left:
        link.driver.leave(stream, THREAD_DRAIN_BUDGET if at_once else DRAIN_BUDGET)
    else:
        link.driver.pass_on()
