"""target_session_attrs against a primary and a streaming standby: all six, for each set of hosts."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import TargetSessionAttrs, exceptions
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.clusters import PASSWORD, SUPERUSER, Cluster

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")

IN_RECOVERY = "SELECT pg_is_in_recovery()"
# Which server is taken: P(rimary), S(tandby) or none, of the hosts that a column is headed with.
HOSTS = ("P", "S", "PS", "SP")
TAKEN = {
    "any": "PSPS",
    "read-write": "P-PP",
    "read-only": "-SSS",
    "primary": "P-PP",
    "standby": "-SSS",
    "prefer-standby": "PSSS",
}
CASES = [(word, hosts, taken) for word, row in TAKEN.items() for hosts, taken in zip(HOSTS, row, strict=True)]


def ports_of(hosts: str, primary: Cluster, standby: Cluster) -> list[int]:
    return [(primary if host == "P" else standby).port for host in hosts]


@pytest.mark.parametrize(("word", "hosts", "taken"), CASES)
def test_which_server_is_taken(primary: Cluster, standby: Cluster, word: str, hosts: str, taken: str) -> None:
    ports = ports_of(hosts, primary, standby)
    single: dict[str, Any] = {"username": SUPERUSER, "password": PASSWORD, "db_name": "postgres"}
    single |= {"hosts": ["127.0.0.1"] * len(ports), "ports": ports, "ssl_mode": "disable"}
    where = ",".join(f"127.0.0.1:{port}" for port in ports)
    login = f"{SUPERUSER}:{PASSWORD.replace(' ', '%20')}"
    ways: list[dict[str, Any]] = [
        {**single, "target_session_attrs": word},
        {**single, "target_session_attrs": TargetSessionAttrs(word)},
        {"dsn": f"postgresql://{login}@{where}/postgres?sslmode=disable&target_session_attrs={word}"},
    ]
    for parameters in ways:
        if taken == "-":
            with pytest.raises(exceptions.BaseConnectionPoolError, match=str(ports[0])):
                ask(IN_RECOVERY, **parameters)
        else:
            assert ask(IN_RECOVERY, **parameters) is (taken == "S")


@each_way
def test_in_each_way(ask: Ask, primary: Cluster, standby: Cluster) -> None:
    both = primary.parameters(
        host=None, port=None, hosts=["127.0.0.1"] * 2, ports=[primary.port, standby.port]
    )
    for word, recovering in (
        ("any", False),
        ("read-only", True),
        ("prefer-standby", True),
        ("primary", False),
    ):
        assert ask(IN_RECOVERY, **both, target_session_attrs=word) is recovering
    with pytest.raises(exceptions.BaseConnectionPoolError, match="read-only") as caught:
        ask(IN_RECOVERY, **standby.parameters(target_session_attrs="read-write"))
    assert PASSWORD not in str(caught.value) and SUPERUSER in str(caught.value)


def test_by_default_it_is_any(standby: Cluster) -> None:
    assert ask(IN_RECOVERY, **standby.parameters()) is True


def test_a_primary_may_be_read_only(primary: Cluster, standby: Cluster) -> None:
    """read-only and read-write ask what a transaction may do, primary and standby what the server is."""
    parameters = primary.parameters(options="-c default_transaction_read_only=on")
    for word in ("read-only", "primary", "any", "prefer-standby"):
        assert ask(IN_RECOVERY, **parameters, target_session_attrs=word) is False
    for word in ("read-write", "standby"):
        with pytest.raises(exceptions.BaseConnectionPoolError):
            ask(IN_RECOVERY, **parameters, target_session_attrs=word)


def test_the_standby_streams(primary: Cluster, standby: Cluster) -> None:
    with primary.observe() as observer:
        assert observer.execute("SELECT state FROM pg_stat_replication").fetchall() == [("streaming",)]
    assert ask("SHOW transaction_read_only", **standby.parameters()) == "on"
