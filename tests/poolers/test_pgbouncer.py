"""A pool behind PgBouncer with its defaults. The contract's tests behind it: test_contract_behind.py."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from psqlpy import ConnectionPool, exceptions
from tests.concurrency import AsyncGroup, async_wait_until
from tests.poolers.conftest import program
from tests.poolers.programs import PgBouncer

# What is said to PgBouncer is the same on each.
pytestmark = pytest.mark.loops(1)

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture(params=["session", "transaction"])
def either(request: pytest.FixtureRequest) -> PgBouncer:
    started: PgBouncer = request.getfixturevalue(f"{request.param}_mode")
    return started


async def test_connecting(either: PgBouncer) -> None:
    """PgBouncer before 1.20 refuses `options`, the one that psqlpy's own settings are in."""
    async with ConnectionPool(either.dsn, prepared=False) as pool:
        assert await pool.fetch_val("SELECT $1::date::text", ["2024-02-03"]) == "2024-02-03"
        assert await pool.fetch_val("SELECT $1::text", ["naïve ☃"]) == "naïve ☃"


async def test_an_option_that_it_refuses(session_mode: PgBouncer) -> None:
    async with ConnectionPool(session_mode.dsn, options="-c work_mem=5MB") as pool:
        if session_mode.version >= (1, 20):
            assert await pool.fetch_val("SELECT 1") == 1
            return
        with pytest.raises(
            exceptions.BaseConnectionPoolError, match="unsupported startup parameter"
        ) as caught:
            await pool.fetch_val("SELECT 1")
    assert "ALTER ROLE" in str(caught.value.hint) and "ignore_startup_parameters" in str(caught.value.hint)


async def test_every_way_of_executing(transaction_mode: PgBouncer, table: str) -> None:
    """Many at once, so that each statement may have another backend than the one before."""

    async def work(pool: ConnectionPool, own: int) -> list[Any]:
        rows = [[own, str(n)] for n in range(5)]
        async with pool.acquire() as conn:
            await conn.execute(f"INSERT INTO {table} VALUES ($1, 'executed')", [own])
            await conn.execute_many(f"INSERT INTO {table} VALUES ($1, $2)", rows)
            await conn.fetch_many(f"INSERT INTO {table} VALUES ($1, $2) RETURNING id", rows)
            await conn.copy_records_to_table(table, rows)
            await conn.execute_batch(
                f"INSERT INTO {table} VALUES ({own}, 'a'); INSERT INTO {table} VALUES ({own})"
            )
            mine = f"SELECT id FROM {table} WHERE id = $1"
            piped = await conn.pipeline([(mine, [own]), (mine, [-1])])
            async with conn.transaction() as transaction, transaction.cursor(mine, [own]) as cursor:
                fetched = await cursor.fetchall()
            statement = await conn.prepare(mine, [own])
            return [
                (await conn.fetch_row("SELECT $1::int4 AS n", [own])).result()["n"],
                *[len(result) for result in piped],
                len(fetched),
                len(await statement.execute()),
                len([row async for row in conn.stream(mine, [own], chunk_size=2)]),
                [row async for row in conn.stream("SELECT $1::text AS t", [str(own)])],
            ]

    async with ConnectionPool(transaction_mode.dsn, max_db_pool_size=6, prepared=False) as pool:
        async with AsyncGroup() as group:
            calls = [group.start(work, pool, own) for own in range(12)]
        for own, call in enumerate(calls):
            assert call.result() == [own, 18, 0, 18, 18, 18, [{"t": str(own)}]]
        assert await pool.fetch_val(PREPARED) == 0


async def test_one_connection_for_many(transaction_mode: PgBouncer) -> None:
    """New texts come between others in flight: PgBouncer counts Syncs, and not what was flushed."""
    pool = ConnectionPool(transaction_mode.dsn, max_db_pool_size=1, prepared=False, timeout=5)
    async with pool, pool.acquire() as conn:
        for turn in range(20):
            async with AsyncGroup() as group:
                calls = [group.start(conn.fetch_val, f"SELECT {turn % 3 * n} + {turn}") for n in range(8)]
            assert [call.result() for call in calls] == [turn % 3 * n + turn for n in range(8)]


async def test_the_next_user_of_a_connection(either: PgBouncer, table: str) -> None:
    """A reset is on its way when the next statement is asked about."""
    async with ConnectionPool(either.dsn, max_db_pool_size=1, prepared=False, timeout=5) as pool:
        for turn in range(5):
            async with pool.acquire() as conn:
                transaction = conn.transaction()
                await transaction.begin()
                await conn.execute(f"INSERT INTO {table} VALUES ({turn})")
                await conn.execute("SET search_path TO pg_catalog")
            assert await pool.fetch_val(f"SELECT count(*) + {turn} FROM public.{table}") == turn
            assert "public" in await pool.fetch_val("SHOW search_path")


async def test_a_statement_that_another_backend_has(transaction_mode: PgBouncer) -> None:
    """The pool prepares, as pools do unless they are told not to."""
    text = "SELECT $1::int4 + 17"
    async with ConnectionPool(transaction_mode.dsn, max_db_pool_size=1) as pool, pool.acquire() as conn:
        assert await conn.fetch_val(text, [1]) == 18
        pids = {await conn.fetch_val("SELECT pg_backend_pid()", prepared=False)}
        taken = [psycopg.connect(transaction_mode.dsn)]
        try:
            while True:
                pid = taken[-1].execute("SELECT pg_backend_pid()").fetchone()
                if pid is not None and pid[0] in pids:
                    break
                taken.append(psycopg.connect(transaction_mode.dsn))
            with pytest.raises(exceptions.TransactionExecuteError) as caught:
                async with conn.transaction() as transaction:
                    await transaction.fetch_val(text, [1])
            # Outside of a transaction it is prepared where it is needed.
            assert await conn.fetch_val(text, [2]) == 19
        finally:
            for connection in taken:
                connection.close()
    assert caught.value.sqlstate == "26000"
    assert "prepared=False" in str(caught.value.hint)


async def test_its_last_words(dsn: str) -> None:
    """They have no severity but the one for people, of which servers send another one for programs."""
    pooler = PgBouncer(program("pgbouncer"), dsn, "transaction", default_pool_size=1, query_wait_timeout=1)
    try:
        pool = ConnectionPool(pooler.dsn, max_db_pool_size=2, prepared=False, timeout=10)
        async with pool, pool.acquire() as conn, pool.acquire() as other:
            async with other.transaction() as transaction:
                await transaction.execute("SELECT 1")
                with pytest.raises(exceptions.ConnectionLostError, match="query_wait_timeout") as caught:
                    await conn.fetch_val("SELECT 1")
            assert conn.is_closed()
            assert await other.fetch_val("SELECT 1") == 1
    finally:
        pooler.stop()
    assert caught.value.sqlstate == "08P01" and caught.value.may_have_committed


async def test_a_timeout(either: PgBouncer, dsn: str) -> None:
    """The cancel request goes through it."""
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(77)'"
    async with (
        ConnectionPool(either.dsn, max_db_pool_size=1, prepared=False) as pool,
        ConnectionPool(dsn) as watching,
    ):
        begun = time.monotonic()
        with pytest.raises(exceptions.QueryTimeoutError):
            await pool.fetch("SELECT pg_sleep(77)", timeout=0.2)
        assert time.monotonic() - begun < 1

        async def is_gone() -> bool:
            return bool(await watching.fetch_val(asleep) == 0)

        await async_wait_until(is_gone)
        assert await pool.fetch_val("SELECT 1") == 1
