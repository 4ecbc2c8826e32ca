"""Enums of CREATE TYPE, as str or as the members of a registered enum.Enum; citext, which travels as they do."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from psqlpy._codecs.codec import TEXT, Codec, Dumped, pack_text, pack_text_item, text_bytes
from psqlpy._codecs.text import dump_text
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.catalog import TypeInfo
    from psqlpy._codecs.registry import Registry


def make_codec(oid: int, name: str) -> Codec:
    """Labels as str; members of any Enum go by their value."""
    return Codec(
        oid, name, kind=Kind.TEXT, dump=dump_text, fast=pack_text, pack_item=pack_text_item, textual=True
    )


def citext(oid: int) -> Codec:
    return make_codec(oid, "citext")


def maker_for(cls: type[Enum], *, by_name: bool) -> Callable[[TypeInfo, Registry], Codec]:
    """Make what makes the codec of an enum that is to be read as members of `cls`."""
    labels = {member: member.name if by_name else member.value for member in cls}
    # Aliases are further names of the same member.
    members: dict[str, Enum] = (
        dict(cls.__members__) if by_name else {labels[member]: member for member in cls}
    )

    def read(label: str) -> Enum:
        try:
            return members[label]
        except KeyError:
            raise ValueError(f"{cls.__name__} has no member for {label!r}") from None

    def label_of(value: Any) -> str:
        if isinstance(value, cls):
            return labels[value]
        if isinstance(value, Enum) or not isinstance(value, str):
            raise TypeError
        return value

    def dump(value: Any) -> Dumped:
        return TEXT, text_bytes(label_of(value))

    def make(info: TypeInfo, registry: Registry) -> Codec:
        return Codec(
            info.oid,
            info.name,
            kind=Kind.TEXT,
            convert=read,
            from_text=read,
            dump=dump,
            fast=lambda value: pack_text(label_of(value)),
            pack_item=lambda value: pack_text_item(label_of(value)),
            textual=True,
            dumps_str=True,
        )

    return make
