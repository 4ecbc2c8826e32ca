"""The pool: its numbers, its limits, what is given back to it, and what it makes of dead connections."""

from __future__ import annotations

import asyncio
import gc

import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests._async.usable import ensure_closed, ensure_usable
from tests.concurrency import async_wait_until


async def test_it_is_lazy_and_its_status_counts(pool: ConnectionPool) -> None:
    assert pool.status() == (4, 0, 0, 0)
    connection = await pool.connection()
    assert pool.status() == (4, 1, 0, 0)
    connection.close()
    status = pool.status()
    assert (status.max_size, status.size, status.available, status.waiting) == (4, 1, 1, 0)
    assert str(status) == "Connection Pool Status - [max_size: 4, size: 1, available: 1, waiting: 0]"


async def test_startup_opens_one_connection(pool: ConnectionPool) -> None:
    await pool.startup()
    assert pool.status() == (4, 1, 1, 0)


async def test_waiters_are_counted_until_they_leave(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
        waiting = asyncio.create_task(pool.fetch_val("SELECT 1"))
        await async_wait_until(lambda: pool.status().waiting == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert pool.status() == (1, 1, 0, 0)
        await ensure_usable(connection)


async def test_the_wait_for_a_connection_can_be_bounded(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, acquire_timeout=0.05) as pool, pool.acquire():
        with pytest.raises(exceptions.PoolTimeoutError, match=r"0\.\d+ s") as caught:
            await pool.connection()
        assert {TimeoutError, exceptions.BaseConnectionPoolError} < set(type(caught.value).__mro__)
        assert pool.status() == (1, 1, 0, 0)


async def test_a_dropped_connection_comes_back_with_a_warning(pool: ConnectionPool) -> None:
    connection = await pool.connection()
    assert pool.status().available == 0
    with pytest.warns(ResourceWarning, match="not given back"):  # noqa: PT031
        del connection
        gc.collect()
    await async_wait_until(lambda: pool.status().available == 1)
    await ensure_usable(pool)


async def test_resize_up_and_down(pool: ConnectionPool) -> None:
    pool.resize(5)
    taken = [await pool.connection() for _ in range(5)]
    assert pool.status() == (5, 5, 0, 0)
    pool.resize(3)
    assert pool.status() == (3, 5, 0, 0)
    for connection in taken:
        connection.close()
    assert pool.status() == (3, 3, 3, 0)
    pool.resize(1)
    assert pool.status() == (1, 1, 1, 0)
    for size in (0, -1):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError):
            pool.resize(size)
    await ensure_usable(pool)


async def test_close_refuses_newcomers_and_waiters_and_leaves_users_alone(dsn: str) -> None:
    pool = ConnectionPool(dsn, max_db_pool_size=1)
    connection = await pool.connection()
    waiting = asyncio.create_task(pool.fetch_val("SELECT 1"))
    await async_wait_until(lambda: pool.status().waiting == 1)
    for _ in range(2):
        assert pool.close() is None  # type: ignore[func-returns-value]
    assert pool.status().max_size == 0
    for call in (waiting, pool.connection(), pool.fetch_val("SELECT 1"), pool.acquire().__aenter__()):
        with pytest.raises(exceptions.BaseConnectionPoolError, match="closed"):
            await call
    await ensure_usable(connection)
    pool.resize(5)
    connection.close()
    assert pool.status().size == 0


def test_the_plain_block_closes(dsn: str) -> None:
    for make in (ConnectionPool, sync.ConnectionPool):
        with make(dsn) as pool:
            assert pool.status().max_size == 10
        assert pool.status().max_size == 0


async def test_acquire_holds_nothing_outside_its_block(pool: ConnectionPool) -> None:
    acquired = pool.acquire()
    assert isinstance(acquired, Connection)
    assert pool.status().size == 0
    await ensure_closed(acquired)
    async with acquired as connection:
        await ensure_usable(connection)
    await ensure_closed(acquired)


async def test_a_returned_connection_refuses_everything(pool: ConnectionPool) -> None:
    connection = await pool.connection()
    database = connection.conn_dbname
    connection.close()
    for call in (
        connection.execute("SELECT 1"),
        connection.fetch("SELECT 1"),
        connection.fetch_row("SELECT 1"),
        connection.fetch_val("SELECT 1"),
        connection.execute_many("SELECT $1::int4", [[1]]),
        connection.execute_batch("SELECT 1"),
        connection.fetch_many("SELECT $1::int4", [[1]]),
        connection.pipeline([("SELECT 1",)]),
        connection.prepare("SELECT 1"),
        connection.cursor("SELECT 1").start(),
        connection.stream("SELECT 1").__anext__(),
        connection.copy_records_to_table("t", [[1]]),
        connection.binary_copy_to_table(b"", "t"),
        connection.in_transaction(),
    ):
        with pytest.raises(exceptions.ConnectionClosedError, match="returned to the pool"):
            await call
    with pytest.raises(exceptions.ConnectionClosedError):
        connection.transaction()
    connection.close()
    assert connection.conn_dbname == database


LEFT_BEHIND = (
    "SET application_name = 'left'; CREATE TEMP TABLE left_behind (); SELECT pg_advisory_lock(4711); LISTEN x"
)
LEFT = """SELECT current_setting('application_name') <> 'left' AND to_regclass('left_behind') IS NULL
    AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
    AND NOT EXISTS (SELECT FROM pg_listening_channels())"""


@pytest.mark.parametrize("method", ["fast", "verified", "clean"])
async def test_no_way_of_recycling_leaks_state(
    dsn: str, observer: ConnectionPool, table: str, method: str
) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method=method) as pool:
        connection = await pool.connection()
        pid = connection.backend_pid
        await connection.execute_batch(LEFT_BEHIND)
        await connection.execute_batch(f"BEGIN; INSERT INTO {table} VALUES (1)")
        connection.close()
        # At once, not at the next use.
        assert await observer.fetch_val("SELECT count(*) FROM pg_locks WHERE pid = $1", [pid]) <= 1

        async def is_clean() -> bool:
            count: int = await observer.fetch_val(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state <> 'idle'", [pid]
            )
            return count == 0

        await async_wait_until(is_clean)
        assert await pool.fetch_val("SELECT pg_backend_pid()") == pid
        assert await pool.fetch_val(LEFT)
    assert await observer.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_clean_forgets_sequences_and_prepared_statements(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method="clean") as pool:
        await pool.execute("PREPARE mine AS SELECT 1")
        assert await pool.fetch_val("SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'") == 0
        async with pool.acquire() as connection:
            await connection.execute_batch("CREATE TEMP SEQUENCE numbers; SELECT nextval('numbers')")
            assert await connection.fetch_val("SELECT lastval()") == 1
        with pytest.raises(exceptions.ObjectNotInPrerequisiteState, match="lastval"):
            await pool.fetch_val("SELECT lastval()")


async def test_a_killed_backend_is_replaced(pool: ConnectionPool, observer: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        await observer.execute("SELECT pg_terminate_backend($1, 5000)", [connection.backend_pid])
        for _ in range(2):
            with pytest.raises(exceptions.ConnectionClosedError) as caught:
                await connection.execute("SELECT 1")
            assert isinstance(caught.value, exceptions.ConnectionExecuteError)
        await ensure_closed(connection)
    await ensure_usable(pool)


async def test_a_transaction_does_not_keep_its_connection_from_coming_back(
    pool: ConnectionPool, table: str
) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.begin()
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    assert pool.status() == (4, 1, 1, 0)
    assert transaction.is_closed()
    for call in (transaction.execute("SELECT 1"), transaction.commit()):
        with pytest.raises(exceptions.ConnectionClosedError, match="returned to the pool"):
            await call
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_is_closed_tells_the_truth(pool: ConnectionPool) -> None:
    connection = await pool.connection()
    transaction = connection.transaction()
    assert not connection.is_closed()
    assert not transaction.is_closed()
    connection.close()
    assert connection.is_closed()
    assert transaction.is_closed()
