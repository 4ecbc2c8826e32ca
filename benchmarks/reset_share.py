"""What the reset of a connection that comes back costs the server: one query, with and without a reset in front of it.

Sent as bytes that were made before, over one connection, in turns: the query alone; with psqlpy's reset, as libpq sends
it; with the same reset as prepared statements; and with asyncpg's, which is one message. The server's figure is the
processor time of the backend, the other is what the client waits.

    python benchmarks/reset_share.py [--rounds 60]

The server is the one of PSQLPY_TEST_DSN, without TLS and on this machine, or an embedded one. Linux only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from struct import pack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.server import running
from benchmarks.server_share import DESCRIBE_PORTAL, EXECUTE, SYNC, Raw, message
from psqlpy._protocol.reset import FORGET

QUERIES = 50
READY = b"Z\0\0\0\5I"
ASYNCPG = b"SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;\0"


def parse(name: bytes, statement: bytes) -> bytes:
    return message(b"P", name + b"\0" + statement + b"\0" + pack(">h", 0))


def execute(name: bytes) -> bytes:
    return message(b"B", b"\0" + name + b"\0" + pack(">hhhh", 0, 0, 1, 1)) + DESCRIBE_PORTAL + EXECUTE


def exchange(raw: Raw, data: bytes, answers: int) -> None:
    """Short ones: what is sent fits into the socket's buffer."""
    raw.socket.sendall(data)
    got = b""
    while got.count(READY) < answers:
        got += raw.socket.recv(1 << 16)
    if b"SERROR\0" in got:
        raise RuntimeError(f"the server refuses the bytes: {got!r}")


def conversations(raw: Raw) -> dict[str, bytes]:
    names = {b"reset%d" % number: command for number, command in enumerate(FORGET)}
    prepared = {**names, b"query": b"SELECT 1 AS id, 'name'::text AS name, now() AS created"}
    raw.exchange(b"".join(parse(name, command) for name, command in prepared.items()) + SYNC)
    query = execute(b"query") + SYNC
    return {
        "the query": query,
        "reset, query": b"".join(parse(b"", command) + execute(b"") for command in FORGET) + query,
        "prepared reset, query": b"".join(map(execute, names)) + query,
        "asyncpg's reset, query": message(b"Q", ASYNCPG) + query,
    }


def processor_time(pid: int) -> float:
    """Seconds; to the nanosecond, where /proc/PID/stat has hundredths."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def run(dsn: str, rounds: int) -> None:
    raw = Raw(dsn)
    pid = raw.connection.backend_pid
    known = conversations(raw)
    waited: dict[str, list[float]] = {name: [] for name in known}
    worked: dict[str, list[float]] = {name: [] for name in known}
    for number in range(-1, rounds):
        # Nobody always goes first.
        for name in sorted(known, key=lambda name: hash((name, number))):
            before, began = processor_time(pid), time.perf_counter()
            for _ in range(QUERIES):
                exchange(raw, known[name], 2 if known[name][:1] == b"Q" else 1)
            if number >= 0:
                waited[name].append((time.perf_counter() - began) / QUERIES)
                worked[name].append((processor_time(pid) - before) / QUERIES)
    print("µs, the least and the median: the backend's processor time; what the client waits")
    for name in known:
        figures = [ask(times[name]) for times in (worked, waited) for ask in (min, statistics.median)]
        print(f"{name:24}", *(f"{seconds * 1e6:6.1f}" for seconds in figures))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    with running(os.environ.get("PSQLPY_TEST_DSN")) as server:
        run(server.dsn, arguments.rounds)


if __name__ == "__main__":
    main()
