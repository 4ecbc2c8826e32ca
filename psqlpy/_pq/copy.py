"""CopyBuffer: what COPY TO STDOUT has sent, as bytes, and copied rows as a PGresult. Nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psqlpy._pq.module import ffi, lib
from psqlpy._pq.result import PGresult
from psqlpy.exceptions import InternalError

if TYPE_CHECKING:
    from psqlpy._pq.connection import PGconn

WAIT: int = lib.PSQ_COPY_WAIT
FULL: int = lib.PSQ_COPY_FULL
END: int = lib.PSQ_COPY_END
BROKEN: int = lib.PSQ_COPY_BROKEN

_TUPLES_OK = 2


class CopyBuffer:
    """Room for so many bytes of rows; without any, the rows are thrown away."""

    __slots__ = ("_buffer", "_data")

    def __init__(self, capacity: int) -> None:
        self._data = ffi.new("char[]", capacity) if capacity else ffi.NULL
        self._buffer = ffi.gc(
            ffi.new("psq_copy_buffer *", {"data": self._data, "capacity": capacity}), lib.psq_copy_clear
        )

    def take(self, pgconn: PGconn) -> int:
        """Replace what is in it by what has arrived since: WAIT, FULL, END or BROKEN."""
        return int(lib.psq_copy_take(pgconn.pointer, self._buffer))

    @property
    def row_count(self) -> int:
        """Messages in it; one is a row, a line of headings, or what ends a binary copy."""
        return int(self._buffer.rows)

    def data(self) -> bytes:
        """What is in it, whole rows."""
        if self._buffer.size:
            return bytes(ffi.buffer(self._data, self._buffer.size))
        if self._buffer.large != ffi.NULL:
            return bytes(ffi.buffer(self._buffer.large, self._buffer.large_size))
        return b""


class CopyColumns:
    """The columns of copied rows, by which these become results."""

    __slots__ = ("_count", "_names", "_types", "binary")

    def __init__(self, columns: Sequence[tuple[str, int, int, int]], binary: bool) -> None:
        self.binary = binary
        self._count = len(columns)
        names = [ffi.new("char[]", column[0].encode()) for column in columns]
        # cffi keeps what the list refers to only as long as the list.
        self._names: tuple[Any, Any] = (ffi.new("char *[]", names), names)
        self._types = ffi.new("Oid[]", [column[1] for column in columns])

    def result(self, data: bytes | memoryview, limit: int) -> tuple[PGresult, int]:
        """Make a result of the first `limit` rows of `data`, whole rows; also how many bytes they are."""
        used = ffi.new("size_t *")
        pointer = lib.psq_copy_result(
            ffi.from_buffer(data),
            len(data),
            limit,
            self.binary,
            self._count,
            self._names[0],
            self._types,
            used,
        )
        if pointer == ffi.NULL:
            raise InternalError("copied rows have other columns than they were announced with: copy again")
        return PGresult(pointer, _TUPLES_OK), int(used[0])
