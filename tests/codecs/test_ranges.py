"""Ranges and multiranges: values, what is refused, bounds of any text, comparisons as on the server.

Long, since it is tables of values.
"""

from __future__ import annotations

import struct
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st

from psqlpy._codecs import oids
from psqlpy._codecs.codec import Codec
from psqlpy._codecs.range import make_range_codec, parse_range, split_multirange
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy.exceptions import DataError, ParameterTypeError, ParameterValueError
from psqlpy.extra_types import Multirange, Range
from tests.codecs.families import ranges
from tests.codecs.rig import Rig, make_result
from tests.codecs.round_trip import AMOUNTS, check_round_trip, run

UTC = timezone.utc
DAY = date(2024, 2, 29)
NOON = datetime(2024, 2, 29, 12)
EMPTY: Range[Any] = Range(empty=True)
TEXT_BESIDE = "'1:2:'::txid_snapshot"  # a type without binary decoder: the row comes in text

VALUES: list[tuple[str, str, Any]] = [
    ("int4range", "[1,3)", Range(1, 3)),
    ("int4range", "(1,3]", Range(2, 4)),
    ("int4range", "(1,2)", EMPTY),
    ("int4range", "empty", EMPTY),
    ("int4range", "(,)", Range()),
    ("int4range", "[,5]", Range(None, 6)),
    ("int4range", "[-2147483648,2147483647)", Range(-(2**31), 2**31 - 1)),
    ("int8range", "[-9223372036854775808,9223372036854775807)", Range(-(2**63), 2**63 - 1)),
    ("numrange", "[1.50,2.5]", Range(Decimal("1.50"), Decimal("2.5"), "[]")),
    ("numrange", "(1,)", Range(Decimal(1), None, "()")),
    ("numrange", "(-Infinity,Infinity]", Range(Decimal("-Infinity"), Decimal("Infinity"), "(]")),
    ("numrange", "[1,NaN]", Range(Decimal(1), Decimal("NaN"), "[]")),
    ("daterange", "[2024-02-29,2024-02-29]", Range(DAY, date(2024, 3, 1))),
    (
        "tsrange",
        "(2024-02-29 12:00,2024-02-29 12:00:00.000001]",
        Range(NOON, NOON.replace(microsecond=1), "(]"),
    ),
    ("tstzrange", "[2024-02-29 13:00+01,)", Range(NOON.replace(tzinfo=UTC))),
    ("int4multirange", "{}", Multirange()),
    ("int4multirange", "{[1,3),[3,4],[7,)}", Multirange([Range(1, 5), Range(7)])),
    ("int4multirange", "{(,)}", Multirange([Range()])),
    ("int8multirange", "{empty,[1,2)}", Multirange([Range(1, 2)])),
    (
        "nummultirange",
        "{[1.0,2),(2,3]}",
        Multirange([Range(Decimal("1.0"), Decimal(2)), Range(Decimal(2), Decimal(3), "(]")]),
    ),
    ("datemultirange", "{[2024-02-29,2024-03-01)}", Multirange([Range(DAY, date(2024, 3, 1))])),
    ("tsmultirange", "{(,2024-02-29 12:00]}", Multirange([Range(None, NOON, "(]")])),
    ("tstzmultirange", "{[2024-02-29 12:00+00,)}", Multirange([Range(NOON.replace(tzinfo=UTC))])),
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
    ("int4range", "[1,2]", "[1,3)"),
    ("int4range", Range("1", "10"), "[1,10)"),
    ("int4range", Range("10", None, "[]"), "[10,)"),
    ("daterange", Range("2024-02-29", "2024-03-01", "[]"), "[2024-02-29,2024-03-02)"),
    ("daterange", Range(NOON, None), "[2024-02-29,)"),
    ("numrange", Range(1, 2.5), "[1,2.5)"),
    ("tsrange", Range(DAY, None, "()"), '("2024-02-29 00:00:00",)'),
    ("int4multirange", [Range(1, 2), Range(2, 3), EMPTY], "{[1,3)}"),
    ("int4multirange", (), "{}"),
    ("int4multirange", Multirange([Range("20", "30"), Range("1", "3")]), "{[1,3),[20,30)}"),
    ("nummultirange", [Range(None, 1), Range(3, None)], "{(,1),[3,)}"),
    ("nummultirange", [Range()], "{(,)}"),
    ("int4range[]", [EMPTY, Range("1", "2"), Range(), None], '{empty,"[1,2)","(,)",NULL}'),
    ("numrange[]", [EMPTY, Range(1, 2), Range(), None], '{empty,"[1,2)","(,)",NULL}'),
    ("int4multirange[]", [Multirange(), [Range(1, 2), Range(4, 5)]], '{"{}","{[1,2),[4,5)}"}'),
    ("int4multirange[]", [[Range(1, 2), Range(4, 5)], None], '{"{[1,2),[4,5)}",NULL}'),
    ("int4multirange[]", [[], [Range(1, 2)], ()], '{"{}","{[1,2)}","{}"}'),
    ("int4multirange[]", [], "{}"),
    ("nummultirange[]", [Multirange(), Multirange([Range(1, 2)]), [Range()]], '{"{}","{[1,2)}","{(,)}"}'),
]


