"""Arrays of any type, as nested lists: NULL elements are None, lower bounds are dropped.

The codec of an array type is made from its element's (Registry.codec), so that what is replaced there holds here too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs.as_text import text_of
from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped, pack
from psqlpy._codecs.plan import Unfit, dump
from psqlpy._codecs.text import dump_text
from psqlpy._codecs.text import dump_unknown as dump_scalar
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_MAX_DIMENSIONS = 6  # PostgreSQL's MAXDIM

_pack_int = Struct(">i").pack
_unpack_int = Struct(">i").unpack_from
_pack_header = Struct(">iiI").pack  # dimensions, 1 if there are NULLs, element type
_pack_dimension = Struct(">ii").pack  # size, lower bound
_NULL = _pack_int(-1)


def make_codec(oid: int, element: Codec, registry: Registry) -> Codec:
    """Make the codec of the arrays of a type."""
    convert = element.convert
    kind = None if element.kind is None or element.kind == Kind.ARRAY else Kind.ARRAY

    def dump_array(value: Any) -> Dumped:
        if not isinstance(value, (list, tuple)):
            raise TypeError
        if value and not _is_dimension(value, element):
            raise ValueError(f"it is a single {element.name}: put it into a list")
        try:
            return _dump(value, element, registry)
        except (Unfit, ValueError):
            nested = _in_lists(value, element.oid, registry)
            if nested is value:
                raise
            return _dump(nested, element, registry)

    def to_text(data: bytes) -> str:
        return _binary_as_text(data, element)

    fast = None if element.pack_item is None else _flat_packer(element.pack_item, element.oid)
    return Codec(
        oid,
        f"{element.name}[]",
        kind=kind,
        convert=None if convert is None else _nested(convert),
        from_text=lambda text: parse(text, element.from_text, element.delimiter),
        dump=dump_array,
        fast=fast,
        element_kind=element.kind or 0,
        element_oid=element.oid,
        dated=element.dated,
        to_text=to_text,
        bound_kind=element.element_kind,
        self_described=element.self_described,
    )


def _flat_packer(pack_item: Callable[[Any], bytes], element_oid: int) -> Callable[[Any], bytes]:
    """Pack one dimension of usual values; raises for everything else."""

    def pack_flat(values: Any) -> bytes:
        if not values or (type(values) is not list and type(values) is not tuple):
            raise TypeError
        items = [_NULL if value is None else pack_item(value) for value in values]
        head = _pack_header(1, None in values, element_oid) + _pack_dimension(len(values), 1)
        return pack(BINARY, head + b"".join(items))

    return pack_flat


def unknown_dumper(registry: Registry) -> Callable[[Any], Dumped]:
    """Make the `dump` of types that we don't know: a list is taken for an array."""

    def dump_unknown(value: Any) -> Dumped:
        return _dump(value, element, registry) if isinstance(value, (list, tuple)) else dump_scalar(value)

    element = Codec(0, "unknown", dump=dump_text)
    return dump_unknown


