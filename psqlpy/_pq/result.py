"""PGresult: one result of libpq, owned by its Python object and freed with it. RowDecoder: its rows in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from marshal import loads
from typing import Any

from psqlpy._pq.enums import Diagnostic
from psqlpy._pq.module import ffi, lib
from psqlpy.exceptions import InternalError

_FIELD_CODES = (
    ("severity", Diagnostic.SEVERITY_NONLOCALIZED),
    ("sqlstate", Diagnostic.SQLSTATE),
    ("message_primary", Diagnostic.MESSAGE_PRIMARY),
    ("detail", Diagnostic.MESSAGE_DETAIL),
    ("hint", Diagnostic.MESSAGE_HINT),
    ("position", Diagnostic.STATEMENT_POSITION),
    ("schema_name", Diagnostic.SCHEMA_NAME),
    ("table_name", Diagnostic.TABLE_NAME),
    ("column_name", Diagnostic.COLUMN_NAME),
    ("datatype_name", Diagnostic.DATATYPE_NAME),
    ("constraint_name", Diagnostic.CONSTRAINT_NAME),
    ("context", Diagnostic.CONTEXT),
    ("source_function", Diagnostic.SOURCE_FUNCTION),
)

TUPLES_OK = 2
# How many are known from the status.
_ROWS = {1: 0}

_row_count = lib.PQntuples


def text(pointer: Any) -> str | None:
    """A C string of libpq's as str; bytes that aren't UTF-8 (messages before the encoding is agreed) are replaced."""
    return None if pointer == ffi.NULL else ffi.string(pointer).decode("utf-8", "replace")


def diagnostics(pointer: Any) -> dict[str, str | None]:
    """The error fields of a PGresult that is still libpq's, by the names that exceptions use."""
    fields = {name: text(lib.PQresultErrorField(pointer, code)) for name, code in _FIELD_CODES}
    if fields["severity"] is None:
        # Poolers have the localized one only.
        fields["severity"] = text(lib.PQresultErrorField(pointer, Diagnostic.SEVERITY))
    if fields["message_primary"] is None:
        # libpq's own errors (a lost connection) have a message and no fields.
        fields["message_primary"] = (text(lib.PQresultErrorMessage(pointer)) or "").strip()
    return fields


class PGresult:
    """Rows × columns as libpq received them. PQclear happens when nobody refers to it."""

    __slots__ = ("first_row", "pointer", "row_count", "status")

    #: Which of the answer's rows is the first here; set of a chunk only.
    first_row: int

    # Here, since module globals may be gone when the interpreter exits.
    _clear = lib.PQclear

    def __init__(self, pointer: Any, status: int, row_count: int | None = None) -> None:
        self.pointer = pointer
        self.status = status
        self.row_count: int = _row_count(pointer) if row_count is None else row_count

    def __del__(self) -> None:
        try:
            self._clear(self.pointer)
        except AttributeError:
            # An interrupt has kept it from having one.
            pass

    @property
    def column_count(self) -> int:
        return int(lib.PQnfields(self.pointer))

    @property
    def memory_size(self) -> int:
        """Bytes that libpq holds for this result."""
        return int(lib.PQresultMemorySize(self.pointer))

    @property
    def command_tag(self) -> str:
        """As the server sent it: `INSERT 0 3`, `SELECT 1`, `CREATE TABLE`."""
        return text(lib.PQcmdStatus(self.pointer)) or ""

    @property
    def sqlstate(self) -> str | None:
        """Of an error; None if it is libpq's own."""
        return text(lib.PQresultErrorField(self.pointer, Diagnostic.SQLSTATE))

    @property
    def affected_count(self) -> int | None:
        """Rows that the command read or changed, None for commands that have no such number."""
        digits = text(lib.PQcmdTuples(self.pointer))
        return int(digits) if digits else None

    def columns(self) -> tuple[tuple[str, int, int, int], ...]:
        """(name, type oid, typmod, format) of each column."""
        pointer = self.pointer
        return tuple(
            (
                text(lib.PQfname(pointer, index)) or "",
                lib.PQftype(pointer, index),
                lib.PQfmod(pointer, index),
                lib.PQfformat(pointer, index),
            )
            for index in range(lib.PQnfields(pointer))
        )

    def table_oids(self) -> tuple[int, ...]:
        """The table each column comes from, 0 for expressions."""
        return tuple(lib.PQftable(self.pointer, index) for index in range(self.column_count))

    def parameter_oids(self) -> tuple[int, ...]:
        """The parameters' types; of a described statement only."""
        return tuple(lib.PQparamtype(self.pointer, index) for index in range(lib.PQnparams(self.pointer)))

    def value_bytes(self, row: int, column: int) -> bytes | None:
        """One value as it came over the wire, None for NULL. Row and column must exist: libpq doesn't check for us."""
        if lib.PQgetisnull(self.pointer, row, column):
            return None
        length = lib.PQgetlength(self.pointer, row, column)
        return bytes(ffi.buffer(lib.PQgetvalue(self.pointer, row, column), length))

    def diagnostics(self) -> dict[str, str | None]:
        """The fields of an error, by the names that exceptions use."""
        return diagnostics(self.pointer)


