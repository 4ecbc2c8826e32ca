"""Dates in text as DateStyles other than ISO print them: only the session's settings tell what they mean.

Which style it is, whether 01/02 is in January or in February, and which offset from UTC a zone's abbreviation has.
(src/backend/utils/adt/datetime.c, EncodeDateOnly and EncodeDateTime.)
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.beyond import CYCLE, DAY
from psqlpy._codecs.codec import Codec
from psqlpy._codecs.datetime import (
    Reader,
    clock_number,
    date_number,
    day_number,
    dump_date,
    dump_timestamp,
    timestamp_number,
)

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SEPARATORS = {"SQL": "/", "German": r"\.", "Postgres": "-"}
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
_ZONE = r" (?P<zone>\S+)"
_INFINITE = ("infinity", "-infinity")
_MICROSECOND = timedelta(microseconds=1)
_OFFSET = r"([+-])(\d\d)(?::?(\d\d)(?::?(\d\d))?)?"


def register(registry: Registry, date_style: str, time_zone: str) -> None:
    """Read dates as a session prints them whose `DateStyle` and `TimeZone` are these."""
    style, _, order = date_style.partition(", ")
    if style not in _SEPARATORS:
        return
    day_first = order == "DMY" or style == "German"
    first, second = ("day", "month") if day_first else ("month", "day")
    separator = _SEPARATORS[style]
    day = rf"(?P<{first}>\d\d){separator}(?P<{second}>\d\d){separator}(?P<year>\d{{4,}})"
    if style == "Postgres":
        words = (
            r"(?P<day>\d\d) (?P<month>[A-Z][a-z]{2})"
            if day_first
            else r"(?P<month>[A-Z][a-z]{2}) (?P<day>\d\d)"
        )
        moment = rf"[A-Z][a-z]{{2}} {words} {_TIME} (?P<year>\d{{4,}})"
    else:
        moment = f"{day} {_TIME}"
    zone = _zone(time_zone)
    reader = Reader(registry.out_of_range_dates)

    def read_date(text: str) -> Any:
        return reader.date(date_number(text) if text in _INFINITE else day_number(_fields(day, text)))

    def read_timestamp(text: str) -> Any:
        return reader.timestamp(
            timestamp_number(text) if text in _INFINITE else _local(_fields(moment, text))
        )

    def read_timestamptz(text: str) -> Any:
        if text in _INFINITE:
            return reader.timestamptz(timestamp_number(text))
        fields = _fields(moment + _ZONE, text)
        local = _local(fields)
        return reader.timestamptz(local - _offset(fields["zone"], local, zone) // _MICROSECOND)

    registry.add(Codec(oids.DATE, "date", from_text=read_date, dump=dump_date, dated=True))
    registry.add(
        Codec(oids.TIMESTAMP, "timestamp", from_text=read_timestamp, dump=dump_timestamp, dated=True)
    )
    registry.add(
        Codec(oids.TIMESTAMPTZ, "timestamptz", from_text=read_timestamptz, dump=dump_timestamp, dated=True)
    )


def _fields(pattern: str, text: str) -> dict[str, str]:
    found = re.fullmatch(f"{pattern}(?P<era> BC)?", text, re.ASCII)
    if found is None:
        raise ValueError("the text isn't in the session's DateStyle: set DateStyle to ISO")
    fields = found.groupdict("")
    if fields["month"] in _MONTHS:
        fields["month"] = str(_MONTHS.index(fields["month"]) + 1)
    return fields


def _local(fields: dict[str, str]) -> int:
    """Microseconds since 2000-01-01 on the clocks of the session's zone."""
    return day_number(fields) * DAY + clock_number(fields)


def _zone(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # POSIX's notation, or no data of zones here
        return None


def _offset(abbreviation: str, microseconds: int, zone: tzinfo | None) -> timedelta:
    if abbreviation in ("UTC", "GMT"):
        return timedelta()
    numeric = re.fullmatch(_OFFSET, abbreviation, re.ASCII)
    if numeric is not None:
        sign, hours, minutes, seconds = numeric.groups("0")
        offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
        return -offset if sign == "-" else offset
    try:
        local = datetime(2000, 1, 1) + timedelta(microseconds=microseconds)
    except OverflowError:
        # Nobody had time zones BC; from some day on they have the same rules for ever, as the calendar has.
        later = microseconds % CYCLE + 5 * CYCLE
        local = datetime.min if microseconds < 0 else datetime(2000, 1, 1) + timedelta(microseconds=later)
    # In the hour that comes twice the abbreviation tells which one it is.
    moments = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    offsets = {moment.utcoffset() for moment in moments if zone and moment.tzname() == abbreviation}
    offset_found = offsets.pop() if len(offsets) == 1 else None
    if offset_found is None:
        raise ValueError(f"the offset of the time zone {abbreviation} isn't known here: set DateStyle to ISO")
    return offset_found
