"""Calls that wait for their turn on a connection, behind a statement that holds the others back."""

from __future__ import annotations

import pytest

from psqlpy import Connection, exceptions
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup, async_wait_until

# What follows a DO block isn't sent before its outcome is known: it may have committed.
HOLDS = "DO $$ BEGIN PERFORM pg_sleep(0.6); END $$"


@pytest.mark.parametrize("prepared", [True, False])
async def test_time_runs_out_before_the_turn_comes(conn: Connection, prepared: bool) -> None:
    await conn.execute(HOLDS.replace("0.6", "0"))
    session = conn.link.session
    async with AsyncGroup() as group:
        group.start(conn.execute, HOLDS.replace("0.6", "0.6 "))
        await async_wait_until(lambda: bool(session.flights))
        with pytest.raises(exceptions.QueryTimeoutError) as caught:
            await conn.fetch_val("SELECT 1", prepared=prepared, timeout=0.1)
        assert caught.value.safe_to_retry and not caught.value.may_have_committed
        with pytest.raises(exceptions.QueryTimeoutError):
            await conn.execute_many("SELECT $1::int4", [[1], [2]], timeout=0.1)
        with pytest.raises(exceptions.QueryTimeoutError):
            await conn.execute_batch("SELECT 1; SELECT 2", timeout=0.1)
        assert await conn.fetch_val("SELECT 7") == 7
    await ensure_usable(conn)


async def test_time_runs_out_before_the_turn_of_a_begin_comes(conn: Connection) -> None:
    session = conn.link.session
    async with AsyncGroup() as group:
        group.start(conn.execute, HOLDS)
        await async_wait_until(lambda: bool(session.flights))
        async with conn.transaction() as transaction:
            with pytest.raises(exceptions.QueryTimeoutError):
                await transaction.execute("SELECT 1", timeout=0.1)
            # Begun nevertheless: what follows must not be executed outside of it.
            now = await transaction.fetch_val("SELECT now()::text")
            assert await transaction.fetch_val("SELECT now()::text") == now
    await ensure_usable(conn)


async def test_parameters_that_do_not_fit_in_the_first_statement_of_a_block(conn: Connection) -> None:
    await conn.fetch_val("SELECT $1::int4", [1])
    async with conn.transaction() as transaction:
        with pytest.raises(exceptions.PyToRustValueMappingError):
            await transaction.fetch_val("SELECT $1::int4", [object()])
        now = await transaction.fetch_val("SELECT now()::text")
        assert await transaction.fetch_val("SELECT now()::text") == now
        assert await conn.in_transaction()
    assert not await conn.in_transaction()
