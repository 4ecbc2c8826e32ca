"""A slow network: `python -m benchmarks.proxy HOST PORT SECONDS` forwards to a server, each way half of SECONDS later.

So a round trip takes SECONDS longer, and any number of bytes may be on their way. It also counts round trips: a client
that speaks after the server has spoken begins one. Asked by the conductor (channel.py): {"do": "take"} answers with the
number since it was asked last. One thread on select(2), since event loops round their timers to milliseconds.
"""

from __future__ import annotations

import select
import socket
import sys
from collections import deque
from time import perf_counter

from benchmarks.channel import Channel

# Nothing more is read while so much is on its way in one direction.
FULL = 16_000_000
PART = 262_144


class Direction:
    """What one side said and the other hasn't heard yet."""

    def __init__(self, source: socket.socket, target: socket.socket, delay: float) -> None:
        self.source, self.target, self._delay = source, target, delay
        self._parts: deque[tuple[float, memoryview]] = deque()
        self._size = 0
        self.ended = False  # the source will say no more
        self.over = False  # and the target has heard all of it

    @property
    def reads(self) -> bool:
        return not self.ended and self._size < FULL

    @property
    def due(self) -> float | None:
        return self._parts[0][0] if self._parts else None

    def read(self) -> int:
        try:
            data = self.source.recv(PART)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        self._parts.append((perf_counter() + self._delay, memoryview(data)))
        self._size += len(data)
        self.ended = not data
        return len(data)

    def write(self) -> bool:
        """Pass on what is due; True if the target takes no more for now."""
        while self._parts and self._parts[0][0] <= perf_counter():
            when, data = self._parts.popleft()
            try:
                sent = self.target.send(data) if data else self._end()
            except BlockingIOError:
                sent = 0
            except OSError:
                self._parts.clear()
                self.ended = self.over = True
                return False
            self._size -= sent
            if sent < len(data):
                self._parts.appendleft((when, data[sent:]))
                return True
        return False

    def _end(self) -> int:
        self.over = True
        self.target.shutdown(socket.SHUT_WR)
        return 0


class Pair:
    """A client and the server it thinks it talks to."""

    def __init__(self, client: socket.socket, server: socket.socket, delay: float) -> None:
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up, self.down = Direction(client, server, delay), Direction(server, client, delay)
        self.round_trips = 0
        self._server_spoke = True

    def read(self, direction: Direction) -> None:
        count = direction.read()
        if count and direction is self.down:
            self._server_spoke = True
        elif count and self._server_spoke:
            self._server_spoke = False
            self.round_trips += 1

    @property
    def over(self) -> bool:
        return self.up.over and self.down.over

    def close(self) -> None:
        self.up.source.close()
        self.up.target.close()


class Proxy:
    def __init__(self, server: tuple[str, int], delay: float) -> None:
        self._server, self._delay = server, delay / 2
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[Pair] = []
        self._round_trips = 0

    def take(self) -> int:
        """Round trips since the last call."""
        total, self._round_trips = self._round_trips, 0
        for pair in self._pairs:
            total, pair.round_trips = total + pair.round_trips, 0
        return total

    def step(self, other: int) -> bool:
        """Wait for something to do and do it; True if there is something to read from `other`."""
        directions = {direction: pair for pair in self._pairs for direction in (pair.up, pair.down)}
        blocked = [direction for direction in directions if direction.write()]
        due = [direction.due for direction in directions if direction not in blocked]
        soonest = min((when for when in due if when is not None), default=None)
        timeout = None if soonest is None else max(0.0, soonest - perf_counter())
        sources = {direction.source: direction for direction in directions if direction.reads}
        targets = [direction.target for direction in blocked]
        watched: list[int | socket.socket] = [other, self._listener, *sources]
        readable, _, _ = select.select(watched, targets, [], timeout)
        for ready in readable:
            if ready is self._listener:
                self._accept()
            elif isinstance(ready, socket.socket):
                directions[sources[ready]].read(sources[ready])
        for pair in [pair for pair in self._pairs if pair.over]:
            self._pairs.remove(pair)
            self._round_trips += pair.round_trips
            pair.close()
        return other in readable

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        self._pairs.append(Pair(client, server, self._delay))


def main() -> None:
    host, port, seconds = sys.argv[1:]
    channel = Channel()
    proxy = Proxy((host, int(port)), float(seconds))
    channel.send({"port": proxy.port})
    while True:
        if proxy.step(sys.stdin.fileno()):
            if channel.receive() is None:
                return
            channel.send({"round_trips": proxy.take()})


if __name__ == "__main__":
    main()
