"""date, time, timetz, timestamp (naive) and timestamptz (aware, UTC). Not here: interval."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from itertools import repeat
from struct import Struct, error
from typing import TYPE_CHECKING, Any, cast

from psqlpy._codecs import oids
from psqlpy._codecs.beyond import (
    DAY,
    OUT_OF_RANGE,
    SECOND,
    beyond,
    date_text,
    days_of,
    infinity,
    timestamp_text,
)
from psqlpy._codecs.codec import BINARY, TEXT, Codec, Dumped, packer, text_bytes
from psqlpy._codecs.literal import offset_literal
from psqlpy._pq.records import Column
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_UTC = timezone.utc
_EPOCH = datetime(2000, 1, 1)
_EPOCH_UTC = datetime(2000, 1, 1, tzinfo=_UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_INT4_MAX = 2**31 - 1
_INT8_MAX = 2**63 - 1
_INFINITE_DATES = {"infinity": _INT4_MAX, "-infinity": -_INT4_MAX - 1}
_INFINITE_TIMESTAMPS = {"infinity": _INT8_MAX, "-infinity": -_INT8_MAX - 1}
_MAX_OFFSET = 16 * 3600  # of PostgreSQL's timetz

_DATE = r"(?P<year>\d{4,})-(?P<month>\d\d)-(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?"
_OFFSET = r"(?P<sign>[+-])(?P<hours>\d\d)(?::(?P<minutes>\d\d))?(?::(?P<seconds>\d\d))?"
_ERA = r"(?P<era> BC)?"

_pack_date = packer("i")
_pack_time = packer("q")
_date_bytes = Struct(">i").pack
_time_bytes = Struct(">q").pack
_timetz = Struct(">qi")  # microseconds, seconds west of Greenwich


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


def _fields(pattern: str, text: str) -> dict[str, str]:
    match = _matcher(pattern)(text)
    if match is None:
        raise ValueError("the text isn't in ISO style: set DateStyle to ISO")
    return match.groupdict("")


def day_number(fields: Mapping[str, str]) -> int:
    """Days since 2000-01-01 of `year`, `month`, `day` and `era`, which is empty or not."""
    return days_of(int(fields["year"]), int(fields["month"]), int(fields["day"]), bool(fields["era"]))


def clock_number(fields: Mapping[str, str]) -> int:
    """Microseconds since midnight of `hour`, `minute`, `second` and `fraction`."""
    hour, minute, second = (int(fields[name]) for name in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 59:
        raise ValueError(OUT_OF_RANGE)
    return ((hour * 60 + minute) * 60 + second) * SECOND + int(fields["fraction"].ljust(6, "0"))


def offset_number(fields: Mapping[str, str]) -> int:
    """Seconds east of Greenwich of `sign`, `hours`, `minutes` and `seconds`."""
    hours, minutes, seconds = (int(fields[name] or 0) for name in ("hours", "minutes", "seconds"))
    total = (hours * 60 + minutes) * 60 + seconds
    return -total if fields["sign"] == "-" else total


def date_number(text: str) -> int:
    """A date in ISO style as the binary format has it. Raises ValueError."""
    return _INFINITE_DATES[text] if text in _INFINITE_DATES else day_number(_fields(_DATE + _ERA, text))


def time_number(text: str) -> int:
    """The same of a time."""
    return clock_number(_fields(_TIME, text))


def timestamp_number(text: str) -> int:
    """The same of a timestamp."""
    if text in _INFINITE_TIMESTAMPS:
        return _INFINITE_TIMESTAMPS[text]
    fields = _fields(f"{_DATE} {_TIME}{_ERA}", text)
    return day_number(fields) * DAY + clock_number(fields)


def timestamptz_number(text: str) -> int:
    """The same of a timestamptz."""
    if text in _INFINITE_TIMESTAMPS:
        return _INFINITE_TIMESTAMPS[text]
    fields = _fields(f"{_DATE} {_TIME}{_OFFSET}{_ERA}", text)
    return day_number(fields) * DAY + clock_number(fields) - offset_number(fields) * SECOND


# Reading the numbers of the binary format, with a policy for what Python hasn't


class Reader:
    """Makes dates and times of numbers. What is beyond Python's, see psqlpy/_codecs/beyond.py."""

    __slots__ = ("policy",)

    def __init__(self, policy: str) -> None:
        self.policy = policy

    def date(self, days: int) -> Any:
        try:
            return date.fromordinal(days + _EPOCH_ORDINAL)
        except (ValueError, OverflowError):
            text = infinity(days, _INT4_MAX) or date_text(days)
            return beyond(self.policy, text, date.min if days < 0 else date.max)

    def time(self, microseconds: int, zone: timezone | None = None) -> Any:
        if not 0 <= microseconds < DAY:
            if microseconds != DAY:
                raise ValueError("the value isn't in the type's binary format")
            text = "24:00:00" + ("" if zone is None else offset_literal(zone.utcoffset(None)))
            return beyond(self.policy, text, time.max.replace(tzinfo=zone))
        seconds, fraction = divmod(microseconds, SECOND)
        return time(seconds // 3600, seconds // 60 % 60, seconds % 60, fraction, zone)

    def timestamp(self, microseconds: int) -> Any:
        try:
            return _EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            text = infinity(microseconds, _INT8_MAX) or timestamp_text(microseconds)
            return beyond(self.policy, text, datetime.min if microseconds < 0 else datetime.max)

    def timestamptz(self, microseconds: int) -> Any:
        try:
            return _EPOCH_UTC + timedelta(microseconds=microseconds)
        except OverflowError:
            text = infinity(microseconds, _INT8_MAX) or timestamp_text(microseconds, "+00")
            nearest = datetime.min if microseconds < 0 else datetime.max
            return beyond(self.policy, text, nearest.replace(tzinfo=_UTC))


# Writing


def _microseconds(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def _date_days(value: Any) -> int:
    """Days of a date, or of the date part of a datetime."""
    if not isinstance(value, date):
        raise TypeError
    return date.toordinal(value) - _EPOCH_ORDINAL


def _clock_microseconds(value: time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * SECOND + value.microsecond


def _time_microseconds(value: Any) -> int:
    if not isinstance(value, time):
        raise TypeError
    if value.tzinfo is not None:
        raise ValueError(
            "its tzinfo would be lost: use timetz in the statement, or value.replace(tzinfo=None)"
        )
    return _clock_microseconds(value)


def _timestamp_microseconds(value: Any) -> int:
    """Naive as it is, aware in UTC; a date is its midnight."""
    if isinstance(value, datetime):
        epoch = _EPOCH if value.tzinfo is None or value.utcoffset() is None else _EPOCH_UTC
        return _microseconds(value - epoch)
    return _date_days(value) * DAY


def dump_date(value: Any) -> Dumped:
    return BINARY, _date_bytes(_date_days(value))


def dump_timestamp(value: Any) -> Dumped:
    return BINARY, _time_bytes(_timestamp_microseconds(value))


def _dump_timetz(value: Any) -> Dumped:
    """A naive time is in UTC, as naive datetimes are for timestamptz."""
    if not isinstance(value, time):
        raise TypeError
    offset = value.utcoffset()
    if offset is None:
        if value.tzinfo is not None:
            raise ValueError(
                "its tzinfo has no offset without a date: give it a fixed one, as in value.replace(tzinfo=timezone.utc)"
            )
        offset = timedelta()
    seconds = offset.days * 86_400 + offset.seconds
    if offset.microseconds or abs(seconds) >= _MAX_OFFSET:
        raise ValueError("PostgreSQL's offsets are whole seconds and less than 16 hours")
    return BINARY, _timetz.pack(_clock_microseconds(value), -seconds)


# Codecs

_COLUMNS = {Kind.DATE: Column.DATE, Kind.TIME: Column.TIME, Kind.TIMESTAMP: Column.TIMESTAMP}


def _codec(
    oid: int,
    kind: int,
    number: Callable[[Any], int],
    policy: str,
    read: Callable[[int], Any],
    number_from_text: Callable[[str], int],
    from_state: Callable[[Any], Any],
    column_from_states: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Codec:
    """C makes the state of the Python object (`kind`), which is fast, or an int where a policy has to look at it."""
    is_date = kind == Kind.DATE
    to_bytes, pack = (_date_bytes, _pack_date) if is_date else (_time_bytes, _pack_time)
    is_strict = policy == "raise"
    takes_text = policy == "text"

    def dump(value: Any) -> Dumped:
        if takes_text and isinstance(value, str):
            # What was read as text goes into one array with what wasn't, so it goes in binary too.
            try:
                return BINARY, to_bytes(number_from_text(value))
            except (ValueError, error):
                return TEXT, text_bytes(value)
        return BINARY, to_bytes(number(value))

    return Codec(
        oid,
        oids.TYPES[oid][0],
        kind=kind if is_strict else Kind.INT4 if is_date else Kind.INT8,
        convert=from_state if is_strict else read,
        convert_column=column_from_states if is_strict else None,
        from_text=lambda text: read(number_from_text(text)),
        dump=dump,
        dumps_str=takes_text,
        fast=lambda value: pack(number(value)),
        dated=kind != Kind.TIME,
        column=_COLUMNS[kind],
    )


def _timetz_codec(reader: Reader) -> Codec:
    def read(microseconds: int, west: int) -> Any:
        return reader.time(microseconds, timezone(timedelta(seconds=-west)))

    def numbers(text: str) -> tuple[int, int]:
        fields = _fields(_TIME + _OFFSET, text)
        return clock_number(fields), -offset_number(fields)

    def convert(data: bytes) -> Any:
        if len(data) != _timetz.size:
            raise ValueError("the value isn't in the type's binary format")
        return read(*_timetz.unpack(data))

    def dump(value: Any) -> Dumped:
        if not isinstance(value, str):
            return _dump_timetz(value)
        try:
            return BINARY, _timetz.pack(*numbers(value))
        except (ValueError, error):
            return TEXT, text_bytes(value)

    return Codec(
        oids.TIMETZ,
        "timetz",
        kind=Kind.BYTES,
        convert=convert,
        from_text=lambda text: read(*numbers(text)),
        dump=dump,
        dumps_str=reader.policy == "text",
    )


def register(registry: Registry, policy: str = "raise") -> None:
    # typeshed doesn't know the constructors that take a pickled state.
    date_of, time_of, datetime_of = cast("tuple[Callable[[Any], Any], ...]", (date, time, datetime))
    reader = Reader(policy)
    # fmt: off
    registry.add(_codec(
        oids.DATE, Kind.DATE, _date_days, policy, reader.date, date_number, date_of
    ))
    registry.add(_codec(
        oids.TIME, Kind.TIME, _time_microseconds, policy, reader.time, time_number, time_of
    ))
    registry.add(_codec(
        oids.TIMESTAMP, Kind.TIMESTAMP, _timestamp_microseconds, policy, reader.timestamp, timestamp_number, datetime_of
    ))
    registry.add(_codec(
        oids.TIMESTAMPTZ, Kind.TIMESTAMP, _timestamp_microseconds, policy, reader.timestamptz, timestamptz_number,
        _aware, _aware_column,
    ))
    # fmt: on
    registry.add(_timetz_codec(reader))
