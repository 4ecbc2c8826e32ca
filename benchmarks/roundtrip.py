"""Sequential `fetch_row` by primary key on one held connection, psqlpy beside asyncpg, psycopg and psycopg2.

All drivers talk to the same server in one process, in turns of a few hundred queries each; a round is one turn of each.
The figure is the median, over the rounds, of psqlpy's time divided by the peer's in the same round: a machine that is
slow for a while is slow for both. Each driver does it the way its documentation says: a parameter, a prepared statement
where the driver has them by itself, autocommit, one row as the driver's own row object, from which two values are read.

This process keeps to one processor and the drivers' backends to the others, where that can be arranged. Otherwise the
kernel puts client and server on one processor now and then, for some seconds, which halves the time of whichever driver
has its turn, and is what would be measured.

    python benchmarks/roundtrip.py [--rounds 30] [--queries 200] [--anywhere] [--write docs/benchmarks.md]

The server is the one of PSQLPY_TEST_DSN, or an embedded one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psqlpy
import psqlpy.sync
from benchmarks.page import replace

ROWS = 10_000
SETUP = f"""
DROP TABLE IF EXISTS roundtrip;
CREATE TABLE roundtrip (id int4 PRIMARY KEY, name text, balance int8, created timestamptz);
INSERT INTO roundtrip SELECT i, 'name ' || i, i * 1000, now() FROM generate_series(1, {ROWS}) i;
"""
PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
NUMBERED = "SELECT id, name, balance, created FROM roundtrip WHERE id = $1"
FORMATTED = "SELECT id, name, balance, created FROM roundtrip WHERE id = %s"

Turn = Callable[[int], Awaitable[float]]
SyncTurn = Callable[[int], float]
# Arranges on which processors things run, once all drivers are connected.
Place = Callable[[str], object]


def ids(count: int) -> list[int]:
    return [1 + (7919 * index) % ROWS for index in range(count)]


def check(wanted: int, got: tuple[Any, Any]) -> None:
    if got != (wanted, f"name {wanted}"):
        raise AssertionError(f"asked for {wanted}, got {got}")


# -- one coroutine or function a driver: makes its connection, returns what runs a turn


async def async_psqlpy(dsn: str) -> Turn:
    pool = psqlpy.ConnectionPool(dsn, max_db_pool_size=1)
    connection = await pool.connection()

    async def turn(count: int) -> float:
        began = time.perf_counter()
        for key in ids(count):
            row = (await connection.fetch_row(NUMBERED, [key])).result()
            check(key, (row["id"], row["name"]))
        return time.perf_counter() - began

    return turn


async def async_asyncpg(dsn: str) -> Turn:
    import asyncpg

    connection = await asyncpg.connect(dsn)

    async def turn(count: int) -> float:
        began = time.perf_counter()
        for key in ids(count):
            row = await connection.fetchrow(NUMBERED, key)
            check(key, (row["id"], row["name"]))
        return time.perf_counter() - began

    return turn


async def async_psycopg(dsn: str) -> Turn:
    import psycopg

    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0)
    cursor = connection.cursor(binary=True)

    async def turn(count: int) -> float:
        began = time.perf_counter()
        for key in ids(count):
            await cursor.execute(FORMATTED, (key,))
            row = await cursor.fetchone()
            assert row is not None
            check(key, (row[0], row[1]))
        return time.perf_counter() - began

    return turn


def sync_psqlpy(dsn: str) -> SyncTurn:
    pool = psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1)
    connection = pool.connection()

    def turn(count: int) -> float:
        began = time.perf_counter()
        for key in ids(count):
            row = connection.fetch_row(NUMBERED, [key]).result()
            check(key, (row["id"], row["name"]))
        return time.perf_counter() - began

    return turn


def sync_psycopg(dsn: str) -> SyncTurn:
    import psycopg

    connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0)
    cursor = connection.cursor(binary=True)

    def turn(count: int) -> float:
        began = time.perf_counter()
        for key in ids(count):
            cursor.execute(FORMATTED, (key,))
            row = cursor.fetchone()
            assert row is not None
            check(key, (row[0], row[1]))
        return time.perf_counter() - began

    return turn


def sync_psycopg2(dsn: str) -> SyncTurn:
    import psycopg2

    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    cursor = connection.cursor()

    def turn(count: int) -> float:
        began = time.perf_counter()
        for key in ids(count):
            cursor.execute(FORMATTED, (key,))
            row = cursor.fetchone()
            check(key, (row[0], row[1]))
        return time.perf_counter() - began

    return turn


# -- processors


def keep_apart(dsn: str) -> bool:
    """Give this process one processor and all backends of the server the others; False where that can't be done."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    first, *others = PROCESSORS
    if not others:
        return False
    pool = psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1)
    backends = pool.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'").result()
    pool.close()
    try:
        for backend in backends:
            if "postgres" not in Path(f"/proc/{backend['pid']}/comm").read_text(encoding="utf-8"):
                return False
            os.sched_setaffinity(backend["pid"], others)
    except OSError:
        return False
    os.sched_setaffinity(0, [first])
    return True


