"""The ways in which a task's call is broken off at one of its waits; each says whether it got there, and what came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from psqlpy import exceptions
from tests.shells.stepping import Call, Stepped, in_trio

# What comes of it; the second where another attempt would have been made. What is cleaned up is out of time, too: then
# the next statement finds the connection closed.
OUT_OF_TIME = (TimeoutError, exceptions.SerializationFailure, exceptions.ConnectionClosedError)

Interrupt = Callable[[Call, int], Awaitable["Outcome"]]


@dataclass
class Outcome:
    """Of one attempt."""

    # Whether the call had so many waits.
    is_reached: bool
    # Cancelled, or out of time; otherwise it ran to its end. Any other error is raised.
    is_broken_off: bool
    # From the cancellation to the call's end. Seconds.
    took: float = 0.0
    # The error of a call that was out of time.
    error: exceptions.Error | None = None


class _Clock:
    def __init__(self) -> None:
        self.begun: float | None = None

    def start(self) -> None:
        if self.begun is None:
            self.begun = time.monotonic()

    def read(self) -> float:
        return 0.0 if self.begun is None else time.monotonic() - self.begun


async def _end_of(task: asyncio.Task[Any], stepped: Stepped, place: int, clock: _Clock) -> Outcome:
    await asyncio.wait([task])
    took = clock.read()
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return Outcome(stepped.waits > place, task.cancelled(), took)


def _task_of(stepped: Stepped) -> asyncio.Task[Any]:
    async def run() -> None:
        await stepped

    return asyncio.ensure_future(run())


async def early(call: Call, place: int) -> Outcome:
    """While it waits."""
    if in_trio():
        return await scope(call, place)
    clock = _Clock()

    def at_place(_: Any) -> None:
        clock.start()
        task.cancel()

    stepped = Stepped(call, place, at_place)
    task = _task_of(stepped)
    return await _end_of(task, stepped, place, clock)


async def late(call: Call, place: int) -> Outcome:
    """When what it waits for has happened, and it is about to go on."""
    clock = _Clock()

    def cancel(_: Any = None) -> None:
        clock.start()
        task.cancel()

    def at_place(waited_for: Any) -> None:
        if waited_for is None:
            cancel()
        else:
            # Registered before the task's own callback, so that it comes first.
            waited_for.add_done_callback(cancel)

    stepped = Stepped(call, place, at_place)
    task = _task_of(stepped)
    return await _end_of(task, stepped, place, clock)


async def twice(call: Call, place: int) -> Outcome:
    """While it waits, at once again, and at each wait of what it does then."""
    clock = _Clock()

    def at_place(_: Any) -> None:
        clock.start()
        task.cancel()
        task.cancel()

    stepped = Stepped(call, place, at_place, onwards=True)
    task = _task_of(stepped)
    return await _end_of(task, stepped, place, clock)


async def scope(call: Call, place: int) -> Outcome:
    """By a scope of anyio's, or of trio's: these cancel whatever is waited for then, too."""
    clock = _Clock()

    def at_place(_: Any) -> None:
        clock.start()
        around.cancel()

    with anyio.CancelScope() as around:
        stepped = Stepped(call, place, at_place)
        await stepped
    return Outcome(stepped.waits > place, around.cancelled_caught, clock.read())


async def shielded(call: Call, place: int) -> Outcome:
    """The caller is cancelled, the call isn't: it goes on to its end."""
    clock = _Clock()
    if in_trio():
        with anyio.CancelScope() as around:
            with anyio.CancelScope(shield=True):
                stepped = Stepped(call, place, lambda _: around.cancel())
                await stepped
        return Outcome(stepped.waits > place, False)

    def at_place(_: Any) -> None:
        clock.start()
        caller.cancel()

    async def wait() -> None:
        await asyncio.shield(inner)

    stepped = Stepped(call, place, at_place)
    inner = _task_of(stepped)
    caller = asyncio.ensure_future(wait())
    await asyncio.wait([caller])
    if stepped.waits > place:
        assert caller.cancelled()
    return await _end_of(inner, stepped, place, clock)


def out_of_time(jump: Callable[[], None]) -> Interrupt:
    """Its `timeout` ends while it waits; `jump` puts the clock forward by more than that."""

    async def interrupt(call: Call, place: int) -> Outcome:
        clock = _Clock()

        def at_place(_: Any) -> None:
            jump()
            clock.start()

        stepped = Stepped(call, place, at_place)
        try:
            await stepped
        except exceptions.Error as error:
            if not isinstance(error, OUT_OF_TIME) or stepped.waits <= place:
                raise
            return Outcome(True, True, clock.read(), error)
        return Outcome(stepped.waits > place, False, clock.read())

    return interrupt
