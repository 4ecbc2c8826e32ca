"""interval, as timedelta: a month counts 30 days, a year 360."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from itertools import starmap
from struct import Struct
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._codecs.literal import timedelta_fields
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_fields_bytes = Struct(">qii").pack  # microseconds, days, months


def _convert(fields: tuple[int, int, int]) -> timedelta:
    return timedelta(*fields)


def _convert_column(column: Iterable[tuple[int, int, int]]) -> Iterable[timedelta]:
    return starmap(timedelta, column)


# A text is in one of the four styles only, whatever IntervalStyle is (src/backend/utils/adt/datetime.c,
# EncodeInterval).
_FRACTION = r"(?:\.(?P<fraction>\d{1,6}))?"
_CLOCK = rf"(?P<clock_sign>[+-]?)(?P<hour>\d+):(?P<minute>\d\d):(?P<second>\d\d){_FRACTION}"
_STYLES = {
    "postgres": (
        r"(?=.)(?:(?P<year>[+-]?\d+) years?(?: |$))?(?:(?P<month>[+-]?\d+) mons?(?: |$))?"
        rf"(?:(?P<day>[+-]?\d+) days?(?: |$))?(?:{_CLOCK})?"
    ),
    "sql_standard": (
        r"0|(?=.)(?:(?P<year_sign>[+-]?)(?P<year>\d+)-(?P<month>\d+)(?: |$))?"
        rf"(?:(?:(?P<day_sign>[+-]?)(?P<day>\d+) )?{_CLOCK})?"
    ),
    "iso_8601": (
        r"P(?=.)(?:(?P<year>-?\d+)Y)?(?:(?P<month>-?\d+)M)?(?:(?P<day>-?\d+)D)?"
        r"(?:T(?=.)(?:(?P<hour>-?\d+)H)?(?:(?P<minute>-?\d+)M)?"
        rf"(?:(?P<second_sign>-?)(?P<second>\d+){_FRACTION}S)?)?"
    ),
    "postgres_verbose": (
        r"@(?=.)(?: (?P<year>-?\d+) years?)?(?: (?P<month>-?\d+) mons?)?(?: (?P<day>-?\d+) days?)?"
        r"(?: (?P<hour>-?\d+) hours?)?(?: (?P<minute>-?\d+) mins?)?"
        rf"(?: (?P<second_sign>-?)(?P<second>\d+){_FRACTION} secs?)?(?: 0)?(?P<ago> ago)?"
    ),
}


@cache
def _pattern(style: str) -> re.Pattern[str]:
    return re.compile(_STYLES[style], re.ASCII)


def from_text(text: str) -> timedelta:
    if text in ("infinity", "-infinity"):
        raise ValueError("Python has no infinite value of this type: cast the column to text to read it")
    match = next(filter(None, (_pattern(style).fullmatch(text) for style in _STYLES)), None)
    if match is None:
        raise ValueError("the text isn't in any IntervalStyle of PostgreSQL's")
    part = match.groupdict()

    def number(name: str) -> int:
        return int(part.get(name) or 0)

    def signed(value: int, sign: str | None) -> int:
        return -value if sign == "-" else value

    months = signed(number("year") * 12 + number("month"), part.get("year_sign"))
    day_sign = part.get("day_sign")
    second = number("second") * 1_000_000 + int((part["fraction"] or "").ljust(6, "0"))
    clock = 60_000_000 * (60 * number("hour") + number("minute")) + signed(second, part.get("second_sign"))
    try:
        found = timedelta(
            days=months * 30 + signed(number("day"), day_sign),
            # In sql_standard one sign at the beginning is everything's.
            microseconds=signed(clock, part.get("clock_sign") or day_sign),
        )
        return -found if part.get("ago") else found
    except OverflowError:
        raise ValueError("the value is out of Python's range: cast the column to text to read it") from None


def _dump(value: Any) -> Dumped:
    if not isinstance(value, timedelta):
        raise TypeError
    days, microseconds = timedelta_fields(value)
    return BINARY, _fields_bytes(microseconds, days, 0)


def register(registry: Registry) -> None:
    registry.add(
        Codec(
            oids.INTERVAL,
            "interval",
            kind=Kind.INTERVAL,
            convert=_convert,
            convert_column=_convert_column,
            from_text=from_text,
            dump=_dump,
        )
    )
