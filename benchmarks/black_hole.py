"""How long drivers take to come back from a network that forwards nothing any more: `python -m benchmarks.black_hole`.

Each call is given one second: asyncio.timeout(1) around it, in threads the driver's own parameter where it has one. It
goes through the driver's pool, which was used before, into a network that has fallen silent. Each is made in a process
of its own, with the driver's environment, ended after so many seconds. Prints the table of docs/reliability.md.

    python -m benchmarks.black_hole [--patience 20]

The server is the one of PSQLPY_TEST_DSN, or an embedded one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

CALLS = ("query", "commit", "connect", "close")
TITLES = ("query in flight", "COMMIT in flight", "connect", "close of the pool")
DRIVERS = {
    "psqlpy": "psqlpy, async",
    "psqlpy-sync": "psqlpy, threads",
    "asyncpg": "asyncpg",
    "psycopg": "psycopg, async",
    "psycopg-sync": "psycopg, threads",
}
HOMES = {"psqlpy-sync": "psqlpy"}
LIMIT = 1.0

Hole = Callable[[], None]


def nothing() -> None:
    pass


async def within_limit(call: Callable[[], Any]) -> None:
    await asyncio.wait_for(call(), LIMIT)


# -- one coroutine or function a driver, which runs in the driver's environment


async def use_psqlpy(call: str, dsn: str, hole: Hole) -> None:
    import psqlpy

    pool = psqlpy.ConnectionPool(dsn, max_db_pool_size=2)

    async def commit() -> None:
        async with pool.acquire() as connection, connection.transaction() as transaction:
            await transaction.execute("SELECT 1")
            hole()

    if call != "connect":
        await pool.execute("SELECT 1")
    if call != "commit":
        hole()
    calls = {
        "query": lambda: pool.execute("SELECT 1"),
        "commit": commit,
        "connect": pool.connection,
        "close": pool.aclose,
    }
    await within_limit(calls[call])


def use_psqlpy_sync(call: str, dsn: str, hole: Hole) -> None:
    from psqlpy import sync

    pool = sync.ConnectionPool(dsn, max_db_pool_size=2, timeout=LIMIT)
    if call != "connect":
        pool.execute("SELECT 1")
    if call == "commit":
        with pool.acquire() as connection, connection.transaction() as transaction:
            transaction.execute("SELECT 1")
            hole()
        return
    hole()
    if call == "close":
        pool.close()
    else:
        pool.execute("SELECT 1")


async def use_asyncpg(call: str, dsn: str, hole: Hole) -> None:
    import asyncpg

    if call == "connect":
        hole()
        await within_limit(lambda: asyncpg.connect(dsn))
        return
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)

    async def commit() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetch("SELECT 1")
            hole()

    await pool.fetch("SELECT 1")
    if call != "commit":
        hole()
    calls = {"query": lambda: pool.fetch("SELECT 1"), "commit": commit, "close": pool.close}
    await within_limit(calls[call])


async def use_psycopg(call: str, dsn: str, hole: Hole) -> None:
    import psycopg
    from psycopg_pool import AsyncConnectionPool

    if call == "connect":
        hole()
        await within_limit(lambda: psycopg.AsyncConnection.connect(dsn))
        return
    pool: Any = AsyncConnectionPool(dsn, min_size=1, max_size=2, open=False)
    await pool.open(wait=True)

    async def use(before: Hole, after: Hole) -> None:
        async with pool.connection() as connection:
            before()
            await connection.execute("SELECT 1")
            after()

    await use(nothing, nothing)
    if call == "query":
        await within_limit(lambda: use(hole, nothing))
    elif call == "commit":
        await within_limit(lambda: use(nothing, hole))
    else:
        hole()
        await within_limit(pool.close)


def use_psycopg_sync(call: str, dsn: str, hole: Hole) -> None:
    import psycopg
    from psycopg_pool import ConnectionPool

    if call == "connect":
        hole()
        psycopg.connect(dsn, connect_timeout=int(LIMIT))
        return
    pool: Any = ConnectionPool(dsn, min_size=1, max_size=2, open=True)

    def use(before: Hole, after: Hole) -> None:
        with pool.connection() as connection:
            before()
            connection.execute("SELECT 1")
            after()

    use(nothing, nothing)
    if call == "query":
        use(hole, nothing)
    elif call == "commit":
        use(nothing, hole)
    else:
        hole()
        pool.close(timeout=LIMIT)


def measure(driver: str, call: str, dsn: str) -> None:
    """Run in a process of its own: ask for the black hole, and tell how long the call took from then on."""
    begun = 0.0

    def hole() -> None:
        nonlocal begun
        print("hole", flush=True)
        sys.stdin.readline()
        begun = time.monotonic()

    use: Callable[[str, str, Hole], Any] = globals()[f"use_{driver.replace('-', '_')}"]

    def report() -> None:
        print(time.monotonic() - begun, flush=True)
        # What is left open would be waited for.
        os._exit(0)

    async def run() -> None:
        try:
            await use(call, dsn, hole)
        finally:
            report()

    if driver.endswith("-sync"):
        try:
            use(call, dsn, hole)
        finally:
            report()
    asyncio.run(run())


# -- the one who asks


@contextmanager
def running(dsn: str | None) -> Iterator[str]:
    if dsn is not None:
        yield dsn
        return
    from psqlpy import embedded

    with embedded.server() as started:
        yield started


def seconds(driver: str, call: str, dsn: str, patience: float) -> float | None:
    """None if it had not come back."""
    from benchmarks.environments import environment_of
    from tests.hostile.proxy import Proxy

    parts = urlsplit(dsn)
    with Proxy((parts.hostname or "127.0.0.1", parts.port or 5432)) as proxy:
        login = parts.netloc.rpartition("@")[0]
        through = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
        environment = environment_of(HOMES.get(driver, driver))
        child = subprocess.Popen(
            environment.command("black_hole", "--one", driver, call, through),
            cwd=environment.directory,
            env=environment.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert child.stdin is not None and child.stdout is not None
            if child.stdout.readline() != "hole\n":
                raise RuntimeError(f"{driver} can't {call}")
            proxy.black_hole()
            child.stdin.write("\n")
            child.stdin.flush()
            try:
                child.wait(patience)
            except subprocess.TimeoutExpired:
                return None
            return float(child.stdout.readline())
        finally:
            child.kill()
            child.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.black_hole")
    parser.add_argument("--patience", type=float, default=20.0, help="seconds after which a call is given up")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(*options.one)
        return
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    with running(os.environ.get("PSQLPY_TEST_DSN")) as dsn:
        print("| driver |", " | ".join(TITLES), "|\n|---|---|---|---|---|", flush=True)
        for driver, title in DRIVERS.items():
            taken = [seconds(driver, call, dsn, options.patience) for call in CALLS]
            shown = [f"> {options.patience:.0f} s" if one is None else f"{one:.1f} s" for one in taken]
            print(f"| {title} |", " | ".join(shown), "|", flush=True)


if __name__ == "__main__":
    main()
