"""float4 and float8."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped, item_packer, packer
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry


def _dumper(letter: str) -> Callable[[Any], Dumped]:
    pack = Struct(">" + letter).pack

    def dump(value: Any) -> Dumped:
        try:
            return BINARY, pack(value)
        except OverflowError:
            raise ValueError("out of range") from None
        except error:
            raise TypeError from None

    return dump


def register(registry: Registry) -> None:
    for oid, name, kind, letter in (
        (oids.FLOAT4, "float4", Kind.FLOAT4, "f"),
        (oids.FLOAT8, "float8", Kind.FLOAT8, "d"),
    ):
        registry.add(
            Codec(
                oid,
                name,
                kind=kind,
                from_text=float,
                dump=_dumper(letter),
                fast=packer(letter),
                pack_item=item_packer(letter),
            )
        )
