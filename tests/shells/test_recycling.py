"""How a connection is recycled: the three methods, and releasing one that is still in use or was just cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, ConnRecyclingMethod, exceptions, sync
from psqlpy._pq.connection import look
from psqlpy._protocol import reset
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.shells.relay import relay_to
from tests.shells.traces import (
    GONE_WITHIN,
    LOCKED,
    METHODS,
    SYNC,
    Trace,
    each_live_trace,
    ensure_gone,
    last_statement,
    leave,
    leave_sync,
    login,
)

# The three methods, as the server sees them


async def test_fast_keeps_prepared_statements_and_skips_what_is_not_needed(
    dsn: str, observer: Observer
) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method="fast") as pool:
        pid = await pool.fetch_val("SELECT pg_backend_pid()")
        await pool.fetch_val("SELECT $1 AS n", [1])
        await anyio.sleep(0.05)
        assert last_statement(observer, pid) == "SELECT $1 AS n"
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1 AS n'"
        assert await pool.fetch_val(prepared) == 1
        await pool.execute("SET work_mem = '1MB'")
        assert await pool.fetch_val(prepared) == 1


@pytest.mark.parametrize(("method", "asked"), [("fast", b""), ("verified", SYNC), ("clean", b"")])
async def test_verified_asks_before_each_use(dsn: str, method: str, asked: bytes) -> None:
    with relay_to(dsn) as relay:
        async with ConnectionPool(
            **login(dsn), host="127.0.0.1", port=relay.port, conn_recycling_method=method
        ) as pool:
            await pool.fetch_val("SELECT 1")
            assert pool.status().available == 1
            last = b"DISCARD ALL" if method == "clean" else b""
            await async_wait_until(lambda: last in relay.sent and relay.sent.endswith(SYNC))
            relay.sent.clear()
            async with pool.acquire():
                await async_wait_until(lambda: len(relay.sent) >= len(asked))
                assert bytes(relay.sent) == asked


@pytest.mark.backend("sync")
@pytest.mark.parametrize(("method", "asked"), [("fast", b""), ("verified", SYNC)])
def test_verified_asks_before_each_use_of_a_synchronous_pool(dsn: str, method: str, asked: bytes) -> None:
    with (
        relay_to(dsn) as relay,
        sync.ConnectionPool(
            **login(dsn), host="127.0.0.1", port=relay.port, conn_recycling_method=method
        ) as pool,
    ):
        pool.fetch_val("SELECT 1")
        relay.sent.clear()
        with pool.acquire():
            assert bytes(relay.sent) == asked


async def test_verified_finds_a_connection_that_answers_no_more(dsn: str) -> None:
    """Its socket looks as good as any; only a question tells, and `timeout` says how long to wait for the answer."""
    with relay_to(dsn) as relay:
        async with ConnectionPool(
            **login(dsn),
            host="127.0.0.1",
            port=relay.port,
            max_db_pool_size=1,
            conn_recycling_method="verified",
        ) as pool:
            await pool.fetch_val("SELECT 1")
            relay.open.clear()
            with pytest.raises(exceptions.QueryTimeoutError):
                await pool.fetch_val("SELECT 1", timeout=0.2)
            relay.open.set()
            assert await pool.fetch_val("SELECT 1", timeout=5) == 1
            assert pool.status() == (1, 1, 1, 0)


WAYS: dict[str, Callable[[Connection, str], Any]] = {
    "prepared": lambda connection, query: connection.execute(query),
    "unprepared": lambda connection, query: connection.execute(query, None, False),
    "with parameters": lambda connection, query: connection.fetch_val(f"{query} WHERE $1", [True]),
    "batch": lambda connection, query: connection.execute_batch(f"SELECT 1; {query}"),
    "many": lambda connection, query: connection.execute_many(f"{query} WHERE $1", [[True], [True]]),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_trace_is_gone_however_it_was_left(
    pool: ConnectionPool, observer: Observer, way: str
) -> None:
    held = LOCKED.format("locktype = 'advisory'")
    async with pool.acquire() as connection:
        pid = connection.backend_pid
        await WAYS[way](connection, "SELECT pg_advisory_lock(4712)")
        assert observer.value(held, {"pid": pid})
    await ensure_gone(lambda: not observer.value(held, {"pid": pid}))


async def test_clean_discards_prepared_statements_too(dsn: str, observer: Observer) -> None:
    async with ConnectionPool(
        dsn, max_db_pool_size=1, conn_recycling_method=ConnRecyclingMethod.Clean
    ) as pool:
        pid = await pool.fetch_val("SELECT pg_backend_pid()")
        await pool.fetch_val("SELECT $1::int4 + 1", [1])
        await ensure_gone(lambda: last_statement(observer, pid) == "DISCARD ALL")
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1%'"
        assert await pool.fetch_val(prepared) == 0
        assert await pool.fetch_val("SELECT $1::int4 + 1", [1]) == 2


# Release waits for nothing


@METHODS
async def test_release_waits_for_nothing(
    dsn: str, observer: Observer, table: str, method: ConnRecyclingMethod
) -> None:
    """Not for the network either; the connection is available at once, and clean for whoever takes it."""
    with relay_to(dsn) as relay:
        async with ConnectionPool(
            **login(dsn), host="127.0.0.1", port=relay.port, max_db_pool_size=1, conn_recycling_method=method
        ) as pool:
            connection = await pool.connection()
            pid = connection.backend_pid
            await leave(connection, ["BEGIN", "SET LOCAL work_mem = '1MB'", "LOCK TABLE {table}"], table)
            relay.open.clear()
            begun = time.monotonic()
            connection.close()
            assert time.monotonic() - begun < 0.25
            assert pool.status() == (1, 1, 1, 0)
            assert observer.state(pid) == "idle in transaction"
            relay.open.set()
            assert await pool.fetch_val("SHOW work_mem") == "4MB"
            assert await pool.fetch_val("SELECT pg_backend_pid()") == pid


async def test_release_while_another_task_still_uses_it(pool: ConnectionPool, observer: Observer) -> None:
    """Its statement ends as if nothing had happened; then the connection is cleaned."""
    connection = await pool.connection()
    pid = connection.backend_pid
    await connection.execute("SET application_name = 'left behind'")
    values: list[Any] = []

    async def use() -> None:
        values.append(await connection.fetch_val("SELECT 5 FROM pg_sleep(0.3)"))

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await async_wait_until(lambda: observer.state(pid) == "active")
        connection.close()
        assert pool.status() == (4, 1, 0, 0)
        assert await pool.fetch_val("SELECT pg_backend_pid()") != pid
    assert values == [5]
    shown = "SELECT application_name = 'left behind' FROM pg_stat_activity WHERE pid = %s"
    await ensure_gone(lambda: not observer.value(shown, [pid]))
    assert pool.status() == (4, 2, 2, 0)


@pytest.mark.backend("sync")
def test_release_while_another_thread_still_uses_it(
    sync_pool: sync.ConnectionPool, observer: Observer
) -> None:
    connection = sync_pool.connection()
    pid = connection.backend_pid
    connection.execute("SET application_name = 'left behind'")
    values: list[Any] = []
    thread = threading.Thread(
        target=lambda: values.append(connection.fetch_val("SELECT 5 FROM pg_sleep(0.3)")), daemon=True
    )
    thread.start()
    observer.wait(lambda: observer.state(pid) == "active", 2, "running")
    begun = time.monotonic()
    connection.close()
    assert time.monotonic() - begun < 0.1
    assert sync_pool.status() == (4, 1, 0, 0)
    thread.join(5)
    assert values == [5]
    shown = "SELECT application_name = 'left behind' FROM pg_stat_activity WHERE pid = %s"
    observer.wait(lambda: not observer.value(shown, [pid]), GONE_WITHIN, "gone")
    assert sync_pool.status() == (4, 1, 1, 0)


@each_live_trace
async def test_release_right_after_a_cancelled_statement(
    pool: ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    pool.resize(1)
    connection = await pool.connection()
    pid = connection.backend_pid
    await leave(connection, trace.statements, table)
    with anyio.move_on_after(0.05):
        await connection.execute_batch("SELECT pg_sleep(60)")
    begun = time.monotonic()
    connection.close()
    assert time.monotonic() - begun < 0.25
    seen = trace.seen.format(table=table)
    # The cancel request has a connection of its own to make.
    await ensure_gone(lambda: not observer.value(seen, {"pid": pid}), 2 * GONE_WITHIN)
    await async_wait_until(lambda: pool.status() == (1, 1, 1, 0), 1)
    assert await pool.fetch_val("SELECT 1") == 1


@each_live_trace
async def test_release_after_a_timeout_in_a_block(
    pool: ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    pool.resize(1)
    with pytest.raises(exceptions.QueryTimeoutError):
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            await leave(connection, trace.statements, table)
            await connection.execute("SELECT pg_sleep(60)", timeout=0.05)
    seen = trace.seen.format(table=table)
    await ensure_gone(lambda: not observer.value(seen, {"pid": pid}), 2 * GONE_WITHIN)
    assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.backend("sync")
@each_live_trace
def test_release_after_a_timeout_in_a_synchronous_block(
    sync_pool: sync.ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    sync_pool.resize(1)
    with pytest.raises(exceptions.QueryTimeoutError), sync_pool.acquire() as connection:
        pid = connection.backend_pid
        leave_sync(connection, trace.statements, table)
        connection.execute("SELECT pg_sleep(60)", timeout=0.05)
    seen = trace.seen.format(table=table)
    observer.wait(lambda: not observer.value(seen, {"pid": pid}), GONE_WITHIN, f"{trace} gone")
    assert sync_pool.fetch_val("SELECT 1") == 1


async def test_a_connection_that_can_not_be_reset_is_replaced(
    pool: ConnectionPool, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server may have against it."""
    monkeypatch.setattr(reset, "FORGET", (*reset.FORGET[:-1], b"SELECT 1/0"))
    pool.resize(1)
    async with pool.acquire() as connection:
        pid = connection.backend_pid
        await connection.execute("SET work_mem = '1MB'")
        session = connection.link.session
    # Whoever comes before the answer finds the connection lost, and the server calls itself idle before it sends that.
    await async_wait_until(lambda: session.is_closed or look(session.fd), 5)
    assert await pool.fetch_val("SELECT pg_backend_pid()", timeout=5) != pid
    assert pool.status() == (1, 1, 1, 0)
    await async_wait_until(lambda: observer.count_alive([pid]) == 0, 2)
