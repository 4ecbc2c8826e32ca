"""connect: the generator over scripted PGconns with a made-up clock, and over libpq against servers of a few lines.

Long, since the scripted connections that it is driven with are made here.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from psqlpy import exceptions
from psqlpy._config import PoolConfig
from psqlpy._pq.connection import PGconn
from psqlpy._pq.enums import ConnStatus, PollingStatus
from psqlpy._protocol.attempts import Attempt
from psqlpy._protocol.connect import Wait, connect
from psqlpy._protocol.connect_failure import Failure

Connecting = Generator[Wait, AbstractSet[int], PGconn]
READ, WRITE = 1, 2


class FakeResolution:
    def __init__(self, answer: Sequence[str] | OSError) -> None:
        self._answer = answer
        self._read_end, self._write_end = os.pipe()
        os.write(self._write_end, b"x")
        self.fd = self._read_end
        self.closed = False

    def result(self) -> Sequence[str]:
        if isinstance(self._answer, OSError):
            raise self._answer
        return self._answer

    def close(self) -> None:
        if not self.closed:
            os.close(self._read_end)
            os.close(self._write_end)
        self.closed = True


class FakeResolver:
    def __init__(self, names: dict[str, Sequence[str] | OSError] | None = None) -> None:
        self.names = names or {}
        self.resolutions: list[FakeResolution] = []

    def start(self, host: str, port: str) -> FakeResolution:
        self.resolutions.append(FakeResolution(self.names[host]))
        return self.resolutions[-1]


class FakeConn:
    """Each poll takes the next step of the script: status, what poll returns, fd."""

    def __init__(
        self, parameters: dict[str, str], script: Sequence[tuple[ConnStatus, PollingStatus, int]]
    ) -> None:
        self.parameters = parameters
        self.script = list(script)
        self.status, _, self.fd = self.script.pop(0)
        self.error_message = "connection to server failed: no luck"
        self.needs_password = False
        self.finished = False
        self.polls = 0
        self.verbose: list[bool] = []
        # Who else was open when this one read the server's answer, and so perhaps sent the password.
        self.rivals: list[FakeConn] = []
        self.rivals_then: list[FakeConn] | None = None

    def set_verbose_errors(self, verbose: bool) -> None:
        self.verbose.append(verbose)

    def poll(self) -> PollingStatus:
        assert not self.finished
        self.polls += 1
        if self.status is ConnStatus.AWAITING_RESPONSE:
            self.rivals_then = [conn for conn in self.rivals if conn is not self and not conn.finished]
        self.status, result, self.fd = self.script.pop(0)
        return result

    def finish(self) -> None:
        self.finished = True


S, P = ConnStatus, PollingStatus


def script(fd: int) -> list[tuple[ConnStatus, PollingStatus, int]]:
    return [
        (S.STARTED, P.WRITING, fd),
        (S.SSL_STARTUP, P.READING, fd),
        (S.AWAITING_RESPONSE, P.READING, fd + 100),
        (S.AUTH_OK, P.READING, fd + 100),
        (S.OK, P.OK, fd + 100),
    ]


class Stage:
    """connect over scripted PGconns."""

    def __init__(
        self,
        deadline: float | None = None,
        resolver: FakeResolver | None = None,
        works: list[Any] | None = None,
        **parameters: Any,
    ) -> None:
        self.now = 0.0
        self.conns: list[FakeConn] = []
        self.scripts: list[list[tuple[ConnStatus, PollingStatus, int]]] = []
        self.resolver = resolver or FakeResolver()
        config = PoolConfig.from_parameters(username="u", password="hush", **parameters)
        self.plan = config.plan
        self.generator: Connecting = connect(
            config.plan,
            lambda: self.now,
            self.resolver,
            deadline,
            start=self.start,  # type: ignore[arg-type]
            aside=None if works is None else self.aside,  # type: ignore[arg-type]
        )
        self.works = works
        self.wait: Wait

    def aside(self, conn: FakeConn) -> FakeWork:
        assert self.works is not None
        self.works.append(FakeWork(conn))
        return self.works[-1]  # type: ignore[no-any-return]

    def start(self, parameters: dict[str, str]) -> FakeConn:
        conn = FakeConn(
            parameters, self.scripts.pop(0) if self.scripts else script(10 * (len(self.conns) + 1))
        )
        self.conns.append(conn)
        conn.rivals = self.conns
        return conn

    def begin(self) -> None:
        self.wait = next(self.generator)

    def go(self, ready: AbstractSet[int] = frozenset(), at: float | None = None) -> None:
        if at is not None:
            self.now = at
        self.wait = self.generator.send(ready)

    def finish(self, ready: AbstractSet[int], at: float | None = None) -> FakeConn:
        with pytest.raises(StopIteration) as caught:
            self.go(ready, at)
        conn: FakeConn = caught.value.value
        return conn


def test_one_host_step_by_step() -> None:
    stage = Stage(host="10.0.0.1")
    stage.begin()
    assert (stage.wait.fds, stage.wait.until) == ({10: WRITE}, None)
    stage.go({10})
    assert stage.wait.fds == {10: READ}
    stage.go({10})
    # libpq has opened another socket.
    assert stage.wait.fds == {110: READ}
    stage.go({110})
    conn = stage.finish({110})
    assert conn is stage.conns[0]
    assert not conn.finished
    assert conn.verbose == [True, False]
    assert (conn.parameters["host"], conn.parameters["hostaddr"]) == ("10.0.0.1", "10.0.0.1")
    assert conn.parameters["password"] == "hush"


def test_nothing_is_polled_before_it_is_ready() -> None:
    stage = Stage(hosts=["10.0.0.1", "10.0.0.2"])
    stage.begin()
    stage.go(at=0.1)
    assert stage.conns[0].polls == 0
    assert stage.wait.until == 0.25
    stage.go(at=0.25)
    assert stage.wait.fds == {10: WRITE, 20: WRITE}
    assert [conn.polls for conn in stage.conns] == [0, 0]


def test_the_loser_is_closed_before_the_winner_is_polled_for_its_answer() -> None:
    stage = Stage(hosts=["10.0.0.1", "10.0.0.2"])
    stage.begin()
    stage.go(at=0.25)
    slow, fast = stage.conns
    stage.go({20, 10})
    stage.go({20, 10})
    assert (slow.status, fast.status) == (S.AWAITING_RESPONSE, S.AWAITING_RESPONSE)
    assert stage.wait.fds == {110: READ, 120: READ}
    polls = slow.polls
    stage.go({120})
    assert slow.finished and slow.polls == polls
    assert fast.rivals_then == []
    assert stage.wait.fds == {120: READ}
    assert stage.finish({120}) is fast


def test_when_both_answer_at_once_one_goes_on() -> None:
    stage = Stage(hosts=["10.0.0.1", "10.0.0.2"])
    stage.begin()
    stage.go(at=0.25)
    stage.go({20, 10})
    stage.go({20, 10})
    stage.go({110, 120})
    assert [conn.finished for conn in stage.conns] == [False, True]
    assert stage.finish({110}) is stage.conns[0]


class FakeWork:
    """A poll that is made when the test says so."""

    def __init__(self, conn: FakeConn) -> None:
        self.conn = conn
        self.was = conn.status
        self.polled: PollingStatus | None = None

    @property
    def is_done(self) -> bool:
        return self.polled is not None

    def start(self, announce: Callable[[], object]) -> None:
        raise AssertionError("the driver's")

    def make(self) -> None:
        self.polled = self.conn.poll()

    def result(self) -> PollingStatus:
        assert self.polled is not None
        return self.polled

    def close(self) -> None:
        self.conn.finish()


def scram(fd: int) -> list[tuple[ConnStatus, PollingStatus, int]]:
    return [
        (S.STARTED, P.WRITING, fd),
        (S.MADE, P.WRITING, fd),
        (S.SSL_STARTUP, P.READING, fd),
        (S.SSL_STARTUP, P.READING, fd),
        (S.MADE, P.WRITING, fd),
        *[(S.AWAITING_RESPONSE, P.READING, fd)] * 3,
        (S.OK, P.OK, fd),
    ]


def test_keys_and_hashes_are_the_work_of_others() -> None:
    """The handshakes of TLS, and of the server's three answers, when it asks for SCRAM, the second."""
    works: list[FakeWork] = []
    stage = Stage(host="10.0.0.1", works=works)
    stage.scripts = [scram(10)]
    stage.begin()
    made = []
    while not stage.conns[0].finished:
        if stage.wait.work is None:
            made.append(stage.conns[0].status.name)
            if stage.conns[0].script[0][0] is S.OK:
                break
            stage.go({10})
            continue
        assert stage.wait.work is works[-1]
        assert (stage.wait.fds, stage.wait.until) == ({}, None)
        # Woken too early it waits on, and touches nothing.
        polls = stage.conns[0].polls
        stage.go()
        assert stage.wait.work is works[-1] and stage.conns[0].polls == polls
        works[-1].make()
        made.append(f"{works[-1].was.name} aside")
        stage.go()
    assert stage.finish({10}) is stage.conns[0]
    assert [made_ for made_ in made if made_.endswith("aside")] == ["SSL_STARTUP aside"] * 2 + [
        "AWAITING_RESPONSE aside"
    ]
    assert [work.was for work in works] == [S.SSL_STARTUP, S.SSL_STARTUP, S.AWAITING_RESPONSE]