def _nested(convert: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    def convert_nested(values: list[Any]) -> list[Any]:
        return [
            None if value is None else convert_nested(value) if type(value) is list else convert(value)
            for value in values
        ]

    return convert_nested


def _in_lists(value: Any, oid: int, registry: Registry, depth: int = 1) -> Any:
    """The same with lists for NumPy's arrays within it; the same object if there are none."""
    if not isinstance(value, (list, tuple)):
        plain = registry.unwrap(value, oid)
        return plain if isinstance(plain, list) else value
    if depth > _MAX_DIMENSIONS:
        return value
    items = [_in_lists(item, oid, registry, depth + 1) for item in value]
    return value if all(new is item for new, item in zip(items, value, strict=True)) else items


# Reading text: manual, section "Array Input and Output Syntax"


@cache
def _tokens(delimiter: str) -> Callable[[str], list[str]]:
    quoted, plain, between = r'"(?:[^"\\]|\\.)*"', rf'[^{{}}"\\{delimiter}]+', rf"[{{}}{delimiter}]"
    return re.compile(f"{between}|{quoted}|{plain}", re.DOTALL).findall


def parse(text: str, convert: Callable[[str], Any] | None, delimiter: str) -> list[Any]:
    """Parse what array_out prints."""
    body = text.partition("=")[2] if text.startswith("[") else text
    tokens = _tokens(delimiter)(body)
    if sum(map(len, tokens)) != len(body) or not body.startswith("{"):
        raise ValueError("the text isn't an array")
    outermost: list[Any] = []
    open_lists = [outermost]
    for token in tokens:
        if token == "{":
            inner: list[Any] = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
        elif token == "}":
            open_lists.pop()
        elif token == "NULL":
            open_lists[-1].append(None)
        elif token != delimiter:
            if token[0] == '"':
                token = re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
            open_lists[-1].append(token if convert is None else convert(token))
        if not open_lists:
            break
    if len(open_lists) != 1 or len(outermost) != 1:
        raise ValueError("the text isn't an array")
    found: list[Any] = outermost[0]
    return found


# Writing


def _dump(value: list[Any] | tuple[Any, ...], element: Codec, registry: Registry) -> Dumped:
    """In binary, unless some element goes in text: then the whole array does."""
    sizes, leaves = shape(value, element)
    if not leaves:
        return (BINARY, _pack_header(0, 0, element.oid)) if registry.writes_binary else (TEXT, b"{}")
    dumped = [(TEXT, None) if leaf is None else dump(element, leaf, registry) for leaf in leaves]
    formats = {format for format, data in dumped if data is not None}
    if TEXT in formats and not element.textual:
        texts = [None if item[1] is None else text_of(element, item) for item in dumped]
        return TEXT, _array_literal(texts, sizes, element.delimiter).encode()
    has_nulls = any(data is None for _, data in dumped)
    parts = [_pack_header(len(sizes), has_nulls, element.oid), *(_pack_dimension(size, 1) for size in sizes)]
    for _, data in dumped:
        parts += (_NULL,) if data is None else (_pack_int(len(data)), data)
    return BINARY, b"".join(parts)


def as_text(dumped: list[Dumped], codec: Codec) -> list[Dumped]:
    """Replace binary forms by their text forms; raises ValueError where only the server knows those."""
    return [(TEXT, None if item[1] is None else text_of(codec, item).encode()) for item in dumped]


def shape(value: list[Any] | tuple[Any, ...], element: Codec) -> tuple[list[int], list[Any]]:
    """The sizes of an array's dimensions, and its elements in a row. Raises ValueError.

    An empty list is an empty array, but one within another may be an element that is empty itself (`is_item`).
    """
    sizes = list(_sizes(value, element)) if value else []
    return sizes, list(_leaves(value, sizes, element)) if sizes else []


def _is_dimension(value: Any, element: Codec) -> bool:
    """Whether a value is a list of others, not an element that happens to be one."""
    return isinstance(value, (list, tuple)) and (element.is_item is None or not element.is_item(value))


def _sizes(value: Any, element: Codec) -> Iterator[int]:
    """The size of each dimension, as far as the first elements tell."""
    depth = 0
    while _is_dimension(value, element):
        depth += 1
        if depth > _MAX_DIMENSIONS:  # it may be without end
            raise ValueError(f"PostgreSQL's arrays have at most {_MAX_DIMENSIONS} dimensions")
        yield len(value)
        value = value[0] if value else None


def _leaves(value: Any, sizes: list[int], element: Codec) -> Iterator[Any]:
    if not sizes:
        if _is_dimension(value, element):
            raise _ragged()
        yield value
        return
    if not _is_dimension(value, element) or len(value) != sizes[0]:
        raise _ragged()
    if len(sizes) == 1 and not any(isinstance(item, (list, tuple)) for item in value):
        yield from value
        return
    for item in value:
        yield from _leaves(item, sizes[1:], element)


def _ragged() -> ValueError:
    return ValueError(
        "the nested lists differ in length or depth: an array's dimensions must each have one size"
    )


def _array_literal(texts: list[str | None], sizes: list[int], delimiter: str) -> str:
    items = ["NULL" if text is None else _quoted(text) for text in texts]
    for size in reversed(sizes):
        groups = (items[start : start + size] for start in range(0, len(items), size))
        items = ["{" + delimiter.join(group) + "}" for group in groups]
    return items[0]


def _binary_as_text(data: bytes, element: Codec) -> str:
    """An array that was dumped in binary, in text after all: see as_text.py."""
    [depth] = _unpack_int(data)
    sizes = [_unpack_int(data, 12 + 8 * index)[0] for index in range(depth)]
    texts: list[str | None] = []
    at = 12 + 8 * depth
    while at < len(data):
        [length] = _unpack_int(data, at)
        at += 4
        item = None if length < 0 else data[at : at + length]
        texts.append(None if item is None else text_of(element, (BINARY, item)))
        at += max(length, 0)
    return _array_literal(texts, sizes, element.delimiter)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
