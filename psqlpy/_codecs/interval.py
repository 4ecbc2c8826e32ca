"""interval, as timedelta: a month counts 30 days, a year 360."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache
from itertools import starmap
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from psqlpy._codecs import oids
from psqlpy._codecs.beyond import beyond, interval_text
from psqlpy._codecs.codec import BINARY, Codec, Dumped
from psqlpy._codecs.literal import timedelta_fields
from psqlpy._pq.result import Kind

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Registry

_body = Struct(">qii")  # microseconds, days, months
_INFINITE = (2**63 - 1, 2**31 - 1, 2**31 - 1)
_MINUS_INFINITE = (-(2**63), -(2**31), -(2**31))


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


def _fields(text: str) -> tuple[int, int, int]:
    """Microseconds, days and months, as the binary format has them."""
    if text in ("infinity", "-infinity"):
        return _INFINITE if text == "infinity" else _MINUS_INFINITE
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
    days = signed(number("day"), day_sign)
    second = number("second") * 1_000_000 + int((part["fraction"] or "").ljust(6, "0"))
    clock = 60_000_000 * (60 * number("hour") + number("minute")) + signed(second, part.get("second_sign"))
    # In sql_standard one sign at the beginning is everything's.
    clock = signed(clock, part.get("clock_sign") or day_sign)
    return (-clock, -days, -months) if part.get("ago") else (clock, days, months)


def binary_of(text: str) -> bytes:
    """The binary form of a text in any style, months and all. Raises ValueError."""
    try:
        return _body.pack(*_fields(text))
    except StructError:
        raise ValueError("the interval is out of PostgreSQL's range") from None


def _reader(policy: str) -> Callable[[tuple[int, int, int]], Any]:
    def read(fields: tuple[int, int, int]) -> Any:
        microseconds, days, months = fields
        # Infinite ones, which PostgreSQL has since 17, are far out of range as well.
        try:
            return timedelta(days=months * 30 + days, microseconds=microseconds)
        except OverflowError:
            infinite = {_INFINITE: "infinity", _MINUS_INFINITE: "-infinity"}.get(fields)
            text = infinite or interval_text(microseconds, days, months)
            is_negative = months * 30 + days < 0
            return beyond(policy, text, timedelta.min if is_negative else timedelta.max)

    return read


def _dump(value: Any) -> Dumped:
    if not isinstance(value, timedelta):
        raise TypeError
    days, microseconds = timedelta_fields(value)
    return BINARY, _body.pack(microseconds, days, 0)


def register(registry: Registry, policy: str = "raise") -> None:
    """Let C make what timedelta takes, which is fast, or see the bytes where a policy has to look at them."""
    read = _reader(policy)
    is_strict = policy == "raise"

    def convert_bytes(data: bytes) -> Any:
        if len(data) != _body.size:
            raise ValueError("the value isn't in the type's binary format")
        return read(_body.unpack(data))

    registry.add(
        Codec(
            oids.INTERVAL,
            "interval",
            kind=Kind.INTERVAL if is_strict else Kind.BYTES,
            convert=_convert if is_strict else convert_bytes,
            convert_column=_convert_column if is_strict else None,
            from_text=lambda text: read(_fields(text)),
            dump=_dump,
        )
    )
