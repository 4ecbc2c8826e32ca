"""Extra types: what they take, what they refuse, equality, hash, repr, and the names of both generations."""

from __future__ import annotations

import copy
import enum
import importlib
import pickle
import subprocess
import sys
from collections import deque
from decimal import Decimal
from typing import Any

import pytest

from psqlpy import exceptions, extra_types, row_factories
from psqlpy._wrappers import Wrapper
from psqlpy.exceptions import MacAddrParseError, PyToRustValueMappingError
from psqlpy.extra_types import (
    JSON,
    JSONB,
    BigInt,
    BoolArray,
    Box,
    Circle,
    ClosedPath,
    CustomType,
    Float32,
    Float32Array,
    Float64,
    Float64Array,
    Int16Array,
    Int64Array,
    Integer,
    JSONBArray,
    Line,
    LineSegment,
    MacAddr6,
    MacAddr6Array,
    MacAddr8,
    MacAddr8Array,
    Money,
    Path,
    PgVector,
    Point,
    Polygon,
    SmallInt,
    Text,
    TextArray,
    VarChar,
)

INTEGERS = [(SmallInt, 16), (Integer, 32), (BigInt, 64), (Money, 64)]

# name -> type in pg_type
SCALARS = {
    "SmallInt": "int2", "Integer": "int4", "BigInt": "int8", "Money": "money", "Float32": "float4",
    "Float64": "float8", "Text": "text", "VarChar": "varchar", "JSON": "json", "JSONB": "jsonb",
    "MacAddr6": "macaddr", "MacAddr8": "macaddr8", "CustomType": "", "Point": "point", "Box": "box",
    "Path": "path", "Line": "line", "LineSegment": "lseg", "Circle": "circle", "Polygon": "polygon",
    "PgVector": "vector",
}  # fmt: skip
ARRAYS = {
    "BoolArray": "_bool", "UUIDArray": "_uuid", "VarCharArray": "_varchar", "TextArray": "_text",
    "Int16Array": "_int2", "Int32Array": "_int4", "Int64Array": "_int8", "Float32Array": "_float4",
    "Float64Array": "_float8", "MoneyArray": "_money", "IpAddressArray": "_inet", "JSONBArray": "_jsonb",
    "JSONArray": "_json", "DateArray": "_date", "TimeArray": "_time", "DateTimeArray": "_timestamp",
    "DateTimeTZArray": "_timestamptz", "MacAddr6Array": "_macaddr", "MacAddr8Array": "_macaddr8",
    "NumericArray": "_numeric", "PointArray": "_point", "BoxArray": "_box", "PathArray": "_path",
    "LineArray": "_line", "LsegArray": "_lseg", "CircleArray": "_circle", "IntervalArray": "_interval",
}  # fmt: skip
ALIASES = set(SCALARS) - {
    "SmallInt",
    "Integer",
    "BigInt",
    "Money",
    "Float32",
    "Float64",
    "PgVector",
    "Polygon",
}


@pytest.mark.parametrize(("name", "type_name"), [*SCALARS.items(), *ARRAYS.items()])
def test_names_and_types(name: str, type_name: str) -> None:
    wrapper = getattr(extra_types, name)
    assert issubclass(wrapper, Wrapper)
    assert (wrapper._psqlpy_type, wrapper.__name__) == (type_name, name)
    assert wrapper.__module__ == "psqlpy.extra_types" and wrapper.__doc__


def test_nothing_else_is_exported() -> None:
    old = {f"Py{name}" for name in ALIASES}
    values = {"ClosedPath", "Multirange", "Range", "SparseVector"}
    assert set(extra_types.__all__) == {*SCALARS, *ARRAYS, *old, *values}
    assert len(ARRAYS) == 27


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_old_names_are_the_same_classes(name: str) -> None:
    assert getattr(extra_types, f"Py{name}") is getattr(extra_types, name)


@pytest.mark.parametrize(("wrapper", "bits"), INTEGERS)
def test_integer_ranges(wrapper: type[Any], bits: int) -> None:
    limit = 2 ** (bits - 1)
    assert wrapper(limit - 1).value == limit - 1
    assert wrapper(-limit).value == -limit
    for number in (limit, -limit - 1, 10**5000):
        with pytest.raises(
            OverflowError, match=f"{wrapper.__name__} holds integers from {-limit} to {limit - 1}"
        ):
            wrapper(number)


