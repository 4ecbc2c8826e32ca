"""CopyOut: COPY TO STDOUT, to be iterated over, or written somewhere."""

from __future__ import annotations

from functools import partial
from os import PathLike
from re import sub
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from psqlpy import exceptions
from psqlpy._async.copy_records import columns_of
from psqlpy._async.copy_sources import check_progress
from psqlpy._io.blocks import Unique
from psqlpy._io.pausing import async_attach, async_leave, async_turn, patience
from psqlpy._io.primitives import monotonic
from psqlpy._io.streams import AsyncFile, async_outcome
from psqlpy._io.timeouts import query_timeout
from psqlpy._pq.copy import CopyColumns
from psqlpy._protocol.copy import CopyOut as Dialogue
from psqlpy._protocol.copy_text import Options, column_list, copy_to_stdout, parenthesised, qualified
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.describe import Describe
from psqlpy._protocol.failures import closed, failed
from psqlpy._protocol.transaction import quote_identifier
from psqlpy._protocol.type_lookup import TypeLookup, types_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from psqlpy._async.connection import Connection
    from psqlpy._async.copying import Copying
    from psqlpy._io.links import AsyncLink

    Progress = Callable[[int, int], object]

T = TypeVar("T")  # a row, tuple or dict, or bytes

# Rows that are decoded at once.
_PORTION = 500
_BINARY_HEAD = 19  # without an extension, which no server has ever sent


