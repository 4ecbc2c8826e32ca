"""Which questions of a server a client answers, and with what: channel binding, require_auth, SCRAM."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import exceptions
from psqlpy._pq.conninfo import keywords
from tests.parameters.asking import ask
from tests.security.impostors import Conversation, Impersonate, Impostor, authenticating

pytestmark = pytest.mark.backend("sync")

CLEARTEXT, OK = b"\0\0\0\x03", b"\0\0\0\0"
MD5 = b"\0\0\0\x05salt"
SCRAM = b"\0\0\0\x0aSCRAM-SHA-256\0\0"


def ask_impostor(impostor: Impostor, options: str) -> None:
    ask("SELECT 1", dsn=f"postgresql://me:hushhush@127.0.0.1:{impostor.port}/db?sslmode=prefer&{options}")


@pytest.mark.parametrize(
    "question", [OK, CLEARTEXT, MD5, SCRAM], ids=["nothing", "cleartext", "md5", "scram"]
)
def test_channel_binding_answers_no_lesser_question(impersonate: Impersonate, question: bytes) -> None:
    impostor = impersonate(authenticating(question))
    with pytest.raises(exceptions.BaseConnectionPoolError, match="channel binding"):
        ask_impostor(impostor, "channel_binding=require")
    impostor.close()
    assert impostor.heard == [b""]


@pytest.mark.parametrize(
    ("accepted", "question", "is_answered"),
    [
        ("scram-sha-256", OK, False),
        ("scram-sha-256", CLEARTEXT, False),
        ("scram-sha-256", MD5, False),
        ("scram-sha-256", SCRAM, True),
        ("!md5,!password", MD5, False),
        ("!md5,!password", CLEARTEXT, False),
        ("!md5,!password", SCRAM, True),
        ("md5", MD5, True),
    ],
)
def test_require_auth(impersonate: Impersonate, accepted: str, question: bytes, is_answered: bool) -> None:
    impostor = impersonate(authenticating(question))
    if "require_auth" not in keywords():
        # A condition that can't be kept isn't dropped.
        with pytest.raises(exceptions.NotSupportedError, match="require_auth needs libpq 16"):
            ask_impostor(impostor, f"require_auth={accepted}")
        assert impostor.heard == []
        return
    with pytest.raises(exceptions.BaseConnectionPoolError) as caught:
        ask_impostor(impostor, f"require_auth={accepted}")
    impostor.close()
    # `p` begins every answer to a question.
    assert (impostor.heard[0][:1] == b"p") == is_answered, caught.value


def test_a_server_that_does_not_know_the_password_is_refused(impersonate: Impersonate) -> None:
    """SCRAM has the server prove that it knows it, too."""
    first = b"\0\0\0\x0br=%s,s=c2FsdHNhbHQ=,i=4096"
    impostor = impersonate(proving(first, b"\0\0\0\x0cv=" + b"A" * 43 + b"="))
    with pytest.raises(exceptions.BaseConnectionPoolError, match="incorrect server signature"):
        ask_impostor(impostor, "connect_timeout=5")


def proving(first: bytes, last: bytes) -> Conversation:
    """A SCRAM dialogue in which the server's nonce goes on with the client's, as it must."""

    def converse(client: Any) -> None:
        authenticating(SCRAM)(client)
        said = client.recv(4096)
        body = first % (said.partition(b"r=")[2] + b"and so on")
        client.sendall(b"R" + (len(body) + 4).to_bytes(4, "big") + body)
        client.recv(4096)
        client.sendall(b"R" + (len(last) + 4).to_bytes(4, "big") + last)

    return converse
