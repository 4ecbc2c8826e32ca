"""What only one of the two mirrors has: awaitable calls, plain `with` beside `async with`. Pairs of one shape again."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

T = TypeVar("T")


class AsyncCall(Coroutine[Any, Any, T], Generic[T]):
    """A call that may be awaited for its value, or entered with `async with` for the value's own block."""

    __slots__ = ("_coroutine", "_value")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._value: Any = None

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    async def __aenter__(self) -> T:
        self._value = await self._coroutine
        entered: T = await self._value.__aenter__()
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._value.__aexit__(kind, error, trace)


async_call = AsyncCall


def sync_call(value: T) -> T:
    """The value itself."""
    return value


class AsyncBlock:
    """Something that is entered with `async with` and can't be awaited; `_awaited` says what to write instead."""

    __slots__ = ()

    _awaited = "use it with `async with`"

    def __await__(self) -> Generator[Any, Any, NoReturn]:
        raise TypeError(self._awaited)


class SyncBlock:
    """Something that is entered with `with`."""

    __slots__ = ()


class AsyncPoolBlock(AsyncBlock):
    """A pool of the asynchronous kind: `with` closes it too, as closing needs no waiting."""

    __slots__ = ()

    _awaited = "a pool can't be awaited: write `connection = await pool.connection()`, or await psqlpy.connect(...)"

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncPoolBlock(SyncBlock):
    """A pool of the synchronous kind."""

    __slots__ = ()
