"""Each type as a table of (literal, value): as a column in both formats, as an array's element, and as a parameter."""

from __future__ import annotations

import struct
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

import pytest

from psqlpy._codecs import oids
from psqlpy._codecs.registry import Registry, default_registry
from tests.codecs.rig import Rig, make_result

UTC = timezone.utc
INF = float("inf")

VALUES: dict[str, list[tuple[str, Any]]] = {
    "bool": [("t", True), ("f", False)],
    "int2": [("0", 0), ("-32768", -32768), ("32767", 32767)],
    "int4": [("0", 0), ("-1", -1), ("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)],
    "int8": [
        ("0", 0),
        ("2147483648", 2**31),
        ("-2147483649", -(2**31) - 1),
        ("1152921504606846976", 2**60),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775807", 2**63 - 1),
    ],
    "oid": [("0", 0), ("4294967295", 2**32 - 1)],
    "xid": [("0", 0), ("4294967295", 2**32 - 1)],
    "xid8": [("0", 0), ("18446744073709551615", 2**64 - 1)],
    "money": [("0", 0), ("-5.00", -500), ("92233720368547758.07", 2**63 - 1)],
    "float4": [("0", 0.0), ("1.5", 1.5), ("-1e30", -1.0000000150474662e30), ("Infinity", INF), ("-0", -0.0)],
    "float8": [
        ("0.1", 0.1),
        ("1e300", 1e300),
        ("-Infinity", -INF),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308),
    ],
    "numeric": [
        (text, Decimal(text))
        for text in (  # noqa: SIM905
            "0 0.0 0.00000 1 -1 1.500 10000 9999 10001 100000000 0.0001 0.00001 0.00010000 -0.05 12345.678900 NaN"
            " Infinity -Infinity 1E-40 -123456789012345678901234567890.123456789012345678901234567890"
        ).split()
    ]
    + [
        ("1e200", Decimal(10**200)),
        ("1e-200", Decimal("1e-200")),
        ("1" + "0" * 5000, Decimal("1" + "0" * 5000)),
    ],
    "text": [
        *[(text, text) for text in ("", "x", "ü", "😀", "NULL", 'a "b" \\c {,} ', "a" * 255, "a" * 256)],
        ("ä" * 300, "ä" * 300),
        ("a" * 7 + "é", "a" * 7 + "é"),
    ],
    "varchar": [("abc", "abc")],
    "char(5)": [("ab", "ab   ")],
    "name": [("abc", "abc")],
    '"char"': [("a", "a"), ("\\351", "é"), ("\\377", "\xff"), ("", "\0")],
    "bytea": [("\\x", b""), ("\\x00ff5c", b"\x00\xff\\"), ("\\x" + "ab" * 300, b"\xab" * 300)],
    "date": [
        ("2000-01-01", date(2000, 1, 1)),
        ("1999-12-31", date(1999, 12, 31)),
        ("2024-02-29", date(2024, 2, 29)),
        ("0001-01-01", date.min),
        ("9999-12-31", date.max),
    ],
    "time": [
        ("00:00:00", time()),
        ("23:59:59.999999", time.max),
        ("12:30:00.5", time(12, 30, 0, 500000)),
    ],
    "timestamp": [
        ("2000-01-01 00:00:00", datetime(2000, 1, 1)),
        ("1999-12-31 23:59:59.999999", datetime(1999, 12, 31, 23, 59, 59, 999999)),
        ("0001-01-01 00:00:00", datetime.min),
        ("9999-12-31 23:59:59.999999", datetime.max),
    ],
    "timestamptz": [
        ("2024-03-31 02:30:00.000001+02", datetime(2024, 3, 31, 0, 30, 0, 1, tzinfo=UTC)),
        ("0001-01-01 00:00:00+00", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31 23:59:59.999999+00", datetime.max.replace(tzinfo=UTC)),
    ],
    "interval": [
        ("0", timedelta()),
        ("1 day -00:00:01", timedelta(days=1, seconds=-1)),
        ("-00:00:00.000001", timedelta(microseconds=-1)),
        ("-1 day -02:03:04.5", -timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("400 days", timedelta(days=400)),
        ("100:00:00", timedelta(hours=100)),
        ("999999999 days", timedelta(days=999999999)),
        ("-999999999 days", -timedelta(days=999999999)),
    ],
    "uuid": [
        ("550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
    ],
    "json": [('{"b": 1, "a": [1.5, null, true]}', {"b": 1, "a": [1.5, None, True]}), ("[]", [])],
    "timetz": [
        ("12:30:00.5+05:30", time(12, 30, 0, 500000, timezone(timedelta(hours=5, minutes=30)))),
        ("23:59:59.999999+00", time(23, 59, 59, 999999, UTC)),
        ("00:00:00-15:59:59", time(tzinfo=timezone(-timedelta(hours=15, minutes=59, seconds=59)))),
    ],
    "cid": [("0", 0), ("4294967295", 2**32 - 1)],
    "inet": [
        ("10.0.0.1", IPv4Address("10.0.0.1")),
        ("10.0.0.1/24", IPv4Interface("10.0.0.1/24")),
        ("10.0.0.0/24", IPv4Interface("10.0.0.0/24")),
        ("0.0.0.0/0", IPv4Interface("0.0.0.0/0")),
        ("::", IPv6Address("::")),
        ("fe80::1/64", IPv6Interface("fe80::1/64")),
        ("::ffff:1.2.3.4", IPv6Address("::ffff:1.2.3.4")),
    ],
    "cidr": [
        ("10.0.0.0/8", IPv4Network("10.0.0.0/8")),
        ("10.0.0.1", IPv4Network("10.0.0.1/32")),
        ("0.0.0.0/0", IPv4Network("0.0.0.0/0")),
        ("2001:db8::/33", IPv6Network("2001:db8::/33")),
        ("::1", IPv6Network("::1/128")),
    ],
    "macaddr": [("08:00:2b:01:02:ff", "08:00:2B:01:02:FF")],
    "macaddr8": [("08:00:2b:01:02:03:04:ff", "08:00:2B:01:02:03:04:FF")],
    "bit(5)": [("00101", "00101"), ("11111", "11111")],
    "varbit": [
        ("", ""),
        ("1", "1"),
        ("00000000", "00000000"),
        ("101010101", "101010101"),
        ("01" * 4000, "01" * 4000),
    ],
    "tsvector": [
        ("", ""),
        ("a:1A fat:2B,4C rat", "'a':1A 'fat':2B,4C 'rat'"),
        ("'it''s' 'x\\\\y' 'a b'", "'a b' 'it''s' 'x\\\\y'"),
        ("ü:16383,3", "'ü':3,16383"),
    ],
    "tsquery": [
        ("", ""),
        ("a & b | c", "'a' & 'b' | 'c'"),
        ("a & (b | !c)", "'a' & ( 'b' | !'c' )"),
        ("!(a & b)", "!( 'a' & 'b' )"),
        ("(a <-> b) <-> c", "'a' <-> 'b' <-> 'c'"),
        ("a <-> (b <3> c)", "'a' <-> ( 'b' <3> 'c' )"),
        ("a:*AB & 'it''s':D", "'a':*AB & 'it''s':D"),
        ("!!a", "!!'a'"),
        (" & ".join(["a"] * 5000), " & ".join(["'a'"] * 5000)),
    ],
    "jsonpath": [('$."a"[*]?(@ > 1)', '$."a"[*]?(@ > 1)'), ('strict $."ü"', 'strict $."ü"')],
    "pg_lsn": [("0/0", "0/0"), ("16/B374D848", "16/B374D848"), ("FFFFFFFF/FFFFFFFF", "FFFFFFFF/FFFFFFFF")],
    "tid": [("(0,1)", "(0,1)"), ("(4294967295,65535)", "(4294967295,65535)")],
    "int2vector": [("", []), ("1 -2 32767", [1, -2, 32767])],
    "oidvector": [("", []), ("0 4294967295", [0, 2**32 - 1])],
    "jsonb": [('{"a": "ü\\"\\\\"}', {"a": 'ü"\\'}), ("12345678901234567890", 12345678901234567890)],
}

CASES = [pytest.param(name, *case, id=f"{name}-{case[0][:30]}") for name in VALUES for case in VALUES[name]]
# A list in a list is one more dimension, also of json[].
ELEMENT_CASES = [case for case in CASES if not isinstance(case.values[2], list)]
# An interval of months can't be told from one of days; these are only read.
READ_ONLY = [
    ("interval", "1 year 2 mons 3 days 04:05:06", timedelta(days=423, hours=4, minutes=5, seconds=6)),
    ("interval", "-1 years -1 mons +3 days", timedelta(days=-387)),
    ("xml", "<a/>", "<a/>"),
    ("json", "null", None),
]


def quoted(literal: str, type_name: str) -> str:
    escaped = literal.replace("'", "''")
    return f"CAST('{escaped}' AS {type_name})"


def same(value: Any, expected: Any) -> bool:
    """Equal, of the same type, and of the same scale, sign and zone: all of which repr shows. NaN equals itself."""
    return repr(value) == repr(expected)


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
@pytest.mark.parametrize(("type_name", "literal", "expected"), CASES)
def test_column_and_array(rig: Rig, type_name: str, literal: str, expected: Any, format: int) -> None:
    value = quoted(literal, type_name)
    query = (
        f"SELECT {value}, ARRAY[{value}, NULL], ARRAY[[{value}, {value}], [NULL, {value}]], NULL::{type_name}"
    )
    row = (expected, [expected, None], [[expected, expected], [None, expected]], None)
    assert same(rig.fetch(query, format=format), [row])
    three = rig.fetch(f"{query} FROM generate_series(1, 3)", format=format)
    assert same(three, [row] * 3)


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
@pytest.mark.parametrize(("type_name", "literal", "expected"), READ_ONLY)
def test_column(rig: Rig, type_name: str, literal: str, expected: Any, format: int) -> None:
    if (
        type_name == "xml"
        and not rig.fetch(
            "SELECT count(*) FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%--with-libxml%'"
        )[0][0]
    ):
        expected = literal = "<a/>"
        query = f"SELECT '{literal}'::text"
    else:
        query = f"SELECT {quoted(literal, type_name)}"
    assert same(rig.fetch(query, format=format), [(expected,)])


def equal(type_name: str, parameter: str, expected: str) -> str:
    """SQL that compares closely: text shows scale and sign; but a day is 24 hours, and JSON is spaced anyhow."""
    if type_name == "interval":
        return f"SELECT {parameter} = {expected}"
    if type_name == "json":
        return f"SELECT {parameter}::text::jsonb::text = {expected}::text::jsonb::text"
    return f"SELECT {parameter}::text = {expected}::text"


@pytest.mark.parametrize(("type_name", "literal", "value"), CASES)
def test_parameter(rig: Rig, type_name: str, literal: str, value: Any) -> None:
    query = equal(type_name, f"$1::{type_name}", quoted(literal, type_name))
    assert rig.fetch(query, [value]) == [(True,)]


@pytest.mark.parametrize(("type_name", "literal", "value"), ELEMENT_CASES)
def test_array_parameter(rig: Rig, type_name: str, literal: str, value: Any) -> None:
    element = quoted(literal, type_name)
    for given, expected in (
        ([value, None, value], f"ARRAY[{element}, NULL, {element}]"),
        (((value,), (value,)), f"ARRAY[[{element}], [{element}]]"),
    ):
        if type_name == "json":
            query = f"SELECT to_jsonb($1::json[]) = to_jsonb({expected})"
        else:
            query = equal(type_name, f"$1::{type_name}[]", f"{expected}::{type_name}[]")
        assert rig.fetch(query, [given]) == [(True,)]


@pytest.mark.parametrize(("type_name", "literal", "value"), CASES)
def test_str_parameter(rig: Rig, type_name: str, literal: str, value: Any) -> None:
    """The server parses a str for any type, alone and in an array."""
    element = quoted(literal, type_name)
    query = f"SELECT $1::{type_name}::text, {element}::text, $2::{type_name}[]::text, ARRAY[{element}]::text"
    stored = rig.fetch(query, [literal, [literal]])[0]
    if type_name != "char(5)":  # ARRAY[…] of it keeps the padding, the parameter's text hasn't any
        assert stored[0] == stored[1] and stored[2] == stored[3]


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
def test_empty_and_bounded_arrays(rig: Rig, format: int) -> None:
    query = (
        "SELECT '{}'::int4[], '[0:1]={1,2}'::int4[], '[-1:0][2:2]={{a},{b}}'::text[],"
        ' \'{NULL,"NULL",""," ","\\\\"}\'::text[], \'{}\'::text[]'
    )
    row: tuple[Any, ...] = ([], [1, 2], [["a"], ["b"]], [None, "NULL", "", " ", "\\"], [])
    assert rig.fetch(query, format=format) == [row]


def test_void_is_none(rig: Rig) -> None:
    assert rig.fetch("SELECT pg_sleep(0), 1") == [(None, 1)]
    assert rig.fetch("SELECT pg_sleep(0), '1:1:'::pg_snapshot") == [(None, "1:1:")]


def test_unknown_types_are_text_and_the_others_what_they_are(rig: Rig) -> None:
    query = (
        "SELECT 1, '1:1:'::pg_snapshot, '{1:1:,NULL}'::pg_snapshot[], 'pg_type'::regclass, '1 2'::int2vector,"
        " 'a'::text, '{1.5}'::numeric[]"
    )
    row = (1, "1:1:", ["1:1:", None], "pg_type", [1, 2], "a", [Decimal("1.5")])
    assert rig.fetch(query) == [row]
    assert rig.fetch(f"{query} UNION ALL {query}") == [row, row]


def test_no_columns(rig: Rig) -> None:
    assert rig.fetch("SELECT FROM generate_series(1, 3)") == [(), (), ()]
    assert rig.fetch("SELECT") == [()]
    plan, result = rig.execute("SELECT FROM generate_series(1, 3)")
    assert plan.dicts(result) == [{}, {}, {}]


def test_a_type_without_decoder_is_bytes_where_binary_is_forced(rig: Rig) -> None:
    query = "SELECT 1, '1:2:'::txid_snapshot"
    assert rig.fetch(query, format=1)[0][1] == struct.pack(">iqq", 0, 1, 2)


def test_child_registries_change_elements_of_arrays_too(rig: Rig) -> None:
    from uuid import UUID

    registry = Registry(default_registry, uuid_as_object=True, json_loads=lambda text: text.upper())
    number = "550e8400-e29b-41d4-a716-446655440000"
    query = f"SELECT '{number}'::uuid, '{{{number},NULL}}'::uuid[], '[\"a\"]'::jsonb, $1::uuid"
    for more in ("", ", '1:1:'::pg_snapshot"):
        row = rig.fetch(query + more, [UUID(number)], registry=registry)[0]
        assert row[:4] == (UUID(number), [UUID(number), None], '["A"]', UUID(number))
    assert rig.fetch(query, [number]) == [(number, [number, None], ["a"], number)]


def test_dicts_before_and_after_their_function_is_compiled(rig: Rig) -> None:
    plan, result = rig.execute(
        'SELECT g AS "it\'s", g * 2 AS twice, g * 3 AS twice FROM generate_series(1, 3) g'
    )
    expected = [{"it's": number, "twice": number * 3} for number in (1, 2, 3)]
    assert plan.dicts(result) == expected
    assert plan.dicts(result) == expected
    assert plan.dicts(result, 1, 2) == expected[1:2]
    assert plan.row_dict(result, 2) == expected[2]
    assert plan.dicts(result, 3) == []
    assert plan.tuples(result, 1, 99) == [(2, 4, 6), (3, 6, 9)]


def test_many_rows_of_every_size(rig: Rig) -> None:
    """Chunks are cut by rows, by size, and around values that don't travel in the stream."""
    sizes = "CASE WHEN g % 500 = 0 THEN 70000 WHEN g % 7 = 0 THEN 30000 ELSE g % 300 END"
    rows = rig.fetch(f"SELECT g, repeat('x', {sizes}), g::numeric FROM generate_series(1, 2500) g")
    assert len(rows) == 2500
    for number, text, numeric in rows:
        size = 70000 if number % 500 == 0 else 30000 if number % 7 == 0 else number % 300
        assert len(text) == size and numeric == number


def test_a_row_larger_than_the_buffer(rig: Rig) -> None:
    columns = ", ".join(f"repeat('{index % 10}', 60000)" for index in range(100))
    expected = tuple(str(index % 10) * 60000 for index in range(100))
    assert rig.fetch(f"SELECT {columns}") == [expected]
    assert (
        rig.fetch(f"SELECT {columns}, 1::numeric FROM generate_series(1, 2)") == [(*expected, Decimal(1))] * 2
    )


def test_large_values_of_every_kind(rig: Rig) -> None:
    row = rig.fetch(
        "SELECT repeat('ü', 100000), decode(repeat('00ff', 100000), 'hex'), array_fill(7, ARRAY[50000]),"
        " to_jsonb(repeat('x', 100000)), 10::numeric ^ 100000, array_fill(1.5, ARRAY[30000])"
    )[0]
    assert row[:4] == ("ü" * 100000, b"\x00\xff" * 100000, [7] * 50000, "x" * 100000)
    assert row[4].adjusted() == 100000 and row[5] == [Decimal("1.5")] * 30000


def test_the_first_and_the_last_day_of_every_month() -> None:
    starts = [date(year, month, 1).toordinal() for year in range(1, 10000) for month in range(1, 13)]
    days = sorted({*starts, *(start - 1 for start in starts[1:]), date.max.toordinal()})
    result = make_result([("day", oids.DATE)], [[struct.pack(">i", day - 730120)] for day in days])
    plan = default_registry.result_plan(result.columns())
    assert plan.tuples(result) == [(date.fromordinal(day),) for day in days]
