"""Codecs of types made by CREATE TYPE and by extensions, from what the catalog says of them.

Here the tables of codecs that go by a type's name come together: an extension's type has another oid in each database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psqlpy._codecs import array, composite, domain, enum, hstore, range, vector
from psqlpy._codecs.codec import Codec

if TYPE_CHECKING:
    from psqlpy._codecs.catalog import TypeInfo
    from psqlpy._codecs.registry import Registry

#: Codec for an oid by the name of a base type.
EXTENSION_CODECS: dict[str, Callable[[int], Codec]] = {
    **hstore.EXTENSION_CODECS,
    **vector.EXTENSION_CODECS,
}

#: What makes the codec of a type of its own from what the catalog says.
Maker = Callable[["TypeInfo", "Registry"], Codec]


def make_codec(info: TypeInfo, registry: Registry) -> Codec | None:
    """Make the codec of a type that the catalog knows; None if only its text can be read."""
    make = registry.maker(info.oid, info.schema, info.name)
    if make is not None:
        return make(info, registry)
    if info.element:
        return array.make_codec(info.oid, registry.codec_or_unknown(info.element), registry)
    if info.kind == "c":
        return composite.make_codec(info, registry)
    if info.kind == "e":
        return enum.make_codec(info.oid, info.name)
    if info.kind == "d":
        return domain.make_codec(info, registry.codec_or_unknown(info.base))
    if info.kind == "r":
        bound = registry.codec_or_unknown(info.subtype)
        return range.make_range_codec(info.oid, info.name, bound, registry)
    if info.kind == "m":
        ranges = registry.codec_or_unknown(info.range)
        return range.make_multirange_codec(info.oid, info.name, ranges, registry)
    extension = EXTENSION_CODECS.get(info.name) if info.kind == "b" else None
    if extension is None:
        return None
    codec = extension(info.oid)
    if not info.has_binary:
        # Of an older version of the extension, which was never updated.
        codec.kind = None
    return codec
