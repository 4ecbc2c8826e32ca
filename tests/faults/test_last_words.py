"""An idle connection that has ended, of which the news is still on its way: what is run again, and what isn't."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from psqlpy import ConnectionPool, exceptions
from tests.hostile.proxy import Proxy
from tests.shells.observing import Observer

TABLE = f"faults_last_words_{os.getpid()}"
READ = f"SELECT count(*) FROM {TABLE}"
WRITE = f"INSERT INTO {TABLE} VALUES (1)"
COUNT = READ
# As long as it takes to see that it has ended, at least.
DELAY = 0.08


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    parameters = conninfo_to_dict(dsn)
    with Proxy((str(parameters["host"]), int(parameters["port"] or 5432))) as proxy:
        yield proxy


@pytest.fixture
def table(observer: Observer) -> Iterator[str]:
    observer.command(f"DROP TABLE IF EXISTS {TABLE}; CREATE TABLE {TABLE} (a int)")
    yield TABLE
    observer.command(f"DROP TABLE {TABLE}")


@pytest.fixture
async def pool(dsn: str, proxy: Proxy, table: str) -> AsyncIterator[ConnectionPool]:
    async with ConnectionPool(make_conninfo(dsn, host="127.0.0.1", port=proxy.port), timeout=10) as pool:
        yield pool


async def end_unheard(pool: ConnectionPool, proxy: Proxy, observer: Observer) -> int:
    """End the pool's connection on the server; what the server says of it comes late."""
    async with pool.acquire() as connection:
        pid = connection.backend_pid
        await connection.execute("SELECT 1")
    assert pool.status().size == 1
    proxy.delay(to_client=DELAY)
    observer.value("SELECT pg_terminate_backend(%s)", [pid])
    observer.await_gone([pid])
    return pid


async def learn(pool: ConnectionPool, text: str) -> None:
    """Use a statement until the pool knows from the catalogs that it calls nobody's code."""
    deadline = time.monotonic() + 5
    known = False
    while not known:
        await pool.fetch_val(text)
        known = pool._standings[text].may_repeat(time.monotonic())
        assert time.monotonic() < deadline


async def test_a_known_read_is_run_again(pool: ConnectionPool, proxy: Proxy, observer: Observer) -> None:
    await learn(pool, READ)
    pid = await end_unheard(pool, proxy, observer)
    assert await pool.fetch_val(READ) == 0
    assert await pool.fetch_val("SELECT pg_backend_pid()") != pid


@pytest.mark.loops(1)
async def test_a_statement_that_was_only_being_prepared_is_run_again(
    pool: ConnectionPool, proxy: Proxy, observer: Observer
) -> None:
    await end_unheard(pool, proxy, observer)
    await pool.execute(WRITE)
    assert observer.value(COUNT) == 1


@pytest.mark.loops(1)
async def test_rows_that_were_only_being_prepared_are_sent_again(
    pool: ConnectionPool, proxy: Proxy, observer: Observer
) -> None:
    await end_unheard(pool, proxy, observer)
    await pool.execute_many(f"INSERT INTO {TABLE} VALUES ($1)", [[1], [2]])
    assert observer.value(COUNT) == 2


@pytest.mark.loops(1)
async def test_a_known_write_is_not(pool: ConnectionPool, proxy: Proxy, observer: Observer) -> None:
    """Its server may have executed it, for all that can be seen from here."""
    await pool.execute(WRITE)
    await end_unheard(pool, proxy, observer)
    with pytest.raises(exceptions.ConnectionLostError) as caught:
        await pool.execute(WRITE)
    assert caught.value.sqlstate == "57P01"
    assert caught.value.may_have_committed and not caught.value.safe_to_retry
    assert observer.value(COUNT) == 1
    await pool.execute(WRITE)
    assert observer.value(COUNT) == 2


@pytest.mark.loops(1)
async def test_a_read_of_which_the_catalogs_were_not_asked_is_not(
    pool: ConnectionPool, proxy: Proxy, observer: Observer
) -> None:
    """Its relation may be a view that calls a function that writes."""
    for _ in range(3):
        await pool.fetch_val(READ, shared=False)
    await end_unheard(pool, proxy, observer)
    with pytest.raises(exceptions.ConnectionLostError):
        await pool.fetch_val(READ, shared=False)
    assert await pool.fetch_val(READ, shared=False) == 0


@pytest.mark.loops(1)
async def test_a_connection_of_ones_own_is_not_replaced(
    pool: ConnectionPool, proxy: Proxy, observer: Observer
) -> None:
    async with pool.acquire() as connection:
        pid = connection.backend_pid
        proxy.delay(to_client=DELAY)
        observer.value("SELECT pg_terminate_backend(%s)", [pid])
        observer.await_gone([pid])
        with pytest.raises(exceptions.ConnectionLostError) as caught:
            await connection.execute(WRITE)
        assert caught.value.safe_to_retry and connection.is_closed()
    assert observer.value(COUNT) == 0


@pytest.mark.loops(1)
async def test_it_is_over_at_the_deadline(pool: ConnectionPool, proxy: Proxy, observer: Observer) -> None:
    """The second time has what the first one has left, in which a connection has to be opened."""
    await end_unheard(pool, proxy, observer)
    begun = time.monotonic()
    with pytest.raises(exceptions.QueryTimeoutError) as caught:
        await pool.execute(WRITE, timeout=0.25)
    assert 0.2 < time.monotonic() - begun < 0.6
    assert caught.value.safe_to_retry
    assert observer.value(COUNT) == 0


@pytest.mark.loops(1)
async def test_idle_session_timeout(dsn: str, proxy: Proxy, table: str, observer: Observer) -> None:
    """The server was waiting for a statement when it ended: what it hasn't answered it hasn't begun, writes too."""
    version = observer.value("SHOW server_version_num")
    if int(version) < 140000:
        pytest.skip("idle_session_timeout came with PostgreSQL 14")
    proxied = make_conninfo(dsn, host="127.0.0.1", port=proxy.port)
    async with ConnectionPool(proxied, options="-c idle_session_timeout=150", timeout=10) as pool:
        await pool.execute(WRITE)
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            await connection.execute(WRITE)
        proxy.delay(to_client=DELAY)
        observer.await_gone([pid])
        await pool.execute(WRITE)
        assert observer.value(COUNT) == 3
        proxy.delay()


@pytest.mark.loops(1)
async def test_idle_in_transaction_timeout(dsn: str, table: str, observer: Observer) -> None:
    """The transaction is gone for sure; the pool's other connections have nothing to do with it."""
    async with ConnectionPool(dsn, options="-c idle_in_transaction_session_timeout=50") as pool:
        others = [await pool.connection() for _ in range(3)]
        with pytest.raises(exceptions.ConnectionLostError) as caught:
            async with pool.transaction() as transaction:
                await transaction.execute(WRITE)
                for other in others:
                    other.close()
                pid = await transaction.fetch_val("SELECT pg_backend_pid()")
                observer.await_gone([pid])
                await transaction.execute(WRITE)
        assert caught.value.sqlstate == "25P03" and not caught.value.may_have_committed
        assert pool.status() == (10, 3, 3, 0)
        assert await pool.fetch_val(COUNT) == 0