@pytest.mark.parametrize("parameters", [{"deadline": 1.0}, {"connect_timeout_sec": 1}])
def test_a_work_has_no_more_time_than_the_rest(parameters: dict[str, Any]) -> None:
    works: list[FakeWork] = []
    stage = Stage(host="10.0.0.1", works=works, **parameters)
    stage.begin()
    stage.go({10})
    stage.go({10})
    assert stage.wait.work is works[0] and stage.wait.until == 1.0
    with pytest.raises(exceptions.ConnectTimeoutError):
        stage.go(at=1.0)
    assert stage.conns[0].finished
    assert stage.conns[0].polls == 1


def test_cancelling_closes_everything() -> None:
    stage = Stage(hosts=["10.0.0.1", "db1"], resolver=FakeResolver({"db1": ["10.0.0.2"]}))
    stage.begin()
    stage.go(at=0.25)
    assert len(stage.wait.fds) == 2
    stage.generator.close()
    assert [conn.finished for conn in stage.conns] == [True]
    assert [one.closed for one in stage.resolver.resolutions] == [True]


def test_an_exception_thrown_in_closes_everything() -> None:
    stage = Stage(host="10.0.0.1")
    stage.begin()
    with pytest.raises(RuntimeError, match="stop"):
        stage.generator.throw(RuntimeError("stop"))
    assert stage.conns[0].finished


