"""Under trio: a task that outlives its maker, for clean-up after a cancellation, and a callback out of any code."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

from psqlpy._io.running import enclosing_loop

_running: set[Any] = set()


def spawn_system_task(function: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Run an async function beside everything else; the event loop cancels it when it ends."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        trio.lowlevel.spawn_system_task(function, *arguments)
        return
    import asyncio

    task = asyncio.ensure_future(function(*arguments))
    # The loop itself only refers to it weakly.
    _running.add(task)
    task.add_done_callback(_running.discard)


def can_spawn() -> bool:
    """Whether there is an event loop here that would run a task."""
    trio = sys.modules.get("trio")
    return enclosing_loop() is not None or (trio is not None and trio.lowlevel.in_trio_run())


def call_soon_in_trio(callback: Callable[[], None]) -> None:
    """Call back when trio gets to it; nothing happens where trio doesn't run."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        trio.lowlevel.current_trio_token().run_sync_soon(callback)


def call_soon(callback: Callable[[], None]) -> None:
    """Call back when trio gets to it; now where trio doesn't run."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        trio.lowlevel.current_trio_token().run_sync_soon(callback)
    else:
        callback()