# -- rounds


async def async_rounds(dsn: str, place: Place, rounds: int, count: int) -> dict[str, list[float]]:
    turns = {
        "psqlpy": await async_psqlpy(dsn),
        "asyncpg": await async_asyncpg(dsn),
        "psycopg": await async_psycopg(dsn),
    }
    place(dsn)
    for turn in turns.values():
        await turn(count)
    times: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        # Nobody always goes first.
        for name in sorted(turns, key=lambda name: hash((name, number))):
            times[name].append(await turns[name](count) / count)
    return times


async def trio_rounds(dsn: str, place: Place, rounds: int, count: int) -> dict[str, list[float]]:
    turn = await async_psqlpy(dsn)
    place(dsn)
    await turn(count)
    return {"psqlpy": [await turn(count) / count for _ in range(rounds)]}


def sync_rounds(dsn: str, place: Place, rounds: int, count: int) -> dict[str, list[float]]:
    turns = {"psqlpy": sync_psqlpy(dsn), "psycopg": sync_psycopg(dsn), "psycopg2": sync_psycopg2(dsn)}
    place(dsn)
    for turn in turns.values():
        turn(count)
    times: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in sorted(turns, key=lambda name: hash((name, number))):
            times[name].append(turns[name](count) / count)
    return times


def measure(dsn: str, place: Place, rounds: int, count: int) -> dict[str, dict[str, list[float]]]:
    measured = {"asyncio": asyncio.run(async_rounds(dsn, place, rounds, count))}
    try:
        import uvloop
    except ImportError:
        print("uvloop is not installed: left out", file=sys.stderr)
    else:
        with (
            asyncio.Runner(loop_factory=uvloop.new_event_loop)
            if hasattr(asyncio, "Runner")
            else _uvloop() as runner
        ):
            measured["uvloop"] = runner.run(async_rounds(dsn, place, rounds, count))
    measured["sync"] = sync_rounds(dsn, place, rounds, count)
    try:
        import trio
    except ImportError:
        print("trio is not installed: left out", file=sys.stderr)
    else:
        measured["trio"] = trio.run(trio_rounds, dsn, place, rounds, count)
    return measured


class _uvloop:
    """asyncio.Runner for CPython 3.10."""

    def __enter__(self) -> _uvloop:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, main: Any) -> Any:
        import uvloop

        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(main)
        finally:
            loop.close()


# -- what came of it


def table(measured: dict[str, dict[str, list[float]]]) -> str:
    lines = [
        "| waiting | peer | psqlpy / peer: median | 10–90 % of the rounds | psqlpy, µs a query | peer, µs a query |",
        "|---|---|---|---|---|---|",
    ]
    for waiting, times in measured.items():
        ours = times["psqlpy"]
        for peer, theirs in times.items():
            if peer == "psqlpy":
                continue
            ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
            low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
            lines.append(
                f"| {waiting} | {peer} | **{statistics.median(ratios):.2f}** | {low:.2f}–{high:.2f} "
                f"| {statistics.median(ours) * 1e6:.0f} | {statistics.median(theirs) * 1e6:.0f} |"
            )
        if len(times) == 1:
            lines.append(f"| {waiting} | – | – | – | {statistics.median(ours) * 1e6:.0f} | – |")
    return "\n".join(lines)


def describe(dsn: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    names = ["asyncpg", "psycopg", "psycopg2-binary", "uvloop", "trio"]
    parts = []
    for name in names:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    pool = psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1)
    with pool.acquire() as connection:
        server = connection.parameter_status("server_version")
    pool.close()
    return (
        f"PostgreSQL {server}, CPython {platform.python_version()}, {os.cpu_count()} processors; "
        f"psqlpy {psqlpy.__version__}, {', '.join(parts)}."
    )


def run(dsn: str, arguments: argparse.Namespace) -> None:
    pool = psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1)
    with pool.acquire() as connection:
        connection.execute_batch(SETUP)
        connection.execute("ANALYZE roundtrip")
    pool.close()
    began = time.perf_counter()
    apart: list[bool] = []

    def place(dsn: str) -> None:
        apart.append(not arguments.anywhere and keep_apart(dsn))

    text = table(measure(dsn, place, arguments.rounds, arguments.queries))
    print(text)
    print()
    where = f"{describe(dsn)} Client and server {'apart' if all(apart) else 'wherever the kernel put them'}."
    print(where, f"{time.perf_counter() - began:.0f} s.")
    if arguments.write:
        page = Path(arguments.write)
        written = replace(page.read_text(encoding="utf-8"), "roundtrip", f"{text}\n\n{where}\n")
        page.write_text(written, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument(
        "--anywhere", action="store_true", help="leave the choice of processors to the kernel"
    )
    parser.add_argument(
        "--write", metavar="PAGE", help="put the table between its marks in this Markdown page"
    )
    arguments = parser.parse_args()
    dsn = os.environ.get("PSQLPY_TEST_DSN")
    if dsn:
        run(dsn, arguments)
        return
    from psqlpy import embedded

    with embedded.server() as started:
        run(started, arguments)


if __name__ == "__main__":
    main()
