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

_FLOAT4 = Struct("f")


def _dumper(letter: str) -> Callable[[Any], Dumped]:
    pack = Struct(">" + letter).pack

    def dump(value: Any) -> Dumped:
        try:
            return BINARY, pack(value)
        except OverflowError:
            raise ValueError("out of range") from None
        except error:
            if isinstance(value, int):
                raise ValueError("out of range") from None
            raise TypeError from None

    return dump


def _float4_from_text(text: str) -> float:
    """Round to float4 as the binary format does: a column's values mustn't depend on its neighbours' types."""
    found: float = _FLOAT4.unpack(_FLOAT4.pack(float(text)))[0]
    return found


def register(registry: Registry) -> None:
    for oid, name, kind, letter, from_text in (
        (oids.FLOAT4, "float4", Kind.FLOAT4, "f", _float4_from_text),
        (oids.FLOAT8, "float8", Kind.FLOAT8, "d", float),
    ):
        registry.add(
            Codec(
                oid,
                name,
                kind=kind,
                from_text=from_text,
                dump=_dumper(letter),
                fast=packer(letter),
                pack_item=item_packer(letter),
            )
        )