def test_a_name_is_resolved_first() -> None:
    stage = Stage(host="db1", resolver=FakeResolver({"db1": ["10.0.0.1", "10.0.0.2"]}))
    stage.begin()
    (resolution,) = stage.resolver.resolutions
    assert stage.wait.fds == {resolution.fd: READ}
    stage.go({resolution.fd})
    assert resolution.closed
    assert stage.wait.fds == {10: WRITE}
    assert (stage.conns[0].parameters["host"], stage.conns[0].parameters["hostaddr"]) == ("db1", "10.0.0.1")
    stage.generator.close()


def test_a_name_that_cannot_be_resolved_is_an_error_that_says_so() -> None:
    resolver = FakeResolver({"db1": socket.gaierror(-2, "Name or service not known"), "db2": []})
    stage = Stage(hosts=["db1", "db2"], resolver=resolver)
    stage.begin()
    stage.go({stage.resolver.resolutions[0].fd})
    with pytest.raises(exceptions.BaseConnectionPoolError) as caught:
        stage.go({stage.resolver.resolutions[1].fd})
    text = str(caught.value)
    assert "db1, port 5432: its name can't be resolved: Name or service not known" in text
    assert "db2, port 5432: its name has no address" in text
    assert isinstance(caught.value, exceptions.OperationalError)


