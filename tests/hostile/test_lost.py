"""Connections that break, while they are used and while they are not: a clear error, or none; the pool goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from psqlpy._pq.connection import look
from tests.concurrency import async_wait_until
from tests.hostile.proxy import Proxy
from tests.shells.observing import Observer

Break = Callable[[Proxy, Observer, int], object]


def _reset(proxy: Proxy, observer: Observer, pid: int) -> None:
    proxy.reset_all()


def _close(proxy: Proxy, observer: Observer, pid: int) -> None:
    proxy.close_all()


def _half_close(proxy: Proxy, observer: Observer, pid: int) -> None:
    """The server's FIN comes, while what we send still seems to be taken."""
    proxy.half_close(to_client=True)


def _terminate(proxy: Proxy, observer: Observer, pid: int) -> None:
    observer.value("SELECT pg_terminate_backend(%s)", [pid])


each_break = pytest.mark.parametrize("break_it", [_reset, _close, _half_close, _terminate])


async def _execute(conn: Connection) -> object:
    return await conn.execute("SELECT pg_sleep(60)")


async def _known(conn: Connection) -> object:
    await conn.execute("SELECT pg_sleep($1)", [0])
    return await conn.execute("SELECT pg_sleep($1)", [60])


async def _unprepared(conn: Connection) -> object:
    return await conn.execute("SELECT pg_sleep(60)", prepared=False)


async def _batch(conn: Connection) -> None:
    await conn.execute_batch("SELECT 1; SELECT pg_sleep(60)")


async def _many(conn: Connection) -> None:
    await conn.execute_many("SELECT pg_sleep($1), $2::text", [[60, "x" * 10_000]] * 1000)


@each_break
@pytest.mark.parametrize("call", [_execute, _known, _unprepared, _batch, _many])
async def test_while_a_statement_runs(
    pool: ConnectionPool,
    proxy: Proxy,
    observer: Observer,
    call: Callable[[Connection], Awaitable[object]],
    break_it: Break,
) -> None:
    async with pool.acquire() as connection:
        pid = connection.backend_pid
        errors: list[exceptions.ConnectionLostError] = []

        async def run() -> None:
            with pytest.raises(exceptions.ConnectionLostError) as caught:
                await call(connection)
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await async_wait_until(lambda: observer.value(_SLEEPING, [pid]))
            begun = time.monotonic()
            break_it(proxy, observer, pid)
        assert time.monotonic() - begun < 0.5
        assert errors[0].may_have_committed and not errors[0].safe_to_retry
        # A server that ends with something unread answers what still comes with RST, which overtakes its last words.
        if break_it is _terminate and call is not _many:
            assert errors[0].sqlstate == "57P01" and "terminating connection" in str(errors[0])
        assert connection.is_closed()
        with pytest.raises(exceptions.ConnectionLostError) as caught:
            await connection.execute("SELECT 1")
        assert caught.value.safe_to_retry and not caught.value.may_have_committed
    assert await pool.fetch_val("SELECT 1") == 1
    assert await pool.fetch_val("SELECT pg_backend_pid()") != pid
    assert pool.status() == (4, 1, 1, 0)


_SLEEPING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"


@each_break
async def test_all_neighbours_learn_of_it(
    pool: ConnectionPool, proxy: Proxy, observer: Observer, break_it: Break
) -> None:
    errors: list[Exception] = []
    async with pool.acquire() as connection:
        pid = connection.backend_pid

        async def run() -> None:
            try:
                await connection.execute("SELECT pg_sleep($1)", [60])
            except exceptions.ConnectionLostError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(run)
            await async_wait_until(lambda: observer.value(_SLEEPING, [pid]))
            break_it(proxy, observer, pid)
    assert len(errors) == 5
    assert await pool.fetch_val("SELECT 1") == 1


@each_break
async def test_while_it_is_idle_in_the_pool(
    pool: ConnectionPool, proxy: Proxy, observer: Observer, break_it: Break
) -> None:
    async with pool.acquire() as connection:
        pid = connection.backend_pid
    break_it(proxy, observer, pid)
    # Not even a moment for the event loop to notice by itself.
    if break_it is _terminate:
        observer.await_gone([pid])
    assert await pool.fetch_val("SELECT pg_backend_pid()") != pid
    assert pool.status() == (4, 1, 1, 0)


