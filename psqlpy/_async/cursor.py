"""Cursor: a statement's rows, some at a time, in any order. What is said to the server: _protocol/cursor.py."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._async.executor import Executor
from psqlpy._io.blocks import AsyncCursorBlock
from psqlpy._io.closing import AsyncClosed, async_close
from psqlpy._naming import public
from psqlpy._protocol.cursor import CloseCursor, Fetch, OpenCursor
from psqlpy._protocol.named_parameters import resolve_parameters
from psqlpy._result import QueryResult

if TYPE_CHECKING:
    from psqlpy._async.connection import Connection
    from psqlpy._io.links import AsyncLink


# FETCH takes no larger ones.
_LARGEST = 2**31 - 1

# The defaults of 0.7's `fetch` and of 0.13's everything else: its programs take the first row of each result.
_FETCH_NUMBER = 10
_ARRAY_SIZE = 1


@public
class Cursor(AsyncCursorBlock):
    """Made by `cursor()`; opened by its block, `start()` or `execute()`; iterating gives QueryResults.

    In a transaction the cursor ends with it. Outside one it needs none and begins none: the server computes the whole
    result when the cursor is opened (WITH HOLD) and keeps it until the cursor is closed. Either way it ends nobody's
    transaction. A cursor that nobody refers to any more is closed. Every method that talks to the server takes
    `timeout`, in seconds, as Connection's do; a fetch that is cancelled or out of time closes the cursor, as nobody
    knows how far it had come.
    """

    __slots__ = (
        "__weakref__",
        "_array_size",
        "_columns",
        "_connection",
        "_fetch_number",
        "_held",
        "_levels",
        "_link",
        "_name",
        "_owner",
        "_parameters",
        "_plan",
        "_prepared",
        "_querystring",
        "_scroll",
        "_state",
        "_undone",
    )

    def __init__(
        self,
        owner: Executor,
        querystring: str | None,
        parameters: object,
        fetch_number: int | None,
        scroll: bool | None,
        prepared: bool | None,
        array_size: int | None,
    ) -> None:
        self._state = "new"
        self._owner = owner
        self._querystring = querystring
        self._parameters = parameters
        if fetch_number is not None:
            fetch_number = check_whole("fetch_number", fetch_number)
        if array_size is not None:
            array_size = check_whole("array_size", array_size)
        self._fetch_number = next(n for n in (fetch_number, array_size, _FETCH_NUMBER) if n is not None)
        self._array_size = next(n for n in (array_size, fetch_number, _ARRAY_SIZE) if n is not None)
        if scroll is not None and not isinstance(scroll, bool):
            raise exceptions.ParameterTypeError(f"scroll must be True, False or None, not {scroll!r}")
        self._scroll = scroll
        self._prepared = prepared
        self._connection: Connection | None = None
        self._link: AsyncLink | None = None
        self._name = b""
        self._held = False
        # The transactions and savepoints that it was opened in, and how many had been rolled back before.
        self._levels: tuple[object, ...] = ()
        self._undone = 0
        self._columns: Any = ()
        self._plan: Any = None

    # Opening and closing

    async def start(self, *, timeout: float | None = None) -> None:
        """Open the cursor for the statement it was made with; raises CursorStartError."""
        if self._state in ("open", "starting"):
            raise exceptions.CursorStartError(
                "cursor is already started: fetch from it, or give it another statement with execute"
            )
        self._check_not_closed()
        if self._querystring is None:
            raise exceptions.CursorStartError("cursor has no statement: give one to cursor(), or use execute")
        await self._start(timeout)

    async def execute(
        self, querystring: str, parameters: object = None, *, timeout: float | None = None
    ) -> None:
        """Open the cursor for a statement, instead of the one it may be open for; raises CursorStartError."""
        self._check_not_closed()
        if self._state == "starting":
            raise exceptions.CursorStartError("cursor is being started elsewhere: use a cursor for each task")
        if self._state == "open":
            self._close_silently("new")
        self._querystring = querystring
        self._parameters = parameters
        await self._start(timeout)

    async def _start(self, timeout: float | None) -> None:
        connection = self._owner._lease()
        text, values = resolve_parameters(self._querystring or "", self._parameters)
        run, deadline, begin, _ = connection.check_out(timeout)
        link = connection.link
        name = link.session.statements.unique_name("cursor_")
        unnamed = not connection.prepares(self._prepared)
        opening = OpenCursor(name, text, values, begin, scroll=self._scroll, unnamed=unnamed)
        self._state = "starting"
        self._connection, self._link, self._name = connection, link, name
        self._held = False
        self._levels = tuple(connection.open_transactions)
        self._undone = len(connection.undone_levels)
        try:
            await run(opening, deadline)
        except BaseException:
            if self._state == "starting":
                self._state = "new"
            if opening.executing and opening.failure is None:
                # Its caller has left, but the server may have opened it.
                self._tell_close()
            raise
        self._held = opening.held
        self._columns, self._plan = opening.columns, opening.plan
        if self._state != "starting":
            self._tell_close()
            raise self._not_open("closed while it was being started")
        self._state = "open"

    def close(self, *, timeout: float | None = None) -> AsyncClosed:
        """Close the cursor and nothing else; a second call does nothing. Raises CursorCloseError.

        The call does it, without waiting where that is possible; the transaction, if there is one, goes on.
        """
        link, connection = self._link, self._connection
        is_there = self._is_there()
        self._state = "closed"
        if not is_there or link is None or connection is None:
            return async_close(None, None, None)
        return async_close(link, CloseCursor(self._name), connection.deadline(timeout))

    def _close_silently(self, state: str) -> None:
        """Close without waiting; whatever comes next on the connection comes behind it."""
        is_there = self._is_there()
        self._state = state
        if is_there:
            self._tell_close()

    def _tell_close(self) -> None:
        if self._link is not None and not self._link.is_closed:
            self._link.send(CloseCursor(self._name))

    def _is_there(self) -> bool:
        """Whether there may be something to close on the server."""
        connection = self._connection
        if self._state != "open" or connection is None or connection.is_closed():
            return False
        levels = self._levels
        if any(level in levels for level in connection.undone_levels[self._undone :]):
            return False
        return self._held or not levels or levels[0] in connection.open_transactions

    async def __aenter__(self) -> Cursor:
        if self._querystring is not None and self._state != "open":
            await self.start()
        else:
            # execute() comes in the block.
            self._check_not_closed()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        elif isinstance(error, Exception) and not isinstance(error, exceptions.QueryTimeoutError):
            try:
                await self.close()
            except exceptions.Error:
                # What happened before is the error to see.
                pass
        else:
            # Cancelled, interrupted or out of time: the caller leaves at once.
            self._close_silently("closed")

    def __del__(self) -> None:
        if getattr(self, "_state", None) == "open" and self._is_there() and self._connection is not None:
            self._state = "closed"
            self._connection.abandon(CloseCursor(self._name))

    # Fetching

    async def fetch(self, fetch_number: int | None = None, *, timeout: float | None = None) -> QueryResult:
        """Fetch the next rows, `fetch_number` of them or as many as the cursor was made for (10).

        A negative number goes backward, 0 fetches the row again that the cursor is on.
        """
        number = self._fetch_number if fetch_number is None else check_whole("fetch_number", fetch_number)
        return await self._fetch(f"FORWARD {number}", timeout)

    async def fetchone(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch the next row; the result has none at the end."""
        return await self._fetch("FORWARD 1", timeout)

    async def fetchmany(self, size: int | None = None, *, timeout: float | None = None) -> QueryResult:
        """Fetch the next `size` rows, `array_size` if it is None, all that are left if it is 0 or less."""
        return await self._fetch(
            _forward(self._array_size if size is None else check_whole("size", size)), timeout
        )

    async def fetchall(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch all rows that are left."""
        return await self._fetch("FORWARD ALL", timeout)

    async def fetch_next(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch the next row."""
        return await self._fetch("NEXT", timeout)

    async def fetch_prior(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch the row before; as all that go backward, it needs a cursor made with `scroll=True`."""
        return await self._fetch("PRIOR", timeout)

    async def fetch_first(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch the first row."""
        return await self._fetch("FIRST", timeout)

    async def fetch_last(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch the last row."""
        return await self._fetch("LAST", timeout)

    async def fetch_absolute(self, absolute_number: int, *, timeout: float | None = None) -> QueryResult:
        """Fetch the row of that number, counted from 1; a negative one counts from the end, with -1 as the last."""
        return await self._fetch(f"ABSOLUTE {check_whole('absolute_number', absolute_number)}", timeout)

    async def fetch_relative(self, relative_number: int, *, timeout: float | None = None) -> QueryResult:
        """Fetch the row that is so many behind the one the cursor is on, or, if negative, before it."""
        return await self._fetch(f"RELATIVE {check_whole('relative_number', relative_number)}", timeout)

    async def fetch_forward_all(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch all rows that are left."""
        return await self._fetch("FORWARD ALL", timeout)

    async def fetch_backward(self, backward_count: int, *, timeout: float | None = None) -> QueryResult:
        """Fetch so many rows before the one the cursor is on, the nearest first."""
        return await self._fetch(f"BACKWARD {check_whole('backward_count', backward_count)}", timeout)

    async def fetch_backward_all(self, *, timeout: float | None = None) -> QueryResult:
        """Fetch all rows before the one the cursor is on, the nearest first."""
        return await self._fetch("BACKWARD ALL", timeout)

    def __aiter__(self) -> Cursor:
        return self

    async def __anext__(self) -> QueryResult:
        result = await self._fetch(_forward(self._array_size), None)
        if not len(result):
            raise StopAsyncIteration
        return result

    async def _fetch(self, which: str, timeout: float | None) -> QueryResult:
        link, connection = self._check_open()
        request = Fetch(b'FETCH %b FROM "%b"' % (which.encode(), self._name), self._columns, self._plan)
        try:
            await link.run(request, connection.deadline(timeout))
        except BaseException as error:
            if isinstance(error, exceptions.CursorNotOpenError):
                self._state = "closed"
            elif request.written and (request.failure is None or request.abandoned):
                self._close_silently("closed")
            raise
        assert request.result is not None
        return QueryResult(request.result, request.plan)

    # State

    @property
    def array_size(self) -> int:
        """Rows in what iterating gives, and in what `fetchmany` fetches by default; 0 or less means all."""
        return self._array_size

    @array_size.setter
    def array_size(self, size: int) -> None:
        self._array_size = check_whole("array_size", size)

    @property
    def querystring(self) -> str | None:
        """The statement that it is, or is to be, opened for."""
        return self._querystring

    @property
    def parameters(self) -> Any:
        """The statement's parameters, as they were given."""
        return self._parameters

    def is_closed(self) -> bool:
        """Whether it can't be used: closed, gone with its transaction, or its connection given back or broken."""
        return self._state == "closed" or (self._state == "open" and not self._is_there())

    def _check_not_closed(self) -> None:
        if self._state == "closed":
            raise self._not_open("closed: make another one with cursor()")

    def _check_open(self) -> tuple[AsyncLink, Connection]:
        link, connection = self._link, self._connection
        if self._state == "open" and link is not None and connection is not None:
            # Given back, it says so itself.
            connection._lease()
            if not self._is_there() and not connection.is_closed():
                raise self._not_open("gone with its transaction or savepoint: start another one")
            return link, connection
        self._check_not_closed()
        raise self._not_open("not started: use it as a block, or call start() or execute()")

    def _not_open(self, why: str) -> exceptions.CursorNotOpenError:
        return exceptions.CursorNotOpenError(f"cursor is {why}")

    @property
    def conn_dbname(self) -> str:
        """The database."""
        return self._owner._lease().conn_dbname

    @property
    def user(self) -> str:
        """The role that its connection logged in with."""
        return self._owner._lease().user

    @property
    def host_addrs(self) -> list[str]:
        """The numeric address that its connection is connected to; empty for a Unix socket."""
        return self._owner._lease().host_addrs

    @property
    def hosts(self) -> list[str]:
        """The host that its connection is connected to."""
        return self._owner._lease().hosts

    @property
    def ports(self) -> list[int]:
        """The port that its connection is connected to."""
        return self._owner._lease().ports

    @property
    def options(self) -> str:
        """The command-line options that its connection's pool was given; empty if it was given none."""
        return self._owner._lease().options

    def __repr__(self) -> str:
        state = "closed" if self.is_closed() else self._state
        return f"<Cursor {state} {self._name.decode()}>" if self._name else f"<Cursor {state}>"


def check_whole(name: str, value: object) -> int:
    """An int that FETCH takes."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise exceptions.ParameterTypeError(f"{name} must be an int, not {type(value).__name__}")
    if abs(value) > _LARGEST:
        raise exceptions.ParameterValueError(f"{name} must be from {-_LARGEST} to {_LARGEST}, not {value}")
    return int(value)


def _forward(number: int) -> str:
    return f"FORWARD {number}" if number > 0 else "FORWARD ALL"
