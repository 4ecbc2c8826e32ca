"""Servers to connect to: `server` is the one of all tests, `primary` and `standby` are the system's PostgreSQL."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import psqlpy
from tests.parameters.certificates import Certificates
from tests.parameters.clusters import Cluster, find_programs
from tests.parameters.relays import Relay

MakeRelay = Callable[..., Relay]
Names = dict[str, list[str]]


class Server:
    """Where the server of all tests is, and who may use it."""

    def __init__(self, dsn: str) -> None:
        found = conninfo_to_dict(dsn)
        self.dsn = dsn
        self.host = str(found.get("hostaddr") or found.get("host") or "localhost")
        self.port = int(found.get("port") or 5432)
        self.user = str(found["user"])
        self.password = str(found.get("password") or "")
        self.db_name = str(found.get("dbname") or self.user)

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def parameters(self, **others: Any) -> dict[str, Any]:
        """What a pool needs, but for where to connect."""
        own = {"username": self.user, "password": self.password, "db_name": self.db_name}
        return {**own, **others}

    def here(self, **others: Any) -> dict[str, Any]:
        """What a pool needs."""
        return self.parameters(host=self.host, port=self.port, **others)


@pytest.fixture(scope="session")
def server(dsn: str) -> Server:
    """The server of all tests, to be reached by TCP."""
    server = Server(dsn)
    if server.host.startswith("/"):
        pytest.skip("PSQLPY_TEST_DSN names a Unix socket: these tests need TCP")
    return server


@pytest.fixture(scope="session")
def observer(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Another driver's session on that server."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def socket_directory(observer: psycopg.Connection[Any], server: Server) -> str:
    """Where that server's Unix socket is."""
    row = observer.execute("SHOW unix_socket_directories").fetchone()
    for directory in str(row and row[0]).split(","):
        path = Path(directory.strip().strip('"'))
        if (path / f".s.PGSQL.{server.port}").is_socket():
            return str(path)
    pytest.skip("the server of PSQLPY_TEST_DSN has no Unix socket on this machine")


@pytest.fixture(scope="session")
def tls() -> None:
    """For tests in which psqlpy speaks TLS."""
    if not psqlpy.capabilities.tls:
        pytest.skip("the loaded libpq has no TLS")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is missing: it makes the certificates")
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def primary(certificates: Certificates) -> Iterator[Cluster]:
    """A server with TLS."""
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server with TLS is installed (Debian: apt-get install postgresql)")
    cluster = Cluster.primary(programs, certificates)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def standby(primary: Cluster) -> Iterator[Cluster]:
    """A streaming standby of `primary`, without TLS."""
    cluster = Cluster.standby_of(primary)
    yield cluster
    cluster.stop()


@pytest.fixture
def relay(server: Server) -> Iterator[MakeRelay]:
    """Makes relays to the server of all tests."""
    with ExitStack() as stack:

        def make(target: tuple[str, int] = server.address, **options: Any) -> Relay:
            made = Relay(target, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names and their addresses: what is put in here is what the system's resolver finds."""
    table: Names = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> list[Any]:
        if host not in table:
            return list(real(host, port, *arguments, **options))
        found = [real(address, port, *arguments, **options) for address in table[host]]
        return [entry for entries in found for entry in entries]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table
