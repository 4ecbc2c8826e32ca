"""Who stands between a pool and its server, or in its place: with any certificate, without TLS, with odd questions."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable

from tests.parameters.relays import Relay

SSL_REQUEST = struct.pack("!ii", 8, 80877103)

Conversation = Callable[[socket.socket], None]


class Gate(Relay):
    """A relay that takes connections with TLS and without, as clients ask for them; `kinds` says what each asked."""

    def __init__(self, target: tuple[str, int], tls: ssl.SSLContext) -> None:
        self.kinds: list[str] = []
        super().__init__(target, tls=tls)

    def _serve(self, client: socket.socket) -> None:
        try:
            asks = client.recv(len(SSL_REQUEST), socket.MSG_PEEK | socket.MSG_WAITALL) == SSL_REQUEST
        except OSError:
            return
        self.kinds.append("TLS" if asks else "plain")
        if asks:
            super()._serve(client)
        else:
            self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        try:
            server = self._keep(socket.create_connection(self._target, 5))
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._thread(self._forward, server, client)
        self._forward(client, server)


class Impostor:
    """Answers each connection as `conversation` says; `heard` is what each client said, but for its SSLRequest."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._accept, name="impostor", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                try:
                    self._conversation(client)
                    self.heard.append(_rest(client))
                except OSError:
                    self.heard.append(b"")

    def close(self) -> None:
        """Accept nobody any more; waits for the last conversation. May be called twice."""
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def _rest(client: socket.socket) -> bytes:
    """All that the client says from now on; an answer to a question, which begins with `p`, is enough."""
    heard = b""
    try:
        while not heard.startswith(b"p") and (data := client.recv(4096)):
            heard += data
    except ConnectionError:
        pass
    return heard


Impersonate = Callable[[Conversation], Impostor]


def stripping(answer: bytes) -> Conversation:
    """Answers the wish for TLS with that, and leaves the rest to the client."""

    def converse(client: socket.socket) -> None:
        if client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL) == SSL_REQUEST:
            client.recv(8)
            client.sendall(answer)
            if not answer:
                client.shutdown(socket.SHUT_WR)

    return converse


def smuggling(context: ssl.SSLContext, message: bytes) -> Conversation:
    """Grants the wish for TLS, and says something in front of the handshake that the client may take for encrypted."""

    def converse(client: socket.socket) -> None:
        client.recv(len(SSL_REQUEST), socket.MSG_WAITALL)
        client.sendall(b"S" + message)
        with context.wrap_socket(client.dup(), server_side=True) as encrypted:
            said = _rest(encrypted)
        if said:
            raise AssertionError(f"the client went on: {said!r}")

    return converse


def authenticating(*messages: bytes) -> Conversation:
    """Refuses TLS, reads the start-up, and sends these Authentication messages, with whatever comes between them."""

    def converse(client: socket.socket) -> None:
        if client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL) == SSL_REQUEST:
            client.recv(8)
            client.sendall(b"N")
        (size,) = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))
        client.recv(size - 4, socket.MSG_WAITALL)
        for number, body in enumerate(messages):
            if number:
                client.recv(4096)
            client.sendall(b"R" + struct.pack("!i", len(body) + 4) + body)

    return converse
