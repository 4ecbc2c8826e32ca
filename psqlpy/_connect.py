"""`connect`: a pool, which awaited becomes one connection. The synchronous mirror has no need of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, ParamSpec

from psqlpy._async.connection import Connection
from psqlpy._async.pool import ConnectionPool

P = ParamSpec("P")


class ConnectingPool(ConnectionPool):
    """What `connect` returns: a pool, or, awaited, one connection of its own."""

    __slots__ = ("_arguments",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arguments = (args, kwargs)

    def __await__(self) -> Generator[Any, Any, Connection]:  # type: ignore[override]
        return self._connect_alone().__await__()

    async def _connect_alone(self) -> Connection:
        args, kwargs = self._arguments
        # A pool of its own that is closed at once: what is in use keeps working, and is closed when it comes back.
        pool = ConnectionPool(*args, **kwargs)
        connection = await pool.connection()
        pool.close()
        return connection


def _like(pool: Callable[P, ConnectionPool]) -> Callable[P, ConnectingPool]:
    def connect(*args: P.args, **kwargs: P.kwargs) -> ConnectingPool:
        """Make a pool, with ConnectionPool's parameters; `await connect(...)` opens one connection instead."""
        return ConnectingPool(*args, **kwargs)

    connect.__signature__ = inspect.signature(pool)  # type: ignore[attr-defined]
    return connect


connect = _like(ConnectionPool)


def connect_pool(*args: Any, **kwargs: Any) -> ConnectionPool:
    """Make a pool, with ConnectionPool's parameters."""
    return ConnectionPool(*args, **kwargs)
