"""Domains: read and written as the type they are made of. The server checks what they demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy._codecs.as_text import renderer
from psqlpy._codecs.codec import Codec

if TYPE_CHECKING:
    from psqlpy._codecs.catalog import TypeInfo


def make_codec(info: TypeInfo, base: Codec) -> Codec:
    codec = base.renamed(info.oid, info.name)
    # Found by the base's oid.
    codec.to_text = renderer(base)
    return codec
