"""How much of the four queries is the server's: their bytes, sent, read and thrown away, beside psqlpy and asyncpg.

Ten connections, a task each, in asyncio, as `python -m benchmarks --only queries` has them. The bytes stand for a
driver that costs nothing: made before, sent by asyncio's transport, and of what comes only the end is looked at. All
take turns on one server, in one process, which keeps to one processor and the backends to the others, where that can
be arranged.

    python benchmarks/query_share.py [--rounds 15] [--anywhere]

The server is the one of PSQLPY_TEST_DSN, without TLS, or an embedded one; it gets tables bench_*, for the while.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from struct import pack
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psqlpy
from benchmarks.roundtrip import keep_apart
from benchmarks.server import running
from benchmarks.work import QUERIES

TASKS = 10
COUNTS = {"pg_type": 5, "numbers": 10, "bytes": 10, "arrays": 5}

Query = Callable[[str, list[Any]], Awaitable[object]]


def message(kind: bytes, body: bytes) -> bytes:
    return kind + pack(">i", len(body) + 4) + body


def execution(values: list[Any]) -> bytes:
    packed = [pack(">?", value) if isinstance(value, bool) else pack(">i", value) for value in values]
    parameters = b"".join(pack(">i", len(value)) + value for value in packed)
    count = pack(">h", len(values))
    bind = message(b"B", b"\0raw\0" + pack(">hh", 1, 1) + count + parameters + pack(">hh", 1, 1))
    return bind + message(b"E", b"\0" + pack(">i", 0)) + message(b"S", b"")


class Raw(asyncio.Protocol):
    """A connection that libpq has made, and its socket without libpq."""

    def __init__(self, connection: psqlpy.Connection) -> None:
        self._connection = connection
        self._end = b""
        self._prepared = ""
        self._transport: asyncio.WriteTransport | None = None
        self._answered: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, dsn: str) -> Raw:
        raw = cls(await psqlpy.ConnectionPool(dsn, max_db_pool_size=1).connection())
        link = raw._connection._link
        assert link is not None
        connected = socket.socket(fileno=os.dup(link.session.fd))
        loop = asyncio.get_running_loop()
        loop.remove_reader(link.session.fd)
        raw._transport, _ = await loop.create_connection(lambda: raw, sock=connected)
        return raw

    def data_received(self, data: bytes) -> None:
        self._end = (self._end + data)[-6:] if len(data) < 6 else data[-6:]
        if self._end == b"Z\0\0\0\5I" and self._answered is not None:
            self._answered.set_result(None)

    async def _exchange(self, data: bytes) -> None:
        self._end = b""
        self._answered = asyncio.get_running_loop().create_future()
        assert self._transport is not None
        self._transport.write(data)
        await self._answered

    async def query(self, text: str, values: list[Any]) -> None:
        if self._prepared != text:
            self._prepared = text
            close = message(b"C", b"Sraw\0")
            await self._exchange(
                close + message(b"P", b"raw\0" + text.encode() + b"\0" + pack(">h", 0)) + message(b"S", b"")
            )
        await self._exchange(execution(values))


async def drivers(dsn: str) -> dict[str, list[Query]]:
    import asyncpg

    async def ours() -> Query:
        connection = await psqlpy.ConnectionPool(dsn, max_db_pool_size=1).connection()

        async def query(text: str, values: list[Any]) -> object:
            return (await connection.fetch(text, values)).records()

        return query

    async def theirs() -> Query:
        connection = await asyncpg.connect(dsn)

        async def query(text: str, values: list[Any]) -> object:
            return await connection.fetch(text, *values)

        return query

    async def raw() -> Query:
        return (await Raw.open(dsn)).query

    makers: dict[str, Callable[[], Awaitable[Query]]] = {"psqlpy": ours, "asyncpg": theirs, "bytes": raw}
    return {name: [await make() for _ in range(TASKS)] for name, make in makers.items()}


async def measure(dsn: str, rounds: int, apart: bool) -> dict[str, dict[str, list[float]]]:
    """Seconds a query: by query, by driver."""
    known = await drivers(dsn)
    print("Client and server", "apart." if apart and keep_apart(dsn) else "wherever the kernel puts them.")
    times: dict[str, dict[str, list[float]]] = {query: {name: [] for name in known} for query in COUNTS}
    for query, count in COUNTS.items():
        text, values = QUERIES[query]

        async def task(run: Query, text: str = text, values: list[Any] = values, count: int = count) -> None:
            for _ in range(count):
                await run(text, values)

        for number in range(-1, rounds):
            # Nobody always goes first.
            for name in sorted(known, key=lambda name: hash((name, number))):
                gc.collect()
                began = time.perf_counter()
                await asyncio.gather(*map(task, known[name]))
                if number >= 0:
                    times[query][name].append((time.perf_counter() - began) / count / TASKS)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--anywhere", action="store_true", help="leave it to the kernel where processes run")
    arguments = parser.parse_args()
    with running(os.environ.get("PSQLPY_TEST_DSN")) as server:
        times = asyncio.run(measure(server.dsn, arguments.rounds, not arguments.anywhere))
    ratios: dict[str, list[float]] = {"psqlpy": [], "bytes": []}
    for query, by_driver in times.items():
        medians = {name: statistics.median(found) * 1e6 for name, found in by_driver.items()}
        for name, found in ratios.items():
            pairs = zip(by_driver["asyncpg"], by_driver[name], strict=True)
            found.append(statistics.median(theirs / other for theirs, other in pairs))
        print(f"{query:10}", "  ".join(f"{name} {median:7.0f} µs" for name, median in medians.items()))
    for name, found in ratios.items():
        print(f"asyncpg / {name}, geometric mean: {statistics.geometric_mean(found):.2f}")


if __name__ == "__main__":
    main()