@each_break
async def test_in_the_middle_of_a_transaction(
    pool: ConnectionPool, proxy: Proxy, observer: Observer, break_it: Break
) -> None:
    with pytest.raises(exceptions.ConnectionLostError):
        async with pool.acquire() as connection, connection.transaction() as transaction:
            await transaction.execute("SELECT 1")
            pid = connection.backend_pid
            break_it(proxy, observer, pid)
            if break_it is _terminate:
                observer.await_gone([pid])
            await transaction.execute("SELECT 2")
    assert await pool.fetch_val("SELECT 1") == 1


async def test_end_to_the_server_alone(pool: ConnectionPool, proxy: Proxy) -> None:
    await pool.execute("SELECT 1")
    proxy.half_close(to_client=False)
    # The server ends its direction too.
    await async_wait_until(lambda: proxy.open_count == 0)
    assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.parametrize("terminated", [True, False], ids=["terminated", "reset"])
async def test_ten_dead_idle_connections(
    proxied_dsn: str, proxy: Proxy, observer: Observer, terminated: bool
) -> None:
    """The first call afterwards succeeds, and soon."""
    async with ConnectionPool(proxied_dsn, max_db_pool_size=10) as pool:
        held = [await pool.connection() for _ in range(10)]
        pids = [connection.backend_pid for connection in held]
        sockets = [connection.link.session.fd for connection in held]
        for connection in held:
            connection.close()
        # The answers to what cleans them are in.
        await pool.fetch_val("SELECT 1")
        if terminated:
            observer.value("SELECT count(pg_terminate_backend(pid)) FROM unnest(%s::int[]) AS pid", [pids])
            observer.await_gone(pids)
            # What they said last has gone through the proxy too.
            await async_wait_until(lambda: all(look(fd) for fd in sockets))
        else:
            proxy.reset_all()
        begun = time.monotonic()
        assert await pool.fetch_val("SELECT 1") == 1
        assert time.monotonic() - begun < 1
        for _ in range(10):
            assert await pool.fetch_val("SELECT 1") == 1
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(pool.fetch_val, "SELECT 1")
        # Under trio a task may still be writing what cleans one of them.
        await async_wait_until(lambda: pool.status().available == pool.status().size)
        assert pool.status().size <= 10


async def test_broken_while_a_cancelled_statement_is_drained(
    pool: ConnectionPool, proxy: Proxy, observer: Observer
) -> None:
    proxy.delay(to_client=0.2)
    async with pool.acquire() as connection:
        with anyio.move_on_after(0.5):
            await connection.execute("SELECT pg_sleep(60)")
        proxy.reset_all()
        with pytest.raises(exceptions.ConnectionLostError):
            await connection.execute("SELECT 1")
    proxy.delay()
    await async_wait_until(lambda: pool.status().size == 0)
    assert await pool.fetch_val("SELECT 1") == 1


# A slow wire


async def _use_everything(pool: ConnectionPool) -> None:
    assert await pool.fetch_val("SELECT $1::text", ["ä" * 100]) == "ä" * 100
    assert await pool.fetch_val("SELECT $1::text", ["x"], prepared=False) == "x"
    rows = (await pool.fetch("SELECT i, i::text AS t FROM generate_series(1, 50) AS i")).result(as_tuple=True)
    assert rows == [(i, str(i)) for i in range(1, 51)]
    with pytest.raises(exceptions.DataError, match="division by zero"):
        await pool.execute("SELECT 1 / $1::int", [0])
    async with pool.acquire() as connection:
        async with connection.transaction() as transaction:
            await transaction.execute_batch("CREATE TEMP TABLE wired (a int); INSERT INTO wired VALUES (1)")
            await transaction.execute_many("INSERT INTO wired VALUES ($1)", [[n] for n in range(20)])
        assert await connection.fetch_val("SELECT count(*) FROM wired") == 21


