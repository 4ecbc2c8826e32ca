"""Servers that are killed, restarted, full or read-only: what calls in flight get, and how the pool goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests.concurrency import async_wait_until, password_of
from tests.faults.servers import Server
from tests.shells.observing import Observer

pytestmark = pytest.mark.loops(1)

# As long as a call may take that can't succeed, on a machine that others use too. Seconds.
SOON = 0.35
Fault = Callable[[Server, list[int]], None]


async def fill(pool: ConnectionPool, count: int) -> list[int]:
    """So many idle connections, with nothing on its way; their backends."""
    held = [await pool.connection() for _ in range(count)]
    pids = [connection.backend_pid for connection in held]
    for connection in held:
        await connection.execute("SELECT 1")
        connection.close()
    return pids


async def first_success(pool: ConnectionPool, within: float = 20.0) -> None:
    """Ask until the server answers; every failure comes at once and says that nothing was executed."""
    failures: list[exceptions.Error] = []
    longest = 0.0

    async def is_there() -> bool:
        nonlocal longest
        begun = time.monotonic()
        try:
            return bool(await pool.fetch_val("SELECT 1") == 1)
        except exceptions.Error as error:
            longest = max(longest, time.monotonic() - begun)
            failures.append(error)
            return False

    await async_wait_until(is_there, within)
    assert all(error.safe_to_retry and not error.may_have_committed for error in failures), failures
    assert longest < SOON


async def in_flight(pool: ConnectionPool, count: int, end: Callable[[list[int]], None]) -> list[Exception]:
    """What so many statements, and as many transactions that do nothing, get when all is ended."""
    errors: list[Exception] = []

    async def run(connection: Connection, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except exceptions.Error as error:
            errors.append(error)
            assert connection.is_closed()

    async with anyio.create_task_group() as group:
        held = [await pool.connection() for _ in range(2 * count)]
        for connection in held[:count]:
            # What runs then has been prepared: of what is only being prepared nothing is in doubt.
            await connection.execute("SELECT pg_sleep($1)", [0])
            group.start_soon(run, connection, lambda c=connection: c.execute("SELECT pg_sleep($1)", [60]))
        idle = [connection.transaction() for connection in held[count:]]
        for transaction in idle:
            await transaction.begin()
            await transaction.execute("SELECT 1")
        pids = [connection.backend_pid for connection in held]
        await async_wait_until(lambda: all(connection.link.session.flights for connection in held[:count]))
        end(pids)
        await async_wait_until(lambda: len(errors) == count, 2)
        for connection, transaction in zip(held[count:], idle, strict=True):
            await run(connection, transaction.commit)
    for connection in held:
        connection.close()
    return errors


def _kill_backend(server: Server, pids: list[int]) -> None:
    os.kill(pids[0], 9)


def _kill_postmaster(server: Server, pids: list[int]) -> None:
    server.kill_postmaster()
    for pid in pids:  # which would notice when they have ended what they do
        os.kill(pid, 15)


def _stop(server: Server, pids: list[int]) -> None:
    server.stop()


def _kill_all(server: Server, pids: list[int]) -> None:
    server.kill()


@pytest.mark.parametrize("fault", [_kill_backend, _kill_postmaster, _stop, _kill_all])
async def test_calls_in_flight_end_and_the_pool_goes_on(server: Server, fault: Fault) -> None:
    async with ConnectionPool(server.dsn, max_db_pool_size=20) as pool:
        await fill(pool, 20)
        errors = await in_flight(pool, 5, lambda pids: fault(server, pids))
        assert len(errors) == 10
        assert all(isinstance(error, exceptions.ConnectionLostError) for error in errors), errors
        # Statements were sent. Of the transactions COMMIT was not, or nobody knows.
        assert all(error.may_have_committed for error in errors[:5])  # type: ignore[attr-defined]
        if fault is _kill_backend:
            # The others' servers end too: the first one's has no last words.
            assert {error.sqlstate for error in errors[:5]} == {None, "57P02"}  # type: ignore[attr-defined]
        else:
            server.stop()
            server.start()
        await first_success(pool)
        assert pool.status().size == pool.status().available == 1
        stats = pool.stats()
        assert stats.closed["lost"] == stats.opened - 1


async def test_restart_with_dead_idle_connections(server: Server) -> None:
    """The first success takes as long as one connection is opened, however many have died."""
    pools = [ConnectionPool(server.dsn, max_db_pool_size=count) for count in (1, 5, 50)]
    try:
        for pool, count in zip(pools, (1, 5, 50), strict=True):
            await fill(pool, count)
        server.stop()
        server.start()
        for pool in pools:
            begun = time.monotonic()
            assert await pool.fetch_val("SELECT 1") == 1
            assert time.monotonic() - begun < SOON
            # All went at once, not one by one as they were looked at.
            assert pool.status().size == 1
    finally:
        for pool in pools:
            pool.close()


@pytest.mark.long
async def test_dead_idle_connections_one_to_fifty(server: Server) -> None:
    for count in range(1, 51):
        async with ConnectionPool(server.dsn, max_db_pool_size=count) as pool:
            pids = await fill(pool, count)
            with server.observe() as connection:
                observer = Observer(connection)
                observer.value(
                    "SELECT count(pg_terminate_backend(pid)) FROM unnest(%s::int[]) AS pid", [pids]
                )
                observer.await_gone(pids)
            begun = time.monotonic()
            assert await pool.fetch_val("SELECT 1") == 1
            assert time.monotonic() - begun < SOON
            assert pool.status().size <= 2


async def test_one_terminated_connection_retires_the_idle_ones(server: Server) -> None:
    async with ConnectionPool(server.dsn, max_db_pool_size=10) as pool:
        await fill(pool, 10)
        async with pool.acquire() as in_use:
            with pytest.raises(exceptions.ConnectionLostError) as caught:
                await pool.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            assert caught.value.sqlstate == "57P01" and caught.value.may_have_committed
            # Who uses one isn't disturbed.
            assert pool.status() == (10, 1, 0, 0)
            assert await in_use.fetch_val("SELECT 1") == 1
        assert pool.status() == (10, 1, 1, 0)
        assert pool.stats().closed["lost"] == 9


@pytest.mark.backend("sync")
def test_threads_one_terminated_connection_retires_the_idle_ones(server: Server) -> None:
    with sync.ConnectionPool(server.dsn, max_db_pool_size=10) as pool:
        held = [pool.connection() for _ in range(10)]
        in_use = held.pop()
        for connection in held:
            connection.close()
        with pytest.raises(exceptions.ConnectionLostError):
            pool.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        assert pool.status() == (10, 1, 0, 0)
        assert in_use.fetch_val("SELECT 1") == 1
        in_use.close()
        assert pool.status() == (10, 1, 1, 0)


async def test_a_server_that_takes_no_connections_any_more(server: Server) -> None:
    """57P03 while connecting: what has become idle by then is closed too."""
    returning: list[Connection] = []

    def password() -> str:
        """Called in the middle of opening a connection."""
        for connection in returning:
            connection.close()
        return password_of(server.dsn)

    parameters = {"host": "127.0.0.1", "port": server.port, "username": "postgres", "db_name": "postgres"}
    async with ConnectionPool(password=password, max_db_pool_size=5, **parameters) as pool:  # type: ignore[arg-type]
        held = [await pool.connection() for _ in range(3)]
        server.shut_down_when_idle()
        returning += held[1:]
        with pytest.raises(exceptions.CannotConnectNow) as caught:
            await pool.connection()
        assert caught.value.safe_to_retry and caught.value.sqlstate == "57P03"
        assert all(connection.is_closed() for connection in returning)
        assert pool.status() == (5, 1, 0, 0)
        assert await held[0].fetch_val("SELECT 1") == 1
        held[0].close()
    server.stop()
    server.start()


async def test_late_news_of_the_same_outage(server: Server) -> None:
    async with ConnectionPool(server.dsn, max_db_pool_size=10) as pool:
        await fill(pool, 4)
        old = await pool.connection()
        pid = old.backend_pid
        with pytest.raises(exceptions.ConnectionLostError):
            await pool.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        fresh = await fill(pool, 3)
        with server.observe() as observer:
            observer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(exceptions.ConnectionLostError):
            await old.execute("SELECT 1")
        old.close()
        assert pool.status() == (10, 3, 3, 0)
        assert await pool.fetch_val("SELECT pg_backend_pid()") in fresh


async def test_out_of_connections(server: Server) -> None:
    """Of one role: 53300, at once."""
    with server.observe() as observer:
        observer.execute("DROP ROLE IF EXISTS crowded")
        observer.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 3 PASSWORD 'crowded'")
    user, _, rest = server.dsn.partition("@")
    del user
    async with ConnectionPool(f"postgresql://crowded:crowded@{rest}", max_db_pool_size=10) as pool:
        held = [await pool.connection() for _ in range(3)]
        begun = time.monotonic()
        with pytest.raises(exceptions.TooManyConnections) as caught:
            await pool.fetch_val("SELECT 1")
        assert time.monotonic() - begun < SOON
        assert caught.value.sqlstate == "53300" and caught.value.safe_to_retry
        assert not caught.value.may_have_committed
        # Nothing but the attempt has failed.
        assert pool.status() == (10, 3, 0, 0)
        for connection in held:
            assert await connection.fetch_val("SELECT 1") == 1
            connection.close()
        assert await pool.fetch_val("SELECT 1") == 1


async def test_no_connection_is_left_on_the_server(server: Server) -> None:
    """Of all roles: 53300 too."""
    async with ConnectionPool(server.dsn, max_db_pool_size=100) as pool:
        held: list[Connection] = []
        with pytest.raises(exceptions.TooManyConnections) as caught:
            while len(held) < 100:
                held.append(await pool.connection())
        assert caught.value.safe_to_retry and len(held) > 50
        for connection in held:
            connection.close()
        assert await pool.fetch_val("SELECT 1") == 1
        assert pool.status().size == len(held)


async def test_a_server_that_becomes_read_only(server: Server) -> None:
    """As some hosts do it before a switch: idle connections are closed at once, those in use when they come back."""
    async with ConnectionPool(server.dsn, max_db_pool_size=5) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS read_only_fault (a int)")
        await fill(pool, 4)
        in_use = await pool.connection()
        try:
            _set_read_only(server, "on")
            await async_wait_until(lambda: _is_read_only(pool))
            with pytest.raises(exceptions.ReadOnlySqlTransaction) as caught:
                await pool.execute("INSERT INTO read_only_fault VALUES (1)")
            assert not caught.value.may_have_committed
            assert pool.status() == (5, 1, 0, 0)
            assert await in_use.fetch_val("SELECT 1") == 1
        finally:
            _set_read_only(server, "off")
        in_use.close()
        assert pool.status() == (5, 0, 0, 0)
        await async_wait_until(lambda: _is_writable(pool))
        assert await pool.fetch_val("SELECT count(*) FROM read_only_fault") == 0


def _set_read_only(server: Server, word: str) -> None:
    with server.observe() as observer:
        observer.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}".encode())
        observer.execute("SELECT pg_reload_conf()")


async def _is_read_only(pool: ConnectionPool) -> bool:
    return bool(await pool.fetch_val("SHOW default_transaction_read_only", shared=False) == "on")


async def _is_writable(pool: ConnectionPool) -> bool:
    return not await _is_read_only(pool)


async def test_a_transaction_that_was_begun_read_only_retires_nothing(server: Server) -> None:
    async with ConnectionPool(server.dsn, max_db_pool_size=5) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS read_only_fault (a int)")
        pids = await fill(pool, 3)
        with pytest.raises(exceptions.ReadOnlySqlTransaction):
            async with pool.acquire() as connection, connection.transaction(read_variant="read only") as own:
                await own.execute("INSERT INTO read_only_fault VALUES (1)")
        assert pool.status() == (5, 3, 3, 0)
        assert await pool.fetch_val("SELECT pg_backend_pid()") in pids


@pytest.mark.parametrize("how", ["batch", "copy"])
async def test_refused_outside_the_pipeline(server: Server, how: str) -> None:
    """A dialogue's refusal counts as any other."""
    with server.observe() as observer:
        observer.execute("CREATE TABLE IF NOT EXISTS read_only_fault (a int)")
    async with ConnectionPool(
        server.dsn, max_db_pool_size=5, options="-c default_transaction_read_only=on"
    ) as pool:
        await fill(pool, 3)
        async with pool.acquire() as connection:
            with pytest.raises(exceptions.ReadOnlySqlTransaction):
                if how == "batch":
                    await connection.execute_batch("SELECT 1; CREATE TABLE read_only_never (a int)")
                else:
                    await connection.copy_records_to_table("read_only_fault", records=[[1]])
            assert await connection.fetch_val("SELECT 1") == 1
        assert pool.status() == (5, 0, 0, 0)
