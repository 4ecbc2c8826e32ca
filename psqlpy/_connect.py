"""`connect`: a pool, which awaited becomes one connection; and functions with the signature of a pool's class."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ParamSpec, TypeVar

from psqlpy._async.connection import Connection
from psqlpy._async.pool import ConnectionPool
from psqlpy._secret import hide_arguments

P = ParamSpec("P")
Made = TypeVar("Made")


class ConnectingPool(ConnectionPool):
    """What `connect` returns: a pool, or, awaited, one connection of its own."""

    __slots__ = ("_arguments",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        args, kwargs = hide_arguments(args, kwargs)
        super().__init__(*args, **kwargs)
        self._arguments = (args, kwargs)

    def __await__(self) -> Generator[Any, Any, Connection]:  # type: ignore[override]  # a pool's own refuses
        return self._connect_alone().__await__()

    async def _connect_alone(self) -> Connection:
        args, kwargs = self._arguments
        # A pool of its own that is closed at once: what is in use keeps working, and is closed when it comes back.
        pool = ConnectionPool(*args, **kwargs)
        connection = await pool.connection()
        pool.close()
        return connection


def like(pool: Callable[P, object], made: Callable[..., Made], name: str, doc: str) -> Callable[P, Made]:
    """A function with the signature of `pool` that returns what `made` makes."""

    def make(*args: P.args, **kwargs: P.kwargs) -> Made:
        args, kwargs = hide_arguments(args, kwargs)  # type: ignore[assignment]  # what they are stays
        return made(*args, **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = doc
    make.__module__ = "psqlpy"
    # For help() and editors, who take the signature from it; functions have no declared attribute of that name.
    make.__wrapped__ = pool  # type: ignore[attr-defined]
    return make


MAKES_POOL = "Make a pool, with ConnectionPool's parameters."

connect = like(
    ConnectionPool,
    ConnectingPool,
    "connect",
    f"{MAKES_POOL[:-1]}; `await connect(...)` opens one connection instead.",
)
connect_pool = like(ConnectionPool, ConnectionPool, "connect_pool", MAKES_POOL)
