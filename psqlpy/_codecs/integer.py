"""int2, int4, int8, oid, xid, cid and xid8."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped, item_packer, packer
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

# oid, kind, column, struct's letter, lowest, highest
_TYPES = (
    (oids.INT2, Kind.INT2, Column.INT2, "h", -(2**15), 2**15 - 1),
    (oids.INT4, Kind.INT4, Column.INT4, "i", -(2**31), 2**31 - 1),
    (oids.INT8, Kind.INT8, Column.INT8, "q", -(2**63), 2**63 - 1),
    (oids.OID, Kind.UINT4, Column.UINT4, "I", 0, 2**32 - 1),
    (oids.XID, Kind.UINT4, Column.UINT4, "I", 0, 2**32 - 1),
    (oids.CID, Kind.UINT4, Column.UINT4, "I", 0, 2**32 - 1),
)


def dumper(letter: str, low: int, high: int) -> Callable[[Any], Dumped]:
    pack = Struct(">" + letter).pack

    def dump(value: Any) -> Dumped:
        try:
            return BINARY, pack(value)
        except (error, OverflowError):  # the latter of what isn't an int and becomes a very long one
            if isinstance(value, int):
                raise ValueError(f"out of range, {low} to {high}") from None
            raise TypeError from None

    return dump


def _dump_xid8(value: Any) -> Dumped:
    # PostgreSQL 13 and newer have xid8_recv, but an int has no other form either.
    if not isinstance(value, int):
        raise TypeError
    if not 0 <= value < 2**64:
        raise ValueError(f"out of range, 0 to {2**64 - 1}")
    return TEXT, b"%d" % value


def register(registry: Registry) -> None:
    for oid, kind, column, letter, low, high in _TYPES:
        dump = dumper(letter, low, high)
        registry.add(
            Codec(
                oid,
                oids.TYPES[oid][0],
                kind=kind,
                from_text=int,
                dump=dump,
                fast=packer(letter),
                pack_item=item_packer(letter),
                column=column,
            )
        )
    registry.add(Codec(oids.XID8, "xid8", kind=Kind.UINT8, from_text=int, dump=_dump_xid8))
