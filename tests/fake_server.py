"""A server that speaks protocol 3.0 as it is told: it accepts a start-up, then sends what the test says, byte for byte.

Sources: PostgreSQL manual, sections "Message Flow" and "Message Formats". No SQL, no thread: the test is the backend.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterable
from types import TracebackType

from psqlpy._pq.connection import BROKEN, COPY, MORE, PGconn, wait
from psqlpy._pq.enums import ExecStatus, PollingStatus
from psqlpy._pq.result import PGresult

SYNC = int(ExecStatus.PIPELINE_SYNC)

Taken = list[tuple[int, PGresult | None]]

SETTINGS = {
    "server_version": "15.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}


def message(kind: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A message of the backend; `length` lies about its size."""
    return kind + struct.pack("!i", len(body) + 4 if length is None else length) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


PARSE_COMPLETE = message(b"1")
BIND_COMPLETE = message(b"2")
NO_DATA = message(b"n")
EMPTY_QUERY = message(b"I")


def ready(status: bytes = b"I") -> bytes:
    return message(b"Z", status)


def complete(tag: str = "SELECT 1") -> bytes:
    return message(b"C", text(tag))


def row_description(*names: str, oid: int = 25) -> bytes:
    columns = b"".join(text(name) + struct.pack("!ihihih", 0, 0, oid, -1, -1, 0) for name in names)
    return message(b"T", struct.pack("!h", len(names)) + columns)


def data_row(*values: bytes | None) -> bytes:
    cells = (struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message(b"D", struct.pack("!h", len(values)) + b"".join(cells))


def rows(*values: bytes) -> bytes:
    """The whole answer to Bind, Describe, Execute of a query with one column."""
    body = b"".join(data_row(value) for value in values)
    return BIND_COMPLETE + row_description("x") + body + complete(f"SELECT {len(values)}")


def fields(kind: bytes, severity: str, sqlstate: str, said: str) -> bytes:
    """An error (kind E) or a notice (kind N)."""
    parts = {"S": severity, "V": severity, "C": sqlstate, "M": said}
    return message(kind, b"".join(code.encode() + text(value) for code, value in parts.items()) + b"\0")


def error(sqlstate: str = "22012", said: str = "division by zero", severity: str = "ERROR") -> bytes:
    return fields(b"E", severity, sqlstate, said)


def notice(said: str) -> bytes:
    return fields(b"N", "NOTICE", "00000", said)


def notification(channel: str, payload: str, pid: int = 7) -> bytes:
    return message(b"A", struct.pack("!i", pid) + text(channel) + text(payload))


def copy_response(kind: bytes) -> bytes:
    """kind G: the server waits for data; H: it will send them."""
    return message(kind, struct.pack("!bh", 0, 0))


class FakeServer:
    """One listening socket, one connection: `conn` is the client's end, a pipelined PGconn."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._peer: socket.socket | None = None
        self.conn = self._connect()
        assert self.conn.begin_pipeline()

    def _connect(self) -> PGconn:
        host, port = self._listener.getsockname()
        conn = PGconn.start(
            {
                "hostaddr": host,
                "port": str(port),
                "user": "u",
                "dbname": "d",
                "sslmode": "disable",
                "gssencmode": "disable",
            }
        )
        status = PollingStatus.WRITING
        while status is not PollingStatus.OK:
            assert status is not PollingStatus.FAILED, conn.error_message
            if status is PollingStatus.WRITING:
                select.select([], [conn.fd], [], 10)
            elif self._peer is None:
                self._peer, _ = self._listener.accept()
                self._peer.settimeout(10)
                self._start_up()
            status = conn.poll()
        return conn

    def _start_up(self) -> None:
        size = struct.unpack("!i", self._receive_exactly(4))[0]
        packet = self._receive_exactly(size - 4)
        assert struct.unpack("!i", packet[:4])[0] >> 16 == 3
        settings = b"".join(message(b"S", text(name) + text(value)) for name, value in SETTINGS.items())
        self.send(
            message(b"R", struct.pack("!i", 0))
            + settings
            + message(b"K", struct.pack("!ii", 7, 42))
            + ready()
        )

    @property
    def peer(self) -> socket.socket:
        assert self._peer is not None
        return self._peer

    def _receive_exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            part = self.peer.recv(size - len(received))
            assert part, "the client has hung up"
            received += part
        return received

    def pump(self, flights: int, readable: bool) -> tuple[int, Taken]:
        """What the client's end has received: flags, and (status, result) pairs, None for a Sync."""
        result = self.conn.pump_one(flights, readable)
        if result is not None:
            return 0, [*self.conn.silent * [(SYNC, None)], (result.status, result), (SYNC, None)]
        flags, results = self.conn.pumped()
        return flags, list(results)

    def receive(self) -> tuple[bytes, bytes]:
        """The next message of the client: its type and its body."""
        kind = self._receive_exactly(1)
        return kind, self._receive_exactly(struct.unpack("!i", self._receive_exactly(4))[0] - 4)

    def receive_flight(self) -> list[bytes]:
        """The types of the client's messages up to the next Sync."""
        kinds: list[bytes] = []
        while kinds[-1:] != [b"S"]:
            kinds.append(self.receive()[0])
        return kinds

    def send(self, *messages: bytes) -> None:
        self.peer.sendall(b"".join(messages))

    def send_in_pieces(self, data: bytes, size: int) -> Iterable[int]:
        """Send so many bytes at a time; yields after each piece."""
        for start in range(0, len(data), size):
            self.peer.sendall(data[start : start + size])
            yield start

    def hang_up(self) -> None:
        """End the stream behind what was sent."""
        self.peer.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float = 10) -> None:
        """Wait until the client's socket has something to read."""
        assert select.select([self.conn.fd], [], [], seconds)[0], "nothing has arrived"

    def close(self) -> None:
        self.conn.finish()
        if self._peer is not None:
            self._peer.close()
        self._listener.close()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def execute(server: FakeServer, flights: int = 1) -> None:
    """Put flights of one execution each on the wire, and take them off at the other end."""
    for _ in range(flights):
        assert server.conn.execute_flight(b"s", 0, b"", 0, 0) == 0
    for _ in range(flights):
        assert server.receive_flight() == [b"B", b"D", b"E", b"S"]


def take(server: FakeServer, flights: int, *, seconds: float = 10) -> tuple[int, Taken]:
    """Pump as a driver does until so many flights have landed, or the connection is of no use."""
    taken: Taken = []
    deadline = time.monotonic() + seconds
    ready = False
    while True:
        assert time.monotonic() < deadline, f"it hangs, after {taken}"
        flags, results = server.pump(flights - [s for s, _ in taken].count(SYNC), ready)
        taken.extend(results)
        if flags & (BROKEN | COPY) and not flags & MORE:
            return flags, taken
        if [status for status, _ in taken].count(SYNC) == flights:
            return flags, taken
        ready = not flags & MORE and bool(wait(server.conn.fd, 1, 1000))


def statuses(taken: Taken) -> list[int]:
    return [status for status, _ in taken]


def value(taken: Taken, index: int, row: int = 0) -> bytes | None:
    result = taken[index][1]
    assert result is not None
    return result.value_bytes(row, 0)
