"""What a call may leave behind in this process: tasks, callbacks, timers, threads, descriptors."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from typing import Any

from tests.shells.stepping import in_trio


def _descriptors() -> Counter[str]:
    """How many of each kind; of files, which."""
    kinds: Counter[str] = Counter()
    if not sys.platform.startswith("linux"):
        return kinds
    for name in os.listdir("/proc/self/fd"):
        try:
            kinds[os.readlink(f"/proc/self/fd/{name}").partition(":[")[0]] += 1
        except OSError:
            # The directory's own.
            pass
    return kinds


def _threads() -> int:
    """Those that resolve, cancel and read files end by themselves, a while after their last job."""
    return sum(thread.name != "psqlpy-background" for thread in threading.enumerate())


def of_loop() -> dict[str, Any]:
    """What the running event loop has to do."""
    if in_trio():
        import trio

        statistics = trio.lowlevel.current_statistics()
        waiting = statistics.io_statistics
        return {
            "tasks": statistics.tasks_living,
            # Less trio's own, which waits for what other threads have for it, and now and then is just at it.
            "readers": max(0, getattr(waiting, "tasks_waiting_read", 0) - 1),
            "writers": getattr(waiting, "tasks_waiting_write", 0),
        }
    loop: Any = asyncio.get_running_loop()
    found: dict[str, Any] = {"tasks": len(asyncio.all_tasks())}
    if hasattr(loop, "_selector"):
        found["readers and writers"] = len(loop._selector.get_map())
        found["timers"] = sorted(repr(timer._callback) for timer in loop._scheduled if not timer.cancelled())
    return found


def of_process() -> dict[str, Any]:
    return {"descriptors": _descriptors(), "threads": _threads()}


def all_there_is() -> dict[str, Any]:
    return {**of_process(), **of_loop()}


def added(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Of what there is more than before."""
    found = []
    for name, count in now.items():
        earlier = before[name]
        if isinstance(count, list):
            count, earlier = Counter(map(str, count)), Counter(map(str, earlier))
        if count - earlier if isinstance(count, Counter) else count > earlier:
            found.append(name)
    return found
