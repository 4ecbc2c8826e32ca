"""What only one of the two mirrors has: awaitable calls, plain `with` beside `async with`. Pairs of one shape again."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import TracebackType
from typing import Annotated, Any, Generic, NoReturn, TypeVar

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


SyncCall = Annotated[T, "made and returned at once"]


def sync_call(value: T) -> T:
    """The value itself."""
    return value


#: What a function that is given to psqlpy returns to be waited for; on the other side the value itself.
AsyncAnswer = Awaitable[T]
SyncAnswer = Annotated[T, "what the function returned"]


class Unique:
    """What there is one of: a copy would give the same connection back twice."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        kind = type(self).__name__
        raise TypeError(
            f"a {kind} can't be copied or pickled: share it, or make another one in the other process"
        )


class _AsyncBlock(Unique):
    """Something that is entered with `async with` and can't be awaited; `_awaited` says what to write instead."""

    __slots__ = ()

    _awaited = ""

    def __await__(self) -> Generator[Any, Any, NoReturn]:
        raise TypeError(self._awaited)


class AsyncConnectionBlock(_AsyncBlock):
    __slots__ = ()

    _awaited = "a connection can't be awaited: use `async with pool.acquire()`, or `await pool.connection()`"


class SyncConnectionBlock(Unique):
    __slots__ = ()


class AsyncTransactionBlock(_AsyncBlock):
    __slots__ = ()

    _awaited = (
        "a transaction can't be awaited: use `async with connection.transaction()`, or `await` its begin()"
    )


class SyncTransactionBlock(Unique):
    __slots__ = ()


class AsyncCursorBlock(_AsyncBlock):
    __slots__ = ()

    _awaited = "a cursor can't be awaited: use `async with connection.cursor(...)`, or `await` its start()"


class SyncCursorBlock(Unique):
    __slots__ = ()


class AsyncPoolBlock(_AsyncBlock):
    """A pool of the asynchronous kind: `with` closes it too, as closing needs no waiting."""

    __slots__ = ()

    _awaited = "a pool can't be awaited: use `await pool.connection()`; `await psqlpy.connect(...)` is one connection"

    def close(self) -> None:
        """What the pool does; declared here for the plain block."""
        raise NotImplementedError

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncPoolBlock(Unique):
    __slots__ = ()
