"""bool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped, pack
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_FROM_TEXT = {"t": True, "f": False}
_PACKED = {True: pack(BINARY, b"\1"), False: pack(BINARY, b"\0")}


def _pack(value: Any) -> bytes:
    if value is True or value is False:
        return _PACKED[value]
    raise TypeError


def _dump(value: Any) -> Dumped:
    # Not 0 and 1: they are no truth values in PostgreSQL either.
    if isinstance(value, bool):
        return BINARY, b"\1" if value else b"\0"
    raise TypeError


def register(registry: Registry) -> None:
    registry.add(
        Codec(
            oids.BOOL,
            "bool",
            kind=Kind.BOOL,
            from_text=_FROM_TEXT.__getitem__,
            dump=_dump,
            fast=_pack,
            column=Column.BOOL,
        )
    )
