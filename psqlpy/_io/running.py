"""Which event loop runs here: asyncio's, or none, which means trio.

In a notebook's kernel, and in trio's guest mode, trio runs inside a callback of an asyncio loop: asyncio's own answer
names that loop then, under which no coroutine of ours would be resumed.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from asyncio.events import _get_running_loop
from sys import modules


def running_loop() -> AbstractEventLoop | None:
    """The asyncio loop that resumes the caller; None outside of one and under trio."""
    loop = _get_running_loop()
    if loop is not None:
        # A dependency of trio, which sets the name for as long as it runs tasks.
        sniffio = modules.get("sniffio")
        if sniffio is not None and sniffio.thread_local.name == "trio":
            return None
    return loop


def enclosing_loop() -> AbstractEventLoop | None:
    """The asyncio loop whose callback this thread is in, trio or not: it can't do anything meanwhile."""
    return _get_running_loop()
