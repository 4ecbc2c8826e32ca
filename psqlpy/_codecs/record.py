"""record: anonymous rows like ROW(1, 'x'), as tuples. PostgreSQL takes none as a parameter.

In binary each field tells its type. In text, which they come in beside a type without a binary format, nothing does:
the fields are str then.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import Codec, Dumped
from psqlpy._codecs.composite import Convert, fields_decoder, parse
from psqlpy._codecs.rows import REASONS
from psqlpy._codecs.system import REG_TYPES
from psqlpy._pq.fields import FieldsDecoder
from psqlpy._pq.result import Cell, Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_MALFORMED = "the value isn't in the type's binary format"
_MAX_KINDS = 200

_unpack_count = Struct(">i").unpack_from
_unpack_head = Struct(">Ii").unpack_from


def field_types(data: bytes) -> tuple[int, ...]:
    """The types of a record's fields."""
    found = []
    at = 4
    while at + 8 <= len(data):
        oid, length = _unpack_head(data, at)
        found.append(oid)
        at += 8 + max(length, 0)
    if len(data) < 4 or at != len(data) or _unpack_count(data)[0] != len(found):
        raise ValueError(_MALFORMED)
    return tuple(found)


def make_codec(registry: Registry) -> Codec:
    """Made per registry, which says how the fields are read."""
    decoders: dict[tuple[int, ...], tuple[FieldsDecoder, list[tuple[int, Convert]]]] = {}
    # In binary, which a record comes in, regclass and its kin are nothing but their oid, in arrays and composites too.
    in_binary: list[Registry] = []

    def decoder_for(types: tuple[int, ...]) -> tuple[FieldsDecoder, list[tuple[int, Convert]]]:
        if not in_binary:
            in_binary.append(_with_oids(registry))
        known = [in_binary[0].codec(oid) for oid in types]
        made = fields_decoder(types, [codec if codec and codec.kind is not None else None for codec in known])
        if not registry.unknown(types):
            if len(decoders) >= _MAX_KINDS:
                decoders.clear()
            decoders[types] = made
        return made

    def from_binary(data: bytes) -> tuple[Any, ...]:
        types = field_types(data)
        decoder, converts = decoders.get(types) or decoder_for(types)
        reason, index, values = decoder.decode(data)
        if reason != Cell.DECODED:
            raise ValueError(f"field {index + 1}: {REASONS[reason]}")
        if not converts:
            return values
        changed = list(values)
        for index, convert in converts:
            if changed[index] is not None:
                changed[index] = convert(changed[index])
        return tuple(changed)

    return Codec(
        oids.RECORD,
        "record",
        kind=Kind.BYTES,
        convert=from_binary,
        from_text=lambda text: tuple(parse(text)),
        dump=_dump,
        self_described=True,
    )


def _with_oids(registry: Registry) -> Registry:
    child = type(registry)(registry)
    number = registry.codec(oids.OID)
    assert number is not None
    for oid in REG_TYPES:
        child.add(Codec(oid, oids.TYPES[oid][0], kind=number.kind, dump=_dump))
    return child


def _dump(value: Any) -> Dumped:
    raise TypeError("PostgreSQL takes no anonymous record as a parameter: cast it to a composite type")
