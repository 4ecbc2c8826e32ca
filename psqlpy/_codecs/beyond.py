"""Dates and intervals that PostgreSQL has and Python hasn't: infinite ones, years BC and after 9999, 24:00.

The policy says what becomes of them: "raise" ValueError, "clamp" to the nearest value that Python has, or "text": a str
as PostgreSQL prints it in ISO style, in UTC. Here are the policy and that text; the types are in their families' files.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from psqlpy.exceptions import ConnectionPoolConfigurationError

POLICIES = ("raise", "clamp", "text")

OUT_OF_RANGE = "the value is out of Python's range: cast the column to text to read it"
INFINITE = "Python has no infinite value of this type: cast the column to text to read it"

SECOND = 1_000_000
DAY = 86_400 * SECOND
# The calendar repeats itself after so many days, which are so many years.
_CYCLE_DAYS = 146_097
_CYCLE_YEARS = 400
_CYCLE_START = date(2000, 1, 1)
CYCLE = _CYCLE_DAYS * DAY  # in microseconds


def check_policy(policy: str) -> str:
    if policy not in POLICIES:
        raise ConnectionPoolConfigurationError(
            f"out_of_range_dates must be 'raise', 'clamp' or 'text', not {policy!r}"
        )
    return policy


def beyond(policy: str, text: str, nearest: Any) -> Any:
    """Return what stands for a value, given its text and the nearest value that Python has; or raise ValueError."""
    if policy == "clamp":
        return nearest
    if policy == "text":
        return text
    raise ValueError(INFINITE if text.endswith("infinity") else OUT_OF_RANGE)


def infinity(number: int, limit: int) -> str | None:
    """The name of an infinite value, which the binary format has at both ends of its integers."""
    if number == limit:
        return "infinity"
    return "-infinity" if number == -limit - 1 else None


def days_of(year: int, month: int, day: int, is_bc: bool = False) -> int:
    """Days since 2000-01-01 in the Gregorian calendar of all times. Raises ValueError for what is no day of it."""
    cycles, year = divmod((1 - year if is_bc else year) - 2000, _CYCLE_YEARS)
    try:
        return cycles * _CYCLE_DAYS + (date(2000 + year, month, day) - _CYCLE_START).days
    except ValueError:
        raise ValueError(OUT_OF_RANGE) from None


def date_text(days: int) -> str:
    """The text of a date, of which `BC` is the end."""
    return "{}{}".format(*_date_texts(days))


def _date_texts(days: int) -> tuple[str, str]:
    cycles, rest = divmod(days, _CYCLE_DAYS)
    found = date.fromordinal(_CYCLE_START.toordinal() + rest)
    year = found.year + cycles * _CYCLE_YEARS
    shown, era = (year, "") if year > 0 else (1 - year, " BC")
    return f"{shown:04}-{found.month:02}-{found.day:02}", era


def timestamp_text(microseconds: int, zone: str = "") -> str:
    """The text of a timestamp, given microseconds since 2000-01-01."""
    days, rest = divmod(microseconds, DAY)
    day, era = _date_texts(days)
    return f"{day} {clock_text(rest)}{zone}{era}"


def clock_text(microseconds: int) -> str:
    """Hours (any number), minutes and seconds, with a fraction if there is one."""
    seconds, fraction = divmod(microseconds, SECOND)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + f".{fraction:06}".rstrip("0") if fraction else text


def interval_text(microseconds: int, days: int, months: int) -> str:
    """The text of an interval in the style `postgres` (src/backend/utils/adt/datetime.c, EncodeInterval)."""
    years = abs(months) // 12 * (-1 if months < 0 else 1)
    parts: list[str] = []
    is_after_negative = False
    for value, unit in ((years, "year"), (months - years * 12, "mon"), (days, "day")):
        if value:
            sign = "+" if is_after_negative and value > 0 else ""
            parts.append(f"{sign}{value} {unit}{'' if value == 1 else 's'}")
            is_after_negative = value < 0
    if microseconds or not parts:
        sign = "-" if microseconds < 0 else "+" if is_after_negative else ""
        parts.append(sign + clock_text(abs(microseconds)))
    return " ".join(parts)
