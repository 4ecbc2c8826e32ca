"""bytea, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry


def _from_text(text: str) -> bytes:
    # The other output format never starts with \x: it doubles backslashes.
    if not text.startswith("\\x"):
        raise ValueError("bytea_output isn't hex: set bytea_output to hex")
    return bytes.fromhex(text[2:])


def _dump(value: Any) -> Dumped:
    if isinstance(value, (bytes, bytearray)):
        return BINARY, bytes(value)
    if isinstance(value, memoryview):
        return BINARY, value.tobytes()
    raise TypeError


def register(registry: Registry) -> None:
    registry.add(Codec(oids.BYTEA, "bytea", kind=Kind.BYTES, from_text=_from_text, dump=_dump))
