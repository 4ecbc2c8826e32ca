"""What stands between a pool and a server: relays that are slow, count or speak TLS, and ports where nobody answers."""

from __future__ import annotations

import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SSL_REQUEST_SIZE = 8
_CHUNK = 1 << 20
# How long the server must have been silent before what it said is encrypted, in records as large as can be: 16 kB.
_QUIET = 0.001
# But for the first one, which ends inside a row: with that part in it, libpq's buffer of 16 kB can't take the next.
_FIRST_RECORD = 8192
# Between the first and the next, up to so many seconds and each time others: the next may arrive while libpq reads.
_PAUSE = 0.0003


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Relay:
    """Forwards TCP connections to a server, each chunk `delay` seconds late, and counts the connections.

    With `tls` it speaks TLS to clients and plain text to the server.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        delay: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._target = target
        self._delay = delay
        self._tls = tls
        self._lock = threading.Lock()
        self._closed = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.connection_count = 0
        self._listener = socket.create_server((host, port))
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._thread(self._accept)

    def close(self) -> None:
        """Close everything; also what is being forwarded."""
        with self._lock:
            self._closed = True
            sockets = [self._listener, *self._sockets]
        for each in sockets:
            _shut(each)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        for each in sockets:
            each.close()

    def _thread(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="relay", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _keep(self, each: socket.socket) -> socket.socket:
        with self._lock:
            if self._closed:
                each.close()
                raise OSError("the relay is closed")
            self._sockets.append(each)
        return each

    def _accept(self) -> None:
        while True:
            try:
                client = self._keep(self._listener.accept()[0])
            except OSError:
                return
            self.connection_count += 1
            self._thread(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = self._keep(socket.create_connection(self._target, 5))
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                self._encrypt(client, server, self._tls)
                return
            self._thread(self._forward, server, client)
            self._forward(client, server)
        except OSError:
            _shut(client)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                time.sleep(self._delay)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(sink)

    def _encrypt(self, client: socket.socket, server: socket.socket, context: ssl.SSLContext) -> None:
        """One thread for both directions: two must not be inside one TLS connection."""
        client.recv(_SSL_REQUEST_SIZE, socket.MSG_WAITALL)
        client.sendall(b"S")
        tls = self._keep(context.wrap_socket(client, server_side=True))
        assert isinstance(tls, ssl.SSLSocket)
        try:
            while True:
                ready, _, _ = select.select([tls, server], [], [])
                if tls in ready:
                    while True:
                        data = tls.recv(_CHUNK)
                        if not data:
                            return
                        server.sendall(data)
                        if not tls.pending():
                            break
                if server in ready:
                    data = _all_of(server)
                    if not data:
                        return
                    tls.sendall(data[:_FIRST_RECORD])
                    if rest := data[_FIRST_RECORD:]:
                        _spin(random.random() * _PAUSE)
                        tls.sendall(rest)
        finally:
            _shut(tls)
            _shut(server)


def _all_of(source: socket.socket) -> bytes:
    """What there is to read until nothing more comes for a moment; empty at the end."""
    chunks = [source.recv(_CHUNK)]
    while chunks[-1] and select.select([source], [], [], _QUIET)[0]:
        chunks.append(source.recv(_CHUNK))
    return b"".join(chunks)


def _spin(seconds: float) -> None:
    """Wait more exactly than sleep does."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@contextmanager
def silent_port() -> Iterator[int]:
    """A port of 127.0.0.1 that answers no SYN: nobody accepts, and the queue of connections is full."""
    fillers: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        try:
            while True:
                filler = socket.socket()
                fillers.append(filler)
                filler.settimeout(0.2)
                try:
                    filler.connect(listener.getsockname())
                except TimeoutError:
                    break
            yield int(listener.getsockname()[1])
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def mute_port(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port that takes every connection and never says a word."""
    with socket.create_server((host, port), backlog=50) as listener:
        yield int(listener.getsockname()[1])
