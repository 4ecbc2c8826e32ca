"""Wrappers for PostgreSQL's geometric types; psqlpy.extra_types is where they are public.

Each takes its numbers in a row, or its points as pairs. Values are kept as results have them, in tuples.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsFloat, SupportsIndex

from psqlpy._wrappers import Wrapper, real, wrong_type
from psqlpy.exceptions import ParameterTypeError, ParameterValueError

Number = SupportsFloat | SupportsIndex
Numbers = Iterable[Number | Iterable[Number]]


def _flat(wrapper: type[Wrapper], value: Any, depth: int = 2) -> list[float]:
    """Return the numbers of a sequence of numbers and of sequences of numbers."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong_type(wrapper, "a sequence of numbers or of (x, y) pairs", value)
    numbers: list[float] = []
    for item in value:
        if isinstance(item, Point):
            numbers += item.value
        elif depth > 1 and isinstance(item, Iterable) and not isinstance(item, str | bytes):
            numbers += _flat(wrapper, item, depth - 1)
        elif isinstance(value, set | frozenset):
            raise ParameterTypeError(
                f"{wrapper.__name__} takes a list or tuple of numbers: a set has no order"
            )
        else:
            numbers.append(real(wrapper, item))
    return numbers


def _exactly(wrapper: type[Wrapper], count: int, value: Any) -> list[float]:
    numbers = _flat(wrapper, value)
    if len(numbers) != count:
        raise ParameterValueError(f"{wrapper.__name__} takes {count} numbers, not {len(numbers)}")
    return numbers


def _points(wrapper: type[Wrapper], numbers: list[float]) -> tuple[tuple[float, float], ...]:
    if not numbers or len(numbers) % 2:
        raise ParameterValueError(
            f"{wrapper.__name__} takes one or more pairs of numbers, not {len(numbers)} numbers"
        )
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


class Point(Wrapper):
    """A point: x and y."""

    __slots__ = ()
    _psqlpy_type = "point"

    def __init__(self, value: Numbers) -> None:
        self._psqlpy_value = tuple(_exactly(type(self), 2, value))


class Box(Wrapper):
    """A box: two opposite corners. The server puts the upper right one first."""

    __slots__ = ()
    _psqlpy_type = "box"

    def __init__(self, value: Numbers) -> None:
        x1, y1, x2, y2 = _exactly(type(self), 4, value)
        self._psqlpy_value = ((x1, y1), (x2, y2))


class ClosedPath(list[tuple[float, float]]):
    """The points of a closed path, as results have them. A path that is open comes, and is taken, as a plain list.

    It equals any list of the same points.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"ClosedPath({super().__repr__()})"


class Path(Wrapper):
    """A path: one point or more. Open, unless `closed` is true or the points are a ClosedPath."""

    __slots__ = ("closed",)
    _psqlpy_type = "path"

    def __init__(self, value: Numbers, *, closed: bool = False) -> None:
        numbers = _flat(type(self), value)
        self._psqlpy_value = _points(type(self), numbers)
        self.closed: bool = bool(closed) or isinstance(value, ClosedPath)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Path):
            return NotImplemented
        return bool(self._psqlpy_value == other._psqlpy_value) and self.closed == other.closed

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        return f"Path({self._psqlpy_value!r}{', closed=True' if self.closed else ''})"


class Polygon(Wrapper):
    """A polygon: one point or more, each a corner."""

    __slots__ = ()
    _psqlpy_type = "polygon"

    def __init__(self, value: Numbers) -> None:
        self._psqlpy_value = _points(type(self), _flat(type(self), value))


class Line(Wrapper):
    """An infinite line: a, b and c of ax + by + c = 0, where a and b aren't both 0."""

    __slots__ = ()
    _psqlpy_type = "line"

    def __init__(self, value: Numbers) -> None:
        a, b, c = _exactly(type(self), 3, value)
        if a == 0 and b == 0:
            raise ParameterValueError("Line takes a, b and c of ax + by + c = 0: a and b can't both be 0")
        self._psqlpy_value = (a, b, c)


class LineSegment(Wrapper):
    """A line segment: its two ends."""

    __slots__ = ()
    _psqlpy_type = "lseg"

    def __init__(self, value: Numbers) -> None:
        x1, y1, x2, y2 = _exactly(type(self), 4, value)
        self._psqlpy_value = ((x1, y1), (x2, y2))


class Circle(Wrapper):
    """A circle: x and y of its centre, and its radius, which can't be negative."""

    __slots__ = ()
    _psqlpy_type = "circle"

    def __init__(self, value: Numbers) -> None:
        x, y, radius = _exactly(type(self), 3, value)
        if radius < 0:
            raise ParameterValueError(f"Circle takes a radius of 0 or more, not {radius!r}")
        self._psqlpy_value = ((x, y), radius)


# As of the wrappers.
ClosedPath.__module__ = "psqlpy.extra_types"
