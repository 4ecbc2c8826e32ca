"""Many small statements: what one of them costs, alone, among others, and in a transaction."""

from __future__ import annotations

from benchmarks.figures import Goal
from benchmarks.parts.case import ASYNC, US, Case, Part

ROUNDTRIP = Part(
    "roundtrip",
    "One row by its key, again and again",
    "`fetch_row` of four columns (int4, text, int8, timestamptz) by primary key, sequentially, on one held connection; "
    "two values of each row are read and checked.",
    tuple(
        Case(
            loop,
            "keys",
            drivers,
            {"count": 200},
            {"count": 20},
            rounds=30,
            loop=loop,
            apart=True,
            heartbeat=loop in {"asyncio", "uvloop"},
            traced=True,
        )
        for loop, drivers in (
            ("asyncio", ASYNC),
            ("uvloop", ASYNC),
            ("trio", (US,)),
            ("sync", (US, "psycopg-sync", "psycopg2", "libpq")),
        )
    ),
    (
        Goal("asyncio: CPU ≤ 0.85 of asyncpg's", "cpu", 0.85, ("asyncio",), "asyncpg"),
        Goal("uvloop: CPU ≤ 0.95 of asyncpg's", "cpu", 0.95, ("uvloop",), "asyncpg"),
        Goal("asyncio: time ≤ 1.0 of asyncpg's", "wall", 1.0, ("asyncio",), "asyncpg"),
        Goal("uvloop: time ≤ 1.0 of asyncpg's", "wall", 1.0, ("uvloop",), "asyncpg"),
        Goal("sync: time ≤ 0.9 of psycopg's", "wall", 0.9, ("sync",), "psycopg-sync"),
        Goal("sync: time ≤ 0.9 of psycopg2's", "wall", 0.9, ("sync",), "psycopg2"),
        Goal("asyncio: time ≤ 0.85 of asyncpg's", "wall", 0.85, ("asyncio",), "asyncpg", stretch=True),
        Goal("uvloop: time ≤ 0.85 of asyncpg's", "wall", 0.85, ("uvloop",), "asyncpg", stretch=True),
        Goal("sync: time ≤ 0.6 of psycopg's", "wall", 0.6, ("sync",), "psycopg-sync", stretch=True),
        Goal("sync: time ≤ 0.6 of psycopg2's", "wall", 0.6, ("sync",), "psycopg2", stretch=True),
    ),
    "The client has one processor and the server the others, to the disadvantage of psqlpy-rs, whose own threads "
    "have to share it. psycopg is asked to prepare at the first use and to return binary results, which isn't its "
    "default and is to its advantage. psycopg2 has no prepared statements: the server parses and plans each query "
    "again, which is most of its time. The rows are each driver's own: dicts of psqlpy and psqlpy-rs, Records of "
    "asyncpg, tuples of the others. psycopg and psycopg2 bring a newer libpq in their wheels. "
    "trio stands alone, since no other driver runs on it. Bare libpq is no driver: the same calls to the library, "
    "through ctypes, without one.",
)

POOL = Part(
    "pool",
    "Many tasks, one pool",
    "Tasks that each fetch rows by key, one after the other, with the pool's own method; 10 connections.",
    tuple(
        Case(
            f"{tasks:,} tasks",
            "pool keys",
            ASYNC,
            {"tasks": tasks, "count": count, "size": 10},
            {"tasks": tasks // 10, "count": 1},
            rounds=6,
            heartbeat=True,
            traced=tasks == 100,
        )
        for tasks, count in ((100, 10), (1000, 2))
    ),
    tuple(
        goal
        for tasks in ("100 tasks", "1,000 tasks")
        for goal in (
            Goal(f"{tasks}: ≥ 6 × asyncpg's pool", "speed", 6.0, (tasks,), "asyncpg"),
            Goal(f"{tasks}: ≥ 8 × psqlpy-rs", "speed", 8.0, (tasks,), "psqlpy-rs"),
            Goal(f"{tasks}: p99 no worse than asyncpg's", "p99", 1.0, (tasks,), "asyncpg"),
        )
    ),
    "asyncpg resets a connection at each release, which is a round trip; its users can't do without unless they hold "
    "connections. psycopg's pool and psqlpy-rs reset nothing. The pools of psycopg and psqlpy-rs execute nothing "
    "themselves: there it is a block that takes a connection. "
    "The latencies are those of the calls, waiting for a connection included.",
)

NEIGHBOUR = Part(
    "neighbour",
    "One slow task among many",
    "As above with 100 tasks for a fixed time, but one of them runs queries of 0.5 s in a loop. Throughput and latency "
    "are those of the other 99.",
    (
        Case(
            "99 fast tasks",
            "slow neighbour",
            ASYNC,
            {"tasks": 100, "seconds": 1.5, "slow": 0.5, "size": 10},
            {"tasks": 10, "seconds": 0.1, "slow": 0.05},
            rounds=4,
        ),
    ),
    (
        Goal("≥ 4 × asyncpg", "speed", 4.0, ("99 fast tasks",), "asyncpg"),
        Goal("p99 no worse than asyncpg's", "p99", 1.0, ("99 fast tasks",), "asyncpg"),
    ),
    "The time ends with the fast tasks' last queries, whatever the slow one does. Otherwise as above.",
)

ACQUIRE = Part(
    "acquire",
    "Take a connection, one query, give it back",
    "`async with pool.acquire()`, one row by key, and the release, one after the other; the next user finds "
    "nothing that the last one has set.",
    (
        Case("asyncio", "acquire", ASYNC, {"count": 150, "size": 10}, {"count": 10}, rounds=15, traced=True),
        Case("uvloop", "acquire", ASYNC, {"count": 150, "size": 10}, {"count": 10}, rounds=15, loop="uvloop"),
    ),
    (
        Goal("asyncio: time ≤ 0.6 of asyncpg's", "wall", 0.6, ("asyncio",), "asyncpg"),
        Goal("uvloop: time ≤ 0.6 of asyncpg's", "wall", 0.6, ("uvloop",), "asyncpg"),
    ),
    "asyncpg waits for the answer to its reset, psqlpy sends its own and doesn't wait. psycopg's pool and psqlpy-rs "
    "reset nothing by default, which saves them the work of it.",
)

TRANSACTION = Part(
    "transaction",
    "A transaction of one statement",
    "`async with connection.transaction()` around one UPDATE by key. The round trips are counted by a proxy, which "
    "makes each of them take 1 ms longer.",
    (
        Case(
            "first use",
            "transactions",
            ASYNC,
            {"count": 1},
            rounds=3,
            unit="transaction",
            delay=0.001,
            fresh=True,
        ),
        Case(
            "later",
            "transactions",
            ASYNC,
            {"count": 30},
            {"count": 3},
            rounds=6,
            unit="transaction",
            delay=0.001,
            traced=True,
        ),
    ),
    (
        Goal("2 round trips", "round_trips", 2.0, ("later",)),
        Goal("3 at the statement's first use", "round_trips", 3.0, ("first use",)),
    ),
    "A round trip begins when the client speaks after the server has. psycopg is asked to prepare at the first use.",
)
