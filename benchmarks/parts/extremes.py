"""Many who wait, the first moments of a process, and a slow network."""

from __future__ import annotations

from benchmarks.figures import Goal
from benchmarks.parts.case import ASYNC, US, Case, Part

WAITING = Part(
    "waiting",
    "Many tasks waiting, many connections at once",
    "As many tasks as are named at once take one of 10 connections, for one row by key each; and 500 connections "
    "opened at once.",
    (
        *(
            Case(
                f"{tasks:,} tasks",
                "waiters",
                (*ASYNC, "none") if tasks < 10_000 else (US, "asyncpg", "none"),
                {"tasks": tasks, "size": 10},
                {"tasks": tasks // 100 or 1},
                rounds=rounds,
                unit="task",
                heartbeat=True,
            )
            for tasks, rounds in ((100, 8), (1000, 3), (10_000, 2))
        ),
        Case(
            "500 connections",
            "connect",
            ASYNC,
            {"connections": 500},
            {"connections": 5, "settle": 0.0},
            rounds=1,
            unit="connection",
            fresh=True,
            heartbeat=True,
        ),
    ),
    (
        Goal(
            "CPU per waiter with 10,000 ≤ 1.25 of that with 100",
            "cpu",
            1.25,
            ("10,000 tasks",),
            against="100 tasks",
        ),
        Goal(
            "CPU per waiter with 1,000 ≤ 1.25 of that with 100",
            "cpu",
            1.25,
            ("1,000 tasks",),
            against="100 tasks",
        ),
        Goal(
            "no stall over 20 ms",
            "stall",
            0.020,
            ("100 tasks", "1,000 tasks", "10,000 tasks", "500 connections"),
        ),
    ),
    "The stall of 10,000 tasks includes what making and starting them takes, which is asyncio's own work and the same "
    "for all: no driver is a semaphore of 10 instead of a pool, and a turn of the loop instead of a query. asyncpg "
    "and psycopg open connections, psqlpy and psqlpy-rs those of a pool of 500; the server checks a SCRAM password "
    "for each.",
)

_STARTING = (US, "asyncpg", "psycopg", "psqlpy-rs")
STARTUP = Part(
    "startup",
    "Import, and the first query of a script",
    "In a new process: `import`; and a script that imports, connects, fetches one value and closes. Neither includes "
    "the interpreter's own start.",
    tuple(
        Case(name, f"startup {name}", _STARTING, rounds=10, unit="run", fresh=True)
        for name in ("import", "script")
    ),
    (
        Goal("`import psqlpy`: time ≤ 0.75 of `import asyncpg`'s", "wall", 0.75, ("import",), "asyncpg"),
        Goal("`import psqlpy`: memory ≤ 0.75 of `import asyncpg`'s", "memory", 0.75, ("import",), "asyncpg"),
        Goal("first query of a script: time ≤ 0.75 of asyncpg's", "wall", 0.75, ("script",), "asyncpg"),
        Goal("first query of a script: memory ≤ 0.75 of asyncpg's", "memory", 0.75, ("script",), "asyncpg"),
    ),
    "All have been imported before, so that their files are compiled and in the system's cache. asyncpg and psycopg "
    "import asyncio at once, psqlpy and psqlpy-rs when they need it: the script says what that is worth.",
)


def _network(milliseconds: int) -> tuple[Case, ...]:
    delay = milliseconds / 1000
    count = 60 if milliseconds == 1 else 20
    return (
        Case(
            f"one row by key, {milliseconds} ms",
            "keys",
            ASYNC,
            {"count": count},
            {"count": 2},
            rounds=5,
            delay=delay,
        ),
        Case(
            f"pool, 100 tasks, {milliseconds} ms",
            "pool keys",
            ASYNC,
            {"tasks": 100, "count": 3, "size": 10},
            {"tasks": 10, "count": 1},
            rounds=5,
            delay=delay,
        ),
        Case(
            f"acquire and release, {milliseconds} ms",
            "acquire",
            ASYNC,
            {"count": count, "size": 10},
            {"count": 2},
            rounds=5,
            delay=delay,
        ),
        Case(
            f"10,000 rows inserted, {milliseconds} ms",
            "many",
            (US, "asyncpg", "psycopg"),
            {"rows": 10_000},
            {"rows": 100},
            rounds=3,
            unit="row",
            delay=delay,
        ),
    )


NETWORK = Part(
    "network",
    "Over a slow network",
    "The same work through a proxy that makes a round trip take 1 ms and 10 ms longer.",
    (*_network(1), *_network(10)),
    (),
    "The proxy is a process of its own and takes a share of the processors, the same for every driver. It delays, but "
    "loses nothing and has no limit of bandwidth. For the rest, see the parts above.",
)
