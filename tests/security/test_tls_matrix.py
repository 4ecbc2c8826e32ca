"""ssl_mode and ca_file against certificates of every kind, and who stands between a pool and a server.

A server with a good certificate, one without TLS and wrong names are also in tests/parameters/test_tls.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from psqlpy import exceptions
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.certificates import NAME, Certificates
from tests.parameters.conftest import Server
from tests.security.certificates import Presented
from tests.security.impostors import Gate, Impersonate, smuggling, stripping

pytestmark = [pytest.mark.backend("sync"), pytest.mark.usefixtures("tls", "no_home")]

TLS, PLAIN, ERROR = "TLS", "plain", "error"
REASONS = "certificate verify failed|does not match host name|root certificate file"
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
STRICT = ("require", "verify-ca", "verify-full")
# Whether it is trusted by whom: without a ca_file, with the authority's, with the server's own certificate.
TRUSTED = {
    "good": ("ca",),
    "self-signed": ("own",),
    "expired": (),
    "not yet valid": (),
    "wrong name": ("ca",),
}


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where libpq would look for ~/.postgresql/root.crt."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def presented(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Presented:
    assert shutil.which("openssl")
    return Presented(tmp_path_factory.mktemp("presented"), certificates)


def expected(certificate: str, mode: str, file: str) -> str:
    if mode in ("disable", "allow"):
        return PLAIN
    verifies = mode.startswith("verify") or file != "none"
    if not verifies:
        return TLS
    if file in TRUSTED[certificate] and (certificate, mode) != ("wrong name", "verify-full"):
        return TLS
    return PLAIN if mode == "prefer" else ERROR


@pytest.mark.parametrize("certificate", TRUSTED)
def test_a_certificate(server: Server, presented: Presented, certificate: str) -> None:
    files = {"none": None, "ca": presented.ca, "own": presented.own}
    gate = Gate(server.address, presented.contexts[certificate])
    try:
        for mode in MODES:
            for which, file in files.items():
                parameters = server.parameters(host=NAME, port=gate.port, ssl_mode=mode, ca_file=file)
                try:
                    assert ask("SELECT 1", **parameters) == 1
                    outcome = gate.kinds[-1]
                except exceptions.SSLError as error:
                    outcome = ERROR
                    assert re.search(REASONS, str(error))  # noqa: PT017 (which of them fail is the question)
                assert outcome == expected(certificate, mode, which), (mode, which)
    finally:
        gate.close()


# Who strips TLS

ANSWERS = {
    "refuses": b"N",
    "is too old to know": b"EFATAL:  unsupported frontend protocol 1234.5679\n\0",
    "says nonsense": b"?",
    "hangs up": b"",
}
# A message in plain text that is to be taken for one of those that come encrypted: authentication is over.
SMUGGLED = b"R\0\0\0\x08\0\0\0\0"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_who_strips_tls_hears_nothing(impersonate: Impersonate, presented: Presented, answer: bytes) -> None:
    impostor = impersonate(stripping(answer))
    for mode in STRICT:
        given: list[dict[str, Any]] = [
            {"ssl_mode": mode, "ca_file": presented.ca},
            {"dsn": f"postgresql://me:hushhush@localhost:{impostor.port}/db?sslmode={mode}"},
        ]
        for parameters in given:
            beside = {"username": "me", "password": "hushhush", "host": NAME, "port": impostor.port}
            with pytest.raises(exceptions.BaseConnectionPoolError) as caught:
                ask("SELECT 1", **beside, **parameters, connect_timeout_sec=5)
            assert "hushhush" not in str(caught.value)
    impostor.close()
    # Without an authority to verify it by, verify-ca and verify-full don't even begin.
    assert len(impostor.heard) >= 4
    # Nothing in plain text: no start-up message, so no user name, and no password.
    assert all(b"user" not in heard and b"hushhush" not in heard for heard in impostor.heard)


@each_way
def test_a_stripped_connection(ask: Ask, impersonate: Impersonate) -> None:
    impostor = impersonate(stripping(b"N"))
    with pytest.raises(exceptions.SSLError, match="does not support SSL"):
        ask("SELECT 1", username="me", password="hushhush", host=NAME, port=impostor.port, ssl_mode="require")


def test_who_speaks_before_the_handshake_is_not_heard(impersonate: Impersonate, presented: Presented) -> None:
    impostor = impersonate(smuggling(presented.contexts["good"], SMUGGLED))
    parameters = {"username": "me", "password": "hushhush", "host": NAME, "port": impostor.port}
    with pytest.raises(exceptions.SSLError, match="unencrypted data"):
        ask("SELECT 1", **parameters, ssl_mode="verify-full", ca_file=presented.ca, connect_timeout_sec=5)
    impostor.close()
    assert impostor.heard == [b""]


def test_channel_binding_notices_who_decrypts(server: Server, presented: Presented) -> None:
    """Which sslmode=require alone doesn't, as nobody is verified."""
    gate = Gate(server.address, presented.contexts["self-signed"])
    dsn = (
        f"postgresql://{server.user}:{server.password}@127.0.0.1:{gate.port}/{server.db_name}?sslmode=require"
    )
    try:
        assert ask("SELECT 1", dsn=dsn) == 1
        with pytest.raises(exceptions.BaseConnectionPoolError, match="channel binding"):
            ask("SELECT 1", dsn=f"{dsn}&channel_binding=require")
    finally:
        gate.close()
