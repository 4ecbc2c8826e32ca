"""Defects of the Rust driver in values of scalar types: what it stored or read wrongly is right, or an error, here."""

from __future__ import annotations

from datetime import date, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_interface, ip_network
from typing import Any
from uuid import UUID

import pytest

from psqlpy.exceptions import PyToRustValueMappingError
from psqlpy.extra_types import BigInt, Float32Array, Money, VarCharArray
from psqlpy.sync import ConnectionPool


@pytest.mark.parametrize(
    ("type_name", "value", "stored"),
    [
        ("numeric", BigInt(5), "5"),
        ("numeric", Money(5), "5"),
        ("numeric", Decimal("1e-40"), "0." + "0" * 39 + "1"),
        ("numeric", Decimal("1E+5"), "100000"),
        ("bpchar", True, "true"),
        ("bytea[]", [b"a", b"\0"], '{"\\\\x61","\\\\x00"}'),
        ("oid", 2**31, "2147483648"),
        ("inet", ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
        ("jsonb", {"b": 2**40, "a": -(2**63)}, '{"a": -9223372036854775808, "b": 1099511627776}'),
        ("jsonb", [2**64], "[18446744073709551616]"),
        ("json", {"b": 1, "a": 2}, '{"b":1,"a":2}'),
        ("float4[]", Float32Array([1.5, None]), "{1.5,NULL}"),
        ("text[]", VarCharArray(["a", None]), "{a,NULL}"),
        ("timetz", time(1, tzinfo=timezone.utc), "01:00:00+00"),
    ],
)  # fmt: skip
def test_defect_6_silent_corruption_when_writing(
    sync_pool: ConnectionPool, type_name: str, value: Any, stored: str
) -> None:
    assert sync_pool.fetch_val(f"SELECT $1::{type_name}::text", [value]) == stored


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("oid", date(2024, 1, 2)), ("oid", -1), ("interval", UUID(int=5)), ("uuid", timedelta(1)),
        ("jsonb", {"a": float("nan")}), ("text", {"a": 1}), ("bytea", UUID(int=5)), ("bytea", Decimal(5)),
    ],
)  # fmt: skip
def test_defect_6_what_would_corrupt_is_refused(
    sync_pool: ConnectionPool, type_name: str, value: Any
) -> None:
    with pytest.raises(PyToRustValueMappingError):
        sync_pool.fetch_val(f"SELECT $1::{type_name}", [value])


def test_defect_6_silent_corruption_when_reading(sync_pool: ConnectionPool) -> None:
    row = sync_pool.fetch_row(
        "SELECT 4294967295::oid AS o, 1e-40::numeric AS n, '{\"b\": 1, \"a\": 2}'::json AS j, '10.0.0.1/8'::inet AS i"
    ).result()
    assert row == {
        "o": 2**32 - 1,
        "n": Decimal("1e-40"),
        "j": {"b": 1, "a": 2},
        "i": ip_interface("10.0.0.1/8"),
    }
    assert list(row["j"]) == ["b", "a"]