@pytest.mark.parametrize(("wrapper", "bits"), INTEGERS)
@pytest.mark.parametrize("value", ["5", 5.0, Decimal(5), None, b"5", [5]])
def test_integers_refuse_other_types(wrapper: type[Any], bits: int, value: object) -> None:
    with pytest.raises(
        TypeError, match=f"{wrapper.__name__} takes an int, not {type(value).__name__}"
    ) as caught:
        wrapper(value)
    assert isinstance(caught.value, PyToRustValueMappingError)


def test_integers_become_plain() -> None:
    class Level(enum.IntEnum):
        HIGH = 7

    for value, expected in ((True, 1), (Level.HIGH, 7)):
        wrapped = SmallInt(value)
        assert wrapped.value == expected and type(wrapped.value) is int


def test_floats() -> None:
    assert Float32(1).value == 1.0 and type(Float32(1).value) is float
    assert Float64(Decimal("1.5")) == Float64(1.5)
    assert Float64(1e300).value == 1e300
    assert Float32(3.4028234663852886e38).value == 3.4028234663852886e38
    assert Float32(float("inf")).value == float("inf")
    for number in (1e300, -1e300, 3.4028235677973366e38):
        with pytest.raises(OverflowError, match="Float32 holds"):
            Float32(number)
    for value in ("1.5", None, [1.5], b"1"):
        with pytest.raises(TypeError, match="takes real numbers, not"):
            Float64(value)  # type: ignore[arg-type]


def test_strings() -> None:
    class Colour(str, enum.Enum):
        RED = "red"

    assert Text("x").value == "x"
    assert type(VarChar(Colour.RED).value) is str
    assert VarChar(Colour.RED).value == "red"
    with pytest.raises(TypeError, match="Text takes a str, not int"):
        Text(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrapper", [JSON, JSONB])
def test_documents(wrapper: type[Any]) -> None:
    assert wrapper([{"a": [1]}]).value == [{"a": [1]}]
    for value in ("text", 5, None, {1, 2}):
        with pytest.raises(PyToRustValueMappingError, match="takes a dict, list or tuple"):
            wrapper(value)


@pytest.mark.parametrize(
    "text",
    [
        "08:00:2b:01:02:03", "08-00-2B-01-02-03", "08002b:010203", "08002b-010203", "0800.2b01.0203",
        "0800-2b01-0203", "08002b010203",
    ],
)  # fmt: skip
def test_mac_addresses(text: str) -> None:
    assert MacAddr6(text).value == "08:00:2B:01:02:03"


@pytest.mark.parametrize(
    "text",
    [
        "", "zz", "08:00:2b:01:02", "08:00:2b:01:02:03:04", "08:00-2b:01-02:03", "0:8002b01020:3", "08002b01020",
        "08:00:2b:01:02:03\n", "08:00:2b:01:02:0\u0663", ":::::", "8:0:2:b:0:1:0:2:0:3:0:4",
    ],
)  # fmt: skip
def test_what_is_no_mac_address(text: str) -> None:
    with pytest.raises(MacAddrParseError, match="MacAddr6 takes 6 bytes"):
        MacAddr6(text)


def test_long_mac_addresses() -> None:
    assert MacAddr8("08002b0102030405").value == "08:00:2B:01:02:03:04:05"
    with pytest.raises(MacAddrParseError, match="MacAddr8 takes 8 bytes"):
        MacAddr8("08:00:2b:01:02:03")
    with pytest.raises(TypeError, match="MacAddr8 takes a str, not int"):
        MacAddr8(5)  # type: ignore[arg-type]


def test_custom_type() -> None:
    for value in (b"ab", bytearray(b"ab"), memoryview(b"ab")):
        assert CustomType(value).value == b"ab"
        assert type(CustomType(value).value) is bytes
    with pytest.raises(TypeError, match="CustomType takes bytes, not str"):
        CustomType("ab")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrapper", "values", "expected"),
    [
        (Point, ([1.5, 2], (1.5, 2), [(1.5, 2)]), (1.5, 2.0)),
        (Box, ([(1.7, 2.8), (9, 9)], (1.7, 2.8, 9, 9), ((1.7, 2.8), [9, 9])), ((1.7, 2.8), (9.0, 9.0))),
        (Path, ([(3.5, 3), (9, 9), (8, 8)], [3.5, 3, 9, 9, 8, 8]), ((3.5, 3.0), (9.0, 9.0), (8.0, 8.0))),
        (Path, ([1, 2],), ((1.0, 2.0),)),
        (Polygon, ([(3.5, 3), (9, 9)], [3.5, 3, 9, 9], [Point([3.5, 3]), (9, 9)]), ((3.5, 3.0), (9.0, 9.0))),
        (Line, ([1, -2, 3],), (1.0, -2.0, 3.0)),
        (LineSegment, ([(5.6, 3.1), (4, 5)], [5.6, 3.1, 4, 5]), ((5.6, 3.1), (4.0, 5.0))),
        (Circle, ([5, 1.8, 10], [(5, 1.8), 10]), ((5.0, 1.8), 10.0)),
    ],
)
def test_geometry(wrapper: type[Any], values: tuple[Any, ...], expected: object) -> None:
    for value in values:
        assert wrapper(value).value == expected


