"""Few statements with much data, both ways."""

from __future__ import annotations

from benchmarks.figures import Goal
from benchmarks.parts.case import ASYNC, US, US18, Case, Part

BULK = Part(
    "bulk",
    "100,000 rows of 10 columns",
    "int4, int8, float8, bool, text, varchar (a tenth of them NULL), date, timestamptz, numeric, uuid; every value as "
    "a Python object. An operation is a row.",
    tuple(
        Case(
            shape,
            "rows",
            (US18, US, "asyncpg", "psycopg", "psqlpy-rs", "libpq"),
            {"query": "bulk", "shape": shape, "count": 1, "each_row": True},
            rounds=5,
            unit="row",
            heartbeat=shape == "tuples",
            traced=shape == "tuples",
        )
        for shape in ("tuples", "dicts", "records")
    ),
    tuple(
        Goal(
            f"{shape}: ≥ {limit} × {peer}{note}",
            "speed",
            limit,
            (shape,),
            peer,
            ours,
            libpq_below=17 if ours == US else None,
        )
        for shape in ("tuples", "dicts", "records")
        for ours, note, limits in (
            (US18, ", with libpq 18", (2.2, 1.4, 2.0)),
            (US, ", with libpq 15", (1.5, 0.95, 1.3)),
        )
        for peer, limit in zip(("asyncpg", "psycopg", "psqlpy-rs"), limits, strict=True)
    ),
    "asyncpg makes Records only; as tuples and dicts they are converted row by row, as its users do. Records are "
    "psqlpy's and psqlpy-rs's `records()`, asyncpg's own rows, and psycopg's named tuples, which is the most like them "
    "that it has. psycopg is asked for binary results. "
    "Bare libpq only receives the rows and makes nothing of them.",
)

_QUERIES = (
    ("600 rows × 12", "pg_type", 5),
    ("1,000 ints", "numbers", 10),
    ("100 × 1 kB bytea", "bytes", 10),
    ("100 × int[100]", "arrays", 5),
)
QUERIES = Part(
    "queries",
    "Four queries, ten connections",
    "The queries of MagicStack's pgbench: pg_type, a series of integers, byte strings, arrays; ten held "
    "connections, a task each. Rows are each driver's own records.",
    tuple(
        Case(
            name,
            "rows",
            ASYNC,
            {"query": query, "shape": "records", "count": count, "concurrency": 10},
            {"count": 1},
        )
        for name, query, count in _QUERIES
    ),
    (
        Goal(
            "geometric mean ≥ 1.5 × asyncpg",
            "speed",
            1.5,
            tuple(name for name, _, _ in _QUERIES),
            "asyncpg",
        ),
    ),
    "psycopg is asked for binary results, and makes named tuples. Client and server share the processors, so that what "
    "the server does is part of everybody's time.",
)

MANY = Part(
    "many",
    "One INSERT for many rows",
    "`execute_many` of rows of 6 columns (int4, int8, text, float8, bool, timestamptz) into an empty temporary table, "
    "all or nothing. An operation is a row.",
    tuple(
        Case(
            f"{rows:,} rows",
            "many",
            ASYNC,
            {"rows": rows},
            {"rows": 100},
            rounds=rounds,
            unit="row",
            heartbeat=rows > 1000,
            traced=rows == 1000,
        )
        for rows, rounds in ((1000, 12), (20_000, 5))
    ),
    (
        Goal("1,000 rows: ≥ 1.5 × asyncpg", "speed", 1.5, ("1,000 rows",), "asyncpg"),
        Goal("20,000 rows: ≥ 1.5 × asyncpg", "speed", 1.5, ("20,000 rows",), "asyncpg"),
    ),
    "psycopg gets a transaction around it, since in autocommit mode its `executemany` is one for each row.",
)

COPY = Part(
    "copy",
    "COPY of 100,000 rows",
    "Records of 6 columns, and the same rows as CSV in one bytes object, into an empty temporary table. An operation "
    "is a row.",
    (
        Case(
            "records",
            "copy records",
            (US, "asyncpg", "psycopg"),
            {"rows": 100_000},
            {"rows": 1000},
            rounds=5,
            unit="row",
            heartbeat=True,
        ),
        Case(
            "CSV",
            "copy csv",
            (US, "asyncpg", "psycopg", "psql"),
            {"rows": 100_000},
            {"rows": 1000},
            rounds=5,
            unit="row",
        ),
    ),
    (
        Goal("records: ≥ 2 × asyncpg", "speed", 2.0, ("records",), "asyncpg"),
        Goal(r"CSV: ≥ 0.9 × `psql \copy`", "speed", 0.9, ("CSV",), "psql"),
    ),
    r"`psql \copy` reads the CSV from a file, which is in the system's cache; its processor time isn't in the table. "
    "psycopg is told the types of the columns, after asking the server as the others do. psqlpy-rs isn't here: it has "
    "no COPY of CSV, and with this many records its own doesn't always end.",
)

MEMORY = Part(
    "memory",
    "500,000 rows at once",
    "Four columns (int4, int8, text, timestamptz) as each driver's own records, in a new process for each turn: the "
    "longest stall of the event loop, and the peak of memory above what the rows themselves take.",
    (
        Case(
            "500,000 rows",
            "big",
            (US18, US, "asyncpg", "psycopg"),
            rounds=3,
            unit="row",
            fresh=True,
            heartbeat=True,
        ),
    ),
    (
        Goal("longest stall ≤ 20 ms", "stall", 0.020, ("500,000 rows",)),
        Goal("longest stall ≤ 20 ms, with libpq 18", "stall", 0.020, ("500,000 rows",), ours=US18),
        Goal("peak above the rows ≤ 0.7 of asyncpg's", "above", 0.7, ("500,000 rows",), "asyncpg"),
        Goal(
            "peak above the rows ≤ 0.7 of asyncpg's, with libpq 18",
            "above",
            0.7,
            ("500,000 rows",),
            "asyncpg",
            ours=US18,
        ),
    ),
    "What the rows take is the sum of `sys.getsizeof` over the list, the rows and their values, a hundredth of them "
    "counted; what the allocator rounds up, to 16 bytes each, counts as above it, and has a column. Records of "
    "different drivers are of different sizes, and that isn't compared here.",
)
