"""ssl_mode and ca_file: all six modes against a server with TLS and one without, and whom each of them trusts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import psqlpy
from psqlpy import SslMode, exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.certificates import NAME, Certificates
from tests.parameters.clusters import PASSWORD, PLAIN_ONLY, SUPERUSER, TLS_ONLY, Cluster
from tests.parameters.conftest import Names

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")

ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
TLS, PLAIN, ERROR = "TLS", "plain", "error"
WRONG_NAME = "db.example"  # leads to the server, but its certificate is for another one

# By mode: at a server without TLS, and at one with it, for the three ca_files: none, the right and the other one.
# `allow` asks for plain text first; `prefer` comes back to it; `require` verifies where it is told an authority.
OUTCOMES = {
    "disable": (PLAIN, {"none": PLAIN, "right": PLAIN, "other": PLAIN}),
    "allow": (PLAIN, {"none": PLAIN, "right": PLAIN, "other": PLAIN}),
    "prefer": (PLAIN, {"none": TLS, "right": TLS, "other": PLAIN}),
    "require": (ERROR, {"none": TLS, "right": TLS, "other": ERROR}),
    "verify-ca": (ERROR, {"none": ERROR, "right": TLS, "other": ERROR}),
    "verify-full": (ERROR, {"none": ERROR, "right": TLS, "other": ERROR}),
}
FILES = ("none", "right", "other")


@pytest.fixture(autouse=True)
def no_home(tls: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where libpq would look for ~/.postgresql/root.crt."""
    monkeypatch.setenv("HOME", str(tmp_path))


def file_for(which: str, certificates: Certificates) -> Path | None:
    return {"none": None, "right": certificates.ca, "other": certificates.other_ca}[which]


def outcome(**parameters: Any) -> str:
    """TLS, PLAIN, or ERROR for one that is about TLS."""
    try:
        return TLS if ask(ENCRYPTED, **parameters) else PLAIN
    except exceptions.SSLError as error:
        text = str(error)
    assert issubclass(exceptions.SSLError, exceptions.BaseConnectionPoolError)
    assert PASSWORD not in text and SUPERUSER in text
    return ERROR


@pytest.mark.parametrize("which", FILES)
@pytest.mark.parametrize("mode", OUTCOMES)
def test_a_server_with_tls(primary: Cluster, certificates: Certificates, mode: str, which: str) -> None:
    expected = OUTCOMES[mode][1][which]
    file = file_for(which, certificates)
    for parameters in (primary.parameters(), primary.parameters(host=NAME)):
        for value in (mode, SslMode(mode)):
            assert outcome(**parameters, ssl_mode=value, ca_file=file) == expected
    dsn = f"postgresql://{SUPERUSER}:{PASSWORD.replace(' ', '%20')}@{primary.host}:{primary.port}/postgres"
    root = "" if file is None else f"&sslrootcert={file}"
    assert outcome(dsn=f"{dsn}?sslmode={mode}{root}") == expected
    assert outcome(dsn=f"{dsn}?sslmode=disable", ssl_mode=mode, ca_file=file) == expected


@pytest.mark.parametrize("which", FILES)
@pytest.mark.parametrize("mode", OUTCOMES)
def test_a_server_without_tls(standby: Cluster, certificates: Certificates, mode: str, which: str) -> None:
    expected = OUTCOMES[mode][0]
    parameters = standby.parameters(ssl_mode=mode, ca_file=file_for(which, certificates))
    assert outcome(**parameters) == expected


@pytest.mark.parametrize("which", FILES)
@pytest.mark.parametrize("mode", OUTCOMES)
def test_a_wrong_host_name(
    primary: Cluster, certificates: Certificates, names: Names, mode: str, which: str
) -> None:
    names[WRONG_NAME] = [primary.host]
    expected = ERROR if mode == "verify-full" else OUTCOMES[mode][1][which]
    parameters = primary.parameters(host=WRONG_NAME, ssl_mode=mode, ca_file=file_for(which, certificates))
    assert outcome(**parameters) == expected


def test_by_default_it_is_prefer(primary: Cluster, standby: Cluster) -> None:
    assert outcome(**primary.parameters()) == TLS
    assert outcome(**standby.parameters()) == PLAIN


