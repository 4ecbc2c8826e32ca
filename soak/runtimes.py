"""Ways to run one and the same coroutine function: under asyncio, uvloop and trio, and in threads without any loop.

In threads `settle` finds results instead of awaitables, so that nothing suspends and one step runs all of it.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from types import ModuleType
from typing import Any, TypeVar

import anyio

import psqlpy
import psqlpy.sync

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


async def settle(value: Any) -> Any:
    """What a call of either API returns in the end."""
    return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def block(manager: Any) -> AsyncIterator[Any]:
    """A block of either API."""
    if hasattr(manager, "__aenter__"):
        async with manager as entered:
            yield entered
    else:
        with manager as entered:
            yield entered


class each:
    """The items of an iterable of either API; no generator, which somebody would have to close."""

    def __init__(self, iterable: Any) -> None:
        self._waits = hasattr(iterable, "__aiter__")
        self._items = aiter(iterable) if self._waits else iter(iterable)

    def __aiter__(self) -> each:
        return self

    async def __anext__(self) -> Any:
        if self._waits:
            return await anext(self._items)
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None


class Runtime:
    """An event loop, by anyio's words for it."""

    #: Whether a call can be cancelled from outside.
    cancels = True
    api: ModuleType = psqlpy

    def __init__(self, name: str, backend: str, **options: bool) -> None:
        self.name = name
        self._backend = backend
        self._options = options

    def run(self, work: Work[T]) -> T:
        return anyio.run(work, backend=self._backend, backend_options=self._options)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def together(self, works: Sequence[Work[None]]) -> None:
        """Run all at once, until all have ended; the first that raises cancels the others."""
        async with anyio.create_task_group() as group:
            for work in works:
                group.start_soon(work)

    def task_count(self) -> int:
        """How many tasks the loop has, its own included."""
        return len(anyio.get_running_tasks())

    def cancelled_after(self, seconds: float) -> AbstractContextManager[Any]:
        """A block that is cancelled after so long."""
        return anyio.move_on_after(seconds)


class Threads(Runtime):
    cancels = False
    api = psqlpy.sync

    def __init__(self) -> None:
        super().__init__("threads", "")

    def run(self, work: Work[T]) -> T:
        coroutine = work()
        try:
            coroutine.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
        coroutine.close()
        raise AssertionError(f"{work} waits for an event loop")

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # a thread's own: no loop is held up

    async def together(self, works: Sequence[Work[None]]) -> None:
        errors: list[BaseException] = []

        def call(work: Work[None]) -> None:
            try:
                self.run(work)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=call, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def task_count(self) -> int:
        return 0

    def cancelled_after(self, seconds: float) -> AbstractContextManager[Any]:
        return nullcontext()


RUNTIMES: dict[str, Callable[[], Runtime]] = {
    "asyncio": lambda: Runtime("asyncio", "asyncio", use_uvloop=False),
    "uvloop": lambda: Runtime("uvloop", "asyncio", use_uvloop=True),
    "trio": lambda: Runtime("trio", "trio"),
    "threads": Threads,
}


async def until(runtime: Runtime, predicate: Callable[[], bool], within: float) -> bool:
    """Wait until it is true; False after so many seconds."""
    deadline = time.monotonic() + within
    while not predicate():
        if time.monotonic() > deadline:
            return False
        await runtime.sleep(0.005)
    return True
