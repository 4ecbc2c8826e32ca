"""Streams and cursors over TLS, in records of 16 kB: what stays inside OpenSSL isn't waited for at the socket."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests.concurrency import async_wait_until
from tests.parameters.certificates import Certificates
from tests.parameters.clusters import Cluster
from tests.parameters.conftest import Server
from tests.parameters.relays import Relay
from tests.parameters.test_tls_records import through, tls_relay

__all__ = ["tls_relay"]

ROWS = "SELECT g, repeat('y', g % 30000) AS t FROM generate_series(1, $1::int4) AS g"
ENDLESS = "SELECT generate_series(1, 100000000) AS g, repeat('x', 1000) AS t"


async def test_streams(tls_relay: Relay, server: Server, certificates: Certificates) -> None:
    async with (
        ConnectionPool(**through(tls_relay, server, certificates)) as pool,
        pool.acquire() as connection,
    ):
        assert connection.link.session.pgconn.in_tls
        for chunk_size, count in ((1, 100), (7, 300), (1000, 1000)):
            found = 0
            async for row in connection.stream(ROWS, [count], chunk_size=chunk_size):
                found += 1
                assert (row["g"], len(row["t"])) == (found, found % 30000)
            assert found == count
        async with connection.cursor(ROWS, [300], array_size=100) as cursor:
            assert [len(result) async for result in cursor] == [100, 100, 100]
    assert tls_relay.connection_count == 1


@pytest.mark.backend("sync")
def test_streams_in_a_thread(tls_relay: Relay, server: Server, certificates: Certificates) -> None:
    with (
        sync.ConnectionPool(**through(tls_relay, server, certificates)) as pool,
        pool.acquire() as connection,
    ):
        for chunk_size, count in ((1, 100), (7, 300), (1000, 1000)):
            rows: Any = connection.stream(ROWS, [count], chunk_size=chunk_size)
            for found, row in enumerate(rows, 1):
                assert (row["g"], len(row["t"])) == (found, found % 30000)
            assert found == count
    assert tls_relay.connection_count == 1


async def test_leaving_early(tls: None, primary: Cluster) -> None:
    """Not through the relay: libpq before 17 sends its cancel requests in plain text."""
    async with ConnectionPool(**primary.parameters(ssl_mode="require")) as pool, pool.acquire() as connection:
        assert connection.link.session.pgconn.in_tls
        pid = connection.backend_pid
        async for _row in connection.stream(ENDLESS):
            break
        assert await connection.fetch_val("SELECT 5") == 5
        with pytest.raises(exceptions.QueryTimeoutError):
            async for _row in connection.stream("SELECT 1 FROM pg_sleep(5)", timeout=0.05):
                pass
        assert await connection.fetch_val("SELECT 5") == 5
        assert connection.backend_pid == pid


async def test_a_socket_that_libpq_closes_with_rows_left(tls: None, primary: Cluster) -> None:
    """Its number is another connection's before the last rows are taken: that one stays with the loop."""
    rows_of_100 = "SELECT g, repeat('x', 100) AS t FROM generate_series(1, 1000000) AS g"
    async with (
        ConnectionPool(**primary.parameters(ssl_mode="require")) as pool,
        pool.acquire() as connection,
        pool.acquire() as other,
    ):
        session = connection.link.session
        heirs: list[Connection] = []
        rows = connection.stream(rows_of_100, chunk_size=1000)
        await rows.__anext__()
        pid, waits = connection.backend_pid, "SELECT wait_event FROM pg_stat_activity WHERE pid = $1"

        async def is_stuck() -> bool:
            return bool(await other.fetch_val(waits, [pid]) == "ClientWrite")

        await async_wait_until(is_stuck)
        await other.execute("SELECT pg_terminate_backend($1, 5000)", [pid])
        with pytest.raises(exceptions.ConnectionLostError):
            async for _row in rows:
                while session.pgconn.fd < 0 and session.fd not in [heir.link.session.fd for heir in heirs]:
                    heirs.append(await pool.connection())
        assert heirs
        for heir in heirs:
            assert await heir.fetch_val("SELECT 5", timeout=2) == 5
            heir.close()


@pytest.mark.backend("sync")
def test_leaving_early_in_a_thread(tls: None, primary: Cluster) -> None:
    with (
        sync.ConnectionPool(**primary.parameters(ssl_mode="require")) as pool,
        pool.acquire() as connection,
    ):
        pid = connection.backend_pid
        for _row in connection.stream(ENDLESS):
            break
        assert connection.fetch_val("SELECT 5") == 5
        assert connection.backend_pid == pid
