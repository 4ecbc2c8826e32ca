"""Copying: COPY for connections, transactions and the pool. How data travels is in copy_in.py and copy_out.py."""

from __future__ import annotations

from io import BytesIO
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

from psqlpy import exceptions
from psqlpy._io.blocks import AsyncCall, async_call
from psqlpy._io.primitives import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Unpack

    from psqlpy._async.connection import Connection
    from psqlpy._async.copy_out import CopyOut
    from psqlpy._async.copy_sources import Source
    from psqlpy._protocol.copy_text import CopyInOptions, CopyOutOptions, Options

    Progress = Callable[[int, int], object]


class Copying:
    """What can copy. Every call has the connection for itself until it ends; statements of others wait.

    `progress(rows, bytes)` is called after each part with what has been copied since the call before. `timeout` is in
    seconds and covers the whole of it, the time of the source and of the destination included. After an error nothing
    is stored, and the connection is usable; a transaction is aborted, as by any statement that fails.
    """

    __slots__ = ()

    _family: type[exceptions.Error]

    def _lease(self) -> Connection:
        raise NotImplementedError

    async def _begin_copy(self, timeout: float | None) -> tuple[Connection, float | None]:
        """The connection to copy on, and until when."""
        connection = self._lease()
        return connection, connection.deadline(timeout)

    def _end_copy(self, connection: Connection) -> None:
        """The connection isn't needed any more; it is its user's."""

    async def binary_copy_to_table(
        self,
        source: bytes | bytearray | memoryview | BytesIO,
        table_name: str,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> int:
        """Copy data in PostgreSQL's binary format into a table; returns the number of rows.

        A BytesIO is read from its start. Files, paths and iterables are for `copy_in`.
        """
        from psqlpy._async.copy_sources import BYTES, BytesSource

        if isinstance(source, BytesIO):
            source = source.getvalue()
        if not isinstance(source, BYTES):
            raise exceptions.ParameterTypeError(
                "source must be bytes or support the buffer protocol, not "
                f"{type(source).__name__}: copy_in takes files, paths and iterables"
            )
        return await self._send(
            BytesSource(source),
            table_name,
            columns,
            schema_name,
            {"format": "binary"},
            progress,
            timeout,
        )

    async def copy_records_to_table(
        self,
        table_name: str,
        records: Any,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> int:
        """Copy records into a table; returns their number.

        `records` is any iterable of sequences, one value for each column, or of dicts. Without `columns` these are the
        keys of the first record if that is a dict, otherwise all that COPY can write: not generated ones, but identity
        columns too. Raises PyToRustValueMappingError, with the number of the record and the name of the column, for
        what doesn't fit.
        """
        from psqlpy._io.streams import is_iterable

        if isinstance(records, str | bytes | bytearray | memoryview) or not is_iterable(records):
            raise exceptions.ParameterTypeError(
                f"records must be an iterable of sequences or dicts, not {type(records).__name__}"
            )
        return await self._send_items(records, table_name, columns, schema_name, None, progress, timeout)

    async def copy_in(
        self,
        table_name: str,
        source: Any,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        **options: Unpack[CopyInOptions],
    ) -> int:
        """Copy into a table: a file, by its path or open, bytes, an iterable of bytes, or of records.

        `format` is "text" (as it is without), "csv" or "binary"; the other options are those of PostgreSQL's COPY, and
        newer servers have more of them. Records are written by psqlpy, without options. Returns the number of rows.
        """
        from psqlpy._async.copy_sources import BYTES, BytesSource, FileSource
        from psqlpy._io.streams import is_iterable
        from psqlpy._protocol.copy_text import CopyInOptions, check_options, is_utf8

        given = check_options("copy_in", options, CopyInOptions)
        found: Source
        if isinstance(source, str | PathLike) or hasattr(source, "read"):
            found = FileSource(source, is_utf8(given))
        elif isinstance(source, BYTES):
            found = BytesSource(source)
        elif is_iterable(source):
            return await self._send_items(source, table_name, columns, schema_name, given, progress, timeout)
        else:
            raise exceptions.ParameterTypeError(
                f"source must be a path, a file, bytes or an iterable, not {type(source).__name__}"
            )
        return await self._send(found, table_name, columns, schema_name, given, progress, timeout)

    async def _send(
        self,
        source: Source,
        table_name: str,
        columns: Sequence[str] | None,
        schema_name: str | None,
        options: Options,
        progress: Progress | None,
        timeout: float | None,
    ) -> int:
        from psqlpy._async.copy_in import Sending
        from psqlpy._protocol.copy_text import qualified

        target = qualified(table_name, schema_name)
        connection, deadline = await self._begin_copy(timeout)
        try:
            sending = Sending(connection, self._family, deadline, progress)
            return await sending.run(target, columns, options, source)
        finally:
            self._end_copy(connection)

    async def _send_items(
        self,
        source: Any,
        table_name: str,
        columns: Sequence[str] | None,
        schema_name: str | None,
        options: Options | None,
        progress: Progress | None,
        timeout: float | None,
    ) -> int:
        """Send bytes or records, whichever come first; without `options` they are records."""
        from psqlpy._async.copy_in import Sending
        from psqlpy._async.copy_records import find_records
        from psqlpy._async.copy_sources import BYTES, ItemSource
        from psqlpy._io.streams import AsyncItems
        from psqlpy._protocol.copy_text import check_columns, is_utf8, qualified

        target = qualified(table_name, schema_name)
        if columns is not None:
            columns = check_columns(columns)
        connection, deadline = await self._begin_copy(timeout)
        items = None
        try:
            items = AsyncItems(source)
            first = await items.take(1, monotonic(), deadline)
            sending = Sending(connection, self._family, deadline, progress)
            if options is not None and isinstance(first[0] if first else b"", (str, *BYTES)):
                found = ItemSource(items, first, is_utf8(options))
                return await sending.run(target, columns, options, found)
            if options:
                raise exceptions.ParameterValueError(
                    f"{next(iter(options))} is for data in PostgreSQL's own formats: records are written by psqlpy, "
                    "leave it out"
                )
            records = await find_records(connection, self._family, items, first, target, columns, deadline)
            plan = records.plan
            return await sending.run(target, plan.names, {"format": "binary"} if plan.format else {}, records)
        except GeneratorExit:
            # Nobody resumes the call any more: there is no waiting.
            raise
        except BaseException:
            if items is not None:
                await items.close()
            raise
        finally:
            self._end_copy(connection)

    @overload
    def copy_out(
        self,
        table_name: str | None = None,
        destination: None = None,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        query: str | None = None,
        as_dict: Literal[False] = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> CopyOut[tuple[Any, ...]]: ...

    @overload
    def copy_out(
        self,
        table_name: str | None = None,
        destination: None = None,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        query: str | None = None,
        as_dict: Literal[True],
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> CopyOut[dict[str, Any]]: ...

    @overload
    def copy_out(
        self,
        table_name: str | None = None,
        destination: None = None,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        query: str | None = None,
        as_dict: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> CopyOut[Any]: ...

    @overload
    def copy_out(
        self,
        table_name: str | None = None,
        destination: None = None,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        query: str | None = None,
        as_dict: Literal[False] = False,
        progress: Progress | None = None,
        timeout: float | None = None,
        **options: Unpack[CopyOutOptions],
    ) -> CopyOut[bytes]: ...

    @overload
    def copy_out(
        self,
        table_name: str | None = None,
        destination: Any = None,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        query: str | None = None,
        as_dict: Literal[False] = False,
        progress: Progress | None = None,
        timeout: float | None = None,
        **options: Unpack[CopyOutOptions],
    ) -> AsyncCall[int]: ...

    def copy_out(
        self,
        table_name: str | None = None,
        destination: Any = None,
        columns: Sequence[str] | None = None,
        schema_name: str | None = None,
        *,
        query: str | None = None,
        as_dict: bool = False,
        progress: Progress | None = None,
        timeout: float | None = None,
        **options: Unpack[CopyOutOptions],
    ) -> CopyOut[Any] | AsyncCall[int]:
        """Copy a table, or what a query returns, to a path, an open file or a callback that takes bytes.

        Returns the number of rows then. Without a destination it returns what is iterated over: rows, as tuples or,
        with `as_dict`, as dicts; or, if there is a `format` or another option, the bytes of the copy, part by part,
        each of whole rows. `format` is "text", "csv" or "binary".
        """
        from psqlpy._async.copy_out import CopyOut, source_of
        from psqlpy._io.streams import is_text
        from psqlpy._protocol.copy_text import CopyOutOptions, check_options, is_utf8

        given = check_options("copy_out", options, CopyOutOptions)
        source, statement = source_of(table_name, columns, schema_name, query)
        raw = destination is not None or bool(given)
        if as_dict and raw:
            raise exceptions.ParameterValueError(
                "as_dict is for rows: leave the destination, the format and its options out"
            )
        copy: CopyOut[Any] = CopyOut(
            self, source, statement, given if raw else None, as_dict, progress, timeout
        )
        if destination is None:
            return copy
        if not (
            isinstance(destination, str | PathLike) or hasattr(destination, "write") or callable(destination)
        ):
            raise exceptions.ParameterTypeError(
                f"destination must be a path, a file or a callable, not {type(destination).__name__}"
            )
        if is_text(destination) and (given.get("format") == "binary" or not is_utf8(given)):
            raise exceptions.ParameterValueError(
                "the destination takes text, which has no encoding: open it for bytes, or leave format and encoding out"
            )
        return async_call(copy.write_to(destination))
