"""Which Python values become values of the built-in scalar types, and which are refused before anything is sent."""

from __future__ import annotations

import enum
from collections import deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any
from uuid import UUID

import pytest

from psqlpy.exceptions import InvalidTextRepresentation, PyToRustValueMappingError
from psqlpy.extra_types import (
    JSON,
    JSONB,
    BigInt,
    CustomType,
    Float32,
    Float64,
    Integer,
    MacAddr6,
    MacAddr8,
    Money,
    SmallInt,
    Text,
    VarChar,
)
from psqlpy.sync import ConnectionPool

PLUS_TWO = timezone(timedelta(hours=2))


class Level(enum.IntEnum):
    HIGH = 7


class Word(str, enum.Enum):
    YES = "yes"


def shown(value: object) -> str:
    """Without an address, which is another one in each process."""
    return "memoryview" if isinstance(value, memoryview) else repr(value)


# row: (type, value, what the server then has)…
ACCEPTED: dict[str, list[tuple[str, Any, str]]] = {
    "integers from int, bool, IntEnum, wrappers": [
        ("int2", SmallInt(5), "5"), ("int4", Integer(5), "5"), ("int8", BigInt(5), "5"), ("int8", Level.HIGH, "7"),
        ("int4", True, "1"), ("int4", "5", "5"),
    ],
    "numeric from int, float, str, Decimal of any size": [
        ("numeric", 5, "5"), ("numeric", 0.1, "0.1"), ("numeric", "1.50", "1.50"),
        ("numeric", Decimal("1E+5"), "100000"), ("numeric", Decimal("NaN"), "NaN"), ("numeric", BigInt(5), "5"),
        ("numeric", Decimal(10) ** 100, "1" + "0" * 100),
    ],
    "float4 and float8 from float, int, bool, Decimal, wrappers": [
        ("float4", Float32(1.5), "1.5"), ("float8", Float64(0.1), "0.1"), ("float8", Float32(1.5), "1.5"),
        ("float8", 2, "2"), ("float8", True, "1"), ("float4", Decimal("1.5"), "1.5"),
    ],
    "money from int and Money, in cents": [("money", 1234, "$12.34"), ("money", Money(-5), "-$0.05")],
    "text from str, enums, wrappers, and scalars in PostgreSQL's form": [
        ("text", Text("a"), "a"), ("text", VarChar("a"), "a"), ("varchar", Word.YES, "yes"), ("text", 5, "5"),
        ("text", date(2024, 1, 2), "2024-01-02"), ("char(3)", "a", "a"), ("name", "a", "a"), ("text", True, "true"),
    ],
    "bytea from bytes, bytearray, memoryview": [
        ("bytea", b"a", "\\x61"), ("bytea", bytearray(b"a"), "\\x61"), ("bytea", memoryview(b"a"), "\\x61")
    ],
    "date from date, datetime, str": [
        ("date", date(2024, 1, 2), "2024-01-02"), ("date", datetime(2024, 1, 2, 23, tzinfo=PLUS_TWO), "2024-01-02"),
        ("date", "2024-01-02", "2024-01-02"), ("date", "infinity", "infinity"),
    ],
    "time and timetz": [("time", time(1, 2), "01:02:00"), ("timetz", time(1, 2, tzinfo=PLUS_TWO), "01:02:00+02")],
    "timestamp naive as it is, aware in UTC, date as midnight": [
        ("timestamp", datetime(2024, 1, 2, 3), "2024-01-02 03:00:00"),
        ("timestamp", datetime(2024, 1, 2, 3, tzinfo=PLUS_TWO), "2024-01-02 01:00:00"),
        ("timestamp", date(2024, 1, 2), "2024-01-02 00:00:00"),
    ],
    "interval in days and microseconds": [("interval", timedelta(days=400, seconds=1), "400 days 00:00:01")],
    "uuid from UUID and str": [
        ("uuid", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("uuid", "00000000000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
    ],
    "inet and cidr from objects of ipaddress and str": [
        ("inet", ip_address("10.0.0.1"), "10.0.0.1/32"), ("inet", ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
        ("inet", ip_network("10.0.0.0/8"), "10.0.0.0/8"), ("inet", "10.0.0.1/8", "10.0.0.1/8"),
        ("cidr", ip_network("::/0"), "::/0"), ("cidr", "10.0.0.0/8", "10.0.0.0/8"),
    ],
    "macaddr from MacAddr6 and str, macaddr8 from MacAddr8 and str": [
        ("macaddr", MacAddr6("08002b010203"), "08:00:2b:01:02:03"), ("macaddr", "08002b010203", "08:00:2b:01:02:03"),
        ("macaddr8", MacAddr8("08002b0102030405"), "08:00:2b:01:02:03:04:05"),
    ],
    "bit, tsvector, tsquery, jsonpath, pg_lsn, tid from str": [
        ("varbit", "0101", "0101"), ("tsvector", "a b", "'a' 'b'"), ("tsquery", "a|b", "'a' | 'b'"),
        ("jsonpath", "$.a", '$."a"'), ("pg_lsn", "1/FF", "1/FF"), ("tid", "(1,2)", "(1,2)"),
    ],
    "oid is unsigned": [("oid", 4294967295, "4294967295")],
    "json from JSON and JSONB, dicts, lists and tuples": [
        ("json", JSON({"b": 1, "a": 2}), '{"b":1,"a":2}'), ("jsonb", JSONB([1, "a"]), '[1, "a"]'),
        ("jsonb", JSON({"a": None}), '{"a": null}'), ("json", {"b": (1, 2)}, '{"b":[1,2]}'),
    ],
    "CustomType for any type, in binary": [("inet", CustomType(b"\2\x20\0\4\x0a\0\0\1"), "10.0.0.1/32")],
}  # fmt: skip
CASES = [
    pytest.param(*case, id=f"{row}: {case[0]} {shown(case[1]):.40}")
    for row in ACCEPTED
    for case in ACCEPTED[row]
]


@pytest.mark.parametrize(("type_name", "value", "stored"), CASES)
def test_accepted(sync_pool: ConnectionPool, type_name: str, value: Any, stored: str) -> None:
    assert sync_pool.fetch_val(f"SELECT $1::{type_name}::text", [value]) == stored
    assert sync_pool.fetch_val(f"SELECT ($1::{type_name}[])[1]::text", [[value]]) == stored


# row: (type, value)…
REFUSED: dict[str, list[tuple[str, Any]]] = {
    "integers out of range": [("int2", 2**15), ("int4", 2**31), ("int8", 2**63), ("oid", -1), ("xid8", 2**64)],
    "floats out of range": [("float4", 1e300), ("float4", Float64(1e300)), ("float8", Decimal("1e400"))],
    "integers of other types": [("int4", 1.0), ("int4", Decimal(1)), ("int4", b"1")],
    "date for oid": [("oid", date(2024, 1, 2))],
    "bool is bool": [("bool", 1), ("bool", 0.0)],
    "lists and tuples for scalars": [
        (name, value)
        for name in ("int4", "text", "inet", "macaddr", "varbit", "tsvector", "timetz", "uuid", "money", "date")
        for value in ([1], (1,))
    ],
    "what is no list for arrays": [("int4[]", {1}), ("int4[]", range(3)), ("int4[]", deque([1])), ("int4[]", 5)],
    "ragged arrays": [("int4[]", [[1], [2, 3]]), ("int4[]", [1, [2]]), ("text[]", [["a"], None])],
    "dicts and bytes for text": [("text", {}), ("text", b"x"), ("name", {})],
    "values of other types": [
        ("date", 5), ("time", date(2024, 1, 2)), ("timestamp", 1.5), ("interval", UUID(int=5)),
        ("uuid", timedelta(1)), ("inet", 1), ("macaddr", 1), ("bit", 1), ("timetz", 1), ("numeric", b"1"),
    ],
    "time with a zone for time": [("time", time(1, tzinfo=PLUS_TWO))],
    "networks with bits right of the mask": [("cidr", ip_interface("10.0.0.1/8"))],
    "NaN in JSON": [("jsonb", {"a": float("nan")})],
    "keys of JSON that are no str": [("jsonb", {1: "a"}), ("json", {"a": [{True: 1}]}), ("jsonb", {None: 1})],
}  # fmt: skip
BAD = [
    pytest.param(*case, id=f"{row}: {case[0]} {case[1]!r:.40}") for row in REFUSED for case in REFUSED[row]
]


@pytest.mark.parametrize(("type_name", "value"), BAD)
def test_refused_and_the_connection_works_on(sync_pool: ConnectionPool, type_name: str, value: Any) -> None:
    with sync_pool.acquire() as connection:
        with pytest.raises(PyToRustValueMappingError, match=r"parameter \$2 \(") as caught:
            connection.execute(f"SELECT $1::int4, $2::{type_name}", [1, value])
        assert isinstance(caught.value, TypeError | ValueError)
        assert type(value).__name__ in str(caught.value)
        assert connection.fetch_val("SELECT $1::int4", [1]) == 1


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("int4", "five"), ("uuid", "5"), ("inet", "10.0.0.256"), ("cidr", "10.0.0.1/8"), ("macaddr", "zz"),
        ("varbit", "012"), ("timetz", "25:00"), ("date", "2024-02-30"), ("pg_lsn", "x"), ("tid", "5"),
        ("tsquery", "a b"), ("macaddr", MacAddr8("08002b0102030405")), ("regclass", "never_made"),
    ],
)  # fmt: skip
def test_a_str_that_the_server_refuses_raises_the_same_class_with_its_sqlstate(
    sync_pool: ConnectionPool, type_name: str, value: Any
) -> None:
    with sync_pool.acquire() as connection:
        with pytest.raises(PyToRustValueMappingError) as caught:
            connection.execute(f"SELECT $1::{type_name}", [value])
        assert caught.value.sqlstate and caught.value.sqlstate[:2] in ("22", "42")
        assert connection.fetch_val("SELECT 1") == 1


def test_text_for_an_integer_names_its_sqlstate(sync_pool: ConnectionPool) -> None:
    with pytest.raises(InvalidTextRepresentation):
        sync_pool.fetch_val("SELECT $1::int4", ["five"])
