"""text, varchar, char(n), name, xml and the like, "char", void, and types that we don't know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped, pack, pack_text, pack_text_item, text_bytes
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_TEXTUAL = (
    oids.TEXT,
    oids.VARCHAR,
    oids.BPCHAR,
    oids.NAME,
    oids.XML,
    oids.UNKNOWN,
    oids.CSTRING,
    oids.REFCURSOR,
)


def dump_text(value: Any) -> Dumped:
    # Needed for other values than str only, and imports much.
    from psqlpy._codecs.literal import literal

    return TEXT, text_bytes(literal(value))


def dump_unknown(value: Any) -> Dumped:
    """Only the server knows the type: it parses text, and takes bytes for the type's binary form."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return BINARY, bytes(value)
    return dump_text(value)


def _char_from_text(text: str) -> str:
    r"""PostgreSQL 15 and newer print a byte above 127 as \ooo, and all print the byte 0 as nothing."""
    if len(text) == 4 and text[0] == "\\":
        return chr(int(text[1:], 8))
    return text or "\0"


def _dump_char(value: Any) -> Dumped:
    """One byte, as it is read: of any text the server would take the first byte of its UTF-8."""
    from psqlpy._codecs.literal import literal

    text = literal(value)
    if re.fullmatch(r"\\[0-3][0-7]{2}", text, re.ASCII):
        text = _char_from_text(text)
    if len(text) > 1 or text > "\xff":
        raise ValueError("it isn't a single character of at most U+00FF")
    return BINARY, text.encode("latin-1") or b"\0"


def _pack_char(value: Any) -> bytes:
    return pack(*_dump_char(value))


def _none(text: str) -> None:
    return None


def register(registry: Registry) -> None:
    for oid in _TEXTUAL:
        registry.add(
            Codec(
                oid,
                oids.TYPES[oid][0],
                kind=Kind.TEXT,
                dump=dump_text,
                fast=pack_text,
                pack_item=pack_text_item,
                textual=True,
                column=Column.TEXT,
            )
        )
    registry.add(
        Codec(
            oids.CHAR,
            "char",
            kind=Kind.CHAR,
            from_text=_char_from_text,
            dump=_dump_char,
            fast=_pack_char,
            dumps_str=True,
        )
    )
    registry.add(Codec(oids.VOID, "void", kind=Kind.VOID, from_text=_none, dump=dump_text))
