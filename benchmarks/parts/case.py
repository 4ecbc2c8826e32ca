"""What a part and its cases consist of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import Goal


@dataclass(frozen=True)
class Case:
    """`drivers` in the order of the tables; psqlpy, and what it is compared with."""

    name: str
    work: str
    drivers: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    # What replaces options in a quick run, which only shows that everything works.
    quick: dict[str, Any] = field(default_factory=dict)
    rounds: int = 8
    loop: str = "asyncio"
    # What an operation is.
    unit: str = "query"
    # Through a proxy, with a round trip that takes so many seconds longer.
    delay: float | None = None
    # A new process for every turn, in which it is the first thing.
    fresh: bool = False
    # Client and server on processors of their own.
    apart: bool = False
    # Whether the longest stall of the loop is looked for: in a turn more, which isn't timed; where each turn
    # has a process of its own, in those.
    heartbeat: bool = False
    # Whether system calls are counted, in a turn more.
    traced: bool = False


@dataclass(frozen=True)
class Part:
    """`unfair` says, to readers of the page, where the comparison limps."""

    name: str
    title: str
    what: str
    cases: tuple[Case, ...]
    goals: tuple[Goal, ...]
    unfair: str


US = "psqlpy"
US18 = "psqlpy-libpq18"
ASYNC = (US, "asyncpg", "psycopg", "psqlpy-rs")
