"""Cells that can't be decoded: broken bytes, values out of Python's range, text in styles that we don't guess at."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy._codecs import oids
from psqlpy._codecs.registry import default_registry
from psqlpy._codecs.rows import ResultPlan
from psqlpy._pq.result import PGresult
from psqlpy.exceptions import DataError, InternalError
from tests.codecs.rig import Rig, make_result

BINARY_OIDS = [oid for oid in oids.TYPES if (codec := default_registry.codec(oid)) and codec.kind is not None]
ARRAY_OIDS = [
    oid for oid in oids.ELEMENTS if (codec := default_registry.codec(oid)) and codec.kind is not None
]


def made(oid: int, *cells: bytes | None, format: int = 1) -> tuple[ResultPlan, PGresult]:
    result = make_result([("x", oid)], [[cell] for cell in cells], format)
    return default_registry.result_plan(result.columns(), format), result


def array(oid: int, dimensions: list[int], body: bytes, count: int | None = None) -> bytes:
    sizes = b"".join(struct.pack(">ii", size, 1) for size in dimensions)
    return struct.pack(">iiI", len(dimensions) if count is None else count, 0, oid) + sizes + body


ONE = struct.pack(">ii", 4, 7)

MALFORMED: list[tuple[str, int, bytes, str]] = [
    ("short int", oids.INT4, b"\0\0\1", "binary format"),
    ("long int", oids.INT4, b"\0\0\0\0\1", "binary format"),
    ("empty int", oids.INT8, b"", "binary format"),
    ("bool of 2", oids.BOOL, b"\2", "binary format"),
    ("short float", oids.FLOAT8, b"\0" * 7, "binary format"),
    ("short numeric", oids.NUMERIC, b"\0" * 7, "binary format"),
    ("numeric without its digits", oids.NUMERIC, struct.pack(">hhHH", 3, 0, 0, 0) + b"\0\1", "binary format"),
    ("numeric of negative count", oids.NUMERIC, struct.pack(">hhHH", -1, 0, 0, 0), "binary format"),
    ("numeric digit of 10000", oids.NUMERIC, struct.pack(">hhHHH", 1, 0, 0, 0, 10000), "binary format"),
    ("numeric of unknown sign", oids.NUMERIC, struct.pack(">hhHH", 0, 0, 7, 0), "binary format"),
    ("numeric of huge scale", oids.NUMERIC, struct.pack(">hhHH", 0, 0, 0, 0xFFFF), "binary format"),
    ("uuid", oids.UUID, b"x" * 15, "binary format"),
    ("jsonb of version 2", oids.JSONB, b"\2{}", "binary format"),
    ("jsonb without version", oids.JSONB, b"", "binary format"),
    ("jsonb that isn't", oids.JSONB, b"\1{", "Expecting"),
    ("time of -1", oids.TIME, struct.pack(">q", -1), "binary format"),
    ("time of two days", oids.TIME, struct.pack(">q", 2 * 86400 * 10**6), "binary format"),
    ("time of 24:00", oids.TIME, struct.pack(">q", 86400 * 10**6), "out of Python's range"),
    ("day before year 1", oids.DATE, struct.pack(">i", -730120), "out of Python's range"),
    ("day after year 9999", oids.DATE, struct.pack(">i", 2921940), "out of Python's range"),
    ("infinite date", oids.DATE, struct.pack(">i", 2**31 - 1), "infinite"),
    ("infinitely old date", oids.DATE, struct.pack(">i", -(2**31)), "infinite"),
    ("microsecond before year 1", oids.TIMESTAMP, struct.pack(">q", -730119 * 86400 * 10**6 - 1), "range"),
    ("microsecond after year 9999", oids.TIMESTAMPTZ, struct.pack(">q", 2921940 * 86400 * 10**6), "range"),
    ("infinite timestamp", oids.TIMESTAMP, struct.pack(">q", 2**63 - 1), "infinite"),
    ("infinitely old timestamp", oids.TIMESTAMPTZ, struct.pack(">q", -(2**63)), "infinite"),
    ("interval of months", oids.INTERVAL, struct.pack(">qii", 0, 0, 2**31 - 1), "out of Python's range"),
    ("infinite interval", oids.INTERVAL, struct.pack(">qii", 2**63 - 1, 2**31 - 1, 2**31 - 1), "infinite"),
    ("timetz of 24:00", oids.TIMETZ, struct.pack(">qi", 86400 * 10**6, 0), "out of Python's range"),
    ("timetz of -1", oids.TIMETZ, struct.pack(">qi", -1, 0), "binary format"),
    ("short timetz", oids.TIMETZ, b"x" * 11, "binary format"),
    ("timetz a day west", oids.TIMETZ, struct.pack(">qi", 0, 86400), "strictly between"),
    ("inet without address", oids.INET, b"\2\x20\0\4", "binary format"),
    ("inet of 3 bytes", oids.INET, b"\2\x18\0\3\0\0\0", "binary format"),
    ("inet of family 4", oids.INET, b"\4\x20\0\4\0\0\0\0", "binary format"),
    ("inet of 33 bits", oids.INET, b"\2\x21\0\4\0\0\0\0", "binary format"),
    ("cidr with bits right of its mask", oids.CIDR, b"\2\x08\1\4\x0a\0\0\1", "host bits set"),
    ("bits without length", oids.VARBIT, b"\0\0\1", "binary format"),
    ("bits of negative length", oids.BIT, struct.pack(">i", -1), "binary format"),
    ("fewer bits than there should be", oids.VARBIT, struct.pack(">i", 9) + b"x", "binary format"),
    ("tsvector of -1", oids.TSVECTOR, struct.pack(">i", 1), "binary format"),
    ("tsvector with more than its lexemes", oids.TSVECTOR, struct.pack(">ix", 0), "binary format"),
    ("tsvector that ends in a lexeme", oids.TSVECTOR, struct.pack(">i", 1) + b"abc", "binary format"),
    ("tsquery of an operator alone", oids.TSQUERY, struct.pack(">i", 1) + b"\2\2", "binary format"),
    ("tsquery of two lexemes", oids.TSQUERY, struct.pack(">i", 2) + b"\1\0\0a\0" * 2, "binary format"),
    ("tsquery with an unknown operator", oids.TSQUERY, struct.pack(">i", 2) + b"\2\x09\1\0\0a\0", "binary"),
    ("tsquery with an unknown item", oids.TSQUERY, struct.pack(">i", 1) + b"\3\0\0a\0", "binary format"),
    ("tsquery that isn't UTF-8", oids.TSQUERY, struct.pack(">i", 1) + b"\1\0\0\xff\0", "binary format"),
    ("jsonpath of version 2", oids.JSONPATH, b"\2$", "binary format"),
    ("short tid", oids.TID, b"\0" * 5, "binary format"),
    ("macaddr of 5 bytes", oids.MACADDR, b"\0" * 5, "binary format"),
    ("macaddr8 of 6 bytes", oids.MACADDR8, b"\0" * 6, "binary format"),
    ("short int2vector", oids.INT2VECTOR, b"\0" * 19, "binary format"),
    ("int2vector of another type", oids.INT2VECTOR, struct.pack(">iiIii", 1, 0, 23, 0, 0), "binary format"),
    (
        "oidvector without its elements",
        oids.OIDVECTOR,
        struct.pack(">iiIii", 1, 0, 26, 1, 0),
        "binary format",
    ),
    ("stray continuation", oids.TEXT, b"\x80", "UTF-8"),
    ("overlong slash", oids.TEXT, b"\xc0\xaf", "UTF-8"),
    ("overlong of three", oids.TEXT, b"\xe0\x80\xaf", "UTF-8"),
    ("surrogate", oids.TEXT, b"ab\xed\xa0\x80", "UTF-8"),
    ("past Unicode", oids.TEXT, b"\xf4\x90\x80\x80", "UTF-8"),
    ("cut short", oids.TEXT, "long enough ü".encode()[:-1], "UTF-8"),
    ("latin-1", oids.VARCHAR, b"th\xe9 au lait", "UTF-8"),
    ("jsonb in latin-1", oids.JSONB, b'\1"\xe9"', "UTF-8"),
    ("array without header", 1007, b"\0" * 11, "binary format"),
    ("array of 7 dimensions", 1007, array(23, [1] * 7, ONE), "binary format"),
    ("array of -1 dimensions", 1007, array(23, [], b"", -1), "binary format"),
    ("array of another type", 1007, array(20, [1], ONE), "binary format"),
    ("array without its dimensions", 1007, array(23, [], b"", 3), "binary format"),
    ("array of no elements in one dimension", 1007, array(23, [0], b""), "binary format"),
    ("array of negative size", 1007, array(23, [-1], ONE), "binary format"),
    ("array that would be huge", 1007, array(23, [2**31 - 1] * 6, ONE), "binary format"),
    ("array without its elements", 1007, array(23, [2], ONE), "binary format"),
    ("array with more than its elements", 1007, array(23, [1], ONE + ONE), "binary format"),
    ("array with an element cut short", 1007, array(23, [1], ONE[:-1]), "binary format"),
    ("array with an element of size -2", 1007, array(23, [1], struct.pack(">ii", -2, 7)), "binary format"),
    ("array with a bad element", 1007, array(23, [1], struct.pack(">ih", 2, 7)), "binary format"),
    ("array with bad text", 1009, array(25, [1], struct.pack(">i", 1) + b"\x80"), "UTF-8"),
    ("array with an infinite date", 1182, array(1082, [1], struct.pack(">ii", 4, 2**31 - 1)), "infinite"),
]


@pytest.mark.parametrize(
    ("oid", "cell", "message"), [pytest.param(*case[1:], id=case[0]) for case in MALFORMED]
)
def test_a_bad_cell_is_named_and_the_others_stay_readable(oid: int, cell: bytes, message: str) -> None:
    plan, result = made(oid, None, cell, None, None)
    pattern = f'^row 2, column 1 "x" \\([^)]*\\): .*{message}'
    for read in (
        lambda: plan.value(result, 1, 0),
        lambda: plan.row(result, 1),
        lambda: plan.row_dict(result, 1),
        lambda: plan.tuples(result),
        lambda: plan.dicts(result),
    ):
        with pytest.raises(DataError, match=pattern) as caught:
            read()
        assert caught.value.column_name == "x"
    assert plan.tuples(result, 2) == [(None,), (None,)] and plan.dicts(result, 0, 1) == [{"x": None}]
    assert plan.value(result, 3, 0) is None


def test_a_bad_cell_among_many() -> None:
    columns = [("a", oids.INT4), ("b", oids.TEXT), ("c", oids.DATE)]
    good: list[bytes | None] = [struct.pack(">i", 1), b"x", struct.pack(">i", 0)]
    rows = [list(good) for _ in range(3000)]
    rows[2500][2] = struct.pack(">i", 2**31 - 1)
    result = make_result(columns, rows)
    plan = default_registry.result_plan(result.columns())
    with pytest.raises(DataError, match=r'^row 2501, column 3 "c" \(date\)'):
        plan.tuples(result)
    assert len(plan.tuples(result, 0, 2500)) == 2500 and len(plan.dicts(result, 2501)) == 499
    assert plan.value(result, 2500, 1) == "x"


def test_text_formats_that_would_have_to_be_guessed_at() -> None:
    for oid, text, message in (
        (oids.DATE, "01/02/2024", "DateStyle to ISO"),
        (oids.DATE, "2024-13-01", "range"),
        (oids.DATE, "0044-03-15 BC", "range"),
        (oids.DATE, "10000-01-01", "range"),
        (oids.DATE, "infinity", "infinite"),
        (oids.TIME, "24:00:00", "range"),
        (oids.TIMESTAMP, "Tue Jan 02 03:04:05 2024", "DateStyle to ISO"),
        (oids.TIMESTAMP, "-infinity", "infinite"),
        (oids.TIMESTAMPTZ, "01/02/2024 03:04:05 CET", "DateStyle to ISO"),
        (oids.TIMESTAMPTZ, "0044-03-15 00:00:00+00 BC", "range"),
        (oids.TIMESTAMPTZ, "0001-01-01 00:00:00+02", "range"),
        (oids.TIMESTAMPTZ, "10000-01-01 02:00:00+02", "range"),
        (oids.TIMESTAMPTZ, "0001-12-31 21:59:59-02 BC", "range"),
        (oids.INTERVAL, "", "IntervalStyle"),
        (oids.INTERVAL, "P", "IntervalStyle"),
        (oids.INTERVAL, "P1DT", "IntervalStyle"),
        (oids.INTERVAL, "@", "IntervalStyle"),
        (oids.INTERVAL, "1", "IntervalStyle"),
        (oids.INTERVAL, "infinity", "infinite"),
        (oids.INTERVAL, "178000000 years", "range"),
        (oids.BYTEA, "a\\", "output format"),
        (oids.BYTEA, "a\\400", "output format"),
        (oids.BYTEA, "ä", "output format"),
        (oids.BYTEA, "\\xabc", "hex"),
        (oids.INT4, "five", "five"),
        (oids.BOOL, "yes", "yes"),
        (oids.NUMERIC, "1,5", ""),
        (1007, "1", "array"),
        (1007, "{1", "array"),
        (1007, "{1}}", "array"),
        (1007, "{1}{2}", "array"),
        (1009, '{"a}', "array"),
        (1007, "{x}", "invalid literal"),
    ):
        plan, result = made(oid, None, text.encode(), format=0)
        with pytest.raises(DataError, match=f'^row 2, column 1 "x" .*{message}'):
            plan.tuples(result)
        with pytest.raises(DataError, match=f'^row 2, column 1 "x" .*{message}'):
            plan.row(result, 1)
        assert plan.row(result, 0) == (None,)


def test_a_date_style_that_nobody_told_of(rig: Rig) -> None:
    for setting, query in (
        ("DateStyle = 'German'", "SELECT date '2024-01-02'"),
        ("DateStyle = 'SQL'", "SELECT timestamptz '2024-01-02 00:00+00'"),
    ):
        name = setting.split()[0]
        rig.script(f"SET {setting}")
        try:
            assert rig.fetch(query)  # in binary no style matters
            with pytest.raises(DataError, match=f"set {name} to"):
                rig.fetch(f"{query}, '1:1:'::pg_snapshot")
        finally:
            rig.script(f"RESET {name}")


def test_another_client_encoding_is_an_error_not_mojibake(rig: Rig) -> None:
    rig.script("SET client_encoding = 'LATIN1'")
    try:
        with pytest.raises(DataError, match="client_encoding"):
            rig.fetch("SELECT chr(233)")
        assert rig.fetch("SELECT 'e'") == [("e",)]
    finally:
        rig.script("SET client_encoding = 'UTF8'")


def test_a_result_that_is_not_what_the_plan_was_made_for() -> None:
    plan, result = made(oids.INT4, b"\0\0\0\1")
    other_format = make_result([("x", oids.INT4)], [[b"1234"]], 0)
    other_width = make_result([("x", oids.INT4), ("y", oids.INT4)], [[b"1234", b"1234"]])
    for wrong in (other_format, other_width):
        for read in (plan.row, plan.tuples, plan.row_dict):
            with pytest.raises(InternalError):
                read(wrong)
    for row, column in ((-1, 0), (1, 0), (0, 1), (0, -1)):
        with pytest.raises(IndexError):
            plan.value(result, row, column)
    with pytest.raises(InternalError):
        plan.row(result, 1)


def unpacked(plan: ResultPlan, result: PGresult) -> Any:
    try:
        return plan.tuples(result)
    except DataError:
        return None


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(BINARY_OIDS), st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_any_bytes_are_a_value_or_an_error(oid: int, cells: list[bytes]) -> None:
    unpacked(*made(oid, *cells))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ARRAY_OIDS),
    st.integers(-1, 7),
    st.lists(st.integers(-1, 3), max_size=7),
    st.lists(st.one_of(st.none(), st.binary(max_size=20)), max_size=8),
    st.binary(max_size=3),
)
def test_any_array_is_a_value_or_an_error(
    oid: int, depth: int, sizes: list[int], items: list[bytes | None], rest: bytes
) -> None:
    body = b"".join(
        struct.pack(">i", -1) if item is None else struct.pack(">i", len(item)) + item for item in items
    )
    cell = array(oids.ELEMENTS[oid], sizes, body + rest, depth)
    unpacked(*made(oid, cell))
    unpacked(*made(oid, cell[:-1]))


@settings(deadline=None)
@given(st.binary(max_size=30))
def test_utf8_is_what_python_takes_for_it(data: bytes) -> None:
    plan, result = made(oids.TEXT, data)
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        with pytest.raises(DataError, match="UTF-8"):
            plan.tuples(result)
    else:
        assert plan.tuples(result) == [(expected,)]


@settings(deadline=None)
@given(st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")), st.integers(0, 60))
def test_text_cut_anywhere(data: bytes, length: int) -> None:
    test_utf8_is_what_python_takes_for_it.hypothesis.inner_test(data[:length])  # type: ignore[attr-defined]
