"""How much of `execute_many` is the server's: the same rows as bytes that were made before, beside psqlpy and asyncpg.

Bytes that are only sent, and answers that are only read, are the least that any driver can need as long as it executes
one statement for each row: what is above that is the driver's. They are sent with and without the Describe that libpq
has in front of each Execute. All take turns on one server; this process keeps to one processor and the backends to the
others, where that can be arranged.

    python benchmarks/server_share.py [--rows 20000] [--rounds 15] [--anywhere]

The server is the one of PSQLPY_TEST_DSN, without TLS, or an embedded one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from struct import pack
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psqlpy
import psqlpy.sync
from benchmarks import rows
from benchmarks.roundtrip import keep_apart
from psqlpy import embedded

RAW = {"bytes, as libpq's": True, "bytes, without Describe": False}
EPOCH = rows.records(1)[0][5].replace(year=2000)

Turn = Callable[[], Awaitable[object]]


def message(kind: bytes, body: bytes) -> bytes:
    return kind + pack(">i", len(body) + 4) + body


PARSE = message(b"P", b"raw\0" + rows.INSERT.encode() + b"\0" + pack(">h", 0))
DESCRIBE_PORTAL = message(b"D", b"P\0")
EXECUTE = message(b"E", b"\0" + pack(">i", 0))
SYNC = message(b"S", b"")
BINARY = pack(">hh", 1, 1)


def bind(row: tuple[Any, ...]) -> bytes:
    number, big, name, ratio, active, created = row
    microseconds = round((created - EPOCH).total_seconds() * 1e6)
    values = (
        pack(">i", number),
        pack(">q", big),
        name.encode(),
        pack(">d", ratio),
        pack(">?", active),
        pack(">q", microseconds),
    )
    packed = b"".join(pack(">i", len(value)) + value for value in values)
    return message(b"B", b"\0raw\0" + BINARY + pack(">h", len(values)) + packed + BINARY)


class Raw:
    """A connection that libpq has made, and its socket without libpq."""

    def __init__(self, dsn: str) -> None:
        self.pool = psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1)
        self.connection = self.pool.connection()
        self.connection.execute(rows.CREATE)
        link = self.connection._link
        assert link is not None
        self.socket = socket.socket(fileno=os.dup(link.session.fd))
        self.socket.setblocking(True)
        self.exchange(PARSE + SYNC)

    def exchange(self, data: bytes) -> None:
        """Send while another thread reads up to ReadyForQuery."""
        answered: list[bool] = []
        reader = threading.Thread(target=lambda: answered.append(self._read()))
        reader.start()
        self.socket.sendall(data)
        reader.join()
        if answered != [True]:
            raise RuntimeError("the server refuses the bytes: take one without TLS")

    def _read(self) -> bool:
        end = b""
        clean = True
        while not end.endswith(b"Z\0\0\0\5I"):
            got = self.socket.recv(1 << 16)
            if not got:
                return False
            clean = clean and b"SERROR\0" not in got
            end = (end + got)[-6:]
        return clean


def raw_turn(raw: Raw, data: bytes) -> Turn:
    async def turn() -> None:
        raw.exchange(data)

    return turn


async def measure(dsn: str, count: int, rounds: int, apart: bool) -> dict[str, list[float]]:
    import asyncpg

    records = rows.records(count)
    ours = await psqlpy.ConnectionPool(dsn, max_db_pool_size=1).connection()
    theirs = await asyncpg.connect(dsn)
    turns: dict[str, tuple[Turn, Callable[[str], Awaitable[object]]]] = {
        "psqlpy": (lambda: ours.execute_many(rows.INSERT, records), ours.execute),
        "asyncpg": (lambda: theirs.executemany(rows.INSERT, records), theirs.execute),
    }
    for connection in (ours, theirs):
        await connection.execute(rows.CREATE)
    binds = [bind(record) for record in records]
    for name, described in RAW.items():
        raw = Raw(dsn)
        behind = DESCRIBE_PORTAL + EXECUTE if described else EXECUTE

        async def execute(statement: str, raw: Raw = raw) -> None:
            raw.connection.execute(statement)

        turns[name] = raw_turn(raw, b"".join(each + behind for each in binds) + SYNC), execute
    print("Client and server", "apart." if apart and keep_apart(dsn) else "wherever the kernel puts them.")
    times: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(-1, rounds):
        # Nobody always goes first.
        for name in sorted(turns, key=lambda name: hash((name, number))):
            turn, execute_one = turns[name]
            await execute_one(rows.EMPTY)
            began = time.perf_counter()
            await turn()
            if number >= 0:
                times[name].append((time.perf_counter() - began) / count)
    return times


def run(dsn: str, arguments: argparse.Namespace) -> None:
    times = asyncio.run(measure(dsn, arguments.rows, arguments.rounds, not arguments.anywhere))
    print(f"{arguments.rows:,} rows, {arguments.rounds} rounds; µs a row: the least, the median")
    for name, each in times.items():
        print(f"{name:24} {min(each) * 1e6:6.2f} {statistics.median(each) * 1e6:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--anywhere", action="store_true", help="leave processors to the kernel")
    arguments = parser.parse_args()
    dsn = os.environ.get("PSQLPY_TEST_DSN")
    if dsn:
        run(dsn, arguments)
    else:
        with embedded.server() as own:
            run(own, arguments)


if __name__ == "__main__":
    main()
