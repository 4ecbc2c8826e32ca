"""Range and Multirange: values of PostgreSQL's range types; psqlpy.extra_types is where they are public.

They know no type of PostgreSQL: a range of integers is put into the form [1,3) by the server, not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

_BOUNDS = ("[)", "[]", "(]", "()")


def _order(one: Any, other: Any) -> int:
    """Compare two values: negative, 0 or positive. As PostgreSQL has it, NaN equals itself and is above everything."""
    if one != one or other != other:
        return int(one != one) - int(other != other)
    return int(one > other) - int(one < other)


def _key(bound: Any) -> Any:
    """Something to hash: NaN has one for each object."""
    return bound if bound == bound else "NaN"


class Range(Generic[T]):
    """The values between two bounds.

    A bound that is None is no bound. `bounds` says which of them belong to the range: "[" and "]" do, "(" and ")"
    don't. `empty`: no value at all, as is a range whose bounds are equal and don't both belong to it.
    Raises ValueError if the lower bound is above the upper one, TypeError if they can't be compared.

    Ranges are immutable and hashable. They are equal when their bounds are, and ordered as PostgreSQL orders them: the
    empty one first, then by lower, then by upper bound. `x in r` is for values and ranges.
    """

    __slots__ = ("_flags", "_lower", "_upper")

    _lower: T | None
    _upper: T | None
    _flags: str  # one of _BOUNDS, "" if it is empty

    def __init__(
        self, lower: T | None = None, upper: T | None = None, bounds: str = "[)", *, empty: bool = False
    ) -> None:
        if bounds not in _BOUNDS:
            raise ValueError(f"bounds must be one of {', '.join(_BOUNDS)}, not {bounds!r}")
        if not empty and lower is not None and upper is not None:
            empty = _is_empty(lower, upper, bounds)
        if empty:
            self._lower = self._upper = None
            self._flags = ""
        else:
            self._lower, self._upper = lower, upper
            self._flags = ("(" if lower is None else bounds[0]) + (")" if upper is None else bounds[1])

    @property
    def lower(self) -> T | None:
        """The lower bound; None if there is none, or if the range is empty."""
        return self._lower

    @property
    def upper(self) -> T | None:
        """The upper bound; None if there is none, or if the range is empty."""
        return self._upper

    @property
    def bounds(self) -> str:
        """Which bounds belong to the range: "[)", "[]", "(]" or "()"; "" if it is empty. What isn't there doesn't."""
        return self._flags

    @property
    def isempty(self) -> bool:
        """Whether there is no value in it."""
        return not self._flags

    @property
    def lower_inc(self) -> bool:
        """Whether the lower bound belongs to the range."""
        return self._flags[:1] == "["

    @property
    def upper_inc(self) -> bool:
        """Whether the upper bound belongs to the range."""
        return self._flags[1:] == "]"

    @property
    def lower_inf(self) -> bool:
        """Whether the range has no lower bound. The empty range is none of those."""
        return self._lower is None and bool(self._flags)

    @property
    def upper_inf(self) -> bool:
        """Whether the range has no upper bound. The empty range is none of those."""
        return self._upper is None and bool(self._flags)

    def __bool__(self) -> bool:
        """Whether there may be a value in it."""
        return bool(self._flags)

    def __contains__(self, item: object) -> bool:
        """Whether a value, or the whole of a range, is in this one. None is in nothing, the empty range in all."""
        if isinstance(item, Range):
            return not item._flags or (
                bool(self._flags) and _order_lower(self, item) <= 0 <= _order_upper(self, item)
            )
        if item is None or not self._flags:
            return False
        value: Any = item
        if self._lower is not None and _order(self._lower, value) > -(not self.lower_inc):
            return False
        return self._upper is None or _order(value, self._upper) <= -(not self.upper_inc)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Range):
            return NotImplemented
        return self._flags == other._flags and all(
            one == two or (one != one and two != two)
            for one, two in ((self._lower, other._lower), (self._upper, other._upper))
        )

    def __hash__(self) -> int:
        return hash((_key(self._lower), _key(self._upper), self._flags))

    def _compare(self, other: Range[Any]) -> int:
        if not self._flags or not other._flags:
            return bool(self._flags) - bool(other._flags)
        return _order_lower(self, other) or _order_upper(self, other)

    def __lt__(self, other: object) -> bool:
        return self._compare(other) < 0 if isinstance(other, Range) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._compare(other) <= 0 if isinstance(other, Range) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._compare(other) > 0 if isinstance(other, Range) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._compare(other) >= 0 if isinstance(other, Range) else NotImplemented

    def __repr__(self) -> str:
        if not self._flags:
            return "Range(empty=True)"
        return f"Range({self._lower!r}, {self._upper!r}, {self._flags!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return make_range, (self._lower, self._upper, self._flags)


def make_range(lower: T | None, upper: T | None, flags: str) -> Range[T]:
    """Make a range of what the server sent, which has checked it. `flags` is "" for the empty one."""
    made: Range[T] = Range.__new__(Range)
    made._lower, made._upper, made._flags = lower, upper, flags
    return made


def _is_empty(lower: Any, upper: Any, bounds: str) -> bool:
    if isinstance(lower, str) and isinstance(upper, str):
        # Text that only the server can compare, be it by its collation or as another type.
        return lower == upper and bounds != "[]"
    try:
        order = _order(lower, upper)
    except TypeError as error:
        raise TypeError(f"the bounds can't be compared: {error}") from None
    if order > 0:
        raise ValueError("the lower bound is above the upper one: exchange them, or use Range(empty=True)")
    return order == 0 and bounds != "[]"


def _order_lower(one: Range[Any], other: Range[Any]) -> int:
    if one._lower is None or other._lower is None:
        return (other._lower is None) - (one._lower is None)
    return _order(one._lower, other._lower) or other.lower_inc - one.lower_inc


def _order_upper(one: Range[Any], other: Range[Any]) -> int:
    if one._upper is None or other._upper is None:
        return (one._upper is None) - (other._upper is None)
    return _order(one._upper, other._upper) or one.upper_inc - other.upper_inc


class Multirange(Generic[T]):
    """Ranges in order: those that overlap or touch are made one, empty ones are left out.

    Ranges with str bounds stay as they are given: only the server knows which is above which.
    Immutable, hashable, and ordered as PostgreSQL orders them. It has a length, indexes and iteration of its ranges;
    `x in m` is for values, ranges and multiranges.
    """

    __slots__ = ("_ranges",)

    _ranges: tuple[Range[T], ...]

    def __init__(self, ranges: Iterable[Range[T]] = ()) -> None:
        given = list(ranges)
        for item in given:
            if not isinstance(item, Range):
                raise TypeError(f"Multirange takes ranges, not {type(item).__name__}")
        merged: list[Range[T]] = []
        has_text = any(isinstance(bound, str) for item in given for bound in (item._lower, item._upper))
        for item in filter(None, given) if has_text else sorted(filter(None, given)):
            if merged and not (has_text or _is_gap(merged[-1], item)):
                last = merged.pop()
                further = item if _order_upper(last, item) < 0 else last
                item = make_range(last._lower, further._upper, last._flags[0] + further._flags[1])
            merged.append(item)
        self._ranges = tuple(merged)

    def __len__(self) -> int:
        return len(self._ranges)

    def __iter__(self) -> Iterator[Range[T]]:
        return iter(self._ranges)

    @overload
    def __getitem__(self, index: int) -> Range[T]: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Range[T], ...]: ...

    def __getitem__(self, index: int | slice) -> Range[T] | tuple[Range[T], ...]:
        return self._ranges[index]

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Multirange):
            return all(part in self for part in item._ranges)
        if isinstance(item, Range) and item.isempty:
            return True
        return any(item in part for part in self._ranges)

    def __eq__(self, other: object) -> bool:
        return self._ranges == other._ranges if isinstance(other, Multirange) else NotImplemented

    def __hash__(self) -> int:
        return hash((Multirange, self._ranges))

    def __lt__(self, other: object) -> bool:
        return self._ranges < other._ranges if isinstance(other, Multirange) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._ranges <= other._ranges if isinstance(other, Multirange) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._ranges > other._ranges if isinstance(other, Multirange) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._ranges >= other._ranges if isinstance(other, Multirange) else NotImplemented

    def __repr__(self) -> str:
        return f"Multirange([{', '.join(map(repr, self._ranges))}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return make_multirange, (self._ranges,)


def make_multirange(ranges: tuple[Range[T], ...]) -> Multirange[T]:
    """Make a multirange of what the server sent, which has merged and ordered it."""
    made: Multirange[T] = Multirange.__new__(Multirange)
    made._ranges = ranges
    return made


def _is_gap(one: Range[Any], other: Range[Any]) -> bool:
    """Whether there may be values between two ranges, the first of which begins first."""
    if one._upper is None or other._lower is None:
        return False
    order = _order(one._upper, other._lower)
    return order < 0 or (order == 0 and not (one.upper_inc or other.lower_inc))


# Where users import them from and pickle finds them.
Range.__module__ = Multirange.__module__ = "psqlpy.extra_types"
