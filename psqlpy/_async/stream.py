"""RowStream: the rows of a result of any size, in constant memory. What is said to the server: _protocol/stream.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from psqlpy import exceptions
from psqlpy._async.cursor import Cursor, check_whole
from psqlpy._async.executor import Executor
from psqlpy._io.blocks import Unique
from psqlpy._io.closing import AsyncClosed, async_close
from psqlpy._io.pausing import async_attach, async_leave, async_turn, patience
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.named_parameters import resolve_parameters
from psqlpy._protocol.stream import InTransaction, OpenStream, Stream
from psqlpy._result import QueryResult

if TYPE_CHECKING:
    from psqlpy._async.connection import Connection
    from psqlpy._io.links import AsyncLink

R = TypeVar("R")  # a row: dict or tuple


class RowStream(Unique, Generic[R]):
    """Made by `stream()`; iterating gives one row after the other. Read it to its end, or close it."""

    __slots__ = (
        "__weakref__",
        "_as_tuple",
        "_chunk_size",
        "_connection",
        "_cursor",
        "_link",
        "_owner",
        "_parameters",
        "_querystring",
        "_rows",
        "_state",
        "_stream",
        "_timeout",
    )

    def __init__(
        self,
        owner: Executor,
        querystring: str,
        parameters: object,
        chunk_size: int,
        as_tuple: bool,
        timeout: float | None,
    ) -> None:
        self._state = "new"
        if not 0 < check_whole("chunk_size", chunk_size) <= _LARGEST_CHUNK:
            raise exceptions.ParameterValueError(
                f"chunk_size must be from 1 to {_LARGEST_CHUNK}, not {chunk_size}"
            )
        self._owner = owner
        self._querystring = querystring
        self._parameters = parameters
        self._chunk_size = chunk_size
        self._as_tuple = as_tuple
        self._timeout = timeout
        self._rows: Iterator[R] = iter(())
        self._connection: Connection | None = None
        self._link: AsyncLink | None = None
        # One of the two, once it is open.
        self._stream: Stream | None = None
        self._cursor: Cursor | None = None

    # Iterating

    def __aiter__(self) -> RowStream[R]:
        return self

    async def __anext__(self) -> R:
        for row in self._rows:
            return row
        if self._state == "ended":
            raise StopAsyncIteration
        if self._state == "busy":
            raise exceptions.InterfaceError("the stream is being read elsewhere: make one for each task")
        new = self._state == "new"
        self._state = "busy"
        try:
            rows = await (self._open() if new else self._next_chunk())
        except BaseException as error:
            was_closed = self._state != "busy"
            self._leave(error)
            if was_closed and isinstance(error, exceptions.Error):
                # By another than who waits for rows.
                raise StopAsyncIteration from None
            raise
        if rows is None:
            self._end()
            raise StopAsyncIteration
        if self._state != "busy":
            # Closed meanwhile, perhaps before there was a cursor that could be.
            self._leave()
            raise StopAsyncIteration
        self._state = "open"
        self._rows = iter(rows)
        return next(self._rows)

    async def _open(self) -> list[Any] | None:
        connection = self._connection = self._owner._lease()
        if connection.open_transactions:
            return await self._open_cursor()
        text, values = resolve_parameters(self._querystring, self._parameters)
        _, deadline, _, _ = connection.check_out(self._timeout)
        link = self._link = connection.link
        opening = OpenStream(text, values, self._owner._family, self._chunk_size)
        self._stream = connection.pausing = opening.stream
        async_attach(opening.stream)
        try:
            await link.run(opening, deadline)
        except InTransaction:
            # Begun by a statement: known only when its turn came.
            self._stream = None
            return await self._open_cursor()
        return await self._decode()

    async def _open_cursor(self) -> list[Any] | None:
        """In a transaction a cursor does as well, can be left without aborting it, and lets others in between."""
        size = self._chunk_size
        cursor = Cursor(self._owner, self._querystring, self._parameters, size, False, False, size)
        self._cursor = cursor
        await cursor.start(timeout=self._timeout)
        return await self._next_chunk()

    async def _next_chunk(self) -> list[Any] | None:
        if self._cursor is not None:
            fetched = await self._cursor.fetchmany(timeout=self._timeout)
            return fetched.result(None, self._as_tuple) or None
        stream, link, connection = self._stream, self._link, self._connection
        assert stream is not None and link is not None and connection is not None
        connection._lease()
        if stream.ended:
            return None
        async_attach(stream)
        await link.go_on(stream, connection.deadline(self._timeout))
        return await self._decode()

    async def _decode(self) -> list[Any] | None:
        stream = self._stream
        rows = None if stream is None else stream.take_rows()
        if rows is None or stream is None:
            return None
        # The event loop's other tasks are to have their turn, also when all rows are there already.
        await async_turn()
        return QueryResult(rows, stream.plan).result(None, self._as_tuple)

    # Ending

    def close(self, *, timeout: float | None = None) -> AsyncClosed:
        """Give up what is left: the statement is cancelled on the server, the connection stays usable.

        The call does it, without waiting where that is possible; a second one does nothing. A transaction goes on.
        """
        cursor, stream, link, connection = self._cursor, self._stream, self._link, self._connection
        self._end()
        if cursor is not None:
            return cursor.close(timeout=timeout)
        if stream is None or stream.ended or link is None or connection is None or connection.is_closed():
            return async_close(None, None, None)
        deadline = connection.deadline(timeout)
        async_leave(link, stream, patience(deadline))
        return async_close(link, Commands(()), deadline)

    async def aclose(self, *, timeout: float | None = None) -> None:
        """Do what `close` does, and wait until the connection is free."""
        await self.close(timeout=timeout)

    async def __aenter__(self) -> RowStream[R]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        else:
            self._leave(error)

    def _leave(self, error: BaseException | None = None) -> None:
        """Give up because of an error, without waiting where that is possible."""
        cursor, stream, link, connection = self._cursor, self._stream, self._link, self._connection
        self._end()
        if cursor is not None:
            cursor._close_silently("closed")
        elif stream is not None and link is not None and connection is not None and not stream.ended:
            deadline = None if connection.is_closed() else connection.deadline(self._timeout)
            async_leave(link, stream, patience(deadline, error))

    def _end(self) -> None:
        self._state = "ended"
        self._rows = iter(())
        self._cursor = self._stream = None

    def __del__(self) -> None:
        stream, link = getattr(self, "_stream", None), getattr(self, "_link", None)
        if stream is not None and link is not None and not stream.ended:
            # For a statement that comes before the next line has its effect.
            stream.orphaned = True
            link.soon(partial(async_leave, link, stream, patience(None)))

    def __repr__(self) -> str:
        return f"<RowStream {'open' if self._state == 'busy' else self._state}>"


_LARGEST_CHUNK = 1_000_000
