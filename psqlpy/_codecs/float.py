"""float4 and float8."""

from __future__ import annotations

from collections.abc import Callable
from math import isinf
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped, item_packer, packer
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_FLOAT4 = Struct("f")


# Below it struct may round to 0 what the server, in text, refuses as out of range.
_SAFE_FLOAT4 = 1e-44


def _dumper(letter: str) -> Callable[[Any], Dumped]:
    body = Struct(">" + letter)

    def dump(value: Any) -> Dumped:
        try:
            data = body.pack(value)
        except OverflowError:
            raise ValueError("out of range") from None
        except error:
            if isinstance(value, int):
                raise ValueError("out of range") from None
            raise TypeError from None
        (stored,) = body.unpack(data)
        # As the server says of '1e-50'::float4. A Decimal passes through float, which knows no overflow.
        if (stored == 0 and value != 0) or (isinf(stored) and value != stored):
            raise ValueError("out of range")
        return BINARY, data

    return dump


def _float4_fast(pack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def pack_float4(value: Any) -> bytes:
        if type(value) is float and (value == 0 or abs(value) > _SAFE_FLOAT4):
            return pack(value)
        raise TypeError

    return pack_float4


def _float8_fast(pack: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def pack_float8(value: Any) -> bytes:
        if type(value) is float or type(value) is int:
            return pack(value)
        raise TypeError

    return pack_float8


def _float4_from_text(text: str) -> float:
    """Round to float4 as the binary format does: a column's values mustn't depend on its neighbours' types."""
    found: float = _FLOAT4.unpack(_FLOAT4.pack(float(text)))[0]
    return found


def register(registry: Registry) -> None:
    for oid, name, kind, column, letter, from_text, fast in (
        (oids.FLOAT4, "float4", Kind.FLOAT4, Column.FLOAT4, "f", _float4_from_text, _float4_fast),
        (oids.FLOAT8, "float8", Kind.FLOAT8, Column.FLOAT8, "d", float, _float8_fast),
    ):
        registry.add(
            Codec(
                oid,
                name,
                kind=kind,
                from_text=from_text,
                dump=_dumper(letter),
                fast=fast(packer(letter)),
                pack_item=fast(item_packer(letter)),
                column=column,
            )
        )
