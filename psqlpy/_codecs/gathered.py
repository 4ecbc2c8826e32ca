"""Gathered: the rows of a long answer, decoded as they came, so that nothing stands still when they are asked for.

Only of columns whose values can't be changed, so that who asks twice may be given the same ones, and from which the
bytes that the server sent can be made again (`is_atomic`): libpq's copy of a chunk is freed once it is decoded. A chunk
that can't be decoded stays as it is until somebody asks for it, and is told what is wrong.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from psqlpy._codecs.codec import Codec
from psqlpy._codecs.recast import Chunk, Rows, chunk_of_records, forgotten, records_of
from psqlpy._pq.result import Kind, PGresult
from psqlpy._record import Record

if TYPE_CHECKING:
    from psqlpy._codecs.rows import ResultPlan

#: Rows from which on it is worthwhile. Fewer are decoded in some milliseconds by one call, and before libpq 17 each row
#: that is taken alone costs as much again.
WORTH_GATHERING = 2048

# What C makes of these is the value, or is converted to one by functions of our own, which can't fail.
_UNCONVERTED = (
    Kind.TEXT,
    Kind.BYTES,
    Kind.BOOL,
    Kind.INT2,
    Kind.INT4,
    Kind.INT8,
    Kind.FLOAT4,
    Kind.FLOAT8,
    Kind.UUID,
)
_CONVERTED = (Kind.NUMERIC, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.UUID)


def is_atomic(codec: Codec | None) -> bool:
    """Whether nobody can change a value of this type, and its bytes can be made of it."""
    if codec is None or codec.dumps_str or (codec.kind == Kind.TEXT and not codec.textual):
        return False
    return codec.kind in (_UNCONVERTED if codec.convert is None else _CONVERTED)


class Gathered:
    """Stands for a PGresult in a QueryResult; rows are counted from 0."""

    __slots__ = (
        "_chunks",
        "_columns",
        "_last",
        "_starts",
        "affected_count",
        "column_count",
        "command_tag",
        "memory_size",
        "plan",
        "row_count",
    )

    def __init__(self, columns: ResultPlan) -> None:
        self._columns = columns
        self.plan = GatheredPlan(columns)
        # A chunk is its rows, or what libpq has received.
        self._chunks: list[Chunk | PGresult] = []
        self._starts: list[int] = []
        # The newest chunk, on which libpq 17 and newer write the command tag, unless nothing has come since.
        self._last: PGresult | None = None
        self.command_tag = ""
        self.affected_count: int | None = None
        self.column_count = len(columns.names)
        self.row_count = 0
        # Of libpq's copies of the chunks, though they are freed: how much has come. Bytes.
        self.memory_size = 0

    def add(self, chunk: PGresult) -> None:
        """Decode the next rows."""
        self._last = chunk
        self.memory_size += chunk.memory_size
        columns = self._columns
        try:
            decoded = forgotten(columns.tuples(chunk))
            rows: Chunk | PGresult = decoded
            if columns.wants_records:
                rows = chunk_of_records(decoded, columns.names)
        except Exception:
            # Raised again for whoever asks for these rows: nobody has asked yet, perhaps nobody will.
            chunk.first_row = self.row_count
            rows = chunk
        self._starts.append(self.row_count)
        self._chunks.append(rows)
        self.row_count += chunk.row_count

    def ended(self, end: PGresult) -> Gathered:
        """Take what the server says at the end of the rows."""
        last, self._last = self._last, None
        if last is not None and not end.command_tag:
            end = last
        self.command_tag, self.affected_count = end.command_tag, end.affected_count
        return self

    def tuples(self, start: int, stop: int) -> Rows:
        """Return rows in a list of its own. Raises DataError for the first cell that can't be decoded."""
        rows: Rows = []
        for chunk, first, last in self._parts(start, min(stop, self.row_count)):
            if isinstance(chunk, PGresult):
                rows += self._columns.tuples(chunk, first, last)
                continue
            begin = len(rows)
            rows += chunk if last - first == len(chunk) else chunk[first:last]
            # Looked at when they are in the list: what somebody else has isn't made a Record by another thread.
            if len(rows) > begin and isinstance(rows[begin], Record):
                rows[begin:] = map(tuple, rows[begin:])
        return rows

    def records(self) -> list[Record]:
        """Return all rows as Records; those of a later execution will be made as they come. Raises as `tuples` does.

        They take the tuples' places here, chunk by chunk: never are all the rows there twice.
        """
        self._columns.wants_records = True
        rows: list[Record] = []
        for index, chunk in enumerate(self._chunks):
            if isinstance(chunk, PGresult):
                rows += records_of(self._columns.tuples(chunk), self._columns.names, is_atomic=True)
            else:
                if not isinstance(chunk[0], Record):
                    self._chunks[index] = chunk = chunk_of_records(chunk, self._columns.names)
                rows += chunk  # type: ignore[arg-type]  # a Record is a tuple that isn't seen to be one here
        return rows

    def value(self, row: int, column: int) -> Any:
        """Return one cell. Raises DataError if it can't be decoded, IndexError if it isn't there."""
        if not (0 <= row < self.row_count and 0 <= column < len(self._columns.names)):
            raise IndexError(f"no row {row} or no column {column} in the result")
        chunk, first = self._chunk(row)
        if isinstance(chunk, PGresult):
            return self._columns.value(chunk, first, column)
        return chunk[first][column]

    def value_bytes(self, row: int, column: int) -> bytes | None:
        """One value as it came over the wire, None for NULL. Row and column must exist."""
        chunk, first = self._chunk(row)
        if isinstance(chunk, PGresult):
            return chunk.value_bytes(first, column)
        value = chunk[first][column]
        return None if value is None else self._columns.value_bytes(column, value)

    def _chunk(self, row: int) -> tuple[Chunk | PGresult, int]:
        index = bisect_right(self._starts, row) - 1
        return self._chunks[index], row - self._starts[index]

    def _parts(self, start: int, stop: int) -> Iterator[tuple[Chunk | PGresult, int, int]]:
        index = max(0, bisect_right(self._starts, start) - 1)
        while index < len(self._chunks) and self._starts[index] < stop:
            first = self._starts[index]
            chunk = self._chunks[index]
            size = chunk.row_count if isinstance(chunk, PGresult) else len(chunk)
            yield chunk, max(0, start - first), min(size, stop - first)
            index += 1


class GatheredPlan:
    """Stands for a ResultPlan beside a Gathered."""

    __slots__ = ("_columns",)

    # Nothing about the columns shows only with the rows.
    unsettled = False

    def __init__(self, columns: ResultPlan) -> None:
        self._columns = columns

    @property
    def names(self) -> tuple[str, ...]:
        return self._columns.names

    @property
    def type_names(self) -> tuple[str, ...]:
        return self._columns.type_names

    def tuples(self, result: Gathered, start: int = 0, stop: int | None = None) -> Rows:
        return result.tuples(start, result.row_count if stop is None else stop)

    def records(self, result: Gathered) -> list[Record]:
        return result.records()

    def dicts(self, result: Gathered, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
        return self._columns.dicts_of(self.tuples(result, start, stop))

    def row_dict(self, result: Gathered, row: int = 0) -> dict[str, Any]:
        return self.dicts(result, row, row + 1)[0]

    def value(self, result: Gathered, row: int, column: int) -> Any:
        return result.value(row, column)


def are_atomic(codecs: Sequence[Codec | None]) -> bool:
    """Whether rows of these columns can be gathered; those without columns can't be added to one another."""
    return bool(codecs) and all(map(is_atomic, codecs))
