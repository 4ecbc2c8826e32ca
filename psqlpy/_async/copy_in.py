"""COPY FROM STDIN: what the data comes from, and how it is sent, part by part."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._codecs.copy_binary import NoBinary
from psqlpy._codecs.copy_records import RecordPlan
from psqlpy._io.pausing import async_attach, async_leave, async_turn
from psqlpy._io.primitives import monotonic
from psqlpy._io.streams import AsyncFile, AsyncItems, out_of_time
from psqlpy._io.timeouts import query_timeout
from psqlpy._protocol.copy import CopyIn
from psqlpy._protocol.copy_text import Options, column_list, copy_from_stdin
from psqlpy._protocol.failures import closed, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psqlpy._async.connection import Connection

    Progress = Callable[[int, int], object]

# What is sent at once, and for how long records are encoded without giving way. Bytes, seconds.
_PART = 1 << 20
_SLICE = 0.003
_MAX_PORTION = 1024
_SMALL = 1 << 16
# How long the server may take to agree that a copy has failed, before the connection is left to clean up by itself.
_PATIENCE = 2.0

# What a source gives: data, and how many records it is, as far as that is known. None at the end.
Part = tuple["bytes | memoryview", int]

BYTES = (bytes, bytearray, memoryview)


class Source:
    """Gives data part by part."""

    async def take(self, deadline: float | None) -> Part | None:
        """The next part, None at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing more will be taken."""


class BytesSource(Source):
    """Data that is all there."""

    def __init__(self, data: Any) -> None:
        self._left = memoryview(data).cast("B") if len(memoryview(data)) else memoryview(b"")

    async def take(self, deadline: float | None) -> Part | None:
        part, self._left = self._left[:_PART], self._left[_PART:]
        return (part, 0) if part else None


class FileSource(Source):
    """A file by its path, opened at the first part, or one that is open."""

    def __init__(self, file: Any) -> None:
        self._path = file if isinstance(file, str | PathLike) else None
        self._file = None if self._path is not None else AsyncFile(file)

    async def take(self, deadline: float | None) -> Part | None:
        if self._file is None:
            self._file = await AsyncFile.open(self._path, "rb", deadline)
        data = await self._file.read(deadline)
        return (to_bytes(data), 0) if data else None

    def close(self) -> None:
        if self._path is not None and self._file is not None:
            self._file.close()


class ItemSource(Source):
    """An iterable of bytes or str, the first of which have been taken already."""

    def __init__(self, items: AsyncItems, first: list[Any]) -> None:
        self._items = items
        self._next = first
        # How many are taken at once: many small ones, of large ones each by itself.
        self._portion = 1

    async def take(self, deadline: float | None) -> Part | None:
        items, self._next = self._next, []
        data = b""
        while not data:
            items = items or await self._items.take(self._portion, monotonic() + _SLICE, deadline)
            if not items:
                return None
            data = b"".join([to_bytes(item) for item in items])
            small = len(data) < _SMALL
            self._portion = min(_MAX_PORTION, self._portion * 2) if small else max(1, self._portion // 4)
            items = []
        return data, 0


class RecordSource(Source):
    """An iterable of records, the first of which have been taken already."""

    def __init__(self, plan: RecordPlan, items: AsyncItems, first: list[Any]) -> None:
        self.plan = plan
        self._items = items
        self._next = first
        self._number = 1
        self._portion = 64
        self._begun = self._ended = False

    def skip(self) -> None:
        """Send nothing: the statement will be refused."""
        self._next, self._ended = [], True

    def prepare(self) -> None:
        """Encode the first record, which may show that it can't be sent in binary. Raises NoBinary."""
        self.plan.encode(self._next, 1)

    async def take(self, deadline: float | None) -> Part | None:
        if self._ended:
            return None
        blobs = [] if self._begun else [self.plan.head]
        self._begun = True
        first, size = self._number, 0
        until = monotonic() + _SLICE
        while size < _PART:
            began = monotonic()
            records, self._next = self._next or await self._items.take(self._portion, until, deadline), []
            if not records:
                self._ended = True
                blobs.append(self.plan.tail)
                break
            blob = self._encode(records)
            self._number += len(records)
            blobs.append(blob)
            size += len(blob)
            now = monotonic()
            if now >= until:
                break
            # So many that half the time is enough for them.
            quick = (now - began) * 2 < _SLICE / 2
            self._portion = min(_MAX_PORTION, self._portion * 2) if quick else max(1, self._portion // 2)
        return b"".join(blobs), self._number - first

    def _encode(self, records: list[Any]) -> bytes:
        try:
            return self.plan.encode(records, self._number)
        except NoBinary as error:
            raise exceptions.ParameterValueError(
                f"records from {self._number} on: psqlpy can't write this str as {error} in binary; "
                "give a value of another type"
            ) from None


def to_bytes(data: Any) -> bytes | memoryview:
    """A part of the data as bytes; ParameterTypeError for what isn't any."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes):
        return data
    if isinstance(data, BYTES):
        return bytes(data)
    raise exceptions.ParameterTypeError(f"the data to copy must be bytes or str, not {type(data).__name__}")


class Sending:
    """One COPY FROM STDIN on a connection: the statement, the data, the end, whatever that is."""

    def __init__(
        self,
        connection: Connection,
        family: type[exceptions.Error],
        deadline: float | None,
        progress: Progress | None,
    ) -> None:
        self._connection = connection
        self._link = connection.link
        self._family = family
        self._deadline = deadline
        self._progress = progress
        self._began = monotonic()
        self._rows = 0

    async def run(self, target: str, columns: Sequence[str] | None, options: Options, source: Source) -> int:
        """Copy everything; returns the number of rows. After an error nothing is stored."""
        query = copy_from_stdin(target + column_list(columns), options)
        copy = self._connection.pausing = CopyIn(query)
        async_attach(copy)
        try:
            part = await source.take(self._deadline)
            await self._connection.begin_now(self._deadline)
            await self._link.run(copy, self._deadline)
            while part is not None and copy.paused:
                await self._send(copy, *part)
                part = await source.take(self._deadline)
            if copy.paused:
                await self._link.go_on(copy, self._deadline)
        except exceptions.QueryTimeoutError:
            async_leave(self._link, copy)
            error = query_timeout(self._began, copy)
            error.may_have_committed = copy.completed
            raise error from None
        except Exception as error:
            await self._break_off(copy, error)
            raise
        except BaseException:
            async_leave(self._link, copy)
            raise
        finally:
            source.close()
        return self._finish(copy)

    async def _send(self, copy: CopyIn, data: bytes | memoryview, rows: int) -> None:
        for start in range(0, len(data), _PART):
            copy.data = data if len(data) <= _PART else data[start : start + _PART]
            await self._link.go_on(copy, self._deadline)
            if not copy.paused:
                return
        self._rows += rows
        if self._progress is not None:
            self._progress(rows, len(data))
        if self._deadline is not None and monotonic() >= self._deadline:
            raise out_of_time()
        await async_turn()

    async def _break_off(self, copy: CopyIn, error: Exception) -> None:
        """Tell the server that the copy has failed, and wait until it agrees: the connection is usable then."""
        if not copy.paused:
            return
        copy.stop(f"{type(error).__name__}: {error}")
        latest = monotonic() + _PATIENCE
        deadline = latest if self._deadline is None else min(self._deadline, latest)
        try:
            await self._link.go_on(copy, deadline)
        except exceptions.Error:
            # What happened before is the error to see.
            pass

    def _finish(self, copy: CopyIn) -> int:
        result = copy.value
        if result is None:
            # The connection was given back before it was the copy's turn.
            raise closed(None)
        if copy.refused():
            raise failed(result.diagnostics(), self._family, copy.text)
        count = result.affected_count or 0
        if self._progress is not None and count != self._rows:
            # Of data that was given as bytes the server alone has counted the rows.
            self._progress(count - self._rows, 0)
        return count