def test_a_ca_file_alone_verifies_all(
    primary: Cluster, standby: Cluster, certificates: Certificates, names: Names
) -> None:
    names[WRONG_NAME] = [primary.host]
    right, other = certificates.ca, certificates.other_ca
    assert outcome(**primary.parameters(ca_file=right)) == TLS
    assert outcome(**primary.parameters(ca_file=other)) == ERROR
    assert outcome(**primary.parameters(ca_file=right, host=WRONG_NAME)) == ERROR
    assert outcome(**standby.parameters(ca_file=right)) == ERROR


@each_way
def test_in_each_way(ask: Ask, primary: Cluster, certificates: Certificates) -> None:
    verified = primary.parameters(host=NAME, ssl_mode=SslMode.VerifyFull)
    assert ask(ENCRYPTED, **verified, ca_file=certificates.ca) is True
    with pytest.raises(exceptions.SSLError, match="certificate verify failed"):
        ask(ENCRYPTED, **verified, ca_file=certificates.other_ca)
    assert ask(ENCRYPTED, **primary.parameters(ssl_mode="disable")) is False


def test_the_path_of_a_ca_file(
    primary: Cluster, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A str or a PathLike, relative to where the pool was made."""
    monkeypatch.chdir(certificates.ca.parent)
    parameters = primary.parameters(ssl_mode="verify-full")
    with sync.ConnectionPool(**parameters, ca_file=certificates.ca.name) as pool:
        monkeypatch.chdir(tmp_path)
        assert pool.fetch_val(ENCRYPTED) is True
    assert outcome(**parameters, ca_file=os.fspath(certificates.ca)) == TLS


@pytest.mark.parametrize("mode", [None, *OUTCOMES])
def test_a_ca_file_that_is_none_is_refused_at_once(mode: str | None, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_text("no certificate")
    for make in (psqlpy.ConnectionPool, psqlpy.connect, sync.ConnectionPool):
        for name in ("missing", "garbage"):
            with pytest.raises(exceptions.SSLError, match=f"ca_file.*{name}"):
                make(host="localhost", ssl_mode=mode, ca_file=tmp_path / name)


# Servers that take only one of the two


@pytest.mark.parametrize(
    ("user", "mode", "expected"),
    [
        (TLS_ONLY, "allow", TLS),
        (TLS_ONLY, "prefer", TLS),
        (TLS_ONLY, "require", TLS),
        (PLAIN_ONLY, "disable", PLAIN),
        (PLAIN_ONLY, "allow", PLAIN),
        (PLAIN_ONLY, "prefer", PLAIN),
    ],
)
def test_falling_back(primary: Cluster, user: str, mode: str, expected: str) -> None:
    assert outcome(**primary.parameters(username=user, ssl_mode=mode)) == expected


@pytest.mark.parametrize(
    ("user", "mode"), [(TLS_ONLY, "disable"), (PLAIN_ONLY, "require"), (PLAIN_ONLY, "verify-ca")]
)
def test_not_falling_back(primary: Cluster, certificates: Certificates, user: str, mode: str) -> None:
    parameters = primary.parameters(username=user, ssl_mode=mode, ca_file=certificates.ca)
    with pytest.raises(exceptions.InvalidAuthorizationSpecification, match=user) as caught:
        ask(ENCRYPTED, **parameters)
    assert isinstance(caught.value, exceptions.BaseConnectionPoolError)


def test_a_refused_certificate_leads_to_the_next_host(
    primary: Cluster, standby: Cluster, certificates: Certificates, names: Names
) -> None:
    names[WRONG_NAME] = [primary.host]
    hosts = {"host": None, "hosts": [standby.host, WRONG_NAME, NAME]}
    ports = {"port": None, "ports": [standby.port, primary.port, primary.port]}
    parameters = primary.parameters(**hosts, **ports, ssl_mode="verify-full", ca_file=certificates.ca)
    assert outcome(**parameters) == TLS


# Channel binding


@each_way
def test_scram_with_channel_binding(ask: Ask, primary: Cluster) -> None:
    where = f"postgresql://{primary.host}:{primary.port}/postgres?user=postgres"
    login = f"{where}&password={primary.parameters()['password'].replace(' ', '%20')}"
    bound = f"{login}&channel_binding=require"
    assert ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", dsn=bound) is True
    assert ask("SELECT 1", dsn=f"{login}&channel_binding=disable") == 1
    with pytest.raises(exceptions.BaseConnectionPoolError, match="channel binding"):
        ask("SELECT 1", dsn=bound, ssl_mode="disable")