@pytest.mark.parametrize("wrapper", [Point, Box, Path, Polygon, Line, LineSegment, Circle])
def test_geometry_refuses(wrapper: type[Any]) -> None:
    for value, error in (
        ([], ValueError),
        ([1] * 7, ValueError),
        ("12", TypeError),
        (["1", "2"], TypeError),
        ([[[1, 2]]], TypeError),
        (5, TypeError),
        ({1, 2, 3, 4}, TypeError),
    ):
        with pytest.raises(error, match=f"{wrapper.__name__} takes") as caught:
            wrapper(value)
        assert isinstance(caught.value, PyToRustValueMappingError)


def test_geometry_takes_a_set_of_points() -> None:
    assert Box({(1, 2), (3, 4)}) in (Box([1, 2, 3, 4]), Box([3, 4, 1, 2]))


def test_geometry_limits() -> None:
    with pytest.raises(ValueError, match="radius"):
        Circle([0, 0, -1])
    with pytest.raises(ValueError, match="can't both be 0"):
        Line([0, 0, 1])


def test_closed_paths() -> None:
    assert Path([1, 2]).closed is False
    assert Path([1, 2], closed=True) != Path([1, 2])
    assert Path([1, 2], closed=True) == Path([(1, 2)], closed=True)
    assert Path([1, 2]) != "x"
    assert Path(ClosedPath([(1, 2)])).closed is True
    assert ClosedPath([(1.0, 2.0)]) == [(1.0, 2.0)]
    assert repr(ClosedPath([(1.0, 2.0)])) == "ClosedPath([(1.0, 2.0)])"
    for other in (copy.deepcopy(ClosedPath([(1, 2)])), pickle.loads(pickle.dumps(ClosedPath([(1, 2)])))):
        assert type(other) is ClosedPath and other == [(1, 2)]
    assert repr(Path([1, 2], closed=True)) == "Path(((1.0, 2.0),), closed=True)"


def test_vectors() -> None:
    assert PgVector([1, 2.5]).value == [1.0, 2.5]
    assert PgVector(number for number in (1, 2)).value == [1.0, 2.0]
    for value, error in (([], ValueError), ([float("nan")], ValueError), ("12", TypeError), (5, TypeError)):
        with pytest.raises(error, match="PgVector takes"):
            PgVector(value)  # type: ignore[arg-type]


def test_arrays() -> None:
    assert TextArray(("a", None)).value == ["a", None]
    assert TextArray([]).value == []
    assert TextArray(deque(["a"])) == TextArray(["a"])
    values = [True]
    array = BoolArray(values)
    values.append(False)
    assert array.value == [True]
    for value in ("ab", b"ab", {"a"}, 5, None, (item for item in "ab")):
        with pytest.raises(TypeError, match="TextArray takes a list or tuple"):
            TextArray(value)  # type: ignore[arg-type]


def test_arrays_of_integers_are_checked() -> None:
    assert Int16Array([[1, None], [SmallInt(3), 2**15 - 1]]).value[1][1] == 2**15 - 1
    for array, value in ((Int16Array, 2**15), (Int64Array, 2**63)):
        with pytest.raises(OverflowError):
            array([[1], [value]])
    with pytest.raises(TypeError, match="SmallInt takes an int, not str"):
        Int16Array(["1"])


