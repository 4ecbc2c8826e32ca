"""Which event loop runs here: asyncio's, or none, which means trio.

In a notebook's kernel, and in trio's guest mode, trio runs inside a callback of an asyncio loop: asyncio's own answer
names that loop then, under which no coroutine of ours would be resumed.

Importing psqlpy doesn't load asyncio, which is most of what a program in threads or under trio would load with it.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


def _look_for_asyncio() -> AbstractEventLoop | None:
    """Ask asyncio from the moment that it is loaded: who hasn't loaded it, runs no loop of it."""
    global _get_running_loop
    # The package has the name once all of `asyncio.events` is there, whichever thread is importing it.
    asked: Callable[[], AbstractEventLoop | None] | None = getattr(
        modules.get("asyncio"), "_get_running_loop", None
    )
    if asked is None:
        return None
    _get_running_loop = asked
    return asked()


_get_running_loop: Callable[[], AbstractEventLoop | None] = _look_for_asyncio


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
