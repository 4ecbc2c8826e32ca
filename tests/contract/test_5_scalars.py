"""What the built-in scalar types become in Python. Containers, geometry, ranges and users' own types are elsewhere.

Long, since it is a table.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest

from psqlpy.exceptions import DataError, RustToPyValueMappingError
from psqlpy.sync import ConnectionPool

UTC = timezone.utc

# row: (SQL, value)…
ROWS: dict[str, list[tuple[str, Any]]] = {
    "int2, int4, int8 are int": [("'-7'::int2", -7), ("7::int4", 7), ("7::int8", 7)],
    "oid is unsigned": [("4294967295::oid", 4294967295)],
    "xid, xid8 and cid are int": [
        ("'4294967295'::xid", 4294967295),
        ("'18446744073709551615'::xid8", 2**64 - 1),
        ("'7'::cid", 7),
    ],
    "regclass and regtype are the names": [
        ("'pg_type'::regclass", "pg_type"),
        ("'int4'::regtype", "integer"),
        ("'pg_catalog'::regnamespace", "pg_catalog"),
    ],
    "tid and pg_lsn are text": [("'(1,2)'::tid", "(1,2)"), ("'16/B374D848'::pg_lsn", "16/B374D848")],
    "numeric is Decimal with its scale": [
        ("1.500::numeric", Decimal("1.500")),
        ("1e-10::numeric", Decimal("1E-10")),
        ("1e-40::numeric", Decimal("1E-40")),
        ("1e100::numeric", Decimal(10**100)),
        ("79228162514264337593543950336::numeric", Decimal("79228162514264337593543950336")),
    ],
    "numeric has NaN and infinity": [
        ("'NaN'::numeric", Decimal("NaN")),
        ("'Infinity'::numeric", Decimal("Infinity")),
        ("'-Infinity'::numeric", Decimal("-Infinity")),
    ],
    "float4 and float8 are float": [("1.1::float4", 1.100000023841858), ("'inf'::float8", float("inf"))],
    "money is int, in cents": [("'$12.34'::money", 1234), ("'-$0.05'::money", -5)],
    "text, varchar, name, unknown are str": [
        ("'ü'::text", "ü"),
        ("'a'::varchar(3)", "a"),
        ("'a'::name", "a"),
        ("'a'", "a"),
    ],
    '"char" is str': [("'a'::\"char\"", "a"), ("''::\"char\"", "\0"), ('(-23)::"char"', "é")],
    "char(n) is str": [("'ab'::char(4)", "ab  ")],
    "bytea is bytes": [("'\\x00ff'::bytea", b"\0\xff")],
    "bool is bool": [("true", True)],
    "date is date": [("date '2024-02-29'", date(2024, 2, 29))],
    "time is time": [("time '01:02:03.5'", time(1, 2, 3, 500000))],
    "timetz is a time with tzinfo": [("timetz '01:02+02'", time(1, 2, tzinfo=timezone(timedelta(hours=2))))],
    "timestamp is a naive datetime": [("timestamp '2024-01-02 03:04'", datetime(2024, 1, 2, 3, 4))],
    "timestamptz is an aware datetime in UTC": [
        ("timestamptz '2024-01-02 03:04+02'", datetime(2024, 1, 2, 1, 4, tzinfo=UTC))
    ],
    "interval is timedelta, a month being 30 days": [
        ("interval '1 year 2 mons 3 days'", timedelta(days=423)),
        ("interval '-1 day 01:00'", timedelta(days=-1, hours=1)),
    ],
    "uuid is str": [("'550E8400-e29b-41d4-a716-446655440000'::uuid", "550e8400-e29b-41d4-a716-446655440000")],
    "inet keeps its mask": [
        ("'10.0.0.1'::inet", IPv4Address("10.0.0.1")),
        ("'10.0.0.1/8'::inet", IPv4Interface("10.0.0.1/8")),
        ("'::1'::inet", IPv6Address("::1")),
    ],
    "cidr is a network": [
        ("'10.0.0.0/8'::cidr", IPv4Network("10.0.0.0/8")),
        ("'2001:db8::/32'::cidr", IPv6Network("2001:db8::/32")),
    ],
    "macaddr and macaddr8 are str in upper case": [
        ("'08:00:2b:01:02:ff'::macaddr", "08:00:2B:01:02:FF"),
        ("'08:00:2b:01:02:03:04:ff'::macaddr8", "08:00:2B:01:02:03:04:FF"),
    ],
    "json and jsonb are what json.loads makes of them": [
        ('\'{"b": 1, "a": [1.5, null, true, "x"]}\'::json', {"b": 1, "a": [1.5, None, True, "x"]}),
        ("'123456789012345678901234567890'::jsonb", 123456789012345678901234567890),
    ],
    "bit and varbit are str of 0 and 1": [("B'0101'", "0101"), ("''::varbit", "")],
    "tsvector, tsquery and jsonpath are text": [
        ("'b a:1A'::tsvector", "'a':1A 'b'"),
        ("'a & !b'::tsquery", "'a' & !'b'"),
        ("'$.a'::jsonpath", '$."a"'),
    ],
    "int2vector and oidvector are list": [("'1 2'::int2vector", [1, 2]), ("''::oidvector", [])],
    "NULL is None": [("NULL::inet", None), ("NULL::timetz", None)],
}
CASES = [pytest.param(sql, value, id=f"{row}: {sql}") for row in ROWS for sql, value in ROWS[row]]


@pytest.mark.parametrize(("sql", "value"), CASES)
def test_a_value_alone_beside_others_and_in_an_array(sync_pool: ConnectionPool, sql: str, value: Any) -> None:
    found = sync_pool.fetch_val(f"SELECT {sql}")
    assert repr(found) == repr(value)
    row = sync_pool.fetch_row(
        f"SELECT {sql} AS a, ARRAY[{sql}, NULL] AS b, 'pg_type'::regclass AS in_text"
    ).result()
    assert repr(row) == repr({"a": value, "b": [value, None], "in_text": "pg_type"})


@pytest.mark.parametrize(
    "sql",
    [
        "date 'infinity'", "timestamp '-infinity'", "timestamptz 'infinity'", "date '0044-03-15 BC'",
        "timestamp '10000-01-01'", "timestamptz '0044-03-15 BC'", "time '24:00'", "timetz '24:00+00'",
        "interval '178000000 years'",
    ],
)  # fmt: skip
def test_what_python_has_no_value_for_raises_and_the_connection_works_on(
    sync_pool: ConnectionPool, sql: str
) -> None:
    with sync_pool.acquire() as connection:
        for query in (f"SELECT {sql}", f"SELECT ARRAY[{sql}]"):
            with pytest.raises(RustToPyValueMappingError, match="range|infinite") as caught:
                connection.fetch_val(query)
            assert isinstance(caught.value, DataError)
        assert connection.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize(
    "sql", ["'[1e400]'::json", "'{\"a\": -1e400}'::json", "('1e400'::jsonb::text || '.5')::jsonb"]
)
def test_a_number_in_json_that_no_float_holds_raises(sync_pool: ConnectionPool, sql: str) -> None:
    with pytest.raises(RustToPyValueMappingError, match="out of the range of float"):
        sync_pool.fetch_val(f"SELECT {sql}")
    assert sync_pool.fetch_val("SELECT '1e400'::jsonb") == 10**400


def test_xml_is_str(sync_pool: ConnectionPool) -> None:
    has_libxml = sync_pool.fetch_val(
        "SELECT count(*) > 0 FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%--with-libxml%'"
    )
    if not has_libxml:  # the embedded server hasn't
        assert sync_pool.fetch_val("SELECT NULL::xml") is None
        return
    document = "<a>ü &amp; x</a>"
    row = sync_pool.fetch_row("SELECT $1::xml AS a, $2::xml[] AS b", [document, [document, None]]).result()
    assert row == {"a": document, "b": [document, None]}
    assert sync_pool.fetch_val("SELECT $1::xml::text", [5]) == "5"


def test_the_time_zone_of_the_session_makes_no_difference(sync_pool: ConnectionPool) -> None:
    with sync_pool.acquire() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        found = connection.fetch_row(
            "SELECT $1::timestamptz, $2::timetz", [datetime(2024, 1, 2), time(1)]
        ).result()
        assert list(found.values()) == [datetime(2024, 1, 2, tzinfo=UTC), time(1, tzinfo=UTC)]
