"""Ranges and multiranges of any type, as Range and Multirange. Their codecs are made from that of the bounds.

Binary where the bounds are; where those only go in text (numeric does, as a parameter), so does the range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.array import as_text
from psqlpy._codecs.as_text import text_of
from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped
from psqlpy._codecs.families import RANGE_BOUNDS
from psqlpy._codecs.plan import dump
from psqlpy._pq.result import Kind, RangeFlag
from psqlpy._ranges import Multirange, Range, make_multirange, make_range

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_pack_length = Struct(">i").pack

_EMPTY = bytes((RangeFlag.EMPTY,))
_UNBOUNDED = bytes((RangeFlag.LOWER_INFINITE | RangeFlag.UPPER_INFINITE,))
_RANGE_TEXTS = {_EMPTY: b"empty", _UNBOUNDED: b"(,)"}
_MULTIRANGE_TEXTS = {_pack_length(0): b"{}", _pack_length(1) + _pack_length(1) + _UNBOUNDED: b"{(,)}"}


def make_codec(oid: int, part: Codec, registry: Registry) -> Codec:
    """Make the codec of a built-in range or multirange, of whose bounds or ranges `part` is the codec."""
    name = oids.TYPES[oid][0]
    make = make_range_codec if oid in RANGE_BOUNDS else make_multirange_codec
    return make(oid, name, part, registry)


def make_range_codec(oid: int, name: str, bound: Codec, registry: Registry) -> Codec:
    """Make the codec of the ranges of a type."""
    # What is nested twice is read from text: psq_decode_column knows one kind below a range.
    nested = (None, Kind.ARRAY, Kind.RANGE, Kind.MULTIRANGE)

    def dump_range(value: Any) -> Dumped:
        if not isinstance(value, Range):
            raise TypeError
        return _dump_range(value, bound, registry)

    return Codec(
        oid,
        name,
        kind=None if bound.kind in nested else Kind.RANGE,
        convert=_converter(bound.convert),
        from_text=lambda text: parse_range(text, bound.from_text),
        dump=dump_range,
        element_kind=bound.kind or 0,
        texts=_RANGE_TEXTS,
        dated=bound.dated,
        to_text=lambda data: _range_as_text(data, bound),
    )


def make_multirange_codec(oid: int, name: str, range_codec: Codec, registry: Registry) -> Codec:
    """Make the codec of the multiranges of a range type."""
    # Of C's parts of a range make_range_codec's knows what to make; one that replaced it doesn't.
    convert = range_codec.convert if range_codec.kind == Kind.RANGE else None
    range_from_text: Callable[[str], Any] = range_codec.from_text or str

    def multirange_from_text(text: str) -> Multirange[Any]:
        return make_multirange(tuple(map(range_from_text, split_multirange(text))))

    def dump_multirange(value: Any) -> Dumped:
        if not isinstance(value, (Multirange, list, tuple)):
            raise TypeError
        ranges = value if isinstance(value, Multirange) else Multirange(value)
        return _dump_multirange(ranges, range_codec, registry)

    return Codec(
        oid,
        name,
        kind=None if convert is None else Kind.MULTIRANGE,
        convert=None if convert is None else lambda parts: make_multirange(tuple(map(convert, parts))),
        from_text=multirange_from_text,
        dump=dump_multirange,
        element_kind=range_codec.element_kind,
        is_item=lambda value: not value or isinstance(value[0], Range),
        texts=_MULTIRANGE_TEXTS,
        dated=range_codec.dated,
        to_text=lambda data: _multirange_as_text(data, range_codec),
    )


# Reading what C made

_FLAGS = tuple(
    ""
    if flags & RangeFlag.EMPTY
    else ("[" if flags & RangeFlag.LOWER_INCLUSIVE else "(")
    + ("]" if flags & RangeFlag.UPPER_INCLUSIVE else ")")
    for flags in range(32)
)


def _converter(convert: Callable[[Any], Any] | None) -> Callable[[tuple[int, Any, Any]], Range[Any]]:
    def plain(parts: tuple[int, Any, Any]) -> Range[Any]:
        flags, lower, upper = parts
        return make_range(lower, upper, _FLAGS[flags])

    if convert is None:
        return plain
    convert_bound = convert

    def converted(parts: tuple[int, Any, Any]) -> Range[Any]:
        flags, lower, upper = parts
        return make_range(
            None if lower is None else convert_bound(lower),
            None if upper is None else convert_bound(upper),
            _FLAGS[flags],
        )

    return converted


# Reading text: manual, section "Range Input/Output". Bounds are quoted as the fields of a composite value are.

_BOUND = r'("(?:[^"\\]|\\.|"")*"|(?:[^"\\()\[\],]|\\.)*)'
_RANGE = rf"(?:(empty)|([\[(]){_BOUND},{_BOUND}([\])]))"
_MULTIRANGE_PART = rf"({_RANGE})(?:,(?=[\[(])|(?=}}\Z))"


@cache
def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def parse_range(text: str, convert: Callable[[str], Any] | None) -> Range[Any]:
    """Parse what range_out prints. `convert` makes a bound of its text, the str itself if None."""
    found = _matcher(_RANGE).fullmatch(text)
    if found is None:
        raise ValueError("the text isn't a range")
    empty, opening, lower, upper, closing = found.groups()
    if empty:
        return make_range(None, None, "")
    return make_range(_bound(lower, convert), _bound(upper, convert), opening + closing)


def _bound(token: str, convert: Callable[[str], Any] | None) -> Any:
    if not token:
        return None
    if token[0] == '"':
        token = token[1:-1]
    # Within quotes a quote is doubled or, as anywhere, follows a backslash.
    text = re.sub(r'[\\"](.)', r"\1", token, flags=re.DOTALL)
    return text if convert is None else convert(text)


def split_multirange(text: str) -> Iterator[str]:
    """The ranges in what multirange_out prints."""
    at, end = 1, len(text) - 1
    if text[:1] + text[end:] != "{}":
        raise ValueError("the text isn't a multirange")
    while at < end:
        found = _matcher(_MULTIRANGE_PART).match(text, at)
        if found is None:
            raise ValueError("the text isn't a multirange")
        yield found[1]
        at = found.end()


# Writing


def _dump_range(value: Range[Any], bound: Codec, registry: Registry) -> Dumped:
    if value.isempty:
        return BINARY, _EMPTY
    lower, upper = (
        None if item is None else _dump_bound(bound, item, registry) for item in (value.lower, value.upper)
    )
    formats = {dumped[0] for dumped in (lower, upper) if dumped is not None}
    if TEXT not in formats or bound.textual:
        flags = (
            (RangeFlag.LOWER_INFINITE if lower is None else 0)
            | (RangeFlag.UPPER_INFINITE if upper is None else 0)
            | (RangeFlag.LOWER_INCLUSIVE if value.lower_inc else 0)
            | (RangeFlag.UPPER_INCLUSIVE if value.upper_inc else 0)
        )
        bounds = (b"" if item is None else _pack_length(len(item[1])) + item[1] for item in (lower, upper))
        return BINARY, bytes((flags,)) + b"".join(bounds)
    if BINARY in formats:
        raise ValueError("one of its bounds is a str and one is not: give both as str, or none")
    texts = (b"" if item is None else _quoted(item[1]) for item in (lower, upper))
    return TEXT, value.bounds[0].encode() + b",".join(texts) + value.bounds[1].encode()


def _dump_bound(codec: Codec, value: Any, registry: Registry) -> tuple[int, bytes]:
    format, data = dump(codec, value, registry)
    if data is None:
        raise ValueError("one of its bounds is NULL: use Range's None for no bound")
    return format, data


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _dump_multirange(ranges: Sequence[Any] | Multirange[Any], codec: Codec, registry: Registry) -> Dumped:
    dumped = [dump(codec, item, registry) for item in ranges]
    if any(format == TEXT for format, _ in dumped):
        dumped = as_text(dumped, codec)
        if any(format == BINARY for format, _ in dumped):
            raise ValueError("some of its bounds are str and some are not: give all of them as str, or none")
        return TEXT, b"{" + b",".join(data or b"" for _, data in dumped) + b"}"
    parts = (_pack_length(len(data or b"")) + (data or b"") for _, data in dumped)
    return BINARY, _pack_length(len(dumped)) + b"".join(parts)


# What was dumped in binary, in text after all: see as_text.py.


def _range_as_text(data: bytes, bound: Codec) -> str:
    flags, at = data[0], 1
    if flags & RangeFlag.EMPTY:
        return "empty"
    texts = []
    for infinite in (RangeFlag.LOWER_INFINITE, RangeFlag.UPPER_INFINITE):
        text = ""
        if not flags & infinite:
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            text = _quoted(text_of(bound, (BINARY, data[at + 4 : end])).encode()).decode()
            at = end
        texts.append(text)
    opening = "[" if flags & RangeFlag.LOWER_INCLUSIVE else "("
    closing = "]" if flags & RangeFlag.UPPER_INCLUSIVE else ")"
    return f"{opening}{','.join(texts)}{closing}"


def _multirange_as_text(data: bytes, range_codec: Codec) -> str:
    texts = []
    at = 4
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        texts.append(text_of(range_codec, (BINARY, data[at + 4 : end])))
        at = end
    return f"{{{','.join(texts)}}}"
