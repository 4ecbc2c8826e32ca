"""Logins that no server offers: an error in time, nothing of it left in the pool."""

from __future__ import annotations

import struct
import time

import pytest

from psqlpy import ConnectionPool, exceptions
from tests.fake_server import message
from tests.hostile.scripted import AUTHENTICATION_OK, KEY, Backend, ScriptedServer, greeting, serve
from tests.hostile.test_scripted import AT_ONCE, HUGE, NEGATIVE, PATIENCE, ROW

GREETINGS: dict[str, tuple[bytes, str]] = {
    "an unknown way to log in": (
        greeting(authentication=message(b"R", struct.pack("!i", 99))),
        "authentication",
    ),
    "a way without its number": (greeting(authentication=message(b"R", b"\0\0")), ""),
    "SCRAM without mechanisms": (
        greeting(authentication=message(b"R", struct.pack("!i", 10) + b"\0")),
        "SASL",
    ),
    "SASL's end without a beginning": (
        greeting(authentication=message(b"R", struct.pack("!i", 12) + b"v=x")),
        "SASL",
    ),
    "a login of 2 GB": (message(b"R", b"\0\0\0\0", HUGE), ""),
    "a login of length 3": (message(b"R", b"", 3), ""),
    "a login of negative length": (message(b"R", b"", NEGATIVE), ""),
    "an error of 2 GB": (message(b"E", b"SFATAL\0", HUGE), ""),
    "an error without fields": (message(b"E", b"\0"), ""),
    "an error that isn't UTF-8": (message(b"E", b"SFATAL\0VFATAL\0C28000\0Mno\xff\xfe\0\0"), "no"),
    "a row": (AUTHENTICATION_OK + ROW, ""),
    "text": (b"HTTP/1.1 400 Bad Request\r\n\r\n", ""),
    "zeros": (bytes(64), ""),
    "an old error": (b"Efatal: go away\n\0", "go away"),
}


@pytest.mark.loops(1)
@pytest.mark.parametrize("what", GREETINGS)
async def test_logins(what: str) -> None:
    said, message_part = GREETINGS[what]
    with ScriptedServer(lambda backend: backend.send(said)) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool:
            begun = time.monotonic()
            with pytest.raises((exceptions.BaseConnectionPoolError, exceptions.DatabaseError)) as caught:
                await pool.fetch_val("SELECT 1", timeout=PATIENCE)
            assert time.monotonic() - begun < AT_ONCE
            assert message_part in str(caught.value) and str(caught.value).strip()
            assert pool.status() == (1, 0, 0, 0)


@pytest.mark.loops(1)
@pytest.mark.parametrize(
    "key",
    [
        b"",
        message(b"K", b""),
        message(b"K", bytes(3)),
        message(b"K", bytes(40)),
        message(b"K", bytes(300)),
        2 * KEY,
    ],
    ids=["none", "empty", "of 3 bytes", "of 40 bytes", "of 300 bytes", "two"],
)
async def test_keys_of_any_length(key: bytes) -> None:
    """libpq waits for the rest of one that is too short. A call that nothing can cancel ends in time, too."""

    def script(backend: Backend) -> None:
        backend.send(greeting(key=key))
        serve(backend, {b"D": b""})
        backend.receive()

    with ScriptedServer(script) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1, timeout=0.5) as pool:
            begun = time.monotonic()
            try:
                async with pool.acquire() as connection:
                    with pytest.raises(exceptions.Error):
                        await connection.fetch_val("SELECT 1", timeout=0.2)
            except (exceptions.BaseConnectionPoolError, exceptions.DatabaseError):
                pass  # refused
            assert time.monotonic() - begun < AT_ONCE
