"""What listeners need and only one of the two mirrors has, in pairs: background tasks, and how callbacks look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from psqlpy import exceptions
from psqlpy._io.links import AsyncLink, SyncLink
from psqlpy._io.running import running_loop
from psqlpy._io.system_task import spawn_system_task
from psqlpy._protocol.notifications import Inbox


class _Begun:
    """What has begun already; awaiting it changes nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


def async_in_background(run: Callable[[], Awaitable[None]]) -> _Begun:
    """Run it beside everything else, until it ends or the event loop does."""
    spawn_system_task(run)
    return _Begun()


def sync_in_background(run: Callable[[], None]) -> None:
    """Run it now: no thread of ours outlives a call."""
    run()


def async_check_callback(callback: object) -> None:
    """A coroutine function, a bound method that is one, or a partial of one."""
    import inspect

    if not inspect.iscoroutinefunction(callback):
        raise exceptions.ListenerCallbackError("Callback must be an async callable")


def sync_check_callback(callback: object) -> None:
    """Anything that can be called and isn't async."""
    import inspect

    if not callable(callback) or inspect.iscoroutinefunction(callback):
        raise exceptions.ListenerCallbackError("Callback must be a callable that is not async")


def async_failure(error: BaseException) -> Exception | None:
    """What a callback has failed with; None if it is to end with whoever called it.

    asyncio's CancelledError may come from something that the callback awaited, and nobody wants the caller to end.
    Before Python 3.11 a task doesn't tell.
    """
    if isinstance(error, Exception):
        return error
    if running_loop() is None:
        return None
    import asyncio

    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    if not isinstance(error, asyncio.CancelledError) or cancelling is None or cancelling():
        return None
    return exceptions.ListenerCallbackError("Callback awaited something that was cancelled")


def sync_failure(error: BaseException) -> Exception | None:
    """What a callback has failed with; None if it is to end with whoever called it."""
    return error if isinstance(error, Exception) else None


def async_wake(link: AsyncLink, inbox: Inbox) -> None:
    """Let those who wait for the inbox look around; from any thread under asyncio."""
    link.soon(inbox.wake)


def sync_wake(link: SyncLink, inbox: Inbox) -> None:
    """Let those who wait for the inbox look around; from any thread."""
    with link.driver.inside():
        inbox.wake()
