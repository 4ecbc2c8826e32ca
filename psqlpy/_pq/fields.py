"""FieldsDecoder: values of composite types in binary, which hold values of other types."""

from __future__ import annotations

from collections.abc import Sequence
from marshal import loads
from typing import Any

from psqlpy._pq.module import ffi, lib
from psqlpy._pq.result import _BUFFER_SIZE, Cell, _buffers, _make_buffer


class FieldsDecoder:
    """Makes a tuple of a value whose fields are of the given types and are read as these columns (see RowDecoder)."""

    __slots__ = ("_columns", "_count", "_types")

    def __init__(self, types: Sequence[int], columns: Sequence[tuple[int, ...]]) -> None:
        self._count = len(types)
        self._types = ffi.new("Oid[]", list(types))
        self._columns = ffi.new("psq_decode_column[]", list(columns))

    def decode(self, value: bytes) -> tuple[int, int, tuple[Any, ...]]:
        """A reason of class Cell, the field it is about or -1, and the fields if the reason is DECODED.

        MISMATCH: the value has other fields.
        """
        try:
            buffer = _buffers.pop()
        except IndexError:
            buffer = _make_buffer(_BUFFER_SIZE)
        kept, capacity = buffer, _BUFFER_SIZE
        try:
            while True:
                pointer, view = buffer
                reason = lib.psq_decode_fields(
                    value, len(value), self._count, self._types, self._columns, pointer
                )
                if reason == Cell.DECODED:
                    return reason, -1, loads(view)
                if reason != Cell.NO_ROOM:
                    return reason, pointer.row_count, ()
                capacity = max(4 * capacity, 4 * len(value))
                buffer = _make_buffer(capacity)
        finally:
            _buffers.append(kept)
