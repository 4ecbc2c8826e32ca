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


@cache
def _pattern() -> re.Pattern[str]:
    """IntervalStyle postgres: `1 year -2 mons +3 days -04:05:06.789`, each part of its own sign."""
    return re.compile(
        r"(?=.)(?:([+-]?\d+) years?(?: |$))?(?:([+-]?\d+) mons?(?: |$))?(?:([+-]?\d+) days?(?: |$))?"
        r"(?:([+-]?)(\d{2,}):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?",
        re.ASCII,
    )


def from_text(text: str) -> timedelta:
    match = _pattern().fullmatch(text)
    if match is None:
        if text in ("infinity", "-infinity"):
            raise ValueError("Python has no infinite value of this type: cast the column to text to read it")
        raise ValueError("the text isn't in PostgreSQL's own style: set IntervalStyle to postgres")
    years, months, days, sign, hours, minutes, seconds, fraction = match.groups()
    microseconds = int((fraction or "").ljust(6, "0"))
    microseconds += 1_000_000 * (int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0))
    try:
        return timedelta(
            days=int(years or 0) * 360 + int(months or 0) * 30 + int(days or 0),
            microseconds=-microseconds if sign == "-" else microseconds,
        )
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
