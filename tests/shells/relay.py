"""A relay between psqlpy and the server: records what psqlpy sends, and can hold it back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psqlpy._config import PoolConfig


class Relay:
    """Listens on a port of 127.0.0.1; `sent` is what came from psqlpy's side."""

    def __init__(self, dsn: str) -> None:
        endpoint = PoolConfig.from_parameters(dsn).plan.endpoints[0]
        self._server = (endpoint.host, endpoint.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent = bytearray()
        self.open = threading.Event()
        self.open.set()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                for source, target, record in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pump, args=(source, target, record), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, record: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if record:
                    self.sent += data
                    self.open.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def settled(self) -> int:
        """How much was sent, once nothing of it is on its way to here any more."""
        before = -1
        while before != len(self.sent):
            before = len(self.sent)
            time.sleep(0.05)
        return before

    def close(self) -> None:
        self.open.set()
        self._listener.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def relay_to(dsn: str) -> Iterator[Relay]:
    relay = Relay(dsn)
    try:
        yield relay
    finally:
        relay.close()
