"""Results of every length over TLS with records of 16 kB, of which libpq may leave a part inside OpenSSL.

The socket is silent then: a driver that waits for it hangs. It happens when an unfinished row in libpq's buffer leaves
no room for a whole record, so there are several rows. PostgreSQL itself writes records of 8 kB, so it takes a relay
that encrypts.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import anyio
import pytest

from psqlpy import ConnectionPool, sync
from psqlpy._pq.connection import PGconn
from psqlpy._pq.module import lib
from tests.parameters.certificates import Certificates
from tests.parameters.conftest import MakeRelay, Server
from tests.parameters.relays import Relay

LENGTHS = range(8 * 1024, 40 * 1024)
COARSE = LENGTHS[::64]
QUERY = "SELECT substr(repeat('x', $1), i, 5000) AS part FROM generate_series(1, $1, 5000) i"
PATIENCE = 5.0


@pytest.fixture
def tls_relay(tls: None, relay: MakeRelay, certificates: Certificates) -> Relay:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.key)
    return relay(tls=context)


def through(relay: Relay, server: Server, certificates: Certificates) -> dict[str, Any]:
    parameters = server.parameters(host=relay.host, port=relay.port, max_db_pool_size=1)
    return {**parameters, "ssl_mode": "verify-full", "ca_file": certificates.ca, "timeout": PATIENCE}


async def test_results_of_many_lengths(tls_relay: Relay, server: Server, certificates: Certificates) -> None:
    async with (
        ConnectionPool(**through(tls_relay, server, certificates)) as pool,
        pool.acquire() as connection,
    ):
        assert connection.link.session.pgconn.in_tls
        for length in COARSE:
            rows = (await connection.fetch(QUERY, [length])).result()
            assert sum(len(row["part"]) for row in rows) == length
    assert tls_relay.connection_count == 1


@pytest.mark.backend("sync")
def test_results_of_many_lengths_in_a_thread(
    tls_relay: Relay, server: Server, certificates: Certificates
) -> None:
    with (
        sync.ConnectionPool(**through(tls_relay, server, certificates)) as pool,
        pool.acquire() as connection,
    ):
        assert connection.link.session.pgconn.in_tls
        for length in COARSE:
            rows = connection.fetch(QUERY, [length]).result()
            assert sum(len(row["part"]) for row in rows) == length
    assert tls_relay.connection_count == 1


async def test_other_results(tls_relay: Relay, server: Server, certificates: Certificates) -> None:
    """Many records at once, and several results in one."""
    found: list[int] = []

    async with (
        ConnectionPool(**through(tls_relay, server, certificates)) as pool,
        pool.acquire() as connection,
    ):

        async def fetch(length: int) -> None:
            found.append(len(await connection.fetch_val("SELECT repeat('x', $1)", [length])))

        lengths = [10, 8_000, 500_000, 16_300, 20_000, 100, 3_000_000, 33_000]
        async with anyio.create_task_group() as group:
            for length in lengths:
                group.start_soon(fetch, length)
        assert sorted(found) == sorted(lengths)
        result = await connection.fetch("SELECT i, repeat('y', i) AS t FROM generate_series(1, 2000) i")
        assert [len(row["t"]) for row in result.result()] == list(range(1, 2001))


async def test_batches(tls_relay: Relay, server: Server, certificates: Certificates) -> None:
    """A dialogue that isn't pipelined reads in its own way."""
    async with (
        ConnectionPool(**through(tls_relay, server, certificates)) as pool,
        pool.acquire() as connection,
    ):
        for length in range(20_000, 26_000, 250):
            await connection.execute_batch(QUERY.replace("$1", str(length)))
            assert await connection.fetch_val("SELECT 1") == 1


def held_by_openssl(pgconn: PGconn) -> list[int]:
    """Have an answer of 23 kB come, and read it behind the driver's back: what OpenSSL holds after each read."""
    assert lib.PQsendQuery(pgconn.pointer, QUERY.replace("$1", "23000").encode())
    deadline = time.monotonic() + PATIENCE
    while lib.psq_readable_bytes(pgconn.fd) < 23_000:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    held: list[int] = []
    while lib.psq_readable_bytes(pgconn.fd) > 0 or (held and held[-1]):
        assert lib.PQconsumeInput(pgconn.pointer)
        held.append(lib.psq_tls_pending(pgconn.pointer))
    while pgconn.get_result() is not None:
        pass
    return held


@pytest.mark.backend("sync")
def test_what_openssl_holds_is_known(tls_relay: Relay, server: Server, certificates: Certificates) -> None:
    """A record that arrives while libpq reads for the last time is seen nowhere else: one hang in 15,000 queries."""
    with sync.ConnectionPool(**through(tls_relay, server, certificates)) as pool:
        connection = pool.connection()
        pgconn = connection.link.session.pgconn
        assert lib.psq_tls_pending(pgconn.pointer) == 0
        assert pgconn.end_pipeline()
        # The relay cuts the answer into other records where the server made a pause in it, which it does more often
        # where others want to run too.
        for _ in range(1000):
            held = held_by_openssl(pgconn)
            assert held[-1] == 0
            if any(5_000 < size < 16_384 for size in held):
                break
        else:
            pytest.fail("OpenSSL never held anything")
        connection.link.close()
        connection.close()


@pytest.mark.backend("sync")
def test_without_tls_openssl_holds_nothing(server: Server) -> None:
    with sync.ConnectionPool(**server.here(ssl_mode="disable")) as pool, pool.acquire() as connection:
        assert lib.psq_tls_pending(connection.link.session.pgconn.pointer) == 0


@pytest.mark.long
@pytest.mark.backend("sync")
@pytest.mark.parametrize("first", range(LENGTHS.start, LENGTHS.stop, 4096))
def test_results_of_every_length(
    tls_relay: Relay, server: Server, certificates: Certificates, first: int
) -> None:
    with (
        sync.ConnectionPool(**through(tls_relay, server, certificates)) as pool,
        pool.acquire() as connection,
    ):
        for length in range(first, first + 4096):
            rows = connection.fetch(QUERY, [length]).result()
            assert sum(len(row["part"]) for row in rows) == length
