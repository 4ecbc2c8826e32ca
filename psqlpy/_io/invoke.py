"""Calling what users hand us, as a pair: on the asynchronous side it may be plain or async, on the other only plain."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from psqlpy import exceptions


def is_async(function: Callable[..., Any]) -> bool:
    """Whether it has to be waited for, as far as can be seen without a call."""
    import inspect

    return inspect.iscoroutinefunction(function)


async def async_invoke(
    function: Callable[..., Any], what: str, deadline: float | None, *arguments: Any
) -> Any:
    """Call it, and wait for it if it is async; QueryTimeoutError, which names `what`, at the deadline (monotonic)."""
    value = function(*arguments)
    if not hasattr(type(value), "__await__"):
        return value
    if deadline is None:
        return await value
    import anyio

    with anyio.move_on_after(max(0.0, deadline - time.monotonic())):
        return await value
    error = exceptions.QueryTimeoutError(f"timeout: {what} took too long")
    error.safe_to_retry = True
    raise error


def sync_invoke(function: Callable[..., Any], what: str, deadline: float | None, *arguments: Any) -> Any:
    """Call it. A function that is async can't be waited for here: TypeError."""
    value = function(*arguments)
    if hasattr(type(value), "__await__"):
        close = getattr(value, "close", None)
        if close is not None:
            close()
        raise TypeError(f"{what} must be a plain function here, not an async one")
    return value
