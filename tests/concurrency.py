"""Pairs of one shape for tests that are mirrored: AsyncX and async_x become SyncX and sync_x in tests/_sync.

Tasks on the async side, threads on the other. Cancelling has no counterpart among threads: its tests are in
tests/shells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

import anyio
import anyio.abc

from psqlpy._config import PoolConfig

T = TypeVar("T")
P = ParamSpec("P")

POLL_INTERVAL = 0.01
THREAD_PATIENCE = 50.0  # a little less than the time limit of a test: the message names the thread


class Started(Generic[T]):
    """One call that a group runs. `error` and `result()` are there once `done` is, at the latest after the block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = False
        self.error: Exception | None = None
        self._value: list[T] = []

    def finish(self, value: T) -> None:
        self._value.append(value)
        self.done = True

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done = True

    def result(self) -> T:
        """What the call returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        if not self._value:
            raise AssertionError(f"{self.name} did not end")
        return self._value[0]


class _Calls:
    """What both groups do with the errors of their calls."""

    def __init__(self, *, keep_errors: bool = False) -> None:
        """Without `keep_errors`, the first error is raised at the block's end; with it, look at each call's `error`."""
        self._keep_errors = keep_errors
        self._calls: list[Started[object]] = []

    def _new(self, call: Callable[..., object], kind: type[Started[T]]) -> Started[T]:
        started = kind(f"{getattr(call, '__name__', call)} (call {len(self._calls)})")
        self._calls.append(started)  # type: ignore[arg-type]  # only `error` is read
        return started

    def _raise_first(self) -> None:
        if not self._keep_errors:
            for call in self._calls:
                if call.error is not None:
                    raise call.error


class AsyncGroup(_Calls):
    """Runs calls as tasks; the block ends when all of them have. A block that raises cancels them."""

    async def __aenter__(self) -> AsyncGroup:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)
        if error is None:
            self._raise_first()

    def start(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> Started[T]:
        started: Started[T] = self._new(call, Started)

        async def run() -> None:
            try:
                started.finish(await call(*args, **kwargs))
            except Exception as error:
                started.fail(error)

        self._tasks.start_soon(run, name=started.name)
        return started


class SyncGroup(_Calls):
    """Runs calls in threads; the block ends when all of them have. Threads can't be cancelled: one that hangs fails."""

    def __enter__(self) -> SyncGroup:
        self._threads: list[threading.Thread] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + THREAD_PATIENCE
        for thread in self._threads:
            # An interrupt may have kept it from beginning.
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if error is None:
            assert not stuck, f"still running: {', '.join(stuck)}"
            self._raise_first()

    def start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Started[T]:
        started: Started[T] = self._new(call, Started)

        def run() -> None:
            try:
                started.finish(call(*args, **kwargs))
            except Exception as error:
                started.fail(error)

        thread = threading.Thread(target=run, name=started.name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return started


class AsyncEvent:
    """Something that happens once; wait for it with a limit of 10 s."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        with anyio.fail_after(10):
            await self._event.wait()


class SyncEvent:
    """Something that happens once; wait for it with a limit of 10 s."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self) -> None:
        if not self._event.wait(10):
            raise TimeoutError("the event did not happen within 10 s")


async def async_sleep(seconds: float) -> None:
    await anyio.sleep(seconds)


def sync_sleep(seconds: float) -> None:
    time.sleep(seconds)


def async_fail_after(seconds: float) -> AbstractContextManager[object]:
    """TimeoutError when the block takes longer, which is then cancelled."""
    return anyio.fail_after(seconds)


@contextmanager
def sync_fail_after(seconds: float) -> Iterator[None]:
    """TimeoutError when the block took longer. One that hangs meets the test's own limit."""
    begun = time.monotonic()
    yield
    taken = time.monotonic() - begun
    if taken > seconds:
        raise TimeoutError(f"took {taken:.3f} s, more than {seconds} s")


async def async_wait_until(predicate: Callable[[], bool | Awaitable[bool]], timeout: float = 5.0) -> None:
    """Wait until `predicate`, a plain or a coroutine function, is true; TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer if isinstance(answer, bool) else await answer:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{predicate} was not true within {timeout} s")
        await anyio.sleep(POLL_INTERVAL)


def sync_wait_until(predicate: Callable[[], bool], timeout: float = 5.0) -> None:
    """Wait until `predicate` is true; TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{predicate} was not true within {timeout} s")
        time.sleep(POLL_INTERVAL)


def password_of(dsn: str) -> str:
    """The password in a DSN; empty where it has none, since the server asks for none."""
    return str(PoolConfig.from_parameters(dsn).plan.parameters.get("password") or "")  # which shows itself
