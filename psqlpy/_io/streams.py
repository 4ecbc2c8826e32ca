"""Where copied data comes from and goes to, as pairs of one shape: items of iterables, and files.

On the asynchronous side files are read and written by daemon threads: a disk that is slow holds no event loop.
"""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from psqlpy import exceptions
from psqlpy._io import background
from psqlpy._io.primitives import AsyncWake
from psqlpy._io.system_task import spawn_system_task

T = TypeVar("T")

# How often it is looked, while a source is waited for, whether there is still any use in that. Seconds.
_LOOK_INTERVAL = 0.05
# A file's next part. Bytes.
READ_SIZE = 256 * 1024

_IN_MEMORY = (io.BytesIO, io.StringIO)


def out_of_time() -> exceptions.QueryTimeoutError:
    return exceptions.QueryTimeoutError(
        "timeout: the source of the data, or who takes it, was too slow; the copy was broken off"
    )


def _check(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise out_of_time()


class AsyncItems:
    """The items of an iterable or of an asynchronous iterable, some at a time."""

    def __init__(self, source: Any) -> None:
        #: Whether others have their turn while the next item is waited for.
        self.waits = hasattr(source, "__aiter__")
        self._items: Any = source.__aiter__() if self.waits else iter(source)

    async def take(self, count: int, until: float, deadline: float | None) -> list[Any]:
        """The next items, `count` at most, fewer when it is past `until`; none at the end."""
        if not self.waits:
            return _take(self._items, count, deadline)
        if deadline is None:
            return await self._gather(count, until)
        import anyio

        with anyio.move_on_after(max(0.0, deadline - time.monotonic())) as scope:
            return await self._gather(count, until)
        if scope.cancelled_caught:
            raise out_of_time()
        return []

    async def close(self) -> None:
        """Nothing more will be taken: let an asynchronous iterator know. What it raises then is nobody's."""
        close = getattr(self._items, "aclose", None) if self.waits else None
        if close is not None:
            try:
                await close()
            except Exception:
                # What happened before is the error to see.
                pass

    async def _gather(self, count: int, until: float) -> list[Any]:
        items: list[Any] = []
        async for item in self._items:
            items.append(item)
            if len(items) >= count or time.monotonic() >= until:
                break
        return items


class SyncItems:
    """The items of an iterable, some at a time."""

    waits = False

    def __init__(self, source: Iterable[Any]) -> None:
        self._items = iter(source)

    def take(self, count: int, until: float, deadline: float | None) -> list[Any]:
        """The next items, `count` at most; none at the end."""
        return _take(self._items, count, deadline)

    def close(self) -> None:
        """Nothing more will be taken."""


def _take(items: Iterator[Any], count: int, deadline: float | None) -> list[Any]:
    taken = list(islice(items, count))
    _check(deadline)
    return taken


async def async_unless(
    take: Callable[[float | None], Awaitable[T]], deadline: float | None, is_over: Callable[[], bool]
) -> T | None:
    """Wait for a source's next part, but no longer than until `is_over`, which is asked now and then: None then."""
    import anyio

    watching = anyio.CancelScope()

    async def watch() -> None:
        with watching:
            while True:
                await anyio.sleep(_LOOK_INTERVAL)
                if is_over():
                    scope.cancel()
                    break

    with anyio.CancelScope() as scope:
        spawn_system_task(watch)
        try:
            return await take(deadline)
        finally:
            watching.cancel()
    return None


def sync_unless(
    take: Callable[[float | None], T], deadline: float | None, is_over: Callable[[], bool]
) -> T | None:
    """Take a source's next part: a thread that waits in it can't look meanwhile."""
    return take(deadline)


def is_iterable(source: object) -> bool:
    """Whether either side can take items of it."""
    return hasattr(source, "__iter__") or hasattr(source, "__aiter__") or hasattr(source, "__getitem__")


async def async_outcome(value: Any) -> Any:
    """What a callback has returned, waited for if need be."""
    return await value if isinstance(value, Awaitable) else value


def sync_outcome(value: Any) -> Any:
    """What a callback has returned."""
    return value


class AsyncFile:
    """A file, its own or another's, whose calls are made by a thread."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @classmethod
    async def open(cls, path: Any, mode: str, deadline: float | None) -> AsyncFile:
        """Open a file by its path; who leaves meanwhile leaves no open one."""
        opened: list[Any] = []
        is_left = False

        def run() -> None:
            opened.append(_opened(path, mode))
            if is_left:
                _close_all(opened)

        try:
            await _in_thread(run, deadline)
        except BaseException:
            is_left = True
            background.start_file(lambda: _close_all(opened))
            raise
        return cls(opened.pop())

    async def read(self, deadline: float | None) -> Any:
        """The next part; nothing at the end."""
        return await self._call(lambda: self._file.read(READ_SIZE), deadline)

    async def write(self, data: bytes, deadline: float | None) -> None:
        """Write all of it."""
        await self._call(lambda: _write(self._file, data), deadline)

    async def flush(self, deadline: float | None) -> None:
        """Hand what was written to the system."""
        await self._call(lambda: _flush(self._file), deadline)

    def close(self) -> None:
        """Close it; what is left to write is written by a thread. Waits for nothing."""
        background.start_file(lambda: _close_quietly(self._file))

    async def _call(self, call: Callable[[], Any], deadline: float | None) -> Any:
        if isinstance(self._file, _IN_MEMORY):
            _check(deadline)
            return call()
        return await async_outcome(await _in_thread(call, deadline))


class SyncFile:
    """A file, its own or another's."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Any, mode: str, deadline: float | None) -> SyncFile:
        """Open a file by its path."""
        return cls(_opened(path, mode))

    def read(self, deadline: float | None) -> Any:
        """The next part; nothing at the end."""
        _check(deadline)
        return self._file.read(READ_SIZE)

    def write(self, data: bytes, deadline: float | None) -> None:
        """Write all of it."""
        _check(deadline)
        _write(self._file, data)

    def flush(self, deadline: float | None) -> None:
        """Hand what was written to the system."""
        _flush(self._file)

    def close(self) -> None:
        """Close it."""
        _close_quietly(self._file)


def _opened(path: Any, mode: str) -> Any:
    # A buffer would wait until it is full, which in a pipe may be never.
    return open(path, mode, 0 if mode == "rb" else -1)


def is_text(file: Any) -> bool:
    """Whether it takes str. Not all that do are of TextIOBase: `tempfile` and `codecs` have wrappers."""
    return hasattr(file, "encoding")


def _write(file: Any, data: bytes) -> Any:
    if is_text(file):
        return file.write(data.decode())
    if not isinstance(file, io.RawIOBase):
        return file.write(data)
    view = memoryview(data)
    while view:
        # A raw file may take a part; one that doesn't block, nothing.
        taken = file.write(view)
        if taken is None:
            raise exceptions.ParameterValueError(
                "the file to copy into takes nothing now: it must block until it does"
            )
        view = view[taken:]
    return None


def _flush(file: Any) -> Any:
    flush = getattr(file, "flush", None)
    return None if flush is None else flush()


def _close_quietly(file: Any) -> None:
    try:
        file.close()
    except OSError:
        # What it had to say was said by the call before.
        pass


def _close_all(files: list[Any]) -> None:
    """Two threads may do it at once: each takes what it closes."""
    while files:
        try:
            file = files.pop()
        except IndexError:
            return
        _close_quietly(file)


async def _in_thread(call: Callable[[], Any], deadline: float | None) -> Any:
    """Make a blocking call; who is cancelled, or out of time, leaves it to itself."""
    done = AsyncWake()
    outcomes: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcomes.append((call(), None))
        except BaseException as error:
            outcomes.append((None, error))
        done.set()

    background.start_file(run)
    if not await done.wait(deadline):
        raise out_of_time()
    value, error = outcomes.pop()
    if error is not None:
        raise error
    return value
