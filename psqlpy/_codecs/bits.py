"""bit and varbit, as str of 0 and 1: it keeps the length, compares as PostgreSQL does, and int(…, 2) takes it."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import Codec, Dumped
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_length = Struct(">i")  # in bits; the last byte is filled up with zeros


def _convert(data: bytes) -> str:
    body = data[_length.size :]
    (length,) = _length.unpack_from(data) if len(data) >= _length.size else (-1,)
    if length < 0 or (length + 7) // 8 != len(body):
        raise ValueError("the value isn't in the type's binary format")
    return f"{int.from_bytes(body, 'big'):0{8 * len(body)}b}"[:length] if length else ""


def _dump(value: Any) -> Dumped:
    # An int doesn't say how long the value is. A str goes as it is.
    raise TypeError(
        "a str of 0 and 1 is needed"
        + (": format(value, '08b') makes one of 8" if isinstance(value, int) else "")
    )


def register(registry: Registry) -> None:
    for oid in (oids.BIT, oids.VARBIT):
        registry.add(Codec(oid, oids.TYPES[oid][0], kind=Kind.BYTES, convert=_convert, dump=_dump))
