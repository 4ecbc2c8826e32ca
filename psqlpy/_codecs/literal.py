"""The text that PostgreSQL itself would print for a Python value: for text columns and for types that we don't know.

By the methods of Python's own classes: what a subclass shows its users isn't PostgreSQL's form.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

_DAY_SECONDS = 86400
# Classes whose str() is PostgreSQL's form, by module: to import these just to recognise them would cost more.
_STR_MODULES = {"uuid", "ipaddress"}


def literal(value: object) -> str:
    """Return PostgreSQL's text form of a scalar, TypeError where there is none."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int_literal(value)
    if isinstance(value, float):
        return float_literal(value)
    if isinstance(value, Decimal):
        return decimal_literal(value)
    if isinstance(value, datetime):
        return f"{date.isoformat(value)} {_time_of_day(value)}{offset_literal(value.utcoffset())}"
    if isinstance(value, date):
        return date.isoformat(value)
    if isinstance(value, time):
        return time_literal(value)
    if isinstance(value, timedelta):
        return timedelta_literal(value)
    for cls in type(value).__mro__:
        if cls.__module__ in _STR_MODULES:
            to_text: Any = cls.__str__
            return str(to_text(value))
    raise TypeError


def int_literal(value: int) -> str:
    """Any size: str() of an int stops at 4,300 digits, Decimal doesn't. An IntEnum's own str() may be its name."""
    return int.__repr__(value) if value.bit_length() < 4096 else str(Decimal(value))


def float_literal(value: float) -> str:
    """As float8out, but for the last of 17 digits of some: exponents from 15 digits on, no trailing `.0`."""
    text = float.__repr__(value)
    if text.endswith(".0"):
        text = text[:-2]
    if 1e15 <= abs(value) < 1e16:  # from 1e16 on Python writes exponents too
        whole, _, fraction = text.lstrip("-").partition(".")
        digits = (whole + fraction).rstrip("0")
        point = "." if len(digits) > 1 else ""
        return f"{'-' if value < 0 else ''}{digits[0]}{point}{digits[1:]}e+{len(whole) - 1}"
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(text, text)


def decimal_literal(value: Decimal) -> str:
    if value.is_snan():
        raise ValueError("PostgreSQL has no signalling NaN")
    if value.is_nan():
        return "NaN"
    if value.is_infinite():
        return "Infinity" if value > 0 else "-Infinity"
    # The plain form as PostgreSQL prints it, as far as PostgreSQL's numeric reaches.
    return Decimal.__format__(value, "f") if abs(value.adjusted()) < 150_000 else Decimal.__str__(value)


def time_literal(value: time) -> str:
    offset = value.utcoffset()
    if offset is None and value.tzinfo is not None:
        raise ValueError(
            "its tzinfo has no offset without a date and would be lost: use value.replace(tzinfo=None)"
        )
    return _time_of_day(value) + offset_literal(offset)


def _time_of_day(value: time | datetime) -> str:
    text = f"{value.hour:02}:{value.minute:02}:{value.second:02}"
    return text + f".{value.microsecond:06}".rstrip("0") if value.microsecond else text


def offset_literal(offset: timedelta | None) -> str:
    if offset is None:
        return ""
    seconds = offset.days * _DAY_SECONDS + offset.seconds
    sign, seconds = ("-", -seconds) if seconds < 0 else ("+", seconds)
    text = f"{sign}{seconds // 3600:02}"
    if seconds % 3600:
        text += f":{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text


def timedelta_literal(value: timedelta) -> str:
    days, microseconds = timedelta_fields(value)
    sign, rest = ("-", -microseconds) if microseconds < 0 else ("+" if days < 0 else "", microseconds)
    seconds, fraction = divmod(rest, 1_000_000)
    text = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if fraction:
        text += f".{fraction:06}".rstrip("0")
    if not days:
        return text
    unit = "day" if days == 1 else "days"
    return f"{days} {unit} {text}" if microseconds else f"{days} {unit}"


def timedelta_fields(value: timedelta) -> tuple[int, int]:
    """Days and microseconds of the same sign: Python's -1 day, 23:59:59 is a second before midnight to a reader."""
    value = timedelta.__pos__(value)  # a plain one: others count days and seconds in their own ways
    days, microseconds = value.days, value.seconds * 1_000_000 + value.microseconds
    if days < 0 and microseconds:
        return days + 1, microseconds - _DAY_SECONDS * 1_000_000
    return days, microseconds
