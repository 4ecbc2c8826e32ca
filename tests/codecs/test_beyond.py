"""Infinite dates, those BC and after 9999, 24:00, and intervals too long: under each policy, in each format and style.

What becomes of them by default, a DataError, is in test_malformed.py.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy._codecs import oids
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy.exceptions import DataError
from tests.codecs.rig import Rig, ServerError

UTC = timezone.utc
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
REGISTRIES = {
    policy: Registry(default_registry, out_of_range_dates=policy) for policy in ("raise", "clamp", "text")
}
PLUS_TWO = timezone(timedelta(hours=2))

# type, the text of a value that Python hasn't, the nearest that it has
BEYOND: list[tuple[str, str, Any]] = [
    ("date", "infinity", date.max),
    ("date", "-infinity", date.min),
    ("date", "10000-01-01", date.max),
    ("date", "5874897-12-31", date.max),
    ("date", "0001-12-31 BC", date.min),
    ("date", "0005-02-29 BC", date.min),
    ("date", "4713-01-01 BC", date.min),
    ("time", "24:00:00", time.max),
    ("timetz", "24:00:00+02", time.max.replace(tzinfo=PLUS_TWO)),
    ("timestamp", "infinity", datetime.max),
    ("timestamp", "-infinity", datetime.min),
    ("timestamp", "10000-01-01 00:00:00", datetime.max),
    ("timestamp", "294276-12-31 23:59:59.999999", datetime.max),
    ("timestamp", "0001-12-31 23:59:59.999999 BC", datetime.min),
    ("timestamp", "4713-01-01 00:00:00 BC", datetime.min),
    ("timestamptz", "infinity", LAST),
    ("timestamptz", "-infinity", FIRST),
    ("timestamptz", "12345-07-08 09:10:11.5+00", LAST),
    ("timestamptz", "0044-03-15 12:00:00+00 BC", FIRST),
    ("interval", "100000000 years 5 mons -3 days +04:05:06.7", timedelta.max),
    ("interval", "-100000000 years -1 mons +3 days -04:05:06", timedelta.min),
    ("interval", "1000000000 days", timedelta.max),
]
INFINITE_INTERVALS = [("interval", "infinity", timedelta.max), ("interval", "-infinity", timedelta.min)]


def read(rig: Rig, type_name: str, text: str, policy: str, format: int) -> tuple[Any, ...]:
    value = f"CAST('{text}' AS {type_name})"
    # Three rows, since one is decoded in another way.
    query = f"SELECT {value}, ARRAY[{value}, NULL] FROM generate_series(1, 3)"
    registry = REGISTRIES[policy]
    rows = rig.fetch(query, format=format, registry=registry)
    assert rows == rig.fetch(f"{query} LIMIT 1", format=format, registry=registry) * 3
    return rows[0]


def refused_here(rig: Rig, case: tuple[str, str, Any]) -> bool:
    """Intervals are infinite from PostgreSQL 17 on; before, the server says no."""
    newer = "SELECT current_setting('server_version_num')::int4 >= 170000"
    if case not in INFINITE_INTERVALS or rig.fetch(newer) == [(True,)]:
        return False
    with pytest.raises(ServerError, match="invalid input syntax"):
        rig.fetch("SELECT $1::interval", [case[1]], registry=REGISTRIES["text"])
    return True


@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
@pytest.mark.parametrize("case", [*BEYOND, *INFINITE_INTERVALS], ids=lambda case: f"{case[0]} {case[1]}")
def test_clamp_and_text_and_raise(rig: Rig, case: tuple[str, str, Any], format: int) -> None:
    type_name, text, nearest = case
    if refused_here(rig, case):
        return
    assert read(rig, type_name, text, "clamp", format) == (nearest, [nearest, None])
    assert repr(read(rig, type_name, text, "clamp", format)[0]) == repr(nearest)
    assert read(rig, type_name, text, "text", format) == (text, [text, None])
    message = "infinite" if "infinity" in text else "range"
    with pytest.raises(DataError, match=message):
        read(rig, type_name, text, "raise", format)


@pytest.mark.parametrize("case", [*BEYOND, *INFINITE_INTERVALS], ids=lambda case: f"{case[0]} {case[1]}")
def test_what_was_read_as_text_can_be_given_back(rig: Rig, case: tuple[str, str, Any]) -> None:
    type_name, text, nearest = case
    if refused_here(rig, case):
        return
    query = f"SELECT $1::{type_name} = '{text}', $2::{type_name}[] = ARRAY['{text}', NULL]::{type_name}[]"
    for registry in REGISTRIES.values():
        assert rig.fetch(query, [text, [text, None]], registry=registry) == [(True, True)]
    # Together with values that Python has. An interval's text depends on IntervalStyle, so only the server reads it.
    if type_name != "interval":
        mixed = f"SELECT $1::{type_name}[]"
        assert rig.fetch(mixed, [[text, nearest]], registry=REGISTRIES["text"]) == [([text, nearest],)]
    # And the nearest value isn't taken for an infinite one.
    assert rig.fetch(f"SELECT $1::{type_name}", [nearest], registry=REGISTRIES["clamp"]) == [(nearest,)]


def test_other_texts_are_the_server_s(rig: Rig) -> None:
    query = "SELECT $1::date, $2::timestamptz, $3::time, $4::date[], $5::timetz, $6::date"
    given = [
        "epoch",
        "2024-01-02 03:04:05.5 Europe/Berlin",
        "04:05 PM",
        ["Jan 2, 2024"],
        "01:02 +3",
        "2024-01-02",
    ]
    expected = (
        date(1970, 1, 1),
        datetime(2024, 1, 2, 2, 4, 5, 500000, UTC),
        time(16, 5),
        [date(2024, 1, 2)],
        time(1, 2, tzinfo=timezone(timedelta(hours=3))),
        date(2024, 1, 2),
    )
    for registry in REGISTRIES.values():
        assert rig.fetch(query, given, registry=registry) == [expected]


@pytest.mark.parametrize("policy", ["raise", "clamp", "text"])
@pytest.mark.parametrize("format", [0, 1], ids=["text", "binary"])
def test_values_that_python_has_are_the_same_under_every_policy(rig: Rig, policy: str, format: int) -> None:
    row = (
        date(2024, 2, 29), time(23, 59, 59, 999999), time(1, tzinfo=PLUS_TWO), datetime.max, FIRST, LAST,
        timedelta(days=-400, microseconds=1), [date.min, None, date.max],
    )  # fmt: skip
    types = ("date", "time", "timetz", "timestamp", "timestamptz", "timestamptz", "interval", "date[]")
    query = "SELECT " + ", ".join(f"${number}::{name}" for number, name in enumerate(types, 1))
    assert rig.fetch(query, row, format=format, registry=REGISTRIES[policy]) == [row]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("style", ["ISO, DMY", "SQL, MDY", "Postgres, DMY", "German, DMY"])
def test_the_session_s_style_and_zone_make_no_difference(rig: Rig, style: str, zone: str) -> None:
    cases = [case for case in BEYOND if case[0] in ("date", "timestamp", "timestamptz")]
    query = "SELECT " + ", ".join(f"CAST('{text}' AS {name})" for name, text, _ in cases)
    rig.script(f"SET TimeZone = '{zone}'")
    rig.script(f"SET DateStyle = '{style}'")
    try:
        for policy, column in (("text", 1), ("clamp", 2)):
            registry = REGISTRIES[policy].in_style(style, zone)
            assert rig.fetch(query, format=0, registry=registry) == [tuple(case[column] for case in cases)]
    finally:
        rig.script("RESET TimeZone; SET DateStyle = 'ISO'")


@pytest.mark.parametrize("style", ["postgres", "sql_standard", "iso_8601", "postgres_verbose"])
def test_long_intervals_in_every_style(rig: Rig, style: str) -> None:
    cases = [case for case in BEYOND if case[0] == "interval"]
    query = "SELECT " + ", ".join(f"interval '{text}'" for _, text, _ in cases)
    rig.script(f"SET IntervalStyle = '{style}'")
    try:
        row = rig.fetch(query, format=0, registry=REGISTRIES["text"])
    finally:
        rig.script("RESET IntervalStyle; SET IntervalStyle = 'postgres'")
    assert row == [tuple(text for _, text, _ in cases)]


def test_children_keep_the_policy_and_may_have_another() -> None:
    child = Registry(REGISTRIES["text"], uuid_as_object=True)
    assert child.out_of_range_dates == "text"
    assert Registry(child, out_of_range_dates="raise").out_of_range_dates == "raise"
    assert default_registry.out_of_range_dates == "raise"
    with pytest.raises(ValueError, match="must be 'raise', 'clamp' or 'text', not 'ignore'"):
        Registry(default_registry, out_of_range_dates="ignore")


# All that PostgreSQL has (src/include/datatype/timestamp.h).
DAYS = st.integers(-2451545, 2145031948)
MICROSECONDS = st.integers(-211813488000000000, 9223371331199999999)
INT4 = st.integers(-(2**31) + 1, 2**31 - 2)
INTERVALS = st.tuples(st.integers(-(2**63) + 1, 2**63 - 1), INT4, INT4)


def check_texts(rig: Rig, examples: int) -> None:
    registry = REGISTRIES["text"]

    @settings(deadline=None, max_examples=examples)
    @given(days=DAYS, microseconds=MICROSECONDS, fields=INTERVALS)
    def check(days: int, microseconds: int, fields: tuple[int, int, int]) -> None:
        clock, day_field, months = fields
        query = (
            "WITH x AS (SELECT date '2000-01-01' + $1::int4 AS a, $2::text::timestamp AS b, $2::text::timestamp AT"
            " TIME ZONE 'UTC' AS c, make_interval(months => $3, days => $4) + $5::text::interval AS d)"
            " SELECT a, b, c, d, a::text, b::text, c::text, d::text FROM x"
        )
        moment = registry.codec(oids.TIMESTAMP)
        assert moment is not None and moment.convert is not None
        shown = str(moment.convert(microseconds))
        given = [days, shown, months, day_field, f"{clock} us"]
        (row,) = rig.fetch(query, given, format=1, registry=registry)
        assert [row] == rig.fetch(query, given, format=0, registry=registry)
        for value, text in zip(row[:4], row[4:], strict=True):
            assert not isinstance(value, str) or value == text

    rig.script("SET TimeZone = 'UTC'")
    try:
        check()
    finally:
        rig.script("RESET TimeZone")


def test_texts_are_what_the_server_prints(rig: Rig) -> None:
    check_texts(rig, 50)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_texts_are_what_the_server_prints_for_long(rig: Rig) -> None:
    check_texts(rig, 2000)
