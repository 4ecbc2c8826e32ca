"""host, hosts, port, ports and load_balance_hosts: who is tried in which order, and how long a bad host costs."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from psqlpy import LoadBalanceHosts, exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.conftest import MakeRelay, Names, Server
from tests.parameters.relays import Relay, free_port, silent_port

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")

ONE_WAY = 0.05  # seconds: 100 ms per round trip
MANY = 20  # all of them at one of two hosts by chance: 1 in 500,000


@pytest.fixture
def silent() -> Iterator[int]:
    with silent_port() as port:
        yield port


@pytest.fixture
def other_address() -> str:
    """An address of this machine besides 127.0.0.1."""
    for address in ("127.0.0.2", "::1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                continue
            return address
    pytest.skip("this machine has no loopback address but 127.0.0.1")


def local(*ports: int) -> dict[str, Any]:
    return {"hosts": ["127.0.0.1"] * len(ports), "ports": list(ports)}


# Hosts and ports, one and several


@each_way
def test_host_and_port(ask: Ask, relay: MakeRelay, server: Server) -> None:
    made = relay()
    assert ask("SELECT 1", **server.parameters(host="127.0.0.1", port=made.port)) == 1
    assert made.connection_count == 1


def test_a_host_name(server: Server, relay: MakeRelay, names: Names) -> None:
    made = relay()
    names["db.example"] = ["127.0.0.1"]
    assert ask("SELECT 1", **server.parameters(host="db.example", port=made.port)) == 1
    assert made.connection_count == 1


def test_host_beside_hosts(server: Server, relay: MakeRelay, names: Names) -> None:
    """Hosts first, then host; ports go along."""
    first, second = relay(), relay()
    both: dict[str, Any] = {"hosts": ["first.example"], "host": "second.example"}
    both |= {"ports": [first.port], "port": second.port}
    names.update({"first.example": ["127.0.0.1"], "second.example": ["127.0.0.9"]})
    assert ask("SELECT 1", **server.parameters(**both)) == 1
    assert (first.connection_count, second.connection_count) == (1, 0)
    names.update({"first.example": ["127.0.0.9"], "second.example": ["127.0.0.1"]})
    assert ask("SELECT 1", **server.parameters(**both)) == 1
    assert (first.connection_count, second.connection_count) == (1, 1)


def test_one_port_for_all_hosts(server: Server, relay: MakeRelay, names: Names) -> None:
    made = relay()
    names["dead.example"] = ["127.0.0.9"]
    for ports in ({"port": made.port}, {"ports": [made.port]}):
        assert ask("SELECT 1", **server.parameters(hosts=["dead.example", "127.0.0.1"], **ports)) == 1
    assert made.connection_count == 2


def test_a_socket_among_the_hosts(server: Server, socket_directory: str) -> None:
    parameters = server.parameters(hosts=["127.0.0.1", socket_directory], ports=[free_port(), server.port])
    assert ask("SELECT inet_server_port() IS NULL", **parameters) is True


# Dead, silent, slow


@each_way
def test_a_dead_first_host(ask: Ask, server: Server, relay: MakeRelay) -> None:
    living = relay()
    assert ask("SELECT 1", **server.parameters(**local(free_port(), living.port))) == 1
    assert living.connection_count == 1


@each_way
def test_a_silent_first_host_costs_half_a_second_at_most(
    ask: Ask, server: Server, relay: MakeRelay, silent: int
) -> None:
    living = relay()
    begun = time.monotonic()
    assert ask("SELECT 1", **server.parameters(**local(silent, living.port))) == 1
    assert time.monotonic() - begun <= 0.5


@each_way
def test_a_slow_first_host_gets_the_connection(ask: Ask, server: Server, relay: MakeRelay) -> None:
    slow, fast = relay(delay=ONE_WAY), relay()
    begun = time.monotonic()
    assert ask("SELECT 1", **server.parameters(**local(slow.port, fast.port))) == 1
    # SCRAM takes three round trips and the statement one more: the next host's turn would have come long before.
    assert time.monotonic() - begun > 8 * ONE_WAY
    assert (slow.connection_count, fast.connection_count) == (1, 0)


def test_a_slow_host_behind_a_silent_one_gets_the_connection(
    server: Server, relay: MakeRelay, silent: int
) -> None:
    slow, fast = relay(delay=ONE_WAY), relay()
    assert ask("SELECT 1", **server.parameters(**local(silent, slow.port, fast.port))) == 1
    assert (slow.connection_count, fast.connection_count) == (1, 0)


def test_a_dead_address_of_a_name(server: Server, relay: MakeRelay, names: Names) -> None:
    made = relay()
    names["db.example"] = ["127.0.0.9", "127.0.0.1"]
    assert ask("SELECT 1", **server.parameters(host="db.example", port=made.port)) == 1


def test_a_name_that_cannot_be_resolved(
    server: Server, relay: MakeRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "unknown.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    made = relay()
    assert ask("SELECT 1", **server.parameters(hosts=["unknown.example", "127.0.0.1"], port=made.port)) == 1
    with pytest.raises(exceptions.BaseConnectionPoolError, match="unknown.example.*resolved") as caught:
        ask("SELECT 1", **server.parameters(host="unknown.example", port=made.port))
    assert server.user in str(caught.value)


@each_way
def test_when_all_are_dead_the_error_names_each(ask: Ask, server: Server) -> None:
    ports = [free_port(), free_port()]
    with pytest.raises(exceptions.BaseConnectionPoolError) as caught:
        ask("SELECT 1", **server.parameters(**local(*ports)))
    assert all(f"127.0.0.1, port {port}: Connection refused" in str(caught.value) for port in ports)
    assert server.password not in str(caught.value)
    with pytest.raises(exceptions.BaseConnectionPoolError, match=f"port {ports[0]} as '.*Connection refused"):
        ask("SELECT 1", **server.parameters(**local(ports[0])))


# load_balance_hosts


def shares(relays: list[Relay], **parameters: Any) -> tuple[int, ...]:
    """How many of MANY connections each relay gets."""
    before = [each.connection_count for each in relays]
    with sync.ConnectionPool(**parameters, max_db_pool_size=MANY) as pool:
        held = [pool.connection() for _ in range(MANY)]
        for connection in held:
            connection.close()
    return tuple(each.connection_count - count for each, count in zip(relays, before, strict=True))


Given = Callable[[Server, str, str], dict[str, Any]]


def as_single(server: Server, host: str, port: str) -> dict[str, Any]:
    return server.parameters(hosts=host.split(","), ports=[int(each) for each in port.split(",")])


def in_url(server: Server, host: str, port: str) -> dict[str, Any]:
    return {"dsn": f"postgresql:///{server.db_name}?user={server.user}&host={host}&port={port}"}


def in_pairs(server: Server, host: str, port: str) -> dict[str, Any]:
    return {"dsn": f"dbname={server.db_name} user={server.user} host={host} port={port}"}


@pytest.mark.parametrize(
    ("give", "separator"), [(as_single, ""), (in_url, "&"), (in_pairs, " ")], ids=["single", "url", "pairs"]
)
@pytest.mark.parametrize("way", ["hosts", "addresses"])
def test_load_balance_hosts(
    server: Server,
    relay: MakeRelay,
    names: Names,
    other_address: str,
    monkeypatch: pytest.MonkeyPatch,
    give: Given,
    separator: str,
    way: str,
) -> None:
    """With any libpq: before 16 it doesn't know the option."""
    monkeypatch.setenv("PGPASSWORD", server.password)
    first = relay()
    if way == "hosts":
        second = relay()
        given = give(server, "127.0.0.1,127.0.0.1", f"{first.port},{second.port}")
    else:
        second = relay(host=other_address, port=first.port)
        names["db.example"] = ["127.0.0.1", other_address]
        given = give(server, "db.example", str(first.port))

    def share(value: str) -> tuple[int, ...]:
        if separator:
            return shares([first, second], dsn=f"{given['dsn']}{separator}load_balance_hosts={value}")
        return shares([first, second], **given, load_balance_hosts=value)

    assert share("disable") == (MANY, 0)
    spread = share("random")
    assert sum(spread) == MANY and 0 not in spread


def test_load_balance_hosts_as_a_member(server: Server, relay: MakeRelay) -> None:
    relays = [relay(), relay()]
    given = server.parameters(**local(*(each.port for each in relays)))
    assert shares(relays, **given) == (MANY, 0)
    assert shares(relays, **given, load_balance_hosts=LoadBalanceHosts.Disable) == (MANY, 0)
    spread = shares(relays, **given, load_balance_hosts=LoadBalanceHosts.Random)
    assert sum(spread) == MANY and 0 not in spread


def test_load_balance_hosts_beside_a_dsn_outranks_it(server: Server, relay: MakeRelay) -> None:
    relays = [relay(), relay()]
    host, port = "127.0.0.1,127.0.0.1", f"{relays[0].port},{relays[1].port}"
    dsn = f"{in_url(server, host, port)['dsn']}&password={server.password}&load_balance_hosts=random"
    assert shares(relays, dsn=dsn, load_balance_hosts="disable") == (MANY, 0)


def test_random_still_finds_the_living_one(server: Server, relay: MakeRelay) -> None:
    living = relay()
    given = server.parameters(**local(free_port(), living.port), load_balance_hosts="random")
    assert shares([living], **given) == (MANY,)
