"""tcp_user_timeout and keepalives, read back from the connection's socket with getsockopt."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import pytest

from psqlpy import ConnectionPool, sync
from tests.parameters.conftest import Server

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")

# Python's names differ between systems; None is what a system doesn't have.
_IDLE = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
OPTIONS = {
    "keepalives": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "idle": (socket.IPPROTO_TCP, _IDLE),
    "interval": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", None)),
    "retries": (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", None)),
    "user_timeout": (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", None)),
}
KNOWN = [name for name, (_, option) in OPTIONS.items() if option is not None]


def read(connected: socket.socket, names: list[str]) -> dict[str, int]:
    found = {}
    for name in names:
        level, option = OPTIONS[name]
        assert option is not None
        value = connected.getsockopt(level, option)
        found[name] = int(bool(value)) if name == "keepalives" else value
    return found


def socket_of(connection: Any) -> socket.socket:
    """Another descriptor of a connection's socket."""
    return socket.socket(fileno=os.dup(connection.link.session.fd))


def options_of(**parameters: Any) -> dict[str, int]:
    """A TCP connection's socket options."""
    with (
        sync.ConnectionPool(**parameters) as pool,
        pool.acquire() as connection,
        socket_of(connection) as connected,
    ):
        assert connected.family in (socket.AF_INET, socket.AF_INET6)
        return read(connected, KNOWN)


@pytest.fixture(scope="module")
def systems() -> dict[str, int]:
    """What a new socket has."""
    with socket.socket() as fresh:
        return read(fresh, KNOWN)


def test_by_default(server: Server, systems: dict[str, int]) -> None:
    """Keepalive on, after 2 hours; the rest is the system's."""
    assert options_of(**server.here()) == {**systems, "keepalives": 1, "idle": 7200}
    if "user_timeout" in systems:
        assert systems["user_timeout"] == 0


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"keepalives": True}, {"keepalives": 1, "idle": 7200}),
        ({"keepalives_idle_sec": 60}, {"keepalives": 1, "idle": 60}),
        ({"keepalives_idle_sec": 60, "keepalives_idle_nanosec": 1}, {"idle": 61}),
        ({"keepalives_idle_sec": 0, "keepalives_idle_nanosec": 1}, {"idle": 1}),
        ({"keepalives_interval_sec": 7}, {"interval": 7, "idle": 7200}),
        ({"keepalives_interval_sec": 7, "keepalives_interval_nanosec": 500_000_000}, {"interval": 8}),
        ({"keepalives_retries": 4}, {"retries": 4, "idle": 7200}),
        (
            {"keepalives_idle_sec": 5, "keepalives_interval_sec": 2, "keepalives_retries": 3},
            {"keepalives": 1, "idle": 5, "interval": 2, "retries": 3},
        ),
        ({"tcp_user_timeout_sec": 3}, {"user_timeout": 3000}),
        ({"tcp_user_timeout_sec": 3, "tcp_user_timeout_nanosec": 500_000_001}, {"user_timeout": 3501}),
        ({"tcp_user_timeout_sec": 0, "tcp_user_timeout_nanosec": 1}, {"user_timeout": 1}),
        ({"tcp_user_timeout_sec": 0}, {"user_timeout": 0}),
    ],
    ids=str,
)
def test_single_parameters(
    server: Server, systems: dict[str, int], parameters: dict[str, Any], expected: dict[str, int]
) -> None:
    default = {**systems, "keepalives": 1, "idle": 7200}
    wanted = {name: value for name, value in expected.items() if name in KNOWN}
    assert options_of(**server.here(**parameters)) == {**default, **wanted}


def test_keepalives_off(server: Server, systems: dict[str, int]) -> None:
    """The times are for keepalives that are on."""
    parameters = server.here(keepalives=False, keepalives_idle_sec=5, keepalives_interval_sec=2)
    assert options_of(**parameters) == {**systems, "keepalives": 0}


def test_zero_is_the_systems_default(server: Server, systems: dict[str, int]) -> None:
    parameters = server.here(keepalives_idle_sec=0, keepalives_interval_sec=0, keepalives_retries=0)
    assert options_of(**parameters) == {**systems, "keepalives": 1}


IN_DSN = "tcp_user_timeout=2500&keepalives_idle=31&keepalives_interval=32&keepalives_{}=33"
FROM_DSN = {"keepalives": 1, "user_timeout": 2500, "idle": 31, "interval": 32, "retries": 33}


@pytest.mark.parametrize("word", ["retries", "count"])
def test_in_the_dsn_and_beside_it(server: Server, word: str) -> None:
    """There tcp_user_timeout is in milliseconds, as in libpq's manual."""
    options = IN_DSN.format(word)
    separator = "&" if "?" in server.dsn else "?"
    pairs = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    given = " ".join(f"{key}='{value}'" for key, value in {**pairs, "dbname": server.db_name}.items())
    for dsn in (f"{server.dsn}{separator}{options}", f"{given} {options.replace('&', ' ')}"):
        expected = {name: FROM_DSN[name] for name in KNOWN}
        assert options_of(dsn=dsn) == expected
        beside = {"tcp_user_timeout_sec": 9, "keepalives_idle_sec": 8, "keepalives_retries": 7}
        changed = {"user_timeout": 9000, "idle": 8, "retries": 7}
        assert options_of(dsn=dsn, **beside) == {name: {**FROM_DSN, **changed}[name] for name in KNOWN}
    off = options_of(dsn=f"{server.dsn}{separator}keepalives=0")
    assert off["keepalives"] == 0
    assert options_of(dsn=f"{server.dsn}{separator}keepalives=0", keepalives=True)["keepalives"] == 1


async def test_on_every_loop(server: Server) -> None:
    parameters = server.here(tcp_user_timeout_sec=3, keepalives_idle_sec=5)
    async with ConnectionPool(**parameters) as pool, pool.acquire() as connection:
        with socket_of(connection) as connected:
            found = read(connected, KNOWN)
    expected = {"keepalives": 1, "idle": 5, "user_timeout": 3000}
    assert {name: found[name] for name in expected if name in found} == {
        name: value for name, value in expected.items() if name in KNOWN
    }


def test_on_a_unix_socket_they_are_ignored(server: Server, socket_directory: str) -> None:
    parameters = server.parameters(host=socket_directory, port=server.port)
    tcp_only: list[dict[str, Any]] = [
        {},
        {"keepalives": True, "keepalives_idle_sec": 5, "keepalives_interval_sec": 2, "keepalives_retries": 3},
        {"tcp_user_timeout_sec": 3, "tcp_user_timeout_nanosec": 1},
        {"keepalives": False},
    ]
    for others in tcp_only:
        with sync.ConnectionPool(**parameters, **others) as pool, pool.acquire() as connection:
            assert connection.fetch_val("SELECT inet_server_port() IS NULL") is True
            with socket_of(connection) as connected:
                assert connected.family == socket.AF_UNIX
                assert not connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.skipif(sys.platform != "linux", reason="the bounds of other systems are not known")
def test_the_largest_values_that_are_taken_work(server: Server) -> None:
    parameters = server.here(keepalives_idle_sec=32767, keepalives_interval_sec=32767, keepalives_retries=127)
    found = options_of(**parameters, tcp_user_timeout_sec=2147483)
    assert found == {
        "keepalives": 1,
        "idle": 32767,
        "interval": 32767,
        "retries": 127,
        "user_timeout": 2147483000,
    }
