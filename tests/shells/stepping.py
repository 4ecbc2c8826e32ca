"""Cancelling a call at each of the places where it waits, one after the other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio

Call = Callable[[], Awaitable[object]]


def in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


class Stepped:
    """A call that counts its waits; at wait number `place` it says so, with what is waited for.

    With `onwards` at all that follow, too.
    """

    def __init__(
        self, call: Call, place: int, at_place: Callable[[Any], None], *, onwards: bool = False
    ) -> None:
        self._call = call
        self._place = place
        self._at_place = at_place
        self._onwards = onwards
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, object]:
        async def run() -> object:
            return await self._call()

        steps = run().__await__()
        send: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                waited_for = send()
            except StopIteration as ended:
                value: object = ended.value
                return value
            if self.waits == self._place or (self._onwards and self.waits > self._place):
                self._at_place(waited_for)
            self.waits += 1
            try:
                answer = yield waited_for
            except BaseException as error:
                send = _thrower(steps, error)
            else:
                send = _sender(steps, answer)


def _thrower(steps: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: steps.throw(error)


def _sender(steps: Generator[Any, Any, Any], answer: object) -> Callable[[], Any]:
    return lambda: steps.send(answer)


async def cancel_at(call: Call, place: int, *, late: bool = False) -> bool:
    """Cancel a call at its wait number `place`; False if it has no more than that many, and ran to its end.

    With `late` it is cancelled when what it waits for has happened and it is about to go on; under trio, where that
    can't be, as without.
    """
    if in_trio():
        with anyio.CancelScope() as scope:
            stepped = Stepped(call, place, lambda _: scope.cancel())
            await stepped
        return stepped.waits > place

    def at_place(waited_for: Any) -> None:
        if late and waited_for is not None:
            # Registered before the task's own callback, so that it comes first.
            waited_for.add_done_callback(lambda _: task.cancel())
        else:
            task.cancel()

    stepped = Stepped(call, place, at_place)

    async def run() -> None:
        await stepped

    task = asyncio.ensure_future(run())
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return stepped.waits > place
