"""point, box, path, line, lseg, circle and polygon: values, what they are made of, what is refused."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import pytest

from psqlpy._codecs import oids
from psqlpy._codecs.registry import default_registry
from psqlpy.exceptions import DataError, ParameterTypeError, ParameterValueError
from psqlpy.extra_types import (
    Box,
    BoxArray,
    Circle,
    ClosedPath,
    CustomType,
    Line,
    LineSegment,
    Path,
    PathArray,
    Point,
    PointArray,
    Polygon,
)
from tests.codecs.rig import Rig, make_result
from tests.codecs.round_trip import check_round_trip

TEXT_BESIDE = "'1:2:'::txid_snapshot"  # a type without binary decoder: the row comes in text

VALUES: list[tuple[str, str, Any]] = [
    ("point", "(1,-2.5)", (1.0, -2.5)),
    ("point", "(1e300,-5e-324)", (1e300, -5e-324)),
    ("point", "(Infinity,NaN)", (float("inf"), float("nan"))),
    ("box", "(3,4),(1,2)", ((3.0, 4.0), (1.0, 2.0))),
    ("box", "(1,4),(3,2)", ((3.0, 4.0), (1.0, 2.0))),
    ("path", "[(1,2),(3,4)]", [(1.0, 2.0), (3.0, 4.0)]),
    ("path", "((1,2),(3,4),(5,6))", ClosedPath([(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)])),
    ("path", "((1,2))", ClosedPath([(1.0, 2.0)])),
    ("lseg", "[(1,2),(3,4)]", [(1.0, 2.0), (3.0, 4.0)]),
    ("line", "{1,-2,0.5}", (1.0, -2.0, 0.5)),
    ("circle", "<(1,2),3>", ((1.0, 2.0), 3.0)),
    ("circle", "<(-1e20,2),0>", ((-1e20, 2.0), 0.0)),
    ("polygon", "((1,2),(3,4),(5,6))", [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)]),
]


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
@pytest.mark.parametrize(("type_name", "literal", "expected"), VALUES)
def test_columns_and_arrays(rig: Rig, type_name: str, literal: str, expected: Any, format: int) -> None:
    value = f"{type_name} '{literal}'"
    query = f"SELECT {value}, ARRAY[{value}, NULL], ARRAY[[{value}], [{value}]], NULL::{type_name}"
    row = (expected, [expected, None], [[expected], [expected]], None)
    assert repr(rig.fetch(query, format=format)) == repr([row])
    assert repr(rig.fetch(f"{query} FROM generate_series(1, 3)", format=format)) == repr([row] * 3)


@pytest.mark.parametrize(("type_name", "literal", "value"), VALUES)
def test_results_are_parameters(rig: Rig, type_name: str, literal: str, value: Any) -> None:
    check_round_trip(rig, type_name, value, value)


ACCEPTED: list[tuple[str, Any, str]] = [
    ("point", Point([1, 2]), "(1,2)"),
    ("point", [1, 2], "(1,2)"),
    ("point", (1, Decimal("2.5")), "(1,2.5)"),
    ("point", "(1,2)", "(1,2)"),
    ("point", CustomType(struct.pack(">dd", 1, 2)), "(1,2)"),
    ("box", Box([(1, 2), (3, 4)]), "(3,4),(1,2)"),
    ("box", (1, 2, 3, 4), "(3,4),(1,2)"),
    ("box", [(1, 4), Point([3, 2])], "(3,4),(1,2)"),
    ("path", Path([1, 2, 3, 4]), "[(1,2),(3,4)]"),
    ("path", Path([(1, 2)], closed=True), "((1,2))"),
    ("path", ((1, 2), [3, 4]), "[(1,2),(3,4)]"),
    ("lseg", LineSegment([1, 2, 3, 4]), "[(1,2),(3,4)]"),
    ("lseg", [(1, 2), (3, 4)], "[(1,2),(3,4)]"),
    ("line", Line([1, 2, 3]), "{1,2,3}"),
    ("line", [1, 2, 3], "{1,2,3}"),
    ("circle", Circle([1, 2, 3]), "<(1,2),3>"),
    ("circle", [(1, 2), 3], "<(1,2),3>"),
    ("circle", (1, 2, 3), "<(1,2),3>"),
    ("polygon", Polygon([1, 2, 3, 4]), "((1,2),(3,4))"),
    ("polygon", [(1, 2), (3, 4)], "((1,2),(3,4))"),
    ("point[]", [(1, 2), None, Point([3, 4]), [5, 6]], '{"(1,2)",NULL,"(3,4)","(5,6)"}'),
    ("point[]", [[(1, 2)], [(3, 4)]], '{{"(1,2)"},{"(3,4)"}}'),
    ("point[]", ["(1,2)"], '{"(1,2)"}'),
    ("point[]", [], "{}"),
    ("point[]", PointArray([Point([1, 2]), (3, 4)]), '{"(1,2)","(3,4)"}'),
    ("box[]", [(1, 2, 3, 4), ((5, 6), (7, 8)), None], "{(3,4),(1,2);(7,8),(5,6);NULL}"),
    ("box[]", BoxArray([Box([1, 2, 3, 4])]), "{(3,4),(1,2)}"),
    ("path[]", [[(1, 2)], ClosedPath([(1, 2)])], '{"[(1,2)]","((1,2))"}'),
    ("path[]", PathArray([Path([1, 2])]), '{"[(1,2)]"}'),
    ("path[]", [[[(1, 2)]], [[(3, 4)]]], '{{"[(1,2)]"},{"[(3,4)]"}}'),
    ("lseg[]", [[(1, 2), (3, 4)]], '{"[(1,2),(3,4)]"}'),
    ("line[]", [(1, 2, 3)], '{"{1,2,3}"}'),
    ("circle[]", [((1, 2), 3), (4, 5, 6)], '{"<(1,2),3>","<(4,5),6>"}'),
    ("polygon[]", [[(1, 2)], Polygon([3, 4])], '{"((1,2))","((3,4))"}'),
]


@pytest.mark.parametrize(("type_name", "value", "expected"), ACCEPTED)
def test_accepted(rig: Rig, type_name: str, value: Any, expected: str) -> None:
    assert rig.fetch(f"SELECT $1::{type_name}::text", [value]) == [(expected,)]


REFUSED: list[tuple[int, Any, type[Exception], str]] = [
    (oids.POINT, (1, 2, 3), ParameterValueError, "tuple for point.*Point takes 2 numbers, not 3"),
    (oids.POINT, (), ParameterValueError, "2 numbers, not 0"),
    (oids.POINT, ("1", "2"), ParameterTypeError, "real numbers, not str"),
    (oids.POINT, (1, None), ParameterTypeError, "real numbers, not NoneType"),
    (oids.POINT, (10**400, 1), ParameterValueError, "int too large"),
    (oids.POINT, 5, ParameterTypeError, "int for point"),
    (oids.POINT, b"\0" * 16, ParameterTypeError, "bytes for point"),
    (oids.POINT, {1: 2, 3: 4}, ParameterTypeError, "dict for point"),
    (oids.POINT, {1, 2}, ParameterTypeError, "set for point"),
    (oids.POINT, Path([1, 2]), ParameterValueError, "Path is for path"),
    (oids.BOX, LineSegment([1, 2, 3, 4]), ParameterValueError, "LineSegment is for lseg"),
    (oids.BOX, (1, 2), ParameterValueError, "Box takes 4 numbers, not 2"),
    (oids.PATH, [], ParameterValueError, "one or more pairs"),
    (oids.PATH, [1, 2, 3], ParameterValueError, "one or more pairs of numbers, not 3 numbers"),
    (oids.POLYGON, [], ParameterValueError, "one or more pairs"),
    (oids.POLYGON, Path([1, 2]), ParameterValueError, "Path is for path"),
    (oids.LINE, (0, 0, 1), ParameterValueError, "can't both be 0"),
    (oids.CIRCLE, (1, 2, -3), ParameterValueError, "radius of 0 or more"),
    (1017, (1, 2), ParameterValueError, "single point: put it into a list"),
    (1017, [(1, 2), [(3, 4)]], ParameterValueError, "nested lists differ"),
    (1017, [(1, 2, 3)], ParameterValueError, "tuple in it: Point takes 2 numbers"),
    (1019, [(1, 2), (3, 4)], ParameterValueError, "single path: put it into a list"),
    (1019, ClosedPath([(1, 2)]), ParameterValueError, "single path"),
]


@pytest.mark.parametrize(("oid", "value", "error", "message"), REFUSED)
def test_refused(oid: int, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_registry.parameter_plan((oid,)).encode([value])


@pytest.mark.parametrize("oid", [600, 601, 602, 603, 604, 628, 718])
def test_malformed(oid: int) -> None:
    for format, cells in ((1, (b"", b"\0" * 15, b"\0" * 15 + b"\1" * 30)), (0, (b"", b"(1,2", b"x"))):
        for cell in cells:
            result = make_result([("x", oid)], [[cell]], format)
            with pytest.raises(DataError, match='row 1, column 1 "x"'):
                default_registry.result_plan(result.columns(), format).tuples(result)


def test_text_beside_other_types(rig: Rig) -> None:
    query = "SELECT point '(1,2)', ARRAY[box '(3,4),(1,2)', box '(7,8),(5,6)'], ARRAY[path '((1,2))']"
    row = ((1.0, 2.0), [((3.0, 4.0), (1.0, 2.0)), ((7.0, 8.0), (5.0, 6.0))], [ClosedPath([(1.0, 2.0)])])
    assert rig.fetch(f"{query}, {TEXT_BESIDE}") == [(*row, "1:2:")]
