"""Dates in text as DateStyles other than ISO print them: only the session's settings tell what they mean.

Which style it is, whether 01/02 is in January or in February, and which offset from UTC a zone's abbreviation has.
(src/backend/utils/adt/datetime.c, EncodeDateOnly and EncodeDateTime.)
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from psqlpy._codecs import oids
from psqlpy._codecs.codec import Codec
from psqlpy._codecs.datetime import OUT_OF_RANGE, dump_date, dump_timestamp, not_finite

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SEPARATORS = {"SQL": "/", "German": r"\.", "Postgres": "-"}
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
_ZONE = r" (?P<zone>\S+)"
_OFFSET = re.compile(r"([+-])(\d\d)(?::?(\d\d)(?::?(\d\d))?)?", re.ASCII)


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

    def read_date(text: str) -> date:
        return _read(day, text).date()

    def read_timestamp(text: str) -> datetime:
        return _read(moment, text)

    def read_timestamptz(text: str) -> datetime:
        return _read(moment + _ZONE, text, zone)

    registry.add(Codec(oids.DATE, "date", from_text=read_date, dump=dump_date, dated=True))
    registry.add(
        Codec(oids.TIMESTAMP, "timestamp", from_text=read_timestamp, dump=dump_timestamp, dated=True)
    )
    registry.add(
        Codec(oids.TIMESTAMPTZ, "timestamptz", from_text=read_timestamptz, dump=dump_timestamp, dated=True)
    )


def _read(pattern: str, text: str, zone: tzinfo | None = None) -> datetime:
    found = re.fullmatch(f"{pattern}(?P<era> BC)?", text, re.ASCII)
    if found is None:
        raise not_finite(text) or ValueError(
            "the text isn't in the session's DateStyle: set DateStyle to ISO"
        )
    part = found.groupdict("0")
    month = _MONTHS.index(part["month"]) + 1 if part["month"] in _MONTHS else int(part["month"])
    hour, minute, second = (int(part.get(name, 0)) for name in ("hour", "minute", "second"))
    fraction = int(part.get("fraction", "0").ljust(6, "0"))
    try:
        if found["era"]:
            raise ValueError
        local = datetime(int(part["year"]), month, int(part["day"]), hour, minute, second, fraction)
    except (ValueError, OverflowError):
        raise ValueError(OUT_OF_RANGE) from None
    if "zone" not in part:
        return local
    offset = _offset(part["zone"], local, zone)
    try:
        return (local - offset).replace(tzinfo=timezone.utc)
    except OverflowError:
        raise ValueError(OUT_OF_RANGE) from None


def _zone(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # POSIX's notation, or no data of zones here
        return None


def _offset(abbreviation: str, local: datetime, zone: tzinfo | None) -> timedelta:
    if abbreviation in ("UTC", "GMT"):
        return timedelta()
    numeric = _OFFSET.fullmatch(abbreviation)
    if numeric is not None:
        sign, hours, minutes, seconds = numeric.groups("0")
        offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
        return -offset if sign == "-" else offset
    # In the hour that comes twice the abbreviation tells which one it is.
    moments = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    offsets = {moment.utcoffset() for moment in moments if zone and moment.tzname() == abbreviation}
    offset_found = offsets.pop() if len(offsets) == 1 else None
    if offset_found is None:
        raise ValueError(f"the offset of the time zone {abbreviation} isn't known here: set DateStyle to ISO")
    return offset_found