@pytest.mark.parametrize(("type_name", "value", "expected"), ACCEPTED)
def test_accepted(rig: Rig, type_name: str, value: Any, expected: str) -> None:
    assert rig.fetch(f"SELECT $1::{type_name} = $2::text::{type_name}", [value, expected]) == [(True,)]


REFUSED: list[tuple[int, Any, type[Exception], str]] = [
    (oids.INT4RANGE, (1, 2), ParameterTypeError, "tuple for int4range"),
    (oids.INT4RANGE, range(1, 2), ParameterTypeError, "range for int4range"),
    (oids.INT4RANGE, 5, ParameterTypeError, "int for int4range"),
    (oids.INT4RANGE, Multirange(), ParameterTypeError, "Multirange for int4range"),
    (oids.INT4RANGE, Range(1, 2**31), ParameterValueError, "Range for int4range.*int in it: out of range"),
    (oids.INT4RANGE, Range(1.5, 2.5), ParameterTypeError, "float in it: .* int4"),
    (oids.DATERANGE, Range(1, 2), ParameterTypeError, "int in it: .* date"),
    (oids.NUMRANGE, Range(DAY, None), ParameterTypeError, "date in it"),
    (oids.INT4MULTIRANGE, [1, 2], ParameterTypeError, "Multirange takes ranges, not int"),
    (oids.INT4MULTIRANGE, Range(1, 2), ParameterTypeError, "Range for int4multirange"),
    (oids.INT4MULTIRANGE, [Range(2**31)], ParameterValueError, "out of range"),
    (3905, Range(3, 4), ParameterTypeError, "Range for int4range"),
    (6150, [Range(1, 2)], ParameterValueError, "single int4multirange: put it into a list"),
]