def test_every_address_has_its_own_timeout() -> None:
    stage = Stage(hosts=["10.0.0.1", "10.0.0.2"], connect_timeout_sec=1)
    stage.begin()
    stage.go(at=0.25)
    assert stage.wait.until == 1.0
    stage.go(at=1.0)
    assert [conn.finished for conn in stage.conns] == [True, False]
    assert stage.wait.until == 1.25
    with pytest.raises(exceptions.ConnectTimeoutError) as caught:
        stage.go(at=1.25)
    assert [conn.finished for conn in stage.conns] == [True, True]
    assert isinstance(caught.value, TimeoutError)
    assert "10.0.0.1, port 5432: timed out after 1 s, waiting for a TCP connection" in str(caught.value)
    assert "as 'u'" in str(caught.value) and "hush" not in str(caught.value)


def test_the_deadline_is_for_all_of_it() -> None:
    stage = Stage(hosts=["10.0.0.1", "10.0.0.2"], deadline=0.4)
    stage.begin()
    stage.go(at=0.25)
    stage.go({20})
    assert stage.wait.until == 0.4
    with pytest.raises(exceptions.ConnectTimeoutError, match=r"timed out after 0.4 s") as caught:
        stage.go(at=0.4)
    assert "a TCP connection (10.0.0.1, port 5432)" in str(caught.value)
    assert "the server's first answer (10.0.0.2, port 5432)" in str(caught.value)
    assert all(conn.finished for conn in stage.conns)
    assert caught.value.safe_to_retry


def test_one_that_fails_at_once_is_closed() -> None:
    stage = Stage(host="/nowhere")
    stage.scripts = [[(S.BAD, P.FAILED, -1)]]
    with pytest.raises(
        exceptions.BaseConnectionPoolError, match="/nowhere, port 5432 as 'u' failed: .*no luck"
    ):
        stage.begin()
    assert stage.conns[0].finished


# libpq's messages


def failure(text: str) -> Failure:
    plan = PoolConfig.from_parameters(host="h").plan
    return Failure.from_libpq(Attempt(plan.endpoints[0], "any", (0, 0)), text)


def test_a_servers_message_is_taken_apart() -> None:
    taken = failure(
        'connection to server at "h" (10.0.0.1), port 5432 failed: FATAL:  53300: sorry, too many clients: really\n'
        "DETAIL:  All of them.\nHINT:  Wait.\nLOCATION:  InitProcess, proc.c:353\n"
    )
    assert (taken.severity, taken.sqlstate) == ("FATAL", "53300")
    assert taken.message == "sorry, too many clients: really"
    assert (taken.detail, taken.hint) == ("All of them.", "Wait.")


def test_of_two_messages_the_refused_password_counts() -> None:
    taken = failure(
        'connection to server at "10.0.0.1", port 1 failed: FATAL:  28P01: wrong password\nLOCATION:  x, auth.c:1\n'
        'connection to server at "10.0.0.1", port 1 failed: FATAL:  53300: too many\n'
    )
    assert taken.is_refused_password
    assert taken.message == "wrong password; too many"


def test_libpqs_own_message_has_no_sqlstate() -> None:
    taken = failure(
        'connection to server at "h" (10.0.0.1), port 1 failed: Connection refused\n\tIs it running?\n'
    )
    assert taken.sqlstate is None
    assert taken.message == "Connection refused; Is it running?"
    assert failure('root certificate file "x" does not exist').is_about_tls


# libpq against servers of a few lines

Handler = Callable[["Client"], None]