class Kind:
    """What the cells of a column are in binary, and what C makes of them: decode.h."""

    VOID: int = lib.PSQ_KIND_VOID
    TEXT: int = lib.PSQ_KIND_TEXT
    BYTES: int = lib.PSQ_KIND_BYTES
    CHAR: int = lib.PSQ_KIND_CHAR
    JSONB: int = lib.PSQ_KIND_JSONB
    BOOL: int = lib.PSQ_KIND_BOOL
    INT2: int = lib.PSQ_KIND_INT2
    INT4: int = lib.PSQ_KIND_INT4
    INT8: int = lib.PSQ_KIND_INT8
    UINT4: int = lib.PSQ_KIND_UINT4
    UINT8: int = lib.PSQ_KIND_UINT8
    FLOAT4: int = lib.PSQ_KIND_FLOAT4
    FLOAT8: int = lib.PSQ_KIND_FLOAT8
    NUMERIC: int = lib.PSQ_KIND_NUMERIC
    DATE: int = lib.PSQ_KIND_DATE
    TIME: int = lib.PSQ_KIND_TIME
    TIMESTAMP: int = lib.PSQ_KIND_TIMESTAMP
    INTERVAL: int = lib.PSQ_KIND_INTERVAL
    UUID: int = lib.PSQ_KIND_UUID
    ARRAY: int = lib.PSQ_KIND_ARRAY
    RANGE: int = lib.PSQ_KIND_RANGE
    MULTIRANGE: int = lib.PSQ_KIND_MULTIRANGE


class RangeFlag:
    """Bits of a range's flags: container.h."""

    EMPTY: int = lib.PSQ_RANGE_EMPTY
    LOWER_INCLUSIVE: int = lib.PSQ_RANGE_LOWER_INCLUSIVE
    UPPER_INCLUSIVE: int = lib.PSQ_RANGE_UPPER_INCLUSIVE
    LOWER_INFINITE: int = lib.PSQ_RANGE_LOWER_INFINITE
    UPPER_INFINITE: int = lib.PSQ_RANGE_UPPER_INFINITE


class Cell:
    """What RowDecoder.cell found."""

    DECODED: int = lib.PSQ_CELL_DECODED
    MALFORMED: int = lib.PSQ_CELL_MALFORMED
    NOT_UTF8: int = lib.PSQ_CELL_NOT_UTF8
    OUT_OF_RANGE: int = lib.PSQ_CELL_OUT_OF_RANGE
    INFINITE: int = lib.PSQ_CELL_INFINITE
    NO_ROOM: int = lib.PSQ_CELL_NO_ROOM
    MISMATCH: int = lib.PSQ_CELL_MISMATCH


def recast(
    rows: list[tuple[Any, ...]] | tuple[tuple[Any, ...], ...], row_type: object, is_atomic: bool
) -> bool:
    """Make the tuples in `rows` instances of a subclass that adds nothing to them, or else return False: recast.h.

    is_atomic: nothing in them can refer to them, so that the garbage collector may forget them.
    """
    return bool(lib.psq_recast_rows(id(rows), id(row_type), is_atomic))


HAS_NULLS: int = lib.PSQ_NULLS
HAS_DEFERRED: int = lib.PSQ_DEFERRED

_NO_ROOM: int = lib.PSQ_DECODE_NO_ROOM  # this and above: failures
_BUFFER_SIZE = 1 << 20
_LARGEST_BUFFER = 1 << 33

# What one decoding call writes into: the C struct, and all of its data for marshal, which ignores what follows the
# stream, and which keeps it alive. Free ones wait here, as many as ever were in use at once; pop and append are atomic.
_Buffer = tuple[Any, Any]
_buffers: list[_Buffer] = []
_allocate = ffi.new_allocator(should_clear_after_alloc=False)


def _make_buffer(capacity: int) -> _Buffer:
    data = _allocate("char[]", capacity)
    pointer = ffi.new("psq_decode_buffer *", {"data": data, "capacity": capacity})
    return pointer, ffi.buffer(data)


