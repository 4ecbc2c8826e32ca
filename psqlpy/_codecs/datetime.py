"""date, time, timestamp (naive) and timestamptz (aware, UTC). Not here: interval, and timetz, which comes as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from itertools import repeat
from struct import Struct
from typing import TYPE_CHECKING, Any, cast

from psqlpy._codecs import oids
from psqlpy._codecs.codec import BINARY, Codec, Dumped, packer
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_UTC = timezone.utc
_EPOCH = datetime(2000, 1, 1)
_EPOCH_UTC = datetime(2000, 1, 1, tzinfo=_UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND

_DATE = r"(\d{4,})-(\d\d)-(\d\d)"
_TIME = r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?"
_OFFSET = r"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?"

OUT_OF_RANGE = "the value is out of Python's range: cast the column to text to read it"

_pack_date = packer("i")
_pack_time = packer("q")
_date_bytes = Struct(">i").pack
_time_bytes = Struct(">q").pack


# Reading what C made: the state that the classes themselves pickle. C has checked every field of it.


def _aware(state: bytes) -> datetime:
    # The constructor that pickle uses, which typeshed doesn't declare.
    return datetime(state, _UTC)  # type: ignore[arg-type, call-arg]


def _aware_column(states: Iterable[bytes]) -> Iterable[datetime]:
    return map(datetime, states, repeat(_UTC))  # type: ignore[arg-type]


# Reading text, in ISO style only: 01/02/2024 is a date in two ways.


@cache
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(pattern, re.ASCII).fullmatch


def _groups(pattern: str, text: str) -> tuple[str | None, ...]:
    match = _matcher(pattern)(text)
    if match is not None:
        return match.groups()
    if text.endswith(" BC") and _matcher(pattern)(text[:-3]):
        raise ValueError(OUT_OF_RANGE)
    raise not_finite(text) or ValueError("the text isn't in ISO style: set DateStyle to ISO")


def not_finite(text: str) -> ValueError | None:
    """Why a text that isn't a date can't be read, if it is an infinite one."""
    if text not in ("infinity", "-infinity"):
        return None
    return ValueError("Python has no infinite value of this type: cast the column to text to read it")


def _fields(groups: Iterable[str | None]) -> list[int]:
    """Numbers of which the last is a fraction of a second; microseconds in its place."""
    *fields, fraction = groups
    return [*(int(field or 0) for field in fields), int((fraction or "").ljust(6, "0"))]


def _checked(make: Callable[..., Any], *fields: Any) -> Any:
    try:
        return make(*fields)
    except (ValueError, OverflowError):
        raise ValueError(OUT_OF_RANGE) from None


def date_from_text(text: str) -> date:
    found: date = _checked(date, *map(int, filter(None, _groups(_DATE, text))))
    return found


def time_from_text(text: str) -> time:
    found: time = _checked(time, *_fields(_groups(_TIME, text)))
    return found


def timestamp_from_text(text: str) -> datetime:
    found: datetime = _checked(datetime, *_fields(_groups(f"{_DATE} {_TIME}", text)))
    return found


def timestamptz_from_text(text: str) -> datetime:
    # East of Greenwich Python's last hours of UTC are in the year 10000, west of it the first ones in 1 BC.
    days = 0
    if text.startswith("10000-01-01 "):
        text, days = text.replace("10000-01-01", "9999-12-31"), 1
    elif text.startswith("0001-12-31 ") and text.endswith(" BC"):
        text, days = text.replace("0001-12-31", "0001-01-01").removesuffix(" BC"), -1
    *groups, sign, hours, minutes, seconds = _groups(f"{_DATE} {_TIME}{_OFFSET}", text)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0), seconds=int(seconds or 0))
    local = _checked(datetime, *_fields(groups), _UTC)
    found: datetime = _checked(local.__add__, timedelta(days) + (offset if sign == "-" else -offset))
    return found


# Writing


def _microseconds(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * _SECOND + delta.microseconds


def _date_days(value: Any) -> int:
    """Days of a date, or of the date part of a datetime."""
    if not isinstance(value, date):
        raise TypeError
    return value.toordinal() - _EPOCH_ORDINAL


def _time_microseconds(value: Any) -> int:
    if not isinstance(value, time):
        raise TypeError
    if value.tzinfo is not None:
        raise ValueError(
            "its tzinfo would be lost: use timetz in the statement, or value.replace(tzinfo=None)"
        )
    return ((value.hour * 60 + value.minute) * 60 + value.second) * _SECOND + value.microsecond


def _timestamp_microseconds(value: Any) -> int:
    """Naive as it is, aware in UTC; a date is its midnight."""
    if isinstance(value, datetime):
        return _microseconds(
            value - (_EPOCH if value.tzinfo is None or value.utcoffset() is None else _EPOCH_UTC)
        )
    return _date_days(value) * _DAY


def dump_date(value: Any) -> Dumped:
    return BINARY, _date_bytes(_date_days(value))


def dump_timestamp(value: Any) -> Dumped:
    return BINARY, _time_bytes(_timestamp_microseconds(value))


def _codec(
    oid: int,
    name: str,
    kind: int,
    number: Callable[[Any], int],
    from_text: Callable[[str], Any],
    convert: Callable[[Any], Any],
    convert_column: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Codec:
    to_bytes, pack = (_date_bytes, _pack_date) if kind == Kind.DATE else (_time_bytes, _pack_time)

    def dump(value: Any) -> Dumped:
        return BINARY, to_bytes(number(value))

    return Codec(
        oid,
        name,
        kind=kind,
        convert=convert,
        convert_column=convert_column,
        from_text=from_text,
        dump=dump,
        fast=lambda value: pack(number(value)),
        dated=kind != Kind.TIME,
    )


def register(registry: Registry) -> None:
    # typeshed doesn't know the constructors that take a pickled state.
    date_of, time_of, datetime_of = cast("tuple[Callable[[Any], Any], ...]", (date, time, datetime))
    registry.add(_codec(oids.DATE, "date", Kind.DATE, _date_days, date_from_text, date_of))
    registry.add(_codec(oids.TIME, "time", Kind.TIME, _time_microseconds, time_from_text, time_of))
    registry.add(
        _codec(
            oids.TIMESTAMP,
            "timestamp",
            Kind.TIMESTAMP,
            _timestamp_microseconds,
            timestamp_from_text,
            datetime_of,
        )
    )
    registry.add(
        _codec(
            oids.TIMESTAMPTZ,
            "timestamptz",
            Kind.TIMESTAMP,
            _timestamp_microseconds,
            timestamptz_from_text,
            _aware,
            _aware_column,
        )
    )