@pytest.mark.parametrize(("oid", "value", "error", "message"), REFUSED)
def test_refused(oid: int, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_registry.parameter_plan((oid,)).encode([value])


ONE = struct.pack(">ii", 4, 1)

MALFORMED = [
    pytest.param(oids.INT4RANGE, 1, cell, id=name)
    for name, cell in {
        "nothing": b"",
        "no bounds": b"\2",
        "one bound": b"\2" + ONE,
        "short bound": b"\x12\0\0\0\4\0\0",
        "short length": b"\x12\0\0\0",
        "NULL bound": b"\x12" + struct.pack(">i", -1),
        "bound of another size": b"\x12" + struct.pack(">iq", 8, 1),
        "empty with bounds": b"\1" + ONE,
        "three bounds": b"\2" + ONE * 3,
    }.items()
] + [
    pytest.param(oids.INT4MULTIRANGE, 1, cell, id=name)
    for name, cell in {
        "nothing": b"",
        "negative count": struct.pack(">i", -1),
        "huge count": struct.pack(">i", 2**31 - 1),
        "one too few": struct.pack(">iii", 1, 1, 0)[:-3] + b"\x18" + b"\0",
        "NULL range": struct.pack(">ii", 1, -1),
        "short range": struct.pack(">ii", 1, 5) + b"\x18",
        "rest": struct.pack(">iiB", 1, 1, 0x18) + b"\0",
    }.items()
]
MALFORMED += [
    pytest.param(oid, 0, text, id=f"{text!r}")
    for oid, texts in (
        (oids.INT4RANGE, (b"", b"[1,2", b"1,2)", b"[1)", b"[1,2,3)", b"[(,)", b'["1,2)')),
        (
            oids.INT4MULTIRANGE,
            (b"", b"{", b"[1,2)", b"{[1,2)", b"{[1,2),}", b"{[1,2)[3,4)}", b"{[1,2)}}", b"{,}"),
        ),
    )
    for text in texts
]


@pytest.mark.parametrize(("oid", "format", "cell"), MALFORMED)
def test_malformed(oid: int, format: int, cell: bytes) -> None:
    result = make_result([("x", oid), ("y", oids.TEXT)], [[cell, b"y"]], format)
    plan = default_registry.result_plan(result.columns(), format)
    with pytest.raises(DataError, match='row 1, column 1 "x"'):
        plan.tuples(result)
    assert plan.value(result, 0, 1) == "y"


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
def test_bounds_that_python_has_not(rig: Rig, format: int) -> None:
    for value, message in (
        ("tsrange '[2024-01-01,infinity)'", "infinite"),
        ("daterange '[-infinity,)'", "infinite"),
        ("ARRAY[tstzrange '[4000-01-01 BC,2024-01-01)']", "out of Python's range"),
        ("datemultirange '{[2024-01-01,2024-01-03),[20000-01-01,)}'", "out of Python's range|ISO"),
    ):
        with pytest.raises(DataError, match=message):
            rig.fetch(f"SELECT {value}", format=format)


@pytest.mark.parametrize("style", ["SQL, MDY", "Postgres, DMY", "German, DMY"])
def test_dates_in_every_style(rig: Rig, style: str) -> None:
    registry = default_registry.in_style(style, "Europe/Berlin")
    query = (
        "SELECT daterange '[2024-02-03,2024-04-05)', tsrange '[2024-02-03 12:00,2024-04-05 12:00]',"
        " ARRAY[tstzrange '[2024-02-03 12:00+00,)'], datemultirange '{[2024-02-03,2024-04-05)}'"
    )
    (expected,) = rig.fetch(query, format=1)
    rig.script(f"SET DateStyle = '{style}'; SET TimeZone = 'Europe/Berlin'")
    try:
        plan, result = rig.execute(f"{query}, {TEXT_BESIDE}", registry=registry)
    finally:
        rig.script("SET DateStyle = 'ISO'; RESET TimeZone")
    assert plan.has_dates
    assert plan.tuples(result) == [(*expected, "1:2:")]


def test_bounds_are_read_as_their_type_is(rig: Rig) -> None:
    registry = Registry(default_registry)
    codec = default_registry.codec(oids.DATE)
    assert codec is not None
    query = "SELECT daterange '[2024-02-29,)', ARRAY[daterange '(,)'], datemultirange '{[2024-02-29,)}'"
    assert rig.fetch(query, registry=registry) == [
        (Range(DAY), [Range(None, None)], Multirange([Range(DAY)]))
    ]
    registry.add(Codec(oids.DATE, "date", from_text=str.upper, dump=codec.dump))
    found = rig.fetch(query, registry=registry)
    assert found == [(Range("2024-02-29"), [Range()], Multirange([Range("2024-02-29")]))]
    assert rig.fetch(query)[0][0] == Range(DAY)


def test_a_range_codec_that_was_added_holds_in_children(rig: Rig) -> None:
    registry = Registry(default_registry)
    codec = default_registry.codec(oids.INT4RANGE)
    assert codec is not None
    registry.add(Codec(oids.INT4RANGE, "int4range", from_text=str.title, dump=codec.dump))
    query = "SELECT int4range '[1,2)', 'empty'::int4range, ARRAY[int4range 'empty'], int4multirange '{[1,2)}'"
    found = rig.fetch(query, registry=Registry(registry))[0]
    assert found[:3] == ("[1,2)", "Empty", ["Empty"])
    assert list(found[3]) == ["[1,2)"]


AWKWARD = [
    "",
    " ",
    "a,b",
    'a"b',
    "a\\b",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    '""',
    "\\\\",
    "empty",
    "NULL",
    "ü\n\t",
]


@pytest.fixture(scope="module")
def text_range(rig: Rig) -> Any:
    """A range of text, with a codec made as any type's is, in a registry of its own."""
    rig.script('CREATE TYPE pg_temp.words AS RANGE (subtype = text, collation = "C")')
    registry = Registry(default_registry)
    text = default_registry.codec(oids.TEXT)
    assert text is not None
    (oid,) = rig.fetch("SELECT 'pg_temp.words'::regtype::oid::int4")[0]
    registry.add(make_range_codec(oid, "words", text, registry))
    yield registry
    rig.script("DROP TYPE pg_temp.words")


def check_words(rig: Rig, registry: Registry, value: Range[str]) -> None:
    for format in (0, 1):
        query = "SELECT $1::pg_temp.words, $1::pg_temp.words::text"
        found, text = rig.fetch(query, [value], format=format, registry=registry)[0]
        assert found == value
        assert parse_range(text, None) == value


def test_text_bounds(rig: Rig, text_range: Registry) -> None:
    for lower in AWKWARD:
        check_words(rig, text_range, Range(lower, None))
        check_words(rig, text_range, Range(None, lower, "(]"))
        check_words(rig, text_range, Range(lower, lower + "x", "[]"))
    with pytest.raises(ParameterTypeError):
        text_range.parameter_plan((next(iter(text_range._codecs)),)).encode([5])


WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('"\\,()[]{} '),
    max_size=8,
)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_any_text_bounds(rig: Rig, text_range: Registry, amount: int) -> None:
    # Sorted as the collation C does, not as Python: by bytes.
    pairs = st.tuples(WORDS, WORDS).map(lambda pair: sorted(pair, key=str.encode))
    values = st.builds(
        lambda pair, bounds: Range(pair[0], pair[1], bounds), pairs, st.sampled_from(["[)", "[]", "(]", "()"])
    )
    run(values, amount, lambda value: check_words(rig, text_range, value))


