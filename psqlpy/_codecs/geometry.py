"""point, box, path, line, lseg, circle and polygon: numbers in tuples, and lists of points.

A point is (x, y), a box ((x, y), (x, y)) with the upper right corner first, a line (a, b, c), a circle
((x, y), radius); an lseg, a path and a polygon are lists of points, and a closed path is a ClosedPath, so that
it is stored again as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped, packer
from psqlpy._geometry import Box, Circle, ClosedPath, Line, LineSegment, Path, Point, Polygon
from psqlpy._pq.result import Kind
from psqlpy._wrappers import Wrapper, is_number

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_Points = list[tuple[float, float]]

_two = Struct(">dd")
_three = Struct(">ddd")
_four = Struct(">dddd")
_path_head = Struct(">Bi")
_count = Struct(">i")


# Reading binary (src/backend/utils/adt/geo_ops.c); struct's error is for data of a wrong length.


def _box(data: bytes) -> tuple[tuple[float, float], tuple[float, float]]:
    x1, y1, x2, y2 = _four.unpack(data)
    return (x1, y1), (x2, y2)


def _lseg(data: bytes) -> _Points:
    return list(_box(data))


def _circle(data: bytes) -> tuple[tuple[float, float], float]:
    x, y, radius = _three.unpack(data)
    return (x, y), radius


def _path(data: bytes) -> _Points:
    closed, count = _path_head.unpack_from(data)
    points = _points(data, 5, count)
    return ClosedPath(points) if closed else points


def _polygon(data: bytes) -> _Points:
    return _points(data, 4, *_count.unpack_from(data))


def _points(data: bytes, start: int, count: int) -> _Points:
    if len(data) != start + 16 * count:
        raise ValueError("the value isn't in the type's binary format")
    return list(_two.iter_unpack(memoryview(data)[start:]))


# Reading text: the manual's section "Geometric Types"

_NUMBER = r"(-?(?:[\d.]+(?:e[+-]?\d+)?|Infinity|NaN))"
_POINT = rf"\({_NUMBER},{_NUMBER}\)"
_POINTS = rf"{_POINT}(?:,{_POINT})*"
_SHAPES = {
    "point": _POINT,
    "box": f"{_POINT},{_POINT}",
    "lseg": rf"\[{_POINT},{_POINT}\]",
    "line": rf"\{{{_NUMBER},{_NUMBER},{_NUMBER}\}}",
    "circle": f"<{_POINT},{_NUMBER}>",
    "polygon": rf"\({_POINTS}\)",
    "path": rf"\({_POINTS}\)|\[{_POINTS}\]",
}


@cache
def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _text_reader(name: str, convert: Callable[[list[float], str], Any]) -> Callable[[str], Any]:
    def from_text(text: str) -> Any:
        if not _matcher(_SHAPES[name]).fullmatch(text):
            raise ValueError(f"the text isn't a {name}")
        return convert([float(number) for number in _matcher(_NUMBER).findall(text)], text)

    return from_text


def _pairs(numbers: Sequence[float]) -> _Points:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _path_of(numbers: list[float], text: str) -> _Points:
    points = _pairs(numbers)
    return points if text.startswith("[") else ClosedPath(points)


# Writing


def _is_item(value: Any) -> bool:
    """A sequence of numbers, or of points."""
    if isinstance(value, ClosedPath):
        return True
    if not value:
        return False
    first = value[0]
    if isinstance(first, (list, tuple)):
        return len(first) == 2 and is_number(first[0])
    return isinstance(first, Point) or is_number(first)


def _is_point(value: Any) -> bool:
    return bool(value) and is_number(value[0])


def _dumper(wrapper: type[Wrapper], to_bytes: Callable[[Any], bytes]) -> Callable[[Any], Dumped]:
    """Write what the wrapper takes. A wrapper of another shape isn't this one, though it may have as many numbers."""

    def dump(value: Any) -> Dumped:
        if isinstance(value, wrapper):
            return BINARY, to_bytes(value)
        if isinstance(value, Wrapper) and value._psqlpy_type:
            raise ValueError(f"{type(value).__name__} is for {value._psqlpy_type}")
        if not isinstance(value, (list, tuple)):
            raise TypeError
        return BINARY, to_bytes(wrapper(value))  # type: ignore[call-arg]  # each wrapper has its own

    return dump


def _flat_bytes(pack: Callable[..., bytes]) -> Callable[[Any], bytes]:
    def to_bytes(wrapped: Wrapper) -> bytes:
        return pack(*_numbers(wrapped.value))

    return to_bytes


def _numbers(value: Sequence[Any]) -> list[float]:
    numbers: list[float] = []
    for item in value:
        if isinstance(item, tuple):
            numbers += item
        else:
            numbers.append(item)
    return numbers


def _path_bytes(path: Path) -> bytes:
    return _path_head.pack(path.closed, len(path.value)) + b"".join(_two.pack(*point) for point in path.value)


def _polygon_bytes(polygon: Polygon) -> bytes:
    points = polygon.value
    return _count.pack(len(points)) + b"".join(_two.pack(*point) for point in points)


_pack_point = packer("dd")


def _fast_point(value: Any) -> bytes:
    if type(value) is not tuple:
        raise TypeError
    return _pack_point(*value)


_pack_point_item = Struct(">idd").pack


def _point_item(value: Any) -> bytes:
    if type(value) is not tuple:
        raise TypeError
    return _pack_point_item(16, *value)


# name, oid, wrapper, reading binary, reading text, writing
_TYPES: tuple[
    tuple[str, int, type[Wrapper], Callable[[bytes], Any], Callable[..., Any], Callable[..., bytes]], ...
]
_TYPES = (
    ("point", oids.POINT, Point, _two.unpack, lambda n, _: tuple(n), _flat_bytes(_two.pack)),
    ("box", oids.BOX, Box, _box, lambda n, _: tuple(_pairs(n)), _flat_bytes(_four.pack)),
    ("lseg", oids.LSEG, LineSegment, _lseg, lambda n, _: _pairs(n), _flat_bytes(_four.pack)),
    ("line", oids.LINE, Line, _three.unpack, lambda n, _: tuple(n), _flat_bytes(_three.pack)),
    ("circle", oids.CIRCLE, Circle, _circle, lambda n, _: ((n[0], n[1]), n[2]), _flat_bytes(_three.pack)),
    ("polygon", oids.POLYGON, Polygon, _polygon, lambda n, _: _pairs(n), _polygon_bytes),
    ("path", oids.PATH, Path, _path, _path_of, _path_bytes),
)


def register(registry: Registry) -> None:
    for name, oid, wrapper, convert, from_numbers, to_bytes in _TYPES:
        is_point = oid == oids.POINT
        registry.add(
            Codec(
                oid,
                name,
                kind=Kind.BYTES,
                convert=convert,
                from_text=_text_reader(name, from_numbers),
                dump=_dumper(wrapper, to_bytes),
                fast=_fast_point if is_point else None,
                pack_item=_point_item if is_point else None,
                delimiter=oids.TYPES[oid][2],
                is_item=_is_point if is_point or oid == oids.LINE else _is_item,
            )
        )
