"""bytea, as bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry


_ESCAPED = re.compile(rb"\\(?:\\|([0-3][0-7]{2}))")


def _from_text(text: str) -> bytes:
    # The other output format, escape, never starts with \x: it doubles backslashes.
    if text.startswith("\\x"):
        return bytes.fromhex(text[2:])
    data = text.encode()
    if not text.isascii() or b"\\" in _ESCAPED.sub(b"", data):
        raise ValueError("the text is in neither output format of bytea")
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]) if found[1] else b"\\", data)


def _dump(value: Any) -> Dumped:
    # Of a subclass bytes() might make something else.
    if isinstance(value, (bytes, bytearray, memoryview)):
        return BINARY, memoryview(value).tobytes()
    raise TypeError


def register(registry: Registry) -> None:
    registry.add(
        Codec(oids.BYTEA, "bytea", kind=Kind.BYTES, from_text=_from_text, dump=_dump, column=Column.BYTES)
    )
