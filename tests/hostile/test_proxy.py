"""The proxy itself: what a network would still deliver, it delivers."""

from __future__ import annotations

import socket

import pytest

from tests.hostile.proxy import Proxy

WORDS = b"terminating connection due to administrator command"


@pytest.mark.parametrize("writes_after", [False, True])
def test_words_before_a_reset_arrive(writes_after: bool) -> None:
    """A server that ends with something unread resets the connection; what it said before is on its way already."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Proxy(listener.getsockname()) as proxy:
        proxy.delay(to_client=0.1)
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
            server, _ = listener.accept()
            with server:
                client.sendall(b"unread")
                assert server.recv(1) == b"u"
                server.sendall(WORDS)
            if writes_after:
                client.sendall(b"to nobody")
            client.settimeout(5)
            heard = b""
            while piece := client.recv(100):
                heard += piece
            assert heard == WORDS
        assert proxy.error is None
