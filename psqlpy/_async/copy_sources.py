"""What COPY FROM STDIN takes its data from: bytes, files, iterables of bytes. Records are in copy_records.py."""

from __future__ import annotations

from os import PathLike
from typing import Any

from psqlpy import exceptions
from psqlpy._io.invoke import is_async
from psqlpy._io.primitives import monotonic
from psqlpy._io.streams import AsyncFile, AsyncItems

# What is sent at once, and for how long items are taken without giving way. Bytes, seconds.
_PART = 1 << 20
_SLICE = 0.003
_MAX_PORTION = 1024
_SMALL = 1 << 16

# What a source gives: data, and how many records it is, as far as that is known. None at the end.
Part = tuple["bytes | memoryview", int]

BYTES = (bytes, bytearray, memoryview)


def check_progress(progress: Any) -> Any:
    """A plain function of rows and bytes, or None; ParameterTypeError."""
    if progress is not None and (not callable(progress) or is_async(progress)):
        shown = "one that has to be waited for" if callable(progress) else type(progress).__name__
        raise exceptions.ParameterTypeError(
            f"progress must be a plain function of rows and bytes, not {shown}"
        )
    return progress


class Source:
    """Gives data part by part."""

    #: Whether others have their turn while a part is waited for.
    waits = False

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

    waits = True

    def __init__(self, file: Any, utf8: bool = True) -> None:
        self._utf8 = utf8
        self._path = file if isinstance(file, str | PathLike) else None
        self._file = None if self._path is not None else AsyncFile(file)

    async def take(self, deadline: float | None) -> Part | None:
        if self._file is None:
            self._file = await AsyncFile.open(self._path, "rb", deadline)
        data = await self._file.read(deadline)
        if data is None:
            # Nothing yet, which isn't the end.
            raise exceptions.ParameterValueError(
                "the file to copy has nothing to read yet: it must block until it has"
            )
        return (to_bytes(data, self._utf8), 0) if data else None

    def close(self) -> None:
        if self._path is not None and self._file is not None:
            self._file.close()


class ItemSource(Source):
    """An iterable of bytes or str, the first of which have been taken already."""

    def __init__(self, items: AsyncItems, first: list[Any], utf8: bool) -> None:
        self._utf8 = utf8
        self.waits = items.waits
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
            data = b"".join([to_bytes(item, self._utf8) for item in items])
            small = len(data) < _SMALL
            self._portion = min(_MAX_PORTION, self._portion * 2) if small else max(1, self._portion // 4)
            items = []
        return data, 0


def to_bytes(data: Any, utf8: bool) -> bytes | memoryview:
    """A part of the data as bytes; ParameterTypeError for what isn't any."""
    if isinstance(data, str):
        if not utf8 and not data.isascii():
            raise exceptions.ParameterValueError(
                "the data to copy is str, which has no encoding: leave encoding out, or give bytes"
            )
        return data.encode()
    if isinstance(data, bytes):
        return data
    if isinstance(data, BYTES):
        return bytes(data)
    raise exceptions.ParameterTypeError(f"the data to copy must be bytes or str, not {type(data).__name__}")
