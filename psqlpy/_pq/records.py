"""RecordBuffer: records as the data of COPY, or as parameters, written by C from columns. Nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psqlpy._pq.module import ffi, lib


class Column:
    """How a column's values are written, see records.h. Plain ints, since Enums are slow to make."""

    RAW: int = lib.PSQ_COLUMN_RAW
    BOOL: int = lib.PSQ_COLUMN_BOOL
    INT2: int = lib.PSQ_COLUMN_INT2
    INT4: int = lib.PSQ_COLUMN_INT4
    INT8: int = lib.PSQ_COLUMN_INT8
    UINT4: int = lib.PSQ_COLUMN_UINT4
    FLOAT4: int = lib.PSQ_COLUMN_FLOAT4
    FLOAT8: int = lib.PSQ_COLUMN_FLOAT8
    TEXT: int = lib.PSQ_COLUMN_TEXT
    JSONB: int = lib.PSQ_COLUMN_JSONB
    BYTES: int = lib.PSQ_COLUMN_BYTES
    NUMERIC: int = lib.PSQ_COLUMN_NUMERIC
    UUID: int = lib.PSQ_COLUMN_UUID
    UUID_INT: int = lib.PSQ_COLUMN_UUID_INT
    DATE: int = lib.PSQ_COLUMN_DATE
    TIME: int = lib.PSQ_COLUMN_TIME
    TIMESTAMP: int = lib.PSQ_COLUMN_TIMESTAMP


# Of one column: its kind, its values as marshal streams, and a byte for each row, 0 where it is NULL and in no stream.
Streams = tuple[int, Sequence[bytes], "bytes | None"]


# Of these marshal writes the values themselves, and of others' values nothing that could be taken for one of theirs.
_PLAIN = frozenset(
    {
        Column.BOOL,
        Column.INT2,
        Column.INT4,
        Column.INT8,
        Column.UINT4,
        Column.FLOAT4,
        Column.FLOAT8,
        Column.TEXT,
        Column.JSONB,
        Column.NUMERIC,
        Column.UUID,
    }
)


def plain_kinds(kinds: Sequence[int | None]) -> Any:
    """The kinds of columns whose rows `add_plain` takes; None if one of them isn't so plain."""
    return ffi.new("int[]", list(kinds)) if set(kinds) <= _PLAIN else None


class RecordBuffer:
    """Data of COPY, or parameters, that grow until they are taken."""

    __slots__ = ("_records", "_unfit")

    def __init__(self) -> None:
        self._records = ffi.gc(ffi.new("psq_records *"), lib.psq_records_clear)
        self._unfit = ffi.new("int *")

    def __len__(self) -> int:
        return int(self._records.size)

    def append(self, data: bytes) -> None:
        """Add bytes as they are."""
        if not lib.psq_records_append(self._records, data, len(data)):
            raise MemoryError

    def add(self, row_count: int, columns: Sequence[Streams], as_parameters: bool = False) -> int | None:
        """Add rows of the binary format; otherwise nothing, and the column that has a value C doesn't take.

        `as_parameters`: packed as a statement's parameters instead, in the binary format or in text.
        """
        described = ffi.new("psq_column[]", len(columns))
        # The streams are the caller's: the pointers are good for this call.
        for to, (kind, streams, present) in zip(described, columns, strict=True):
            to.kind = kind
            to.stream_count = len(streams)
            for index, stream in enumerate(streams):
                to.streams[index] = ffi.from_buffer(stream)
                to.sizes[index] = len(stream)
            if present is not None:
                to.present = ffi.from_buffer(present)
        outcome = lib.psq_records_add(
            self._records, row_count, described, len(columns), as_parameters, self._unfit
        )
        if outcome == lib.PSQ_RECORDS_NO_MEMORY:
            raise MemoryError
        return None if outcome == lib.PSQ_RECORDS_ADDED else int(self._unfit[0])

    def add_plain(self, row_count: int, stream: bytes, kinds: Any) -> bool:
        """Add rows of one marshal stream; otherwise nothing. `kinds` is an int[] of C."""
        outcome = lib.psq_records_add_plain(
            self._records, row_count, ffi.from_buffer(stream), len(stream), kinds, len(kinds)
        )
        if outcome == lib.PSQ_RECORDS_NO_MEMORY:
            raise MemoryError
        return bool(outcome == lib.PSQ_RECORDS_ADDED)

    def data(self) -> Any:
        """What is in it, until something is added or it is emptied."""
        return (
            memoryview(ffi.buffer(self._records.data, self._records.size)) if len(self) else memoryview(b"")
        )

    def clear(self) -> None:
        """Empty it; its memory is kept."""
        self._records.size = 0