class CopyOut(Unique, Generic[T]):
    """The rows of a table or a query, one after the other, or the bytes of the copy, part by part.

    It has the connection for itself from the first item to the last, and reads no further than it is iterated over.
    `close`, the end of its block, or that nobody refers to it any more breaks it off.
    """

    __slots__ = (
        "__weakref__",
        "_as_dict",
        "_began",
        "_closed",
        "_columns",
        "_connection",
        "_copy",
        "_data",
        "_deadline",
        "_executor",
        "_headed",
        "_items",
        "_link",
        "_messages",
        "_number",
        "_options",
        "_plan",
        "_progress",
        "_query",
        "_reported",
        "_source",
        "_timeout",
        "row_count",
    )

    def __init__(
        self,
        executor: Copying,
        source: str,
        query: str | None,
        options: Options | None,
        as_dict: bool,
        progress: Progress | None,
        timeout: float | None,
    ) -> None:
        self._executor = executor
        self._source = source
        self._query = query
        # None: rows are wanted.
        self._options = options
        self._as_dict = as_dict
        self._progress = check_progress(progress)
        self._timeout = timeout
        self._deadline: float | None = None
        self._began = 0.0
        self._connection: Connection | None = None
        self._link: Any = None
        self._copy: Dialogue | None = None
        self._closed = False
        self._columns: CopyColumns | None = None
        self._plan: Any = None
        # Of the part that arrived last: what isn't decoded yet, and what is.
        self._data = memoryview(b"")
        self._items: Iterator[T] = iter(())
        self._headed = False
        self._number = 0
        # How many rows were reported to `progress`.
        self._reported = 0
        #: How many rows were copied; None before the end.
        self.row_count: int | None = None

    def __aiter__(self) -> CopyOut[T]:
        return self

    async def __anext__(self) -> T:
        for item in self._items:
            return item
        while await self._refill():
            for item in self._items:
                return item
        raise StopAsyncIteration

    async def __aenter__(self) -> CopyOut[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._break_off(error)

    def close(self) -> None:
        """Break the copy off if it hasn't ended; the server is asked to cancel it. A second call does nothing."""
        self._break_off(None)

    def _break_off(self, error: BaseException | None) -> None:
        self._closed = True
        self._items, self._data = iter(()), memoryview(b"")
        copy, self._copy = self._copy, None
        link, self._link = self._link, None
        connection, self._connection = self._connection, None
        _close(link, copy, connection, self._executor, patience(self._deadline, error))

    def __del__(self) -> None:
        copy, link = getattr(self, "_copy", None), getattr(self, "_link", None)
        if copy is not None and link is not None:
            # For a statement that comes before the next line has its effect.
            copy.orphaned = True
            link.soon(partial(_close, link, copy, self._connection, self._executor, patience(None)))

    # Parts

    async def _refill(self) -> bool:
        """Have more items; False at the end."""
        try:
            if self._data:
                self._decode()
                await async_turn()
                return True
            data = await self._part()
            if data is None:
                self.close()
                return False
            if self._columns is None:
                part: Any = data
                self._items = iter((part,))
            else:
                skipped = 0 if self._headed or not self._columns.binary else _BINARY_HEAD
                self._headed = True
                self._data = memoryview(data)[skipped:]
                self._decode()
            return True
        except BaseException as error:
            self._break_off(error)
            raise

    async def _part(self) -> bytes | None:
        """What has arrived since, whole rows; None at the end."""
        if self._closed:
            return None
        try:
            if self._copy is None:
                await self._start()
            else:
                await async_turn()
                async_attach(self._copy)
                await self._link.go_on(self._copy, self._deadline)
        except exceptions.QueryTimeoutError:
            if self._copy is None:
                raise
            raise query_timeout(self._began, self._copy) from None
        copy = self._copy
        assert copy is not None
        if copy.paused:
            data = copy.buffer.data()
            self._report(copy.buffer.row_count, len(data))
            return data
        self._finish(copy)
        return None

    async def _start(self) -> None:
        self._began = monotonic()
        self._connection, self._deadline = await self._executor._begin_copy(self._timeout)
        connection, family = self._connection, self._executor._family
        self._link = link = connection.link
        await connection.begin_now(self._deadline)
        options = self._options
        if options is None:
            described = Describe(self._query or await self._table_query(connection), family)
            await link.run(described, self._deadline)
            registry = link.session.registry
            if unknown := types_ahead(registry, described.columns):
                await link.run(TypeLookup(unknown), self._deadline)
            plan = registry.result_plan(described.columns)
            self._columns = CopyColumns(described.columns, bool(plan.format))
            self._plan = in_style(link.session, plan, described.columns) if plan.has_dates else plan
            options = {"format": "binary"} if plan.format else {}
        self._copy = connection.pausing = Dialogue(copy_to_stdout(self._source, options))
        async_attach(self._copy)
        await link.run(self._copy, self._deadline)

    async def _table_query(self, connection: Connection) -> str:
        """What returns the columns of a table that COPY has: not those that are generated."""
        columns = await columns_of(connection, self._executor._family, self._source, self._deadline)
        names = ", ".join(quote_identifier(name).decode() for name, _, _ in columns)
        return f"SELECT {names} FROM {self._source}"

    def _finish(self, copy: Dialogue) -> None:
        result = copy.value
        if result is None:
            # The connection was given back before it was the copy's turn.
            raise closed(None)
        if copy.refused():
            raise failed(result.diagnostics(), self._executor._family, copy.text)
        self.row_count = result.affected_count or 0
        if self._progress is not None and self.row_count != self._reported:
            self._progress(self.row_count - self._reported, 0)

    def _report(self, messages: int, size: int) -> None:
        if self._progress is None:
            return
        # Headings, and what ends a binary copy, are messages that aren't rows: the end corrects the number.
        if self._options and self._options.get("header") and not self._reported:
            messages -= 1
        self._reported += messages
        self._progress(messages, size)

    def _decode(self) -> None:
        assert self._columns is not None
        result, used = self._columns.result(self._data, _PORTION)
        self._data = self._data[used:] if used else self._data[:0]
        try:
            rows = self._plan.dicts(result) if self._as_dict else self._plan.tuples(result)
        except exceptions.DataError as error:
            before = self._number
            error.args = (sub(r"^row (\d+)", lambda found: f"row {int(found[1]) + before}", str(error)),)
            raise
        self._number += len(rows)
        self._items = iter(rows)

    # To somewhere

    async def write_to(self, destination: Any) -> int:
        """Copy everything to a path, to an open file, or to whatever can be called with bytes; returns the rows."""
        file: AsyncFile | None = None
        try:
            while (data := await self._part()) is not None:
                if callable(destination):
                    await async_outcome(destination(data))
                    continue
                file = file or await self._open(destination)
                await file.write(data, self._deadline)
            if file is None and not callable(destination):
                file = await self._open(destination)
            if file is not None:
                await file.flush(self._deadline)
            assert self.row_count is not None
            return self.row_count
        except BaseException as error:
            self._break_off(error)
            raise
        finally:
            self.close()
            if file is not None and isinstance(destination, str | PathLike):
                file.close()

    async def _open(self, destination: Any) -> AsyncFile:
        if isinstance(destination, str | PathLike):
            return await AsyncFile.open(destination, "wb", self._deadline)
        return AsyncFile(destination)


def _close(
    link: AsyncLink | None,
    copy: Dialogue | None,
    connection: Connection | None,
    executor: Copying,
    budget: float,
) -> None:
    if copy is not None and link is not None and not copy.ended:
        async_leave(link, copy, budget)
    if connection is not None:
        executor._end_copy(connection)


def source_of(
    table_name: str | None, columns: Sequence[str] | None, schema_name: str | None, query: str | None
) -> tuple[str, str | None]:
    """What to copy, and the query that returns the same columns; None for all that a table has."""
    if (table_name is None) == (query is None):
        raise exceptions.ParameterValueError("copy_out takes either a table's name or query=")
    if query is not None:
        if columns is not None or schema_name is not None:
            raise exceptions.ParameterValueError("columns and schema_name are for tables, not for query=")
        source = parenthesised(query)
        return source, source[1:-1]
    assert table_name is not None
    target = qualified(table_name, schema_name)
    names = column_list(columns)
    return target + names, f"SELECT {names[2:-1]} FROM {target}" if names else None
