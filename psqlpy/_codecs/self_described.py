"""What values say of their own types: records in binary, of their fields, and composite values, of their attributes.

A result is looked into before its user gets it: a record may name types that nobody has looked up yet, and a composite
type may have other attributes than when it was looked up. Not here: the look-up (psqlpy/_protocol/type_lookup.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING

from psqlpy._codecs import oids
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry
    from psqlpy._pq.result import PGresult

#: Types whose values may be made of any others.
RECORDS = frozenset({oids.RECORD, oids.TYPES[oids.RECORD][1]})

_unpack_int = Struct(">i").unpack_from
_unpack_field = Struct(">Ii").unpack_from
_unpack_array = Struct(">iiI").unpack_from  # dimensions, whether there are NULLs, element type


def types_to_look_up(registry: Registry, columns: dict[int, int], result: PGresult) -> list[int]:
    """The types that a binary result needs and that aren't known, or not as they are. `columns`: indexes and types.

    Each record may be another. Of the values of a composite type the first tells; it is forgotten if it has changed.
    """
    found: set[int] = set()
    for column, oid in columns.items():
        for row in range(result.row_count):
            data = result.value_bytes(row, column)
            if data is None:
                continue
            try:
                found.update(_within(registry, oid, data))
            except (StructError, IndexError):
                break  # whoever reads the value says what is wrong with it
            if oid not in RECORDS:
                break
    return registry.unknown(found)


def _within(registry: Registry, oid: int, data: bytes) -> Iterator[int]:
    """The types in a value, of changed ones those that are to be looked up again."""
    yield oid
    codec = registry.codec(oid)
    if codec is None or not codec.self_described:
        return
    if codec.kind == Kind.ARRAY:
        depth, _, element = _unpack_array(data)
        at = 12 + 8 * depth
        while at < len(data):
            [length] = _unpack_int(data, at)
            at += 4 + max(length, 0)
            if length >= 0:
                yield from _within(registry, element, data[at - length : at])
                if element != oids.RECORD:
                    return
        return
    fields = list(_fields(data))
    expected = registry.attribute_types(oid)
    if expected is not None and [field for field, _ in fields] != expected:
        registry.forget(oid)
        return
    for field, value in fields:
        if value is None:
            yield field
        else:
            yield from _within(registry, field, value)


def _fields(data: bytes) -> Iterator[tuple[int, bytes | None]]:
    at = 4
    while at < len(data):
        oid, length = _unpack_field(data, at)
        at += 8 + max(length, 0)
        yield oid, None if length < 0 else data[at - length : at]