def delivered(status: int, pointer: Any, rows: int) -> tuple[int, PGresult | None]:
    """What a pump has brought: one result with its status, or a status without one."""
    if not pointer:
        return status, None
    return status, PGresult(pointer, status, rows if status == TUPLES_OK else _ROWS.get(status))


class RowDecoder:
    """Makes Python objects of results whose columns are of the given (kind, element kind, element oid, bound kind).

    Cells that C doesn't decode are Ellipsis in rows and columns, and their column's flags have HAS_DEFERRED.
    `row(result, row)` decodes one row: all columns' flags, and a tuple.
    """

    __slots__ = ("_columns", "_plan", "count", "row")

    def __init__(self, columns: Sequence[tuple[int, int, int, int]], format: int) -> None:
        self.count = len(columns)
        self._columns = ffi.new("psq_decode_column[]", list(columns))
        self._plan = ffi.new("psq_decode_plan *", (format, self.count, self._columns))
        self.row = self._row_function()

    def _row_function(self) -> Callable[[PGresult, int], tuple[int, tuple[Any, ...]]]:
        """The hottest path of the driver: a closure has no attributes to look up."""
        take, give, decode, plan = _buffers.pop, _buffers.append, lib.psq_decode_row, self._plan

        def row(result: PGresult, index: int) -> tuple[int, tuple[Any, ...]]:
            try:
                buffer = take()
            except IndexError:
                buffer = _make_buffer(_BUFFER_SIZE)
            pointer, view = buffer
            flags = decode(result.pointer, plan, index, pointer)
            if flags >= _NO_ROOM:
                give(buffer)
                flags, (_, view) = _decode_larger(decode, flags, result, plan, index)
                return flags, loads(view)
            values = loads(view)
            give(buffer)
            return flags, values

        return row

    def rows(self, result: PGresult, start: int, stop: int, by_column: bool) -> tuple[int, Any, bytes]:
        """Decode as many rows as fit: their number, a list of rows or of columns, and each column's flags."""
        try:
            buffer = _buffers.pop()
        except IndexError:
            buffer = _make_buffer(_BUFFER_SIZE)
        flags = lib.psq_decode_rows(result.pointer, self._plan, start, stop, by_column, buffer[0])
        if flags >= _NO_ROOM:
            _buffers.append(buffer)
            return self._taken(
                *_decode_larger(lib.psq_decode_rows, flags, result, self._plan, start, stop, by_column)
            )
        decoded = self._taken(flags, buffer)
        _buffers.append(buffer)
        return decoded

    def _taken(self, flags: int, buffer: _Buffer) -> tuple[int, Any, bytes]:
        pointer, view = buffer
        column_flags = bytes(ffi.buffer(pointer.column_flags, self.count)) if flags else b""
        return pointer.row_count, loads(view), column_flags

    def cell(self, result: PGresult, row: int, column: int) -> tuple[int, Any]:
        """One cell of any size: a reason of class Cell and, if that is DECODED, the value."""
        length = lib.PQgetlength(result.pointer, row, column)
        if length > lib.PSQ_DECODE_CELL and self._columns[column].kind in (Kind.TEXT, Kind.BYTES):
            return self._plain_cell(result, row, column, length)
        capacity = length + 64
        while True:
            pointer, view = _make_buffer(capacity)
            reason = lib.psq_decode_cell(result.pointer, self._plan, row, column, pointer)
            if reason == Cell.MISMATCH:
                raise mismatch()
            if reason != Cell.NO_ROOM:
                return reason, None if reason else loads(view)
            capacity *= 2

    def _plain_cell(self, result: PGresult, row: int, column: int, length: int) -> tuple[int, Any]:
        """Text and bytes of hundreds of megabytes have room for one copy, hardly for two."""
        view = ffi.buffer(lib.PQgetvalue(result.pointer, row, column), length)
        if self._columns[column].kind == Kind.BYTES:
            return Cell.DECODED, bytes(view)
        try:
            return Cell.DECODED, str(view, "utf-8")
        except UnicodeDecodeError:
            return Cell.NOT_UTF8, None


def _decode_larger(decode: Any, flags: int, result: PGresult, plan: Any, *span: int) -> tuple[int, _Buffer]:
    """Repeat a call that failed with larger buffers, which aren't kept."""
    capacity = _BUFFER_SIZE
    while flags == _NO_ROOM and capacity < _LARGEST_BUFFER:
        capacity *= 4
        buffer = _make_buffer(capacity)
        flags = decode(result.pointer, plan, *span, buffer[0])
    if flags >= _NO_ROOM:
        raise mismatch()
    return flags, buffer


def mismatch() -> InternalError:
    return InternalError(
        "the result has other rows, columns or formats than it was announced with: fetch it again"
    )
