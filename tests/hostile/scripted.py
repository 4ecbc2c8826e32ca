"""A server of a few lines: it answers the extended and the simple protocol as PostgreSQL does, but where a script says.

Every query has one row with one text: its first parameter, or else its own text, so that an answer tells whose it is.
No SQL is executed. Sources: PostgreSQL manual, sections "Message Flow" and "Message Formats".
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from tests.fake_server import SETTINGS, complete, data_row, message, ready, row_description, text

CANCEL_REQUEST = 80877102
# Those that are more than they say: of PostgreSQL 14 and newer.
PARAMETERS = {**SETTINGS, "in_hot_standby": "off", "default_transaction_read_only": "off"}

AUTHENTICATION_OK = message(b"R", struct.pack("!i", 0))
KEY = message(b"K", struct.pack("!ii", 7, 42))


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", text(name) + text(value))


def greeting(*, authentication: bytes = AUTHENTICATION_OK, key: bytes = KEY, more: bytes = b"") -> bytes:
    """All that a server says between the startup message and the first statement; `more` comes before its end."""
    settings = b"".join(parameter_status(name, value) for name, value in PARAMETERS.items())
    return authentication + settings + key + more + ready()


def _texts(body: bytes, count: int) -> tuple[list[str], bytes]:
    *found, rest = body.split(b"\0", count)
    return [one.decode() for one in found], rest


class Backend:
    """One client's connection, from the server's side. EOFError when the client has hung up."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.statements: dict[str, str] = {}
        # Of the last Bind.
        self.row = b""
        self.format = b"\0\0"

    def send(self, *messages: bytes) -> None:
        self.sock.sendall(b"".join(messages))

    def _exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            part = self.sock.recv(size - len(received))
            if not part:
                raise EOFError
            received += part
        return received

    def startup(self) -> int:
        """The version that the client asks for, or the code of its request."""
        packet = self._exactly(struct.unpack("!i", self._exactly(4))[0] - 4)
        return int(struct.unpack("!i", packet[:4])[0])

    def receive(self) -> tuple[bytes, bytes]:
        """The next message of the client: its type and its body. EOFError at Terminate, too."""
        kind = self._exactly(1)
        body = self._exactly(struct.unpack("!i", self._exactly(4))[0] - 4)
        if kind == b"X":
            raise EOFError
        return kind, body

    def answer(self, kind: bytes, body: bytes) -> list[bytes]:
        """The messages with which PostgreSQL answers this one."""
        if kind == b"P":
            (name, query), _ = _texts(body, 2)
            self.statements[name] = query
            return [message(b"1")]
        if kind == b"B":
            self.row = self._bound(body)
            # Given for one column, for all or for none.
            self.format = body[-2:] if body[-4:-2] == b"\0\1" else b"\0\0"
            return [message(b"2")]
        if kind == b"D" and body[:1] == b"S":
            count = self.statements[body[1:-1].decode()].count("$")
            return [message(b"t", struct.pack(f"!h{count}i", count, *count * [25])), row_description("x")]
        if kind == b"D":
            return [row_description("x")[:-2] + self.format]
        if kind == b"E":
            return [data_row(self.row), complete()]
        if kind == b"Q":
            return [row_description("x"), data_row(body[:-1]), complete(), ready()]
        return [{b"C": message(b"3"), b"S": ready()}[kind]] if kind in b"CS" else []

    def _bound(self, body: bytes) -> bytes:
        """The value of the first parameter, or the statement's text."""
        (_, name), rest = _texts(body, 2)
        formats = struct.unpack("!h", rest[:2])[0]
        rest = rest[2 + 2 * formats :]
        if not struct.unpack("!h", rest[:2])[0]:
            return self.statements[name].encode()
        size = struct.unpack("!i", rest[2:6])[0]
        return rest[6 : 6 + size]


#: From the greeting on; `serve` is what a server does.
Script = Callable[[Backend], object]


def serve(
    backend: Backend, instead: Mapping[bytes, bytes] | None = None, before_each: bytes = b"", times: int = 1
) -> None:
    """Answer until the client hangs up; what is in `instead` is said `times` times instead of an answer of its type."""
    left = times if instead else 0
    aborted = False
    while True:
        kind, body = backend.receive()
        aborted = aborted and kind not in (b"S", b"Q")
        for answer in [] if aborted else backend.answer(kind, body):
            if left and instead and answer[:1] in instead:
                left -= 1
                answer = instead[answer[:1]]
            backend.send(before_each, answer)
            if answer[:1] == b"E" and kind != b"Q":
                # Everything up to the Sync is skipped.
                aborted = True
                break
            if answer[:1] == b"E":
                backend.send(ready())
                break


def obeying(backend: Backend) -> None:
    backend.send(greeting())
    serve(backend)


class ScriptedServer:
    """Runs the next of `scripts` for each client, the last one for all that come later; a context manager."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = [*scripts]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.dsn = f"postgresql://u:p@127.0.0.1:{self.port}/d?sslmode=disable&gssencmode=disable"
        #: Versions, and codes of requests, that clients have begun with.
        self.startups: list[int] = []
        #: What broke a script itself; empty as it should be.
        self.errors: list[BaseException] = []

    def __enter__(self) -> ScriptedServer:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._sockets):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its client has hung up
        for thread in self._threads:
            thread.join(5)
        for one in (self._listener, *self._sockets):
            one.close()
        if kind is None and self.errors:
            raise self.errors[0]

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._run, Backend(sock))

    def _run(self, backend: Backend) -> None:
        try:
            code = backend.startup()
            self.startups.append(code)
            if code != CANCEL_REQUEST:
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                script(backend)
        except (EOFError, ConnectionError):
            pass  # the client has hung up
        except BaseException as error:
            self.errors.append(error)
        finally:
            try:
                backend.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
