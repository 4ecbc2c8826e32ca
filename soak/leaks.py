"""`python -m soak.leaks`, or `make leaks`: the same work a million times, and what the process has grown by.

python -m soak.leaks                    1,000,000 queries, 10,000 connects, cancellations and errors, on each runtime
python -m soak.leaks --scale 0.01       a hundredth of that
python -m soak.leaks --dsn URL          on another server than the embedded one
python -m soak.leaks --page             write docs/reliability.md from all there is in build/leaks.json

Each work has a process of its own, which is measured twice, after a full garbage collection: behind the first sixth, in
which is made what is made once (caches, free lists, a loop's own objects), and at the end.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psqlpy.sync
from benchmarks.page import replace
from psqlpy import embedded, exceptions
from psqlpy._io import background
from psqlpy._pq import result
from soak.process import Footprint, footprint
from soak.runtimes import RUNTIMES, Runtime, block, settle, until

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "build" / "leaks.json"
PARTS = 10
WARM_UP = 2
WORKERS = 8
# Fewer than workers, so that some wait; few, so that each has met every statement before it counts.
POOL_SIZE = 3
COUNTS = {"queries": 1_000_000, "connects": 10_000, "cancellations": 10_000, "errors": 10_000}
# What isn't the work's: a cache that finds another key, a dict that doubles, pages that malloc keeps, up to 100 timers
# that asyncio keeps though they are cancelled.
LIMITS = Footprint(rss=1 << 20, heap=1 << 16, objects=300, blocks=1000, descriptors=0, threads=0)


class Growth(NamedTuple):
    """What a process has grown by while it has done the work so many times."""

    runtime: str
    work: str
    times: int
    seconds: float
    first: Footprint
    last: Footprint

    @property
    def by(self) -> Footprint:
        return Footprint(*(last - first for first, last in zip(self.first, self.last, strict=True)))

    @property
    def too_much(self) -> list[str]:
        """The figures that have grown beyond LIMITS."""
        pairs = zip(Footprint._fields, self.by, LIMITS, strict=True)
        return [f"{name}: {by:+,}" for name, by, limit in pairs if by > limit]


class Place(NamedTuple):
    """What a work is done with."""

    runtime: Runtime
    dsn: str
    pool: Any


# The works. Each does one thing `count` times; several of them run at once, on one pool.


async def queries(place: Place, count: int) -> None:
    """By the pool's own methods, which share connections, and on a connection of one's own, in turn."""
    for number in range(count // 2):
        assert await settle(place.pool.fetch_val("SELECT $1::int8", [number])) == number
    async with block(place.pool.acquire()) as connection:
        for number in range(count - count // 2):
            row = await settle(
                connection.fetch_row("SELECT $1::text AS t, 1.5::numeric AS n", [f"n{number}"])
            )
            assert row.result()["t"] == f"n{number}"


async def connects(place: Place, count: int) -> None:
    """With a pool for each, since those are not to leak either."""
    for number in range(count):
        other = place.runtime.api.ConnectionPool(place.dsn, max_db_pool_size=1)
        assert await settle(other.fetch_val("SELECT $1::int8", [number])) == number
        await settle(other.aclose())


async def cancellations(place: Place, count: int) -> None:
    """From outside under an event loop, and by `timeout` in threads, where nothing cancels."""
    runtime = place.runtime
    for _ in range(count):
        try:
            with runtime.cancelled_after(0.002):
                timeout = None if runtime.cancels else 0.002
                await settle(place.pool.execute("SELECT pg_sleep(60)", timeout=timeout))
                raise AssertionError("not cancelled")
        except exceptions.QueryTimeoutError:
            assert not runtime.cancels


async def errors(place: Place, count: int) -> None:
    """Of the server, of values, in and outside of transactions."""
    for number in range(count):
        try:
            await _fail(place.pool, number % 6)
        except exceptions.Error:
            continue
        raise AssertionError("no error")


async def _fail(pool: Any, kind: int) -> None:
    if kind == 0:
        await settle(pool.execute("SELECT 1 / $1::int4", [0]))
    elif kind == 1:
        await settle(pool.execute("SELEC 1"))
    elif kind == 2:
        await settle(pool.execute("SELECT $1::int4", ["not a number"]))
    elif kind == 3:
        await settle(pool.fetch_row("SELECT 1 WHERE false"))
    elif kind == 4:
        async with block(pool.transaction()) as transaction:
            await settle(transaction.execute("SELECT no_such_column"))
    else:
        await settle(pool.execute("SELECT 1", timeout=0))


WORKS: dict[str, Callable[[Place, int], Awaitable[None]]] = {
    "queries": queries,
    "connects": connects,
    "cancellations": cancellations,
    "errors": errors,
}


# One process


def measure(runtime: Runtime, work: str, count: int, dsn: str) -> Growth:
    """Do a fifth more than `count` in this process, and see what that leaves."""
    _import_everything()
    threads = threading.active_count()
    # Threads that decode at the same time need a buffer each, which are kept: as many as ever will be.
    result._buffers.extend(result._make_buffer(result._BUFFER_SIZE) for _ in range(WORKERS))
    # Threads without work would wait ten seconds for the next, and would have to be waited for here.
    background._LINGER = 0.05

    async def main() -> Growth:
        pool = runtime.api.ConnectionPool(dsn, max_db_pool_size=POOL_SIZE)
        each = max(1, count // PARTS // WORKERS)
        part = functools.partial(WORKS[work], Place(runtime, dsn, pool), each)
        # Trio keeps what a deadline belonged to until it would have come: two seconds, for what cleans up.
        rest = 2.5 if runtime.name == "trio" and work in ("cancellations", "errors") else 0.0
        for _ in range(WARM_UP):
            await _part(runtime, pool, part, threads)
            await _fill(pool)
        await runtime.sleep(rest)
        await _fill(pool)
        first, begun = footprint(), time.monotonic()
        for _ in range(PARTS):
            await _part(runtime, pool, part, threads)
        seconds = time.monotonic() - begun
        await runtime.sleep(rest)
        await _fill(pool)
        last = footprint()
        pool.close()
        return Growth(runtime.name, work, PARTS * WORKERS * each, seconds, first, last)

    return runtime.run(main)


def _import_everything() -> None:
    """What is imported when it is needed first, such as when a connection is lost, isn't a leak."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of old names
        for module in pkgutil.walk_packages(psqlpy.__path__, "psqlpy."):
            if not module.name.endswith("._libpq"):
                importlib.import_module(module.name)