def test_defect_6_an_interval_copied_as_text_keeps_its_months(sync_pool: ConnectionPool) -> None:
    with sync_pool.acquire() as connection:
        connection.execute("CREATE TEMP TABLE spans (i interval)")
        texts = ["1 mon", "-2 years -3 mons +4 days -05:06:07.5", "178000000 years", "P1M2DT3S"]
        # What Python has goes first: the others then come when the data is on its way in binary.
        assert connection.copy_records_to_table("spans", [(timedelta(1),), *zip(texts, strict=True)]) == 5
        found = connection.fetch("SELECT i::text FROM spans OFFSET 1").result(as_tuple=True)
    assert [text for (text,) in found] == [*texts[:3], "1 mon 2 days 00:00:03"]


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("date", "infinity"), ("date", "0044-03-15 BC"), ("date", "12000-01-01"), ("time", "24:00:00"),
        ("timestamp", "-infinity"), ("timestamp", "12000-01-01 00:00:00.5"),
        ("timestamptz", "0044-03-15 00:00:00+00 BC"), ("timestamptz[]", "{infinity,NULL}"),
        ("daterange", "[-infinity,infinity)"), ("varbit", "01101"), ("int2vector", "1 2"),
        ("macaddr8", "08:00:2b:ff:fe:01:02:03"), ("macaddr8[]", "{08:00:2b:ff:fe:01:02:03}"),
    ],
)  # fmt: skip
def test_texts_are_copied_behind_records_of_nulls(
    sync_pool: ConnectionPool, type_name: str, text: str
) -> None:
    """What Python has not, and what goes as text for a parameter; the first record says nothing of it."""
    with sync_pool.acquire() as connection:
        connection.execute(f"CREATE TEMP TABLE texts (v {type_name})")
        connection.execute("SET TimeZone = 'UTC'")
        assert connection.copy_records_to_table("texts", [(None,), (text,)]) == 2
        assert connection.fetch_val("SELECT v::text FROM texts WHERE v IS NOT NULL") == text
        with pytest.raises(
            PyToRustValueMappingError, match=r'record 1, column "v" .*: (the text isn|a bit string)'
        ):
            connection.copy_records_to_table("texts", [("no such thing",)])
        assert connection.fetch_val("SELECT count(*) FROM texts") == 2


def test_other_forms_of_bits_and_addresses_are_copied(sync_pool: ConnectionPool) -> None:
    """As the server's own functions read them."""
    bits = ["", "x1F", "X0", "b101", "B1", "111111111"]
    addresses = ["08002b:010203", "0800.2b01.0203", "08-00-2b-01-02-03", "08002B010203", "8:0:2b:1:2:3"]
    with sync_pool.acquire() as connection:
        for type_name, texts in (("varbit", bits), ("macaddr", addresses), ("macaddr8", addresses[:-1])):
            connection.execute(f"CREATE TEMP TABLE {type_name}s (i int, v {type_name})")
            connection.copy_records_to_table(f"{type_name}s", list(enumerate(texts)))
            wrong = "SELECT ($1::text[])[i + 1] FROM {0}s WHERE v <> ($1::text[])[i + 1]::{0}"
            assert connection.fetch(wrong.format(type_name), [texts]).result() == []


def test_defect_6_intervals_copied_as_text_within_others_keep_their_months(sync_pool: ConnectionPool) -> None:
    with sync_pool.acquire() as connection:
        connection.execute_batch(
            "CREATE TYPE pg_temp.spell AS RANGE (subtype = interval); CREATE TYPE pg_temp.held AS (i interval);"
            "CREATE TEMP TABLE spells (a interval[], r pg_temp.spell, c pg_temp.held)"
        )
        # What Python has goes first, so that the data is on its way in binary.
        records = [([timedelta(1)], None, None), ("{1 mon}", '["1 mon","178000000 years")', "(1 mon)")]
        assert connection.copy_records_to_table("spells", records) == 2
        found = connection.fetch_row(
            "SELECT a::text, r::text, c::text FROM spells WHERE c IS NOT NULL"
        ).result()
    assert found == {"a": '{"1 mon"}', "r": '["1 mon","178000000 years")', "c": '("1 mon")'}


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("'ab'::char(3)", "ab "), ("'{1,NULL}'::int4[]", [1, None]), ("'{\\\\x61}'::bytea[]", [b"a"]),
        ("'NaN'::numeric", Decimal("NaN")), ("1e100::numeric", Decimal(10**100)),
        ("'10.0.0.0/8'::cidr", ip_network("10.0.0.0/8")), ("timetz '01:00+00'", time(1, tzinfo=timezone.utc)),
        ("B'01'", "01"), ("pg_sleep(0)", None), ("'{a}'::name[]", ["a"]), ("'{ab}'::char(3)[]", ["ab "]),
        ("'{08002b010203}'::macaddr[]", ["08:00:2B:01:02:03"]), ("'{01}'::bit(2)[]", ["01"]),
    ],
)  # fmt: skip
def test_defect_7_common_types_that_could_not_be_read(
    sync_pool: ConnectionPool, sql: str, value: Any
) -> None:
    assert repr(sync_pool.fetch_val(f"SELECT {sql}")) == repr(value)
