"""Which Python values become which parameters, which don't, and what is said then.

Long, since it is tables of values.
"""

from __future__ import annotations

import enum
import ipaddress
import struct
from collections import OrderedDict, deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Context, Decimal, localcontext
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy._codecs import oids
from psqlpy._codecs.codec import NULL, Raw
from psqlpy._codecs.literal import literal
from psqlpy._codecs.parameter_rows import encode_rows
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy.exceptions import (
    ConnectionPoolConfigurationError,
    ParameterTypeError,
    ParameterValueError,
    PyToRustValueMappingError,
)
from psqlpy.extra_types import (
    CustomType,
    IpAddressArray,
    MacAddr6,
    MacAddr6Array,
    MacAddr8,
    MacAddr8Array,
    Money,
    MoneyArray,
    SmallInt,
    Text,
)
from psqlpy.types import Types
from tests.codecs.rig import Rig, ServerError

PLUS_TWO = timezone(timedelta(hours=2))


class Color(enum.Enum):
    RED = "red"
    NOTHING = None


class Size(enum.IntEnum):
    BIG = 5


class Word(str):
    """A subclass that changes what it can."""

    def encode(self, *args: Any) -> bytes:
        return b"wrong"

    def __str__(self) -> str:
        return "wrong"


ACCEPTED = [
    ("int4", True, "1"),
    ("int4", Size.BIG, "5"),
    ("int4", SmallInt(7), "7"),
    ("int8", "17", "17"),
    ("oid", 2**32 - 1, "4294967295"),
    ("float8", 5, "5"),
    ("float8", Decimal("1.5"), "1.5"),
    ("float4", 0.1, "0.1"),
    ("float4", 1e-45, "1e-45"),
    ("float4", -0.0, "-0"),
    ("float4", float("nan"), "NaN"),
    ("float4", Decimal("-Infinity"), "-Infinity"),
    ("float8", 5e-324, "5e-324"),
    ('"char"', "\\303", "\\303"),
    ('"char"', 5, "5"),
    ("numeric", 5, "5"),
    ("numeric", 0.1, "0.1"),
    ("numeric", 1e22, "10000000000000000000000"),
    ("numeric", float("-inf"), "-Infinity"),
    ("numeric", True, "1"),
    ("numeric", Decimal("1E+5"), "100000"),
    ("numeric", Decimal("NaN"), "NaN"),
    ("text", Color.RED, "red"),
    ("text", Word("right"), "right"),
    ("text", Text("wrapped"), "wrapped"),
    ("text", 5, "5"),
    ("text", Size.BIG, "5"),
    ("text", True, "true"),
    ("text", 1.0, "1"),
    ("text", 1e16, "1e+16"),
    ("text", 1e15, "1e+15"),
    ("text", -1000000000000000.5, "-1.0000000000000005e+15"),
    ("text", 999999999999999.0, "999999999999999"),
    ("text", Decimal("1E+5"), "100000"),
    ("text", date(44, 3, 15), "0044-03-15"),
    ("text", datetime(44, 3, 15, 1, 2, 3, 120000), "0044-03-15 01:02:03.12"),
    ("text", datetime(2024, 1, 2, 3, 4, 5, tzinfo=PLUS_TWO), "2024-01-02 03:04:05+02"),
    (
        "text",
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        "2024-10-27 02:30:00+01",
    ),
    ("timetz", time(1, 2, tzinfo=PLUS_TWO), "01:02:00+02"),
    ("text", time(1, 2, 3), "01:02:03"),
    ("text", timedelta(days=1, seconds=1), "1 day 00:00:01"),
    ("text", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ("text", ipaddress.ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
    ("varchar", 5, "5"),
    ("bpchar", 5, "5"),
    ("name", 5, "5"),
    ("bool", "yes", "true"),
    ("bytea", bytearray(b"ab"), "\\x6162"),
    ("bytea", memoryview(b"abcd")[::2], "\\x6163"),
    ("date", datetime(2024, 1, 2, 23, tzinfo=PLUS_TWO), "2024-01-02"),
    ("timestamp", date(2024, 1, 2), "2024-01-02 00:00:00"),
    ("timestamp", datetime(2024, 1, 2, 1, tzinfo=PLUS_TWO), "2024-01-01 23:00:00"),
    (
        "timestamp",
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        "2024-10-27 01:30:00",
    ),
    ("timestamp", datetime(1, 1, 1, tzinfo=PLUS_TWO), "0001-12-31 22:00:00 BC"),
    ("interval", timedelta(days=400, seconds=1), "400 days 00:00:01"),
    ("interval", timedelta(seconds=-1), "-00:00:01"),
    ("uuid", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ("jsonb", (1, None, "a"), '[1, null, "a"]'),
    ("jsonb", OrderedDict(b=1, a=[Size.BIG]), '{"a": [5], "b": 1}'),
    ("jsonb", '{"a": 1}', '{"a": 1}'),
    ("jsonb", 1.5, "1.5"),
    ("jsonb", True, "true"),
    ("int4[]", (1, None, True), "{1,NULL,1}"),
    ("int4[]", [], "{}"),
    ("int4[]", [[], []], "{}"),
    ("int4[]", "{1,2}", "{1,2}"),
    ("int4[]", [Size.BIG, SmallInt(3)], "{5,3}"),
    ("int4[]", [[[1], [2]]], "{{{1},{2}}}"),
    ("text[]", ["a", 5, None, Color.RED], "{a,5,NULL,red}"),
    ("uuid[]", [UUID(int=1), None], "{00000000-0000-0000-0000-000000000001,NULL}"),
    ("bytea[]", [b"a", b"\0"], '{"\\\\x61","\\\\x00"}'),
    ("jsonb[]", [{"a": 1}, None, '"x"'], '{"{\\"a\\": 1}",NULL,"\\"x\\""}'),
    ("numeric[]", [1, Decimal("2.50"), None, "3"], "{1,2.50,NULL,3}"),
    ("timestamp[]", [date(2024, 1, 2)], '{"2024-01-02 00:00:00"}'),
    ("inet", ipaddress.ip_address("10.0.0.1"), "10.0.0.1/32"),
    ("inet", "10.0.0.1", "10.0.0.1/32"),
    ("inet", ipaddress.ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
    ("inet", ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    ("inet", ipaddress.ip_interface("fe80::1/64"), "fe80::1/64"),
    ("cidr", ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    ("cidr", ipaddress.ip_address("::1"), "::1/128"),
    ("cidr", ipaddress.ip_interface("10.0.0.0/8"), "10.0.0.0/8"),
    ("cidr", "10.1", "10.1.0.0/16"),
    ("cidr[]", [ipaddress.ip_network("10.0.0.0/8"), None], "{10.0.0.0/8,NULL}"),
    ("macaddr", "08002B010203", "08:00:2b:01:02:03"),
    ("macaddr", MacAddr6("08002B010203"), "08:00:2b:01:02:03"),
    ("macaddr8", MacAddr6("08002B010203"), "08:00:2b:ff:fe:01:02:03"),
    ("macaddr8", MacAddr8("08002b0102030405"), "08:00:2b:01:02:03:04:05"),
    ("macaddr[]", MacAddr6Array([MacAddr6("08002B010203"), None]), "{08:00:2b:01:02:03,NULL}"),
    ("macaddr8[]", MacAddr8Array(["08002b0102030405"]), "{08:00:2b:01:02:03:04:05}"),
    ("inet[]", IpAddressArray([ipaddress.ip_address("::1")]), "{::1}"),
    ("varbit", "x1F", "00011111"),
    ("varbit", format(5, "08b"), "00000101"),
    ("bit(3)[]", ["101", None], "{101,NULL}"),
    ("money", 1234, "$12.34"),
    ("money", Money(-1234), "-$12.34"),
    ("money[]", MoneyArray([100, Money(5)]), "{$1.00,$0.05}"),
    ("timetz", time(1, 2), "01:02:00+00"),
    ("timetz", time(1, 2, tzinfo=timezone(timedelta(seconds=-3723))), "01:02:00-01:02:03"),
    ("timetz[]", [time(1, 2, tzinfo=PLUS_TWO), None], "{01:02:00+02,NULL}"),
    ("pg_lsn", 2**32 + 255, "1/FF"),
    ("tid", (1, 2), "(1,2)"),
    ("tid[]", ["(1,2)", None], '{"(1,2)",NULL}'),
    ("regclass", "pg_type", "pg_type"),
    ("regclass", 1247, "pg_type"),
    ("regtype[]", [23, None], "{integer,NULL}"),
    ("oidvector", (1, 2), "1 2"),
    ("int2vector[]", ["1 2", "3"], '{"1 2",3}'),
    # The innermost lists are the vectors, empty ones too.
    ("int2vector[]", [[1, 2], []], '{"1 2",""}'),
    ("int2vector[]", [[], [1], None], '{"",1,NULL}'),
    ("int2vector[]", [[]], '{""}'),
    ("int2vector[]", [], "{}"),
    ("oidvector[]", ([[], [1]], [[2], []]), '{{"",1},{2,""}}'),
    ("xid8", 2**64 - 1, "18446744073709551615"),
    ("tsvector", "b a:1", "'a':1 'b'"),
    ("jsonpath[]", ["$.a"], '{"$.\\"a\\""}'),
    ("inet[]", [ipaddress.ip_address("10.0.0.1"), None], "{10.0.0.1,NULL}"),
    ("point", CustomType(bytes.fromhex("3ff00000000000004000000000000000")), "(1,2)"),
    ("txid_snapshot", struct.pack(">iqq", 0, 1, 2), "1:2:"),
    ("box[]", ["(1,2),(3,4)", "(5,6),(7,8)"], "{(3,4),(1,2);(7,8),(5,6)}"),
    ("int4", Color.NOTHING, None),
]


@pytest.mark.parametrize(("type_name", "value", "expected"), ACCEPTED)
def test_accepted(rig: Rig, type_name: str, value: Any, expected: str | None) -> None:
    assert rig.fetch(f"SELECT $1::{type_name}::text", [value]) == [(expected,)]


def test_naive_datetimes_are_utc_for_timestamptz_whatever_the_session_says(rig: Rig) -> None:
    rig.script("SET TimeZone = 'America/New_York'")
    value = datetime(2024, 1, 2, 3, 4, 5)
    aware = value.replace(tzinfo=timezone.utc)
    try:
        query = "SELECT $1::timestamptz, $2::timestamptz[], $3::timestamptz"
        assert rig.fetch(query, [value, [value, None], aware.date()]) == [
            (aware, [aware, None], datetime(2024, 1, 2, tzinfo=timezone.utc))
        ]
    finally:
        rig.script("RESET TimeZone")


def test_integers_longer_than_python_prints(rig: Rig) -> None:
    for type_name in ("numeric", "text"):
        assert rig.fetch(f"SELECT $1::{type_name}::text", [-(10**5000)]) == [("-1" + "0" * 5000,)]


def test_a_parameter_without_a_type_is_text(rig: Rig) -> None:
    assert rig.fetch("SELECT $1, $2, $3", ["a", 5, None]) == [("a", "5", None)]


REFUSED: list[tuple[int, Any, type[Exception], str]] = [
    (oids.INT2, 2**15, ParameterValueError, "out of range, -32768 to 32767"),
    (oids.INT4, 2**200, ParameterValueError, "out of range"),
    (oids.INT8, -(2**63) - 1, ParameterValueError, "out of range"),
    (oids.OID, -1, ParameterValueError, "out of range, 0 to 4294967295"),
    (oids.INT4, 1.0, ParameterTypeError, "float for int4"),
    (oids.INT4, Decimal(1), ParameterTypeError, "Decimal for int4"),
    (oids.INT4, [1], ParameterTypeError, "list for int4"),
    (oids.INT4, b"1", ParameterTypeError, "bytes for int4"),
    (oids.FLOAT4, 1e300, ParameterValueError, "out of range"),
    (oids.FLOAT4, 1e-50, ParameterValueError, "float for float4.*out of range"),
    (oids.FLOAT4, Decimal("1e-400"), ParameterValueError, "Decimal for float4.*out of range"),
    (oids.FLOAT8, Decimal("1e-400"), ParameterValueError, "Decimal for float8.*out of range"),
    (oids.FLOAT8, Decimal("1e400"), ParameterValueError, "Decimal for float8.*out of range"),
    (1021, [1.0, 1e-50], ParameterValueError, "float in it: out of range"),
    (1022, [Decimal("1e400")], ParameterValueError, "Decimal in it: out of range"),
    (oids.CHAR, "€", ParameterValueError, "single character"),
    (oids.CHAR, "ab", ParameterValueError, "single character"),
    (oids.CHAR, 12, ParameterValueError, "single character"),
    (oids.CHAR, b"a", ParameterTypeError, "bytes for char"),
    (1002, ["a", "€"], ParameterValueError, "str in it: .*single character"),
    (oids.FLOAT8, 2**1024, ParameterValueError, "out of range"),
    (oids.FLOAT8, [1.0], ParameterTypeError, "list for float8"),
    (oids.NUMERIC, Decimal("sNaN"), ParameterValueError, "signalling NaN"),
    (oids.NUMERIC, b"1", ParameterTypeError, "bytes for numeric"),
    (oids.BOOL, 1, ParameterTypeError, "int for bool"),
    (oids.TEXT, b"x", ParameterTypeError, "bytes for text"),
    (oids.TEXT, {}, ParameterTypeError, "dict for text"),
    (oids.TEXT, [], ParameterTypeError, "list for text"),
    (oids.TEXT, object(), ParameterTypeError, "object for text"),
    (oids.TEXT, "a\0b", ParameterValueError, "NUL"),
    (oids.TEXT, "a\ud800", ParameterValueError, "surrogate, at index 1"),
    (oids.INT4, "1\0", ParameterValueError, "NUL"),
    (oids.BYTEA, 5, ParameterTypeError, "int for bytea"),
    (oids.BYTEA, [1, 2], ParameterTypeError, "list for bytea"),
    (oids.DATE, 5, ParameterTypeError, "int for date"),
    (oids.DATE, time(), ParameterTypeError, "time for date"),
    (oids.TIME, time(tzinfo=timezone.utc), ParameterValueError, "tzinfo would be lost"),
    (1266, time(1, tzinfo=ZoneInfo("Europe/Berlin")), ParameterValueError, "no offset without a date"),
    (oids.TIMETZ, time(1, tzinfo=timezone(timedelta(hours=16))), ParameterValueError, "less than 16 hours"),
    (oids.TIMETZ, time(1, tzinfo=timezone(timedelta(microseconds=1))), ParameterValueError, "whole seconds"),
    (oids.TIMETZ, datetime(2024, 1, 2), ParameterTypeError, "datetime for timetz"),
    (oids.INET, 1, ParameterTypeError, "int for inet"),
    (oids.INET, b"\x7f\0\0\1", ParameterTypeError, "bytes for inet"),
    (oids.INET, ipaddress.ip_address("fe80::1%eth0"), ParameterValueError, "no scope"),
    (oids.INET, ipaddress.ip_interface("fe80::1%eth0/64"), ParameterValueError, "no scope"),
    (oids.CIDR, ipaddress.ip_interface("10.0.0.1/8"), ParameterValueError, "right of its mask"),
    (oids.CIDR, True, ParameterTypeError, "bool for cidr"),
    (oids.MACADDR, 5, ParameterTypeError, "int for macaddr"),
    (oids.MACADDR8, b"x" * 8, ParameterTypeError, "bytes for macaddr8"),
    (oids.BIT, 5, ParameterTypeError, "format"),
    (oids.VARBIT, b"101", ParameterTypeError, "str of 0 and 1"),
    (oids.VARBIT, [True, False], ParameterTypeError, "list for varbit"),
    (oids.TSVECTOR, ["a"], ParameterTypeError, "list for tsvector"),
    (oids.TSQUERY, 5, ParameterTypeError, "int for tsquery"),
    (oids.JSONPATH, {}, ParameterTypeError, "dict for jsonpath"),
    (oids.PG_LSN, 2**64, ParameterValueError, "out of range, 0 to 18446744073709551615"),
    (oids.PG_LSN, 1.5, ParameterTypeError, "float for pg_lsn"),
    (oids.XID8, -1, ParameterValueError, "out of range"),
    (oids.TID, (1,), ParameterValueError, "two numbers"),
    (oids.TID, (1, 2**16), ParameterValueError, "out of range, 0 to 65535"),
    (oids.TID, (1, "2"), ParameterTypeError, "tuple for tid"),
    (oids.REGCLASS, -1, ParameterValueError, "out of range, 0 to 4294967295"),
    (oids.REGTYPE, [23], ParameterTypeError, "list for regtype"),
    (oids.INT2VECTOR, [2**15], ParameterValueError, "out of range, -32768 to 32767"),
    (oids.OIDVECTOR, ["1"], ParameterTypeError, "str in it"),
    (oids.OIDVECTOR, 1, ParameterTypeError, "int for oidvector"),
    (oids.MONEY, Decimal("1.5"), ParameterTypeError, "Decimal for money"),
    (oids.MONEY, 2**63, ParameterValueError, "out of range"),
    (791, [Decimal(1)], ParameterTypeError, "Decimal in it"),
    (oids.TIMESTAMP, 1700000000, ParameterTypeError, "int for timestamp"),
    (oids.TIMESTAMPTZ, timedelta(1), ParameterTypeError, "timedelta for timestamptz"),
    (oids.INTERVAL, 5, ParameterTypeError, "int for interval"),
    (oids.UUID, 5, ParameterTypeError, "int for uuid"),
    (oids.UUID, b"x" * 16, ParameterTypeError, "bytes for uuid"),
    (oids.JSONB, {"a": float("nan")}, ParameterValueError, "float"),
    (oids.JSONB, {"a": "\ud800"}, ParameterValueError, "surrogate"),
    (oids.JSONB, {1: "a", "1": "b"}, ParameterTypeError, "keys of its objects are str, not int"),
    (oids.JSON, [{"a": ({None: 1},)}], ParameterTypeError, "keys of its objects are str, not NoneType"),
    (oids.JSONB, {"a": object()}, ParameterTypeError, "it isn't JSON"),
    (oids.JSONB, {1, 2}, ParameterTypeError, "set for jsonb"),
    (oids.JSON, b"{}", ParameterTypeError, "bytes for json"),
    (1007, {1, 2}, ParameterTypeError, r"set for int4\[\]"),
    (1007, deque([1]), ParameterTypeError, r"deque for int4\[\]"),
    (1007, 5, ParameterTypeError, r"int for int4\[\]"),
    (1007, [1, 2.5], ParameterTypeError, "float in it"),
    (1007, [1, 2**31], ParameterValueError, "int in it: out of range"),
    (1007, [[1], [2, 3]], ParameterValueError, "nested lists differ"),
    (1007, [1, [2]], ParameterValueError, "nested lists differ"),
    (1007, [[1], 2], ParameterValueError, "nested lists differ"),
    (1007, [[1], None], ParameterValueError, "nested lists differ"),
    (1007, [[], [1]], ParameterValueError, "nested lists differ"),
    (1007, [[[[[[[1]]]]]]], ParameterValueError, "at most 6 dimensions"),
    (1009, ["a\0"], ParameterValueError, "str in it: .*NUL"),
    (99999, {}, ParameterTypeError, "dict for oid 99999"),
    (99999, [{}], ParameterTypeError, "dict in it"),
]


@pytest.mark.parametrize(
    ("oid", "value", "error", "message"), REFUSED, ids=[case[3][:30] for case in REFUSED]
)
def test_refused(oid: int, value: Any, error: type[Exception], message: str) -> None:
    plan = default_registry.parameter_plan((oids.INT4, oid))
    with pytest.raises(error, match=message) as caught:
        plan.encode([1, value])
    assert str(caught.value).startswith("parameter $2 (")
    assert isinstance(caught.value, PyToRustValueMappingError)


# Switches of a registry


@pytest.mark.parametrize("digits", [0, 2, 3, 10])
def test_money_as_decimal(rig: Rig, digits: int) -> None:
    registry = Registry(default_registry, money_digits=digits)
    one = Decimal(1).scaleb(-digits)
    # The server's own locale has two digits, which here are only seen as units.
    query = "SELECT $1::money, $2::money[], $1::money = '0.01'::money, $3::money"
    (row,) = rig.fetch(query, [one, [one * 5, None, Money(7)], Decimal("-0.000")], registry=registry)
    assert repr(row) == repr((one, [5 * one, None, 7 * one], True, one * 0))
    assert rig.fetch("SELECT '0.01'::money", format=0, registry=registry) == [(one,)]


MONEY_REFUSED: list[tuple[Any, type[Exception], str]] = [
    (5, ParameterTypeError, "int for money.*whole units or cents"),
    (1.5, ParameterTypeError, "float for money"),
    (Decimal("0.001"), ParameterValueError, "more than 2 digits"),
    (Decimal("1E-1000000"), ParameterValueError, "more than 2 digits"),
    (Decimal("1E+1000000"), ParameterValueError, "out of range"),
    (Decimal("92233720368547758.08"), ParameterValueError, "-92233720368547758.08 to 92233720368547758.07"),
    (Decimal("-92233720368547758.09"), ParameterValueError, "out of range"),
    (Decimal("NaN"), ParameterValueError, "no NaN"),
    (Decimal("-Infinity"), ParameterValueError, "no infinity|no NaN"),
]


@pytest.mark.parametrize(
    ("value", "error", "message"), MONEY_REFUSED, ids=[str(case[0]) for case in MONEY_REFUSED]
)
def test_money_as_decimal_refuses(value: Any, error: type[Exception], message: str) -> None:
    plan = Registry(default_registry, money_digits=2).parameter_plan((oids.MONEY,))
    with pytest.raises(error, match=message):
        plan.encode([value])


def test_switches_are_checked() -> None:
    for name, value in (
        ("money_digits", -1),
        ("money_digits", 11),
        ("money_digits", "2"),
        ("out_of_range_dates", "ignore"),
        ("uuid_as_object", "no"),
        ("json_loads", "orjson"),
        ("json_dumps", 1),
    ):
        with pytest.raises(ConnectionPoolConfigurationError, match=f"^{name} must be .* not {value!r}$"):
            Types(**{name: value})  # type: ignore[arg-type]  # wrong on purpose


def test_money_does_not_depend_on_the_decimal_context(rig: Rig) -> None:
    registry = Registry(default_registry, money_digits=2)
    amount = Decimal("92233720368547758.07")
    with localcontext(Context(prec=3)):
        assert rig.fetch("SELECT $1::money", [amount], registry=registry) == [(amount,)]


def test_json_with_another_loader_and_dumper(rig: Rig) -> None:
    registry = Registry(
        default_registry,
        json_loads=lambda text: ("loaded", text),
        json_dumps=lambda value: b'{"dumped": "%d"}' % len(value),
    )
    query = "SELECT $1::jsonb, $2::json, $3::jsonb[], $4::jsonb"
    expected = ("loaded", '{"dumped": "1"}')
    for format in (0, 1):
        row = rig.fetch(query, [{1}, [5], [{2}, None], "[7]"], format=format, registry=registry)
        assert row == [(expected, expected, [expected, None], ("loaded", "[7]"))]
    assert rig.fetch("SELECT '[1]'::jsonb") == [([1],)]


def test_uuid_objects_and_text(rig: Rig) -> None:
    registry = Registry(default_registry, uuid_as_object=True)
    number = UUID("550e8400-e29b-41d4-a716-446655440000")
    query = "SELECT $1::uuid, $2::uuid[], $3::uuid"
    for format in (0, 1):
        row = rig.fetch(query, [number, [number, None], str(number)], format=format, registry=registry)
        assert row == [(number, [number, None], number)]
    back = Registry(registry, uuid_as_object=False)
    assert rig.fetch(query, [number, [number], None], registry=back) == [(str(number), [str(number)], None)]


def test_self_containing_and_deep_values() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    plan = default_registry.parameter_plan((oids.JSONB,))
    with pytest.raises(ParameterValueError, match=r"\$1"):
        plan.encode([loop])
    with pytest.raises(ParameterValueError, match=r"\$1"):
        plan.encode([deep])
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ParameterValueError, match=r"\$1"):
        default_registry.parameter_plan((1007,)).encode([circle])


@pytest.mark.parametrize(
    "parameters", ["ab", bytearray(b"ab"), {1, 2}, iter([1, 2]), 5, None, {"a": 1, "b": 2}]
)
def test_what_is_no_list_of_parameters(parameters: Any) -> None:
    with pytest.raises(ParameterTypeError, match="must be a list or a tuple"):
        default_registry.parameter_plan((oids.INT4, oids.INT4)).encode(parameters)


def test_counts() -> None:
    with pytest.raises(ParameterValueError, match="takes 2 parameters, 1 given"):
        default_registry.parameter_plan((oids.INT4, oids.INT4)).encode([1])
    with pytest.raises(ParameterValueError, match="takes 1 parameter, 0 given"):
        default_registry.parameter_plan((oids.INT4,)).encode([])
    with pytest.raises(ParameterValueError, match="takes 0 parameters, 1 given"):
        default_registry.parameter_plan(()).encode([1])
    with pytest.raises(ParameterValueError, match="65535 parameters, 65536 given"):
        default_registry.parameter_plan(()).encode([1] * 65536)
    assert default_registry.parameter_plan(()).encode(()) == b""
    assert default_registry.parameter_plan((oids.INT4,) * 65535).encode([None] * 65535) == NULL * 65535


def test_rows_come_in_bounded_portions_and_errors_name_the_row() -> None:
    plan = default_registry.parameter_plan((oids.INT4, oids.TEXT))
    rows = [(number, "x" * 1000) for number in range(3000)]
    portions = list(encode_rows(plan, iter(rows)))
    assert sum(count for count, _ in portions) == 3000
    assert all(len(blob) < 40_000 for _, blob in portions) and len(portions) < 150
    assert b"".join(blob for _, blob in portions) == b"".join(map(plan.encode, rows))
    assert list(encode_rows(plan, [])) == []
    with pytest.raises(ParameterTypeError, match=r"row 3: parameter \$1 \(float for int4\)"):
        list(encode_rows(plan, [(1, "a"), (2, "b"), (2.5, "c")]))
    with pytest.raises(ParameterValueError, match="row 2: the statement takes 2 parameters, 1 given"):
        list(encode_rows(plan, [(1, "a"), (2,)]))
    with pytest.raises(ParameterTypeError, match="row 1: parameters must be a list"):
        list(encode_rows(plan, ["ab"]))


def test_wrappers_of_other_libraries(rig: Rig) -> None:
    class Money:
        def __init__(self, amount: Decimal) -> None:
            self.amount = amount

    class Euro(Money):
        pass

    registry = Registry(default_registry)
    registry.add_wrapper(Money, lambda money, oid: money.amount if oid == oids.NUMERIC else Raw(b"\1"))
    query = "SELECT $1::numeric, $2::numeric[], $3::bool"
    values = [Euro(Decimal(5)), [Money(Decimal(6)), None], Money(Decimal(7))]
    assert rig.fetch(query, values, registry=registry) == [(Decimal(5), [Decimal(6), None], True)]
    with pytest.raises(ParameterTypeError, match="Euro for numeric"):
        rig.fetch(query, values)


class LongDouble:
    """Its tolist() has nothing plainer to offer."""

    def tolist(self) -> LongDouble:
        return LongDouble()


LongDouble.__module__ = "numpy"


def test_values_that_do_not_become_plainer_are_refused() -> None:
    with pytest.raises(ParameterTypeError, match=r"\$1 \(LongDouble for int4\)"):
        default_registry.parameter_plan((oids.INT4,)).encode([LongDouble()])
    registry = Registry(default_registry)
    registry.add_wrapper(LongDouble, lambda value, oid: int("it has no number"))
    with pytest.raises(ParameterValueError, match="it has no number"):
        registry.parameter_plan((oids.INT4,)).encode([LongDouble()])


class Scalar:
    """What NumPy's scalars and arrays have; NumPy itself is no dependency of the tests."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def tolist(self) -> Any:
        return self.value


Scalar.__module__ = "numpy"


def test_numpy_scalars_and_arrays(rig: Rig) -> None:
    query = "SELECT $1::int4, $2::bool, $3::text, $4::int4[], $5::date, $6::int4[]"
    values = [
        Scalar(5),
        Scalar(True),
        Scalar(7),
        Scalar([[1, 2], [3, 4]]),
        Scalar(date(2024, 1, 2)),
        [Scalar(1), None],
    ]
    assert rig.fetch(query, values) == [(5, True, "7", [[1, 2], [3, 4]], date(2024, 1, 2), [1, None])]
    rows = [Scalar([1, 2]), [3, Scalar(4)]]
    assert rig.fetch("SELECT $1::int4[], $2::numeric[]::int4[]", [rows, rows]) == [([[1, 2], [3, 4]],) * 2]
    for ragged in ([Scalar([1, 2]), Scalar([3])], [Scalar([1, 2]), None]):
        with pytest.raises(ParameterValueError, match="dimensions must each have one size"):
            rig.fetch("SELECT $1::int4[]", [ragged])


@pytest.mark.parametrize(
    ("type_name", "strategy"),
    [
        ("float8", st.floats(allow_nan=False)),
        ("float8", st.floats(min_value=1e13, max_value=1e18)),
        ("float8", st.integers(-(2**60), 2**60).map(float)),
        ("numeric", st.decimals(allow_nan=False, allow_infinity=False, places=6)),
        ("date", st.dates()),
        ("timestamp", st.datetimes()),
        ("time", st.times()),
        ("interval", st.timedeltas()),
    ],
)
def test_literals_are_what_the_server_prints(rig: Rig, type_name: str, strategy: Any) -> None:
    @settings(deadline=None)
    @given(st.lists(strategy, min_size=1, max_size=50))
    def check(values: list[Any]) -> None:
        printed = rig.fetch(f"SELECT x::text FROM unnest($1::{type_name}[]) x", [values])
        for (text,), value in zip(printed, values, strict=True):
            if type_name == "float8":
                # The server doesn't always find the shortest digits; Python does.
                assert float(text) == float(literal(value)) and ("e" in text) == ("e" in literal(value))
            else:
                assert text == literal(value)

    check()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_text_of_every_kind(rig: Rig, text: str) -> None:
    assert rig.fetch("SELECT $1::text, $2::text[], '1:1:'::pg_snapshot", [text, [text]]) == [
        (text, [text], "1:1:")
    ]
    assert rig.fetch("SELECT $1::text, $2::jsonb, $2::jsonb->>'a'", [text, {"a": text}]) == [
        (text, {"a": text}, text)
    ]


def test_the_server_refuses_what_it_cannot_parse(rig: Rig) -> None:
    with pytest.raises(ServerError, match="invalid input syntax"):
        rig.fetch("SELECT $1::int4", ["five"])
    assert rig.fetch("SELECT $1::int4", ["5"]) == [(5,)]
