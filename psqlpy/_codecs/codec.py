"""Codec: how one type of PostgreSQL is read and written, and the packing of parameters that psqlpy/_ffi/send.h reads.

What is known about a particular type is in its family's file; which codec a statement uses, in registry.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from struct import Struct
from typing import Any

TEXT = 0
BINARY = 1

# What a parameter becomes: its format and its bytes, None for NULL.
Dumped = tuple[int, bytes | None]

_pack_head = Struct("=ii").pack
_pack_length = Struct(">i").pack
_SHORT_TEXT_HEADS = tuple(_pack_head(length, TEXT) for length in range(256))

NULL = _pack_head(-1, TEXT) + b"\0"


class Codec:
    """One type. Reading: C makes a primitive of `kind` (PSQ_KIND_…) from a binary value, `convert` the Python value.

    kind: None if there is no binary decoder; the type is then asked for in text.
    convert: from what C makes of the kind, see decode.h; None if that is the value.
    convert_column: the same for an iterable without None, where there is something faster than map(convert, …).
    from_text: from the text format; None if the str is the value. Raises ValueError, saying what to do.
    dump: what to send for a Python value that is neither None nor a str. Raises TypeError if no
        value of that Python type fits, ValueError or OverflowError if this one doesn't.
    dumps_str: `dump` is also for str, which for other types goes to the server as it is.
    fast: makes the packed parameter for the usual values at once, and may raise anything for others.
    pack_item: the same for one element of an array: its int32 length and its bytes in binary.
    textual: text and binary format are the same bytes.
    delimiter: between the elements of an array in text.
    is_item: whether a list or tuple is a value of this type, and not one more dimension of an array of them;
        None if none is.
    texts: the text form of some values' binary form, where it depends on nothing else.
    element_kind, element_oid: of an array type; element_kind also of a range's bounds.
    bound_kind: of an array of ranges.
    dated: in text it can't be read without the session's DateStyle.
    self_described: in binary its values name the types that they are made of, see self_described.py.
    writes_binary: `dump` makes nothing but the binary format, see copy_binary.py.
    column: how C writes a column of records for COPY, see records.h; None if only `dump` knows.
    to_text: makes text of what `dump` made in binary; for types that as_text.py doesn't know.
    """

    __slots__ = (
        "bound_kind",
        "column",
        "convert",
        "convert_column",
        "dated",
        "delimiter",
        "dump",
        "dumps_str",
        "element_kind",
        "element_oid",
        "fast",
        "from_text",
        "is_item",
        "kind",
        "name",
        "oid",
        "pack_item",
        "self_described",
        "texts",
        "textual",
        "to_text",
        "writes_binary",
    )

    def __init__(
        self,
        oid: int,
        name: str,
        *,
        kind: int | None = None,
        convert: Callable[[Any], Any] | None = None,
        convert_column: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
        from_text: Callable[[str], Any] | None = None,
        dump: Callable[[Any], Dumped],
        fast: Callable[[Any], bytes] | None = None,
        pack_item: Callable[[Any], bytes] | None = None,
        textual: bool = False,
        element_kind: int = 0,
        element_oid: int = 0,
        bound_kind: int = 0,
        delimiter: str = ",",
        dumps_str: bool = False,
        is_item: Callable[[Any], bool] | None = None,
        texts: Mapping[bytes, bytes] | None = None,
        dated: bool = False,
        to_text: Callable[[bytes], str] | None = None,
        self_described: bool = False,
        column: int | None = None,
    ) -> None:
        self.oid = oid
        self.name = name
        self.kind = kind
        self.convert = convert
        self.convert_column = convert_column
        self.from_text = from_text
        self.dump = dump
        self.dumps_str = dumps_str
        self.fast = fast
        self.pack_item = pack_item
        self.textual = textual
        self.element_kind = element_kind
        self.element_oid = element_oid
        self.bound_kind = bound_kind
        self.delimiter = delimiter
        self.is_item = is_item
        self.texts = texts or {}
        self.dated = dated
        self.to_text = to_text
        self.self_described = self_described
        self.column = column
        self.writes_binary = False

    def renamed(self, oid: int, name: str) -> Codec:
        """The same for another type."""
        from copy import copy

        codec = copy(self)
        codec.oid = oid
        codec.name = name
        return codec


class Raw:
    """Bytes that are sent as they are: what a wrapper of a value may become, see Registry.add_wrapper."""

    __slots__ = ("data", "format")

    def __init__(self, data: bytes, format: int = BINARY) -> None:
        self.data = data
        self.format = format


def pack(format: int, data: bytes | None) -> bytes:
    """Pack one parameter."""
    if data is None:
        return NULL
    return _pack_head(len(data), format) + data + b"\0"


def pack_text(value: str) -> bytes:
    """Pack a str as a parameter in text format. TypeError for what isn't one, ValueError for NUL and surrogates."""
    data = str.encode(value)
    if b"\0" in data:
        raise ValueError("text with a NUL character can't be stored in PostgreSQL")
    length = len(data)
    return (_SHORT_TEXT_HEADS[length] if length < 256 else _pack_head(length, TEXT)) + data + b"\0"


def text_bytes(value: str) -> bytes:
    """Encode a str, which PostgreSQL must be able to store."""
    try:
        data = str.encode(value)
    except UnicodeEncodeError as error:
        raise ValueError(f"text with a lone surrogate, at index {error.start}, isn't Unicode") from None
    if b"\0" in data:
        raise ValueError("text with a NUL character can't be stored in PostgreSQL")
    return data


def pack_text_item(value: str) -> bytes:
    """Pack a str as an element of an array. Raises what pack_text does."""
    data = str.encode(value)
    if b"\0" in data:
        raise ValueError("text with a NUL character can't be stored in PostgreSQL")
    return _pack_length(len(data)) + data


def item_packer(format: str) -> Callable[[Any], bytes]:
    """Make the packer of numbers as elements of arrays. `format` is one letter of struct's."""
    size = Struct(">" + format).size
    return partial(Struct(">i" + format).pack, size)


def packer(format: str) -> Callable[[Any], bytes]:
    """Make the fastest way to pack a number in binary: one call of struct. `format` is one letter of struct's."""
    body = Struct(">" + format)
    whole = Struct(f">8s{format}x")
    head = _pack_head(body.size, BINARY)
    return partial(whole.pack, head)
