"""The rows that work.py writes: the same for every driver and in every run."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

COLUMNS = ("id", "big", "name", "ratio", "active", "created")
CREATE = (
    "CREATE TEMPORARY TABLE bench_into"
    " (id int4, big int8, name text, ratio float8, active bool, created timestamptz)"
)
INSERT = "INSERT INTO bench_into (id, big, name, ratio, active, created) VALUES ($1, $2, $3, $4, $5, $6)"
EMPTY = "TRUNCATE bench_into"

_BEGIN = datetime(2024, 1, 1, tzinfo=timezone.utc)


def records(count: int) -> list[tuple[Any, ...]]:
    return [
        (
            number,
            number * 1_000_003,
            f"name number {number}",
            number / 7,
            number % 3 == 0,
            _BEGIN + timedelta(seconds=number, microseconds=number % 1000),
        )
        for number in range(count)
    ]


def csv(count: int) -> bytes:
    """The same records."""
    return "".join(
        f"{id},{big},{name},{ratio!r},{'t' if active else 'f'},{created.isoformat()}\n"
        for id, big, name, ratio, active, created in records(count)
    ).encode()