async def _fill(pool: Any) -> None:
    """Have all connections open: one that was lost, and not needed since, would be taken for memory given back."""
    held = [await settle(pool.connection()) for _ in range(POOL_SIZE)]
    for connection in held:
        await settle(connection.fetch_val("SELECT 1"))
        connection.close()


async def _part(runtime: Runtime, pool: Any, part: Callable[[], Any], threads: int) -> None:
    await runtime.together([part] * WORKERS)

    def settled() -> bool:
        status = pool.status()
        return status.available == status.size and threading.active_count() <= threads

    # The connections of cancelled statements come back a little later, and the threads that have asked for it end.
    await until(runtime, settled, 5)


def run(runtime: str, counts: dict[str, int], dsn: str) -> list[Growth]:
    """Measure these works one after the other in a process of their own."""
    command = [sys.executable, "-m", "soak.leaks", "--child", runtime, json.dumps(counts)]
    variables = {**os.environ, "MALLOC_ARENA_MAX": "1", "SOAK_DSN": dsn}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{runtime}, {', '.join(counts)}:\n{done.stderr}")
    return [
        Growth(name, work, times, seconds, Footprint(*first), Footprint(*last))
        for name, work, times, seconds, first, last in json.loads(done.stdout)
    ]


@contextmanager
def server() -> Iterator[str]:
    """An embedded one, whose password is quick to check: most of a connect would be that."""
    with embedded.server(settings={"scram_iterations": 1, "max_connections": 300}) as dsn:
        with psqlpy.sync.ConnectionPool(dsn) as pool:
            pool.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{urlsplit(dsn).password}'")
        yield dsn


# The command


def keep(growth: Growth) -> None:
    """Among what was measured before, so that not all has to be measured at once."""
    kept = kept_rows()
    kept[f"{growth.work} on {growth.runtime}"] = row(growth)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def kept_rows() -> dict[str, str]:
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else {}


def row(growth: Growth) -> str:
    by = growth.by
    return (
        f"| {growth.work} | {growth.runtime} | {growth.times:,} | "
        f"{growth.last.rss / 2**20:.1f} MB, {by.rss / 1024:+.0f} kB | {by.heap / 1024:+.1f} kB | {by.objects:+d} | "
        f"{by.descriptors:+d} | {by.threads:+d} |"
    )


def table(rows: Iterable[str]) -> str:
    head = "| what | on | times | resident memory, grown by | of that malloc | Python objects | descriptors | threads |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *rows])


def write_page() -> None:
    kept = kept_rows()
    rows = [
        kept[name]
        for work in WORKS
        for name in (f"{work} on {runtime}" for runtime in RUNTIMES)
        if name in kept
    ]
    PAGE.write_text(replace(PAGE.read_text(encoding="utf-8"), "leaks", f"{table(rows)}\n"), encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak.leaks", description="Look for leaks.")
    parser.add_argument("--scale", type=float, default=1.0, help="of how often everything is done")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--dsn", help="a server's URL; without it an embedded one is started")
    parser.add_argument("--page", action="store_true", help="measure nothing: write docs/reliability.md")
    parser.add_argument("--child", nargs=2, metavar=("RUNTIME", "COUNTS"), help=argparse.SUPPRESS)
    return parser.parse_args()


def child(runtime: str, counts: dict[str, int]) -> None:
    found = [
        measure(RUNTIMES[runtime](), work, count, os.environ["SOAK_DSN"]) for work, count in counts.items()
    ]
    print(json.dumps(found))


def main() -> int:
    options = arguments()
    if options.child:
        child(options.child[0], json.loads(options.child[1]))
        return 0
    if options.page:
        write_page()
        return 0
    found: list[Growth] = []
    with nullcontext(options.dsn) if options.dsn else server() as dsn:
        for work in options.works:
            for runtime in options.runtimes:
                [growth] = run(runtime, {work: max(1, round(COUNTS[work] * options.scale))}, dsn)
                found.append(growth)
                keep(growth)
                said = "; ".join(growth.too_much) or "flat"
                print(f"{work} on {runtime}: {growth.times:,} in {growth.seconds:.0f} s, {said}", flush=True)
    print(f"\n{table(map(row, found))}")
    return int(any(growth.too_much for growth in found))


if __name__ == "__main__":
    sys.exit(main())
