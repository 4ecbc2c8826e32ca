"""Section 6, what parameters take, for geometric types, ranges and multiranges; and defect 5 of section 10 for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from psqlpy.exceptions import PyToRustValueMappingError
from psqlpy.extra_types import (
    Box,
    Circle,
    CustomType,
    Line,
    LineSegment,
    Multirange,
    Path,
    Point,
    PointArray,
    Polygon,
    Range,
)
from psqlpy.sync import Connection, ConnectionPool


@pytest.fixture(scope="module")
def connection(dsn: str) -> Iterator[Connection]:
    with ConnectionPool(dsn=dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
        yield connection


ACCEPTED: list[tuple[str, Any, str]] = [
    ("point", Point([1, 2]), "(1,2)"),
    ("point", (1, 2), "(1,2)"),
    ("box", Box([(1, 2), (3, 4)]), "(3,4),(1,2)"),
    ("box", ((1, 2), (3, 4)), "(3,4),(1,2)"),
    ("path", Path([(1, 2), (3, 4)]), "[(1,2),(3,4)]"),
    ("path", Path([(1, 2), (3, 4)], closed=True), "((1,2),(3,4))"),
    ("path", [(1, 2), (3, 4)], "[(1,2),(3,4)]"),
    ("line", Line([1, 2, 3]), "{1,2,3}"),
    ("line", (1, 2, 3), "{1,2,3}"),
    ("lseg", LineSegment([1, 2, 3, 4]), "[(1,2),(3,4)]"),
    ("lseg", [(1, 2), (3, 4)], "[(1,2),(3,4)]"),
    ("circle", Circle([(1, 2), 3]), "<(1,2),3>"),
    ("circle", ((1, 2), 3), "<(1,2),3>"),
    ("polygon", Polygon([(1, 2), (3, 4)]), "((1,2),(3,4))"),
    ("polygon", [(1, 2), (3, 4)], "((1,2),(3,4))"),
    ("point[]", [(1, 2), None], '{"(1,2)",NULL}'),
    ("point[]", PointArray([Point([1, 2])]), '{"(1,2)"}'),
    ("int4range", Range(1, 5), "[1,5)"),
    ("int4range", Range(1, 5, "[]"), "[1,6)"),
    ("int4range", "[1,5]", "[1,6)"),
    ("int4range", Range(empty=True), "empty"),
    ("numrange", Range(1, None), "[1,)"),
    ("int4range[]", [Range(1, 2), None], '{"[1,2)",NULL}'),
    ("int4multirange", Multirange([Range(1, 2), Range(4, 5)]), "{[1,2),[4,5)}"),
    ("int4multirange", [Range(4, 5), Range(1, 2)], "{[1,2),[4,5)}"),
    ("int4range", CustomType(b"\1"), "empty"),
]


@pytest.mark.parametrize(("type_name", "value", "expected"), ACCEPTED)
def test_accepted(connection: Connection, type_name: str, value: Any, expected: str) -> None:
    assert connection.fetch_val(f"SELECT $1::{type_name}::text", [value]) == expected


REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    ("point", (1, 2, 3), ValueError, r"parameter \$1 \(tuple for point\): Point takes 2 numbers, not 3"),
    ("point", {"x": 1}, TypeError, r"dict for point"),
    ("point", Box([1, 2, 3, 4]), ValueError, "Box is for box"),
    ("box", 5, TypeError, "int for box"),
    ("point[]", (1, 2), ValueError, "single point: put it into a list"),
    ("point[]", [(1, 2), [(3, 4)]], ValueError, "nested lists differ"),
    ("int4range", Range(2**31), ValueError, "int in it: out of range"),
    ("int4range", Range("x", "y"), ValueError, "invalid input syntax for type integer"),
    ("int4multirange", [5], TypeError, "Multirange takes ranges, not int"),
]


@pytest.mark.parametrize(("type_name", "value", "error", "message"), REFUSED)
def test_refused_and_the_connection_works(
    connection: Connection, type_name: str, value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(PyToRustValueMappingError, match=message) as caught:
        connection.fetch_val(f"SELECT $1::{type_name}", [value])
    assert isinstance(caught.value, error)
    assert connection.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("value", [[1, 2], (1, 2), [], [[1]]])
@pytest.mark.parametrize("type_name", ["int4range", "int4multirange[]", "line", "circle[]"])
def test_defect_5_a_list_for_a_scalar_kills_no_connection(
    connection: Connection, type_name: str, value: Any
) -> None:
    before = connection.fetch_val("SELECT pg_backend_pid()")
    if value == [] and type_name.endswith("[]"):
        assert connection.fetch_val(f"SELECT $1::{type_name}", [value]) == []
    else:
        with pytest.raises(PyToRustValueMappingError):
            connection.fetch_val(f"SELECT $1::{type_name}", [value])
    assert connection.fetch_val("SELECT pg_backend_pid()") == before


def test_defect_5_an_empty_path_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="one or more pairs of numbers"):
        Path([])


def test_bounds_that_the_server_finds_in_the_wrong_order(connection: Connection) -> None:
    with pytest.raises(PyToRustValueMappingError, match="less than or equal") as caught:
        connection.fetch_val("SELECT $1::int4range", [Range("10", "9")])
    assert getattr(caught.value, "sqlstate", None) == "22000"
    assert connection.fetch_val("SELECT 1") == 1