def test_splitting_multiranges() -> None:
    assert list(split_multirange('{[1,2),("a}],[b",)}')) == ["[1,2)", '("a}],[b",)']
    assert list(split_multirange("{}")) == []


COMPARED = "SELECT {0} < {1}, {0} <= {1}, {0} = {1}, {0} >= {1}, {0} > {1}, {0} @> {1}, {0} @> $3::{2}"
SMALL = st.integers(-3, 3).map(lambda number: Decimal(number)) | st.just(Decimal("NaN"))


@pytest.mark.parametrize("amount", AMOUNTS)
def test_ranges_compare_as_on_the_server(rig: Rig, amount: int) -> None:
    query = COMPARED.format("$1::numrange", "$2::numrange", "numeric")

    def check(values: tuple[Range[Any], Range[Any], Any]) -> None:
        one, other, number = values
        ours = (
            one < other,
            one <= other,
            one == other,
            one >= other,
            one > other,
            other in one,
            number in one,
        )
        assert rig.fetch(query, list(values)) == [ours]
        assert one != other or hash(one) == hash(other)

    run(st.tuples(ranges(SMALL), ranges(SMALL), SMALL), amount, check)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_multiranges_compare_as_on_the_server(rig: Rig, amount: int) -> None:
    query = COMPARED.format("$1::nummultirange", "$2::nummultirange", "numeric")
    query += ", $1::nummultirange @> $4::numrange, ARRAY(SELECT unnest($1::nummultirange))"

    def check(values: tuple[list[Range[Any]], list[Range[Any]], Any, Range[Any]]) -> None:
        one, other, number, part = Multirange(values[0]), Multirange(values[1]), *values[2:]
        ours = (
            one < other,
            one <= other,
            one == other,
            one >= other,
            one > other,
            other in one,
            number in one,
        )
        # The server gets the ranges as they were, unsorted.
        literal = (
            "{" + ",".join(rig.fetch("SELECT $1::numrange::text", [item])[0][0] for item in values[0]) + "}"
        )
        assert rig.fetch(query, [literal, other, number, part]) == [(*ours, part in one, list(one))]
        assert one != other or hash(one) == hash(other)

    several = st.lists(ranges(SMALL), max_size=4)
    run(st.tuples(several, several, SMALL, ranges(SMALL)), amount, check)


def test_large_multiranges(rig: Rig) -> None:
    """Over 64 kB, which is the size of what C decodes with its neighbours."""
    parts = [Range(number, number + 1) for number in range(0, 60_000, 3)]
    value = Multirange(parts)
    for format in (0, 1):
        found = rig.fetch("SELECT $1::int4multirange, $2::int4range[]", [value, parts], format=format)
        assert found == [(value, parts)]
