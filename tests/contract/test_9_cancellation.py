"""A call that is cancelled or out of time returns at once, and its statement ends on the server too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_usable
from tests.concurrency import async_wait_until

SLEEP = "SELECT pg_sleep(30)"
# Each starts a statement that takes half a minute.
CALLS: dict[str, Callable[[Connection, str], Any]] = {
    "execute": lambda conn, table: conn.execute(SLEEP),
    "fetch_many": lambda conn, table: conn.fetch_many("SELECT pg_sleep($1)", [[0.0], [30.0]]),
    "execute_batch": lambda conn, table: conn.execute_batch(f"INSERT INTO {table} VALUES (1); {SLEEP}"),
    "pipeline": lambda conn, table: conn.pipeline([(f"INSERT INTO {table} VALUES (1)",), (SLEEP,)]),
    "unprepared pipeline": lambda conn, table: conn.pipeline(
        [(f"INSERT INTO {table} VALUES (1)",), (SLEEP,)], False
    ),
}


async def wait_for_state(observer: ConnectionPool, pid: int, wanted: str) -> None:
    async def is_there() -> bool:
        state = "SELECT state FROM pg_stat_activity WHERE pid = $1 AND wait_event IS DISTINCT FROM 'PgSleep'"
        if wanted == "asleep":
            state = "SELECT 'asleep' FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'"
        found: object = await observer.fetch_val(state, [pid], default=None)
        return found == wanted

    await async_wait_until(is_there)


@pytest.mark.parametrize("call", CALLS)
async def test_a_cancelled_call(
    conn: Connection, pool: ConnectionPool, observer: ConnectionPool, table: str, call: str
) -> None:
    pid = conn.backend_pid
    task = asyncio.ensure_future(CALLS[call](conn, table))
    await wait_for_state(observer, pid, "asleep")
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 1
    await wait_for_state(observer, pid, "idle")
    await ensure_usable(conn)
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_a_cancelled_block_does_not_wait_for_its_statement(
    conn: Connection, pool: ConnectionPool, observer: ConnectionPool, table: str
) -> None:
    async def work() -> None:
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            await transaction.execute(SLEEP)

    task = asyncio.ensure_future(work())
    await wait_for_state(observer, conn.backend_pid, "asleep")
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 1
    await wait_for_state(observer, conn.backend_pid, "idle")
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)


@pytest.mark.parametrize("through", ["transaction", "run_transaction"])
async def test_a_cancelled_transaction_of_the_pool(
    pool: ConnectionPool, observer: ConnectionPool, table: str, through: str
) -> None:
    pids: list[int] = []

    async def work(transaction: Any) -> None:
        pids.append(await transaction.fetch_val("SELECT pg_backend_pid()"))
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        await transaction.execute(SLEEP)

    async def block() -> None:
        async with pool.transaction() as transaction:
            await work(transaction)

    task = asyncio.ensure_future(block() if through == "transaction" else pool.run_transaction(work))
    await async_wait_until(lambda: bool(pids))
    await wait_for_state(observer, pids[0], "asleep")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await async_wait_until(lambda: pool.status().available == pool.status().size)
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(pool)


async def test_a_busy_connection_is_not_handed_out(dsn: str, observer: ConnectionPool) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:

        async def work() -> None:
            async with pool.acquire() as connection:
                pids.append(connection.backend_pid)
                await connection.execute(SLEEP)

        pids: list[int] = []
        task = asyncio.ensure_future(work())
        await async_wait_until(lambda: bool(pids))
        await wait_for_state(observer, pids[0], "asleep")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        begun = time.monotonic()
        assert await pool.fetch_val("SELECT 7") == 7
        assert time.monotonic() - begun < 5


async def test_timeout_says_what_was_waited_for_and_how_long(conn: Connection) -> None:
    for call in (conn.execute, conn.fetch, conn.fetch_row, conn.fetch_val):
        with pytest.raises(exceptions.QueryTimeoutError, match=r"0\.\d+ s for the server's answer") as caught:
            await call(SLEEP, timeout=0.15)
        assert {TimeoutError, exceptions.OperationalError} < set(type(caught.value).__mro__)
    await ensure_usable(conn)