class Client:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        # Else a few small messages in a row take 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.startup: dict[str, str] = {}

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def read_startup(self) -> None:
        while True:
            (size, code) = struct.unpack("!ii", self.read(8))
            body = self.read(size - 8)
            if code == 196608:
                break
            self.sock.sendall(b"N")
        words = [word.decode() for word in body.split(b"\0")]
        self.startup = dict(zip(words[::2], words[1::2], strict=False))

    def read_password(self) -> str:
        (size,) = struct.unpack("!xi", self.read(5))
        return self.read(size - 4)[:-1].decode()

    def send(self, kind: bytes, body: bytes) -> None:
        self.sock.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def welcome(self, *, standby: bool = False) -> None:
        self.send(b"R", struct.pack("!i", 0))
        parameters = {
            "server_version": "18.0",
            "client_encoding": "UTF8",
            "in_hot_standby": "on" if standby else "off",
            "default_transaction_read_only": "off",
        }
        for name, value in parameters.items():
            self.send(b"S", f"{name}\0{value}\0".encode())
        self.send(b"Z", b"I")

    def refuse(self, sqlstate: str, message: str) -> None:
        fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": message}
        self.send(b"E", b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0")


class Server:
    """Accepts connections, each handled in a thread of its own by the handler."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.clients: list[Client] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                client = Client(self.listener.accept()[0])
            except OSError:
                return
            self.clients.append(client)
            thread = threading.Thread(target=self.serve, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, client: Client) -> None:
        try:
            self.handler(client)
            while client.sock.recv(4096):
                pass
        except OSError:
            pass
        finally:
            client.sock.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for client in self.clients:
            try:
                client.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], Server]]:
    servers: list[Server] = []

    def start(handler: Handler) -> Server:
        servers.append(Server(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that answers no SYN: nobody accepts, and the queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        try:
            while True:
                filler = socket.socket()
                fillers.append(filler)
                filler.settimeout(0.2)
                try:
                    filler.connect(address)
                except TimeoutError:
                    break
            yield int(address[1])
        finally:
            for filler in fillers:
                filler.close()


def run(config: PoolConfig, seconds: float | None = None, resolver: FakeResolver | None = None) -> PGconn:
    deadline = None if seconds is None else time.monotonic() + seconds
    connecting: Connecting = connect(config.plan, time.monotonic, resolver or FakeResolver(), deadline)
    wait = next(connecting)
    while True:
        poll = select.poll()
        for fd, events in wait.fds.items():
            poll.register(
                fd, (select.POLLIN if events & READ else 0) | (select.POLLOUT if events & WRITE else 0)
            )
        timeout = None if wait.until is None else max(0.0, (wait.until - time.monotonic()) * 1000)
        try:
            wait = connecting.send({fd for fd, _ in poll.poll(timeout)})
        except StopIteration as stop:
            conn: PGconn = stop.value
            return conn


def config_for(*servers: Server | int, **parameters: Any) -> PoolConfig:
    ports = [server if isinstance(server, int) else server.port for server in servers]
    given: dict[str, Any] = {
        "username": "me",
        "password": "hush",
        "hosts": ["127.0.0.1"] * len(ports),
        **parameters,
    }
    return PoolConfig.from_parameters(ports=ports, **given)


def welcoming(client: Client) -> None:
    client.read_startup()
    client.welcome()


def slow(client: Client) -> None:
    """A round trip of 100 ms."""
    received: list[str] = []
    client.read_startup()
    time.sleep(0.1)
    client.send(b"R", struct.pack("!i", 3))
    received.append(client.read_password())
    time.sleep(0.1)
    client.welcome()


def asking(passwords: list[str], sqlstate: str | None = None) -> Handler:
    def handler(client: Client) -> None:
        client.read_startup()
        client.send(b"R", struct.pack("!i", 3))
        passwords.append(client.read_password())
        if sqlstate is None:
            client.welcome()
        else:
            client.refuse(sqlstate, 'password authentication failed for user "me"')

    return handler


Serve = Callable[[Handler], Server]


def test_libpq_connects(serve: Serve) -> None:
    server = serve(welcoming)
    conn = run(config_for(server, db_name="d", application_name="app"))
    assert conn.status is ConnStatus.OK
    conn.finish()
    (client,) = server.clients
    assert client.startup["user"] == "me" and client.startup["database"] == "d"
    assert client.startup["application_name"] == "app"
    assert client.startup["client_encoding"] == "UTF8"
    assert client.startup["options"].startswith("-c DateStyle=ISO ")


def test_a_silent_host_costs_a_quarter_of_a_second(serve: Serve, silent_port: int) -> None:
    server = serve(welcoming)
    began = time.monotonic()
    conn = run(config_for(silent_port, server))
    seconds = time.monotonic() - began
    assert conn.port == str(server.port)
    conn.finish()
    assert 0.25 <= seconds < 0.5


def test_a_dead_host_costs_nothing(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()[1]
    server = serve(welcoming)
    began = time.monotonic()
    conn = run(config_for(dead, server))
    assert conn.port == str(server.port)
    conn.finish()
    assert time.monotonic() - began < 0.2


def test_a_slow_host_is_not_overtaken(serve: Serve) -> None:
    first, second = serve(slow), serve(welcoming)
    conn = run(config_for(first, second))
    assert conn.port == str(first.port)
    conn.finish()
    assert second.clients == []


def test_a_refused_password_is_not_offered_to_the_next(serve: Serve) -> None:
    passwords: list[str] = []
    first, second = serve(asking(passwords, "28P01")), serve(asking(passwords))
    with pytest.raises(exceptions.OperationalError, match=rf"127.0.0.1, port {first.port} as 'me'") as caught:
        run(config_for(first, second))
    assert passwords == ["hush"]
    assert second.clients == []
    assert caught.value.sqlstate == "28P01"
    assert isinstance(caught.value, exceptions.BaseConnectionPoolError)
    assert type(caught.value).__name__ == "InvalidPassword"
    assert "hush" not in str(caught.value)


def test_any_other_refusal_leads_to_the_next(serve: Serve) -> None:
    def full(client: Client) -> None:
        client.read_startup()
        client.refuse("53300", "sorry, too many clients already")

    first, second = serve(full), serve(welcoming)
    conn = run(config_for(first, second))
    assert conn.port == str(second.port)
    conn.finish()
    with pytest.raises(exceptions.BaseConnectionPoolError) as caught:
        run(config_for(first, first))
    assert caught.value.sqlstate == "53300"
    assert str(caught.value).count("sorry, too many clients already") == 2


def test_a_password_that_is_missing_is_said_to_be(serve: Serve) -> None:
    server = serve(asking([]))
    with pytest.raises(exceptions.OperationalError, match="asks for a password and none was given"):
        run(config_for(server, password=None))


def test_a_listener_that_never_answers_runs_into_the_timeout(serve: Serve) -> None:
    server = serve(lambda client: None)
    began = time.monotonic()
    with pytest.raises(exceptions.ConnectTimeoutError, match=r"timed out after 0.2 s, waiting for"):
        run(config_for(server, server, connect_timeout_sec=0, connect_timeout_nanosec=200_000_000))
    assert 0.4 <= time.monotonic() - began < 0.7
    with pytest.raises(exceptions.ConnectTimeoutError, match=r"timed out after 0.1 s, waiting for"):
        run(config_for(server), seconds=0.1)


@pytest.mark.parametrize("refusal", ["options", "options: bytea_output"])
def test_a_pooler_that_refuses_our_settings_gets_fewer(serve: Serve, refusal: str) -> None:
    accepted = "" if refusal == "options" else "-c DateStyle=ISO -c IntervalStyle=postgres"

    def pooler(client: Client) -> None:
        client.read_startup()
        if client.startup.get("options", "") == accepted:
            client.welcome()
        else:
            client.refuse("08P01", f"unsupported startup parameter: {refusal}")

    server = serve(pooler)
    config = config_for(server)
    run(config).finish()
    assert server.clients[-1].startup.get("options", "") == accepted
    # The plan has learnt it.
    attempts = len(server.clients)
    run(config).finish()
    assert len(server.clients) == attempts + 1


def test_prefer_standby_takes_the_standby_and_else_any(serve: Serve) -> None:
    def standby(client: Client) -> None:
        client.read_startup()
        client.welcome(standby=True)

    primary, replica = serve(welcoming), serve(standby)
    conn = run(config_for(primary, replica, target_session_attrs="prefer-standby"))
    assert conn.port == str(replica.port)
    conn.finish()
    conn = run(config_for(primary, primary, target_session_attrs="prefer-standby"))
    assert conn.port == str(primary.port)
    conn.finish()
    with pytest.raises(exceptions.OperationalError, match="standby"):
        run(config_for(primary, target_session_attrs="standby"))
