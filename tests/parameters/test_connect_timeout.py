"""connect_timeout_sec and connect_timeout_nanosec, per address, against servers that don't answer; and `timeout`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from psqlpy import exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.conftest import MakeRelay, Names, Server
from tests.parameters.relays import mute_port, silent_port

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")

TIMEOUT = 0.2
SHORT: dict[str, Any] = {"connect_timeout_sec": 0, "connect_timeout_nanosec": int(TIMEOUT * 1e9)}
SLACK = 0.35  # the machine may be busy


@pytest.fixture
def mute() -> Iterator[int]:
    with mute_port() as port:
        yield port


@contextmanager
def takes(seconds: float) -> Iterator[None]:
    """The block takes that long: not less, and little more."""
    begun = time.monotonic()
    yield
    taken = time.monotonic() - begun
    assert seconds <= taken < seconds + SLACK


@each_way
def test_a_listener_that_never_answers(ask: Ask, server: Server, mute: int) -> None:
    parameters = server.parameters(host="127.0.0.1", port=mute, **SHORT)
    with takes(TIMEOUT), pytest.raises(exceptions.ConnectTimeoutError) as caught:
        ask("SELECT 1", **parameters)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, exceptions.BaseConnectionPoolError)
    text = str(caught.value)
    assert f"127.0.0.1, port {mute}" in text and "0.2 s" in text and "first answer" in text
    assert server.password not in text


def test_seconds_and_nanoseconds_are_added(server: Server, mute: int) -> None:
    parameters = server.parameters(host="127.0.0.1", port=mute)
    with takes(1.2), pytest.raises(exceptions.ConnectTimeoutError):
        ask("SELECT 1", **parameters, connect_timeout_sec=1, connect_timeout_nanosec=200_000_000)


def test_in_the_dsn_and_beside_it(server: Server, mute: int) -> None:
    dsn = f"postgresql://{server.user}@127.0.0.1:{mute}/x?connect_timeout="
    with takes(1.0), pytest.raises(exceptions.ConnectTimeoutError):
        ask("SELECT 1", dsn=f"{dsn}1")
    with takes(TIMEOUT), pytest.raises(exceptions.ConnectTimeoutError):
        ask("SELECT 1", dsn=f"{dsn}10", **SHORT)


@each_way
def test_each_host_has_its_own(ask: Ask, server: Server, mute: int) -> None:
    with mute_port() as other:
        parameters = server.parameters(hosts=["127.0.0.1"] * 2, ports=[mute, other], **SHORT)
        with takes(2 * TIMEOUT), pytest.raises(exceptions.ConnectTimeoutError) as caught:
            ask("SELECT 1", **parameters)
        assert f"port {mute}: timed out" in str(caught.value)
        assert f"port {other}: timed out" in str(caught.value)


def test_each_address_of_a_name_has_its_own(server: Server, mute: int, names: Names) -> None:
    names["db.example"] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    with mute_port("127.0.0.2", mute), mute_port("127.0.0.3", mute):
        parameters = server.parameters(host="db.example", port=mute, **SHORT)
        with takes(3 * TIMEOUT), pytest.raises(exceptions.ConnectTimeoutError) as caught:
            ask("SELECT 1", **parameters)
    assert all(f"db.example ({address})" in str(caught.value) for address in names["db.example"])


@each_way
def test_after_it_the_next_one_is_tried(ask: Ask, server: Server, relay: MakeRelay, mute: int) -> None:
    living = relay()
    parameters = server.parameters(hosts=["127.0.0.1"] * 2, ports=[mute, living.port], **SHORT)
    with takes(TIMEOUT):
        assert ask("SELECT 1", **parameters) == 1


def test_a_port_that_answers_no_syn(server: Server) -> None:
    with silent_port() as silent:
        parameters = server.parameters(host="127.0.0.1", port=silent, **SHORT)
        with takes(TIMEOUT), pytest.raises(exceptions.ConnectTimeoutError, match="TCP connection"):
            ask("SELECT 1", **parameters)


def test_it_covers_connecting_only(server: Server) -> None:
    assert ask("SELECT 1 FROM pg_sleep(0.4)", **server.here(**SHORT)) == 1


def test_a_slow_server_has_until_the_timeout(server: Server, relay: MakeRelay) -> None:
    """From the beginning to the end of connecting: a server that answers each question may still be too slow."""
    slow = relay(delay=0.05)
    parameters = server.parameters(host="127.0.0.1", port=slow.port, ssl_mode="disable")
    with takes(TIMEOUT), pytest.raises(exceptions.ConnectTimeoutError, match="login"):
        ask("SELECT 1", **parameters, **SHORT)
    assert ask("SELECT 1", **parameters, connect_timeout_sec=10) == 1


@each_way
def test_without_it_the_calls_timeout_ends_the_wait(ask: Ask, server: Server, mute: int) -> None:
    for others in ({}, {"connect_timeout_sec": 0}, {"connect_timeout_sec": 10}):
        parameters = server.parameters(host="127.0.0.1", port=mute, timeout=TIMEOUT, **others)
        with takes(TIMEOUT), pytest.raises(exceptions.QueryTimeoutError, match=f"port {mute}"):
            ask("SELECT 1", **parameters)


def test_a_pool_whose_connect_timed_out_has_no_connection(server: Server, mute: int) -> None:
    with sync.ConnectionPool(
        **server.parameters(host="127.0.0.1", port=mute, **SHORT), max_db_pool_size=1
    ) as pool:
        for _ in range(2):
            with pytest.raises(exceptions.ConnectTimeoutError):
                pool.execute("SELECT 1")
        assert pool.status() == (1, 0, 0, 0)
