"""Range and Multirange by themselves; how they compare is compared with the server's in tests/codecs/test_ranges.py."""

from __future__ import annotations

import copy
import pickle
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from psqlpy.extra_types import Multirange, Range

EMPTY: Range[Any] = Range(empty=True)


def test_parts() -> None:
    value = Range(1, 5, "(]")
    assert (value.lower, value.upper, value.bounds) == (1, 5, "(]")
    assert (value.lower_inc, value.upper_inc, value.lower_inf, value.upper_inf) == (False, True, False, False)
    assert value and not value.isempty
    assert Range(1, 5).bounds == "[)"


def test_bounds_that_are_not_there() -> None:
    value: Range[int] = Range(None, 5, "[]")
    assert (value.bounds, value.lower_inf, value.lower_inc) == ("(]", True, False)
    assert Range(None, 5, "[]") == Range(None, 5, "(]")
    assert Range().lower_inf and Range().upper_inf and Range()


def test_the_empty_range() -> None:
    assert (EMPTY.lower, EMPTY.upper, EMPTY.bounds) == (None, None, "")
    assert EMPTY.isempty and not EMPTY and not EMPTY.lower_inf and not EMPTY.upper_inf
    assert not EMPTY.lower_inc and not EMPTY.upper_inc
    assert Range(1, 1) == Range(5, 2, empty=True) == EMPTY != Range(1, 1, "[]")
    assert Range("a", "a", "(]") == EMPTY


def test_refused() -> None:
    for bounds in ("", "[", "{}", "][", None):
        with pytest.raises(ValueError, match="bounds must be one of"):
            Range(1, 2, bounds)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lower bound is above the upper one"):
        Range(2, 1)
    one: Any = datetime(2024, 1, 1)
    for other in (1, "x", one.replace(tzinfo=timezone.utc), date(2024, 1, 1)):
        with pytest.raises(TypeError, match="the bounds can't be compared"):
            Range(one, other)
    for wrong in (5, "ab", [(1, 2)], [None]):
        with pytest.raises(TypeError):
            Multirange(wrong)  # type: ignore[arg-type]


def test_immutable() -> None:
    for value, name in ((Range(1, 2), "lower"), (Multirange(), "ranges")):
        with pytest.raises(AttributeError):
            setattr(value, name, 5)


def test_text_bounds_are_the_servers_to_compare() -> None:
    assert Range("9", "10").lower == "9"
    assert list(Multirange([Range("20", "30"), EMPTY, Range("1", "3")])) == [
        Range("20", "30"),
        Range("1", "3"),
    ]


def test_containment() -> None:
    for value, inside in ((1, True), (2, True), (3, False), (0, False), (None, False)):
        assert (value in Range(1, 3)) is inside
    assert None not in Range()
    assert 1 not in Range(1, 3, "()") and 3 in Range(1, 3, "[]")
    assert 5 not in EMPTY and EMPTY in EMPTY and EMPTY in Range(1, 2) and Range(1, 2) not in EMPTY
    assert Range(1, 3) in Range(1, 3) and Range(1, 3, "[]") not in Range(1, 3) and Range(1, 3) in Range(0)
    nan = Decimal("NaN")
    assert (
        nan in Range(Decimal(1), None) and nan not in Range(None, Decimal(1)) and nan in Range(nan, nan, "[]")
    )
    with pytest.raises(TypeError):
        assert "x" in Range(1, 3)


def test_order() -> None:
    ordered: list[Range[Any]] = [
        EMPTY, Range(None, 1), Range(None, 1, "(]"), Range(), Range(0, 1), Range(0, 1, "[]"), Range(0),
        Range(0, 1, "()"), Range(1, 2),
    ]  # fmt: skip
    assert sorted([*ordered[4:], *ordered[:4]]) == ordered
    assert max(ordered) == Range(1, 2)
    some: list[Any] = [Range(1, 2), Multirange()]
    for value in some:
        assert value != 5
        with pytest.raises(TypeError):
            assert value < 5


def test_equal_bounds_of_other_types_and_nan() -> None:
    assert Range(1, 2) == Range(Decimal(1), 2.0)
    assert hash(Range(1, 2)) == hash(Range(Decimal(1), 2.0))
    assert Range(Decimal("NaN"), None) == Range(float("nan"), None)
    assert len({Range(float("nan"), None), Range(float("nan"), None)}) == 1
    assert Range(date(2024, 1, 1), None) != Range("x", None)


def test_multiranges() -> None:
    value = Multirange([Range(5, 7), EMPTY, Range(1, 2), Range(2, 4), Range(6, 9, "[]")])
    assert list(value) == [Range(1, 4), Range(5, 9, "[]")]
    assert len(value) == 2 and value[0] == Range(1, 4) and value[-1:] == (Range(5, 9, "[]"),)
    assert 3 in value and 4 not in value and None not in value
    assert Range(5, 6) in value and Range(3, 6) not in value and EMPTY in value and EMPTY in Multirange()
    assert Multirange([Range(1, 2), Range(8, 9)]) in value and Multirange([Range(4, 5)]) not in value
    assert not Multirange() and value
    assert list(Multirange([Range(1, 2, "()"), Range(2, 3, "()")])) == [Range(1, 2, "()"), Range(2, 3, "()")]
    assert Multirange([Range(1, 9), Range(2, 3)])[0] == Range(1, 9)
    assert Multirange([Range(1), Range(None, 1)])[0] == Range()
    assert (
        Multirange()
        < Multirange([Range(1, 2)])
        < Multirange([Range(1, 2), Range(4, 5)])
        < Multirange([Range(1)])
    )


def test_repr_copies_and_pickles() -> None:
    assert repr(EMPTY) == "Range(empty=True)"
    assert repr(Range(1, None, "[]")) == "Range(1, None, '[)')"
    multirange = Multirange([Range(1, 2)])
    assert repr(multirange) == "Multirange([Range(1, 2, '[)')])"
    for value in (EMPTY, Range(1, 2, "[]"), Range(), multirange, Multirange()):
        assert eval(repr(value)) == value
        for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
            assert other == value and hash(other) == hash(value) and type(other) is type(value)
    assert Range.__module__ == Multirange.__module__ == "psqlpy.extra_types"
