"""A TCP proxy in this process that behaves badly on demand: in a thread of its own, with a selector of its own.

It knows nothing of PostgreSQL. Every change of behaviour has taken effect when the call that asks for it returns.
"""

from __future__ import annotations

import ctypes
import heapq
import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

_CHUNK = 65536
# Bytes on their way in one direction of one connection; what is more stays in the sender's socket.
_BACKLOG = 1 << 20
# Linux, <asm-generic/socket.h>: what the filter refuses is dropped before TCP sees it. This one, of one instruction
# (BPF_RET | BPF_K, 0), refuses everything; the structure that the kernel wants has its address, so it stays.
_SO_ATTACH_FILTER = 26
_REFUSE = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)
_NOTHING_PASSES = struct.pack("HP", 1, ctypes.addressof(_REFUSE))


class _Half:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket, to_server: bool) -> None:
        self.source = source
        self.target = target
        self.to_server = to_server
        # (due, bytes), and b"" for the end.
        self.pieces: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.source_open = True
        self.target_open = True


class Proxy:
    """Forwards connections of `port` to a server, until told otherwise; a context manager.

    `delay_to_server` and `delay_to_client` hold every byte back for so many seconds, `split` forwards so many bytes at
    a time, 0 as many as there are.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake_read, self._wake_write = socket.socketpair()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._asked: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._halves: dict[socket.socket, _Half] = {}
        self._timers: list[tuple[float, int, _Half]] = []
        self._numbers = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        # Behaviour, looked at by the thread alone.
        self._black_hole = False
        self._delays = {True: 0.0, False: 0.0}
        self._split = 0
        self._trap: Callable[[], None] | None = None
        self._trap_after = 0
        self._corruption: random.Random | None = None
        #: When what `at` was told to do was done; None before.
        self.sprung_at: float | None = None
        #: Bytes for clients, ever.
        self.passed_to_client = 0
        #: How many connections were ever accepted.
        self.accepted = 0
        #: What broke the proxy itself; None as it should be.
        self.error: BaseException | None = None

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask(self._stop)
        self._thread.join(5)
        if kind is None and self.error is not None:
            raise self.error

    @property
    def open_count(self) -> int:
        """How many connections there are now."""
        return len(self._halves) // 2

    # Behaviour

    def black_hole(self) -> None:
        """Forward nothing any more, in both directions, new connections too; all sockets stay open."""
        self._ask(lambda: self._set_black_hole(True))

    def vanish(self) -> None:
        """Be, to the clients that are here now, a machine that is gone: their kernel hears nothing, not even that what
        they sent has arrived. Others are served. Linux only.
        """

        def change() -> None:
            for half in {*self._halves.values()}:
                if half.to_server:
                    self._selector.unregister(half.source)
                    half.source.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _NOTHING_PASSES)

        self._ask(change)

    def restore(self) -> None:
        """Forward again, what was held back first."""
        self._ask(lambda: self._set_black_hole(False))

    def retarget(self, target: tuple[str, int]) -> None:
        """Connections that come from now on go there."""

        def change() -> None:
            self._target = target

        self._ask(change)

    def delay(self, *, to_server: float = 0.0, to_client: float = 0.0) -> None:
        """Hold every byte that arrives from now on back for so many seconds."""

        def change() -> None:
            self._delays = {True: to_server, False: to_client}

        self._ask(change)

    def split(self, size: int = 1) -> None:
        """Forward so many bytes at a time, each piece a segment of its own; 0 as many as there are."""

        def change() -> None:
            self._split = size

        self._ask(change)

    def corrupt(self, seed: int | None) -> None:
        """Change one byte in 50 of those for clients, as `seed` says; None: no more."""

        def change() -> None:
            self._corruption = None if seed is None else random.Random(seed)

        self._ask(change)

    def at(self, count: int, change: Callable[[Proxy], None] | None) -> None:
        """Have one of these done when `count` more bytes for clients have passed, exactly there; None: forget it."""

        def arm() -> None:
            self._trap = None if change is None else lambda: change(self)
            self._trap_after, self.sprung_at = count, None

        self._ask(arm)

    def reset_all(self) -> None:
        """Break all present connections: both sides get RST."""

        def change() -> None:
            for half in {*self._halves.values()}:
                half.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._drop_all()

        self._ask(change)

    def close_all(self) -> None:
        """Close all present connections, as a server that ends does."""
        self._ask(self._drop_all)

    def half_close(self, *, to_client: bool = True) -> None:
        """End one direction of all present connections: FIN to the client or to the server; the other one goes on."""

        def change() -> None:
            for half in {*self._halves.values()}:
                if half.to_server is not to_client:
                    self._end(half)

        self._ask(change)

    # The thread

    def _ask(self, change: Callable[[], None]) -> None:
        if threading.current_thread() is self._thread:
            change()
            return
        done = threading.Event()
        self._asked.append((change, done))
        self._wake_write.send(b"x")
        if not done.wait(5):
            raise RuntimeError(f"the proxy does not answer: {self.error!r}")

    def _serve(self) -> None:
        try:
            while not self._stopped:
                self._turn()
        except BaseException as error:
            self.error = error
        finally:
            self._drop_all()
            for one in (self._listener, self._wake_read, self._wake_write):
                one.close()
            self._selector.close()
            while self._asked:
                self._asked.popleft()[1].set()

    def _turn(self) -> None:
        timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for key, events in self._selector.select(timeout):
            sock: Any = key.fileobj
            if sock is self._listener:
                self._accept()
            elif sock is self._wake_read:
                self._answer()
            elif sock in self._halves:
                self._move(sock, events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            half = heapq.heappop(self._timers)[2]
            if half.target_open and not self._black_hole:
                self._write(half)

    def _stop(self) -> None:
        self._stopped = True

    def _answer(self) -> None:
        self._wake_read.recv(_CHUNK)
        while self._asked:
            change, done = self._asked.popleft()
            change()
            done.set()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            server = socket.create_connection(self._target, 5)
        except OSError:
            client.close()
            return
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._halves[client] = _Half(client, server, to_server=True)
        self._halves[server] = _Half(server, client, to_server=False)
        for sock in (client, server):
            self._register(sock)

    def _register(self, sock: socket.socket) -> None:
        """Wait for what its two halves can go on with."""
        reads, writes = self._halves[sock], self._halves[self._halves[sock].target]
        events = 0
        if not self._black_hole:
            if reads.source_open and reads.size < _BACKLOG:
                events |= selectors.EVENT_READ
            if writes.target_open and writes.pieces and writes.pieces[0][0] <= time.monotonic():
                events |= selectors.EVENT_WRITE
        registered = sock in self._selector.get_map()
        if not events:
            if registered:
                self._selector.unregister(sock)
        elif registered:
            self._selector.modify(sock, events)
        else:
            self._selector.register(sock, events)

    def _move(self, sock: socket.socket, events: int) -> None:
        half = self._halves[sock]
        if events & selectors.EVENT_WRITE:
            self._write(self._halves[half.target])
        if events & selectors.EVENT_READ and sock in self._halves:
            self._read(half)

    def _read(self, half: _Half) -> None:
        try:
            data = half.source.recv(self._split or _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            # What came before a reset is still passed on, as by a network; the end takes the reset's place.
            data = b""
        if not data:
            half.source_open = False
        if half.to_server or not data:
            self._take(half, data)
            return
        self.passed_to_client += len(data)
        if self._trap is None or len(data) < self._trap_after:
            self._trap_after -= len(data)
            self._take(half, data)
            return
        trap, self._trap = self._trap, None
        before, rest = data[: self._trap_after], data[self._trap_after :]
        if before:
            self._take(half, before)
        self.sprung_at = time.monotonic()
        trap()
        if rest and half.source in self._halves and half.target_open:
            self._take(half, rest)

    def _take(self, half: _Half, data: bytes) -> None:
        """Have bytes on their way; none of them are the end."""
        if self._corruption is not None and not half.to_server:
            dice = self._corruption
            data = bytes(byte if dice.random() > 0.02 else dice.randrange(256) for byte in data)
        delay = self._delays[half.to_server]
        due = time.monotonic() + delay
        half.pieces.append((due, data))
        half.size += len(data)
        if delay:
            self._numbers += 1
            heapq.heappush(self._timers, (due, self._numbers, half))
        elif not self._black_hole:
            self._write(half)
        if half.source in self._halves:
            self._register(half.source)

    def _write(self, half: _Half) -> None:
        while half.pieces and half.target_open:
            due, data = half.pieces[0]
            if due > time.monotonic():
                break
            if not data:
                self._end(half)
                return
            try:
                sent = half.target.send(data)
            except BlockingIOError:
                break
            except OSError:
                self._abandon(half)
                return
            half.size -= sent
            half.pieces.popleft()
            if sent < len(data):
                half.pieces.appendleft((due, data[sent:]))
        if half.target in self._halves:
            self._register(half.target)
            self._register(half.source)

    def _abandon(self, half: _Half) -> None:
        """Its target takes nothing more; what that has said before, read or not, is still passed on."""
        half.pieces.clear()
        half.size = 0
        half.source_open = half.target_open = False
        back = self._halves[half.target]
        if not (back.source_open or back.pieces):
            self._drop(half)
            return
        self._register(half.source)
        self._register(half.target)

    def _end(self, half: _Half) -> None:
        """Pass the end of one direction on; after both, the connection is over."""
        half.pieces.clear()
        half.size = 0
        half.source_open = half.target_open = False
        try:
            half.target.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(half)
            return
        if not self._halves[half.target].target_open:
            self._drop(half)
        else:
            self._register(half.source)
            self._register(half.target)

    def _drop(self, half: _Half) -> None:
        for sock in (half.source, half.target):
            if self._halves.pop(sock, None) is not None:
                if sock in self._selector.get_map():
                    self._selector.unregister(sock)
                sock.close()

    def _drop_all(self) -> None:
        while self._halves:
            self._drop(next(iter(self._halves.values())))

    def _set_black_hole(self, on: bool) -> None:
        self._black_hole = on
        for sock in list(self._halves):
            if sock in self._halves:
                if not on:
                    self._write(self._halves[sock])
                if sock in self._halves:
                    self._register(sock)