def test_wrapped_elements_are_checked_for_the_array_s_type() -> None:
    assert Int16Array([BigInt(5), CustomType(b"\0\7")]).value == [BigInt(5), CustomType(b"\0\7")]
    with pytest.raises(OverflowError, match="SmallInt holds"):
        Int16Array([[BigInt(2**15)]])
    with pytest.raises(TypeError, match="SmallInt takes an int, not str"):
        Int16Array([Text("5")])


def test_arrays_of_floats_and_mac_addresses_are_checked() -> None:
    assert Float32Array([1, [None]]).value == [1, [None]]
    assert Float64Array([1e300]).value == [1e300]
    with pytest.raises(OverflowError, match="Float32 holds"):
        Float32Array([1.0, 1e300])
    with pytest.raises(TypeError, match="Float64 takes real numbers, not str"):
        Float64Array(["1"])
    assert MacAddr6Array(["08002b010203", MacAddr6("08002b010203"), None]).value[0] == "08002b010203"
    with pytest.raises(MacAddrParseError, match="MacAddr6 takes 6 bytes"):
        MacAddr6Array(["08002b01020304"])
    with pytest.raises(MacAddrParseError, match="MacAddr8 takes 8 bytes"):
        MacAddr8Array([MacAddr6("08002b010203")])


EXAMPLES: list[Wrapper] = [
    SmallInt(5), Float64(1.5), Text("x"), JSON({"a": [1, {"b": None}]}), JSONB(["x"]), CustomType(b"x"),
    MacAddr6("08002b010203"), Point([1, 2]), Path([1, 2], closed=True), Circle([1, 2, 3]), PgVector([1]),
    TextArray(["x", None]), JSONBArray([{"a": 1}]),
]  # fmt: skip


@pytest.mark.parametrize("wrapped", EXAMPLES)
def test_equality_and_hash(wrapped: Wrapper) -> None:
    for other in (copy.copy(wrapped), copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))):
        assert other == wrapped and other is not wrapped
        assert hash(other) == hash(wrapped)
    assert wrapped != wrapped.value
    assert len({wrapped, copy.deepcopy(wrapped)}) == 1
    assert repr(wrapped).startswith(f"{type(wrapped).__name__}(")


def test_equality_needs_the_same_class() -> None:
    assert SmallInt(5) != Integer(5)
    assert Text("x") != VarChar("x")
    assert SmallInt(5) != SmallInt(6)
    assert JSON({"a": 1, "b": 2}) == JSON({"b": 2, "a": 1})
    assert hash(JSON({"a": 1, "b": 2})) == hash(JSON({"b": 2, "a": 1}))
    assert hash(JSON([1])) == hash(JSON([1.0]))


def test_repr() -> None:
    assert repr(SmallInt(5)) == "SmallInt(5)"
    assert repr(extra_types.PyText("it's")) == 'Text("it\'s")'
    assert repr(TextArray(["a"])) == "TextArray(['a'])"


# psqlpy._internal


@pytest.mark.filterwarnings("ignore:psqlpy._internal is an alias:PendingDeprecationWarning")
def test_internal_paths() -> None:
    for name, module in (
        ("exceptions", exceptions),
        ("extra_types", extra_types),
        ("row_factories", row_factories),
    ):
        alias = importlib.import_module(f"psqlpy._internal.{name}")
        for public in module.__all__:
            assert getattr(alias, public) is getattr(module, public)
    internal = importlib.import_module("psqlpy._internal")
    assert "ConnectionPool" in dir(internal)
    with pytest.raises(AttributeError, match=r"'psqlpy\._internal' has no attribute 'nothing'"):
        internal.nothing  # noqa: B018


@pytest.mark.parametrize("module", ["psqlpy._internal", "psqlpy._internal.extra_types"])
def test_internal_warns_where_it_is_imported(module: str) -> None:
    program = f"import {module}"
    command = [sys.executable, "-W", "default::PendingDeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "<string>:1: PendingDeprecationWarning: psqlpy._internal is an alias" in done.stderr
    silent = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert silent.stderr == ""
