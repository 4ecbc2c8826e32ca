"""What dialogues that pause need of links and drivers, in pairs: who their caller is, and how they are left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

from psqlpy import exceptions
from psqlpy._io import background
from psqlpy._io.cancel import DRAIN_BUDGET, THREAD_DRAIN_BUDGET
from psqlpy._io.links import AsyncLink, SyncLink, is_asyncio
from psqlpy._io.running import enclosing_loop, running_loop
from psqlpy._protocol.pausing import PausingDialogue


def async_attach(dialogue: PausingDialogue) -> None:
    """Tell a dialogue who goes on with it: the running task."""
    task = _current_task()
    if task is None:
        dialogue.is_own_caller = bool
        return
    # Weakly: one that has failed keeps its frames, and they what has to be dropped for the connection to be free.
    caller = ref(task)
    dialogue.is_own_caller = lambda: _is_or_has_ended(caller())


def sync_attach(dialogue: PausingDialogue) -> None:
    """Tell a dialogue who goes on with it: the running thread."""
    caller = threading.current_thread()
    dialogue.is_own_caller = lambda: threading.current_thread() is caller or not caller.is_alive()


def _current_task() -> Any:
    """The running task; None outside of any."""
    if running_loop() is not None:
        import asyncio

        return asyncio.current_task()
    trio = sys.modules.get("trio")
    return trio.lowlevel.current_task() if trio is not None and trio.lowlevel.in_trio_task() else None


def _is_or_has_ended(task: Any) -> bool:
    """Whether a task, of asyncio or trio, runs now or never will again: what it began is waited for in vain."""
    if task is None or task is _current_task():
        return True
    import inspect

    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(task, asyncio.Future):
        return bool(task.done())
    return bool(inspect.getcoroutinestate(task.coro) == inspect.CORO_CLOSED)


async def async_turn() -> None:
    """Let others have their turn: what is there already isn't waited for."""
    if running_loop() is not None:
        import asyncio

        await asyncio.sleep(0)
    else:
        import trio

        await trio.lowlevel.checkpoint()


def sync_turn() -> None:
    """Threads take their turns."""


def patience(deadline: float | None, error: BaseException | None = None) -> float:
    """How long a thread that waits until then may drain what it has left; the server is to have its chance.

    `error` is why it leaves: who is interrupted, or out of time, leaves at once.
    """
    if error is not None and (
        not isinstance(error, Exception) or isinstance(error, exceptions.QueryTimeoutError)
    ):
        return THREAD_DRAIN_BUDGET
    if deadline is None:
        return DRAIN_BUDGET
    return min(DRAIN_BUDGET, max(THREAD_DRAIN_BUDGET, deadline - time.monotonic()))


def async_leave(link: AsyncLink, dialogue: PausingDialogue, _budget: float = 0.0) -> None:
    """Have a dialogue cancelled that nobody goes on with, from any thread; waits for nothing."""
    driver = link.driver
    if driver is None or link.is_closed:
        return
    leave = partial(_leave_here, link, dialogue)
    try:
        if is_asyncio(driver) and driver.is_alive and driver.loop is not enclosing_loop():
            driver.loop.call_soon_threadsafe(leave)
        else:
            leave()
    except RuntimeError:
        # The event loop has ended.
        link.cut()


def _leave_here(link: AsyncLink, dialogue: PausingDialogue) -> None:
    driver = link.driver
    if driver is None or link.is_closed or dialogue.abandoned:
        return
    if dialogue.let_go(link.session):
        # Somebody may be waiting for it: it is another one who has closed the connection.
        wake = dialogue.wake
        driver.leave(dialogue)
        _keep_waiting(dialogue, wake)
    if not is_asyncio(driver):
        driver.pass_on()
    elif not link.is_closed:
        driver.follow()


def sync_leave(link: SyncLink, dialogue: PausingDialogue, budget: float = THREAD_DRAIN_BUDGET) -> None:
    """Have a dialogue cancelled that nobody goes on with, and drop its rest for so many seconds at most."""
    if link.is_inside:
        # Perhaps a garbage collection in this very thread, in the middle of a call.
        dialogue.orphaned = True
        background.start_cancel(partial(_leave_now, link, dialogue, DRAIN_BUDGET))
    else:
        _leave_now(link, dialogue, budget)


def _leave_now(link: SyncLink, dialogue: PausingDialogue, budget: float) -> None:
    with link.driver.inside() as session:
        is_left = not session.is_closed and not dialogue.abandoned and dialogue.let_go(session)
    if is_left:
        link.driver.leave(dialogue, budget)
    else:
        link.driver.pass_on()


def _keep_waiting(dialogue: PausingDialogue, wake: Callable[[None], object] | None) -> None:
    dialogue.wake = wake
    if dialogue.done:
        dialogue.finish()