async def test_byte_by_byte(pool: ConnectionPool, proxy: Proxy) -> None:
    proxy.split(1)
    await _use_everything(pool)


async def test_slow_wire(pool: ConnectionPool, proxy: Proxy, observer: Observer) -> None:
    """20 ms in each direction. A cancel request takes several round trips and hits nobody else."""
    proxy.delay(to_server=0.02, to_client=0.02)
    await _use_everything(pool)
    for _ in range(3):
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            with anyio.move_on_after(0.3):
                await connection.execute("SELECT pg_sleep(60)")
            assert await connection.fetch_val("SELECT 1") == 1
            assert connection.backend_pid == pid
            assert await connection.fetch_val("SELECT pg_sleep(0.3)::text") == ""
    assert pool.status() == (4, 1, 1, 0)


# Threads


@pytest.mark.backend("sync")
@each_break
def test_threads_while_a_statement_runs(
    sync_pool: sync.ConnectionPool, proxy: Proxy, observer: Observer, break_it: Break
) -> None:
    errors: list[BaseException] = []
    with sync_pool.acquire() as connection:
        pid = connection.backend_pid

        def run() -> None:
            try:
                connection.execute("SELECT pg_sleep(60)")
            except BaseException as error:
                errors.append(error)

        # One reads for the other.
        threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        observer.wait(lambda: observer.value(_SLEEPING, [pid]), 5, "it sleeps")
        break_it(proxy, observer, pid)
        for thread in threads:
            thread.join(1)
        assert len(errors) == 2 and connection.is_closed()
        assert all(isinstance(error, exceptions.ConnectionLostError) for error in errors)
    assert sync_pool.fetch_val("SELECT 1") == 1


UNDECODABLE = (
    "SELECT CASE g WHEN 5000 THEN 'infinity' ELSE '2026-01-01' END::date FROM generate_series(1, 1000000) g"
)


def _decode_a_stream(connection: sync.Connection) -> None:
    for _ in connection.stream(UNDECODABLE):
        pass


def _decode_a_copy(connection: sync.Connection) -> None:
    for _ in connection.copy_out(query=UNDECODABLE):
        pass


def _raise_in_a_stream(connection: sync.Connection) -> None:
    with connection.stream(UNDECODABLE) as rows:
        next(rows)
        raise exceptions.DataError("its reader's own")


def _raise_in_a_destination(connection: sync.Connection) -> None:
    def destination(_: bytes) -> None:
        raise exceptions.DataError("its reader's own")

    connection.copy_out(query=UNDECODABLE, destination=destination)


@pytest.mark.backend("sync")
@pytest.mark.parametrize(
    "read", [_decode_a_stream, _decode_a_copy, _raise_in_a_stream, _raise_in_a_destination]
)
def test_threads_an_error_in_the_middle_over_a_slow_wire(
    sync_pool: sync.ConnectionPool, proxy: Proxy, read: Callable[[sync.Connection], None]
) -> None:
    """Who isn't out of time has some for the server's answer: the connection is usable afterwards."""
    with sync_pool.acquire() as connection:
        pid = connection.backend_pid
        proxy.delay(to_client=0.12)
        with pytest.raises(exceptions.DataError):
            read(connection)
        assert connection.fetch_val("SELECT 1") == 1
        assert connection.backend_pid == pid


@pytest.mark.backend("sync")
def test_threads_ten_dead_idle_connections(dsn: str, observer: Observer) -> None:
    """Without the proxy, which may still have the server's last words when the backends are gone."""
    with sync.ConnectionPool(dsn, max_db_pool_size=10) as pool:
        held = [pool.connection() for _ in range(10)]
        pids = [connection.backend_pid for connection in held]
        for connection in held:
            connection.close()
        observer.value("SELECT count(pg_terminate_backend(pid)) FROM unnest(%s::int[]) AS pid", [pids])
        observer.await_gone(pids)
        begun = time.monotonic()
        assert pool.fetch_val("SELECT 1") == 1
        assert time.monotonic() - begun < 1
