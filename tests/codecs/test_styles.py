"""Values in text, beside a type that we don't know, are the same in every style that a session may have set."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from psqlpy._codecs.registry import default_registry
from psqlpy.exceptions import DataError
from tests.codecs.rig import Rig

INTERVALS = (
    "1 year 2 mons 3 days -04:05:06.7",
    "-1 year -2 mons +3 days",
    "-1 day -02:03:04.5",
    "1 day -00:00:00.000001",
    "-1 day +10:00:00",
    "-3 days",
    "-1 year",
    "400 days",
    "10:00:00",
    "-00:00:00.5",
    "00:05:00",
    "1 sec",
    "0",
    "2562047788:00:54.775807",
)
MOMENTS = (
    "2024-02-03 04:05:06.789+00",
    "2024-10-27 00:30:00+00",  # the hour that comes twice in Berlin, for the first time and again
    "2024-10-27 01:30:00+00",
    "2024-12-25 13:00:00.000001+00",
    "0099-01-02 00:00:00+00",
    "9998-12-31 23:59:59.999999+00",
)
UNKNOWN = "'1:1:'::pg_snapshot"


@pytest.mark.parametrize("style", ["postgres", "sql_standard", "iso_8601", "postgres_verbose"])
def test_intervals(rig: Rig, style: str) -> None:
    columns = ", ".join(f"interval '{value}', ARRAY[interval '{value}']" for value in INTERVALS)
    rig.script(f"SET IntervalStyle = '{style}'")
    try:
        (expected,) = rig.fetch(f"SELECT {columns}", format=1)
        assert rig.fetch(f"SELECT {columns}, {UNKNOWN}") == [(*expected, "1:1:")]
        with pytest.raises(DataError, match="range"):
            rig.fetch(f"SELECT interval '178000000 years', {UNKNOWN}")
    finally:
        rig.script("RESET IntervalStyle; SET IntervalStyle = 'postgres'")


def test_bytea_in_escape_format(rig: Rig) -> None:
    values = [b"", b"\0", b"\\", b"\\x", b"\\\\000", b"\0\1\xff\x7f\x80'\\", b"abc", bytes(range(256))]
    columns = ", ".join(f"'\\x{value.hex()}'::bytea" for value in values)
    rig.script("SET bytea_output = 'escape'")
    try:
        rows = rig.fetch(f"SELECT {columns}, ARRAY[{columns}], {UNKNOWN}")
    finally:
        rig.script("SET bytea_output = 'hex'")
    assert rows == [(*values, values, "1:1:")]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "<+03>-3"])
@pytest.mark.parametrize("style", ["SQL, MDY", "SQL, DMY", "Postgres, MDY", "Postgres, DMY", "German, DMY"])
def test_dates(rig: Rig, style: str, zone: str) -> None:
    columns = ", ".join(
        f"timestamptz '{value}', timestamp '{value}', date '{value}', ARRAY[timestamptz '{value}', NULL]"
        for value in MOMENTS
    )
    registry = default_registry.in_style(style, zone)
    assert registry is default_registry.in_style(style, zone)
    rig.script(f"SET DateStyle = '{style}'; SET TimeZone = '{zone}'")
    try:
        (expected,) = rig.fetch(f"SELECT {columns}", format=1)
        assert rig.fetch(f"SELECT {columns}, {UNKNOWN}", registry=registry) == [(*expected, "1:1:")]
        for value, message in (
            ("date 'infinity'", "infinite"),
            ("timestamptz '-infinity'", "infinite"),
            ("date '0044-03-15 BC'", "range"),
            ("timestamp '10000-01-01'", "range"),
            ("timestamptz '0044-03-15 BC'", "range"),
        ):
            with pytest.raises(DataError, match=message):
                rig.fetch(f"SELECT {value}, {UNKNOWN}", registry=registry)
    finally:
        rig.script("RESET TimeZone; SET DateStyle = 'ISO'")


@pytest.mark.parametrize("style", ["ISO, MDY", "SQL, DMY", "Postgres, DMY", "German, DMY"])
def test_a_text_in_another_style_than_the_session_s_is_refused(rig: Rig, style: str) -> None:
    registry = default_registry.in_style(style, "UTC")
    for other in ("ISO", "SQL", "Postgres", "German"):
        if not style.startswith(other):
            rig.script(f"SET DateStyle = '{other}'")
            with pytest.raises(DataError, match="set DateStyle to ISO"):
                rig.fetch(f"SELECT date '2024-01-02', {UNKNOWN}", registry=registry)
    rig.script("SET DateStyle = 'ISO'")


def test_an_abbreviation_that_the_zone_does_not_have(rig: Rig) -> None:
    rig.script("SET DateStyle = 'SQL'; SET TimeZone = 'Europe/Berlin'")
    try:
        for zone in ("Asia/Kolkata", "Nowhere/At_All", ""):
            registry = default_registry.in_style("SQL, MDY", zone)
            with pytest.raises(DataError, match="time zone CET isn't known"):
                rig.fetch(f"SELECT timestamptz '2024-01-02 00:00+00', {UNKNOWN}", registry=registry)
    finally:
        rig.script("RESET TimeZone; SET DateStyle = 'ISO'")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_the_ends_of_time_in_another_zone(rig: Rig, zone: str) -> None:
    first = datetime.min.replace(tzinfo=timezone.utc)
    last = datetime.max.replace(tzinfo=timezone.utc)
    rig.script(f"SET TimeZone = '{zone}'")
    try:
        query = f"SELECT timestamptz '{first}', timestamptz '{last}', {UNKNOWN}"
        assert rig.fetch(query) == [(first, last, "1:1:")]
    finally:
        rig.script("RESET TimeZone")
