"""The sweep's operations: transactions."""

from __future__ import annotations

import pytest

from psqlpy import Transaction, exceptions
from tests._async.sweep_rig import Rig, ask, operation
from tests.concurrency import async_wait_until


async def _insert(transaction: Transaction, rig: Rig) -> None:
    await transaction.execute(f"INSERT INTO {rig.table} VALUES (1, 'a')")


@operation("transaction block", rows=1)
async def _block(rig: Rig) -> None:
    async with rig.pool.acquire() as connection, connection.transaction() as transaction:
        await _insert(transaction, rig)
        await ask(transaction)
        assert await connection.in_transaction()
        rig.may_store = True


@operation("begin(), commit()", rows=1)
async def _commit(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.begin()
        await _insert(transaction, rig)
        rig.may_store = True
        await transaction.commit()


@operation("begin(), rollback()")
async def _rollback(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.begin()
        await _insert(transaction, rig)
        await transaction.rollback()
        await ask(connection)


@operation("transaction block that fails")
async def _failing_block(rig: Rig) -> None:
    async with rig.pool.acquire() as connection:
        with pytest.raises(exceptions.DivisionByZero):
            async with connection.transaction() as transaction:
                await _insert(transaction, rig)
                await transaction.execute("SELECT 1/0")
        await ask(connection)


@operation("savepoints", rows=1)
async def _savepoints(rig: Rig) -> None:
    async with rig.pool.acquire() as connection, connection.transaction() as transaction:
        await _insert(transaction, rig)
        await transaction.create_savepoint("one")
        await _insert(transaction, rig)
        await transaction.rollback_savepoint("one")
        await transaction.release_savepoint("one")
        rig.may_store = True


@operation("transaction in a transaction", rows=1)
async def _nested(rig: Rig) -> None:
    async with rig.pool.acquire() as connection, connection.transaction():
        async with connection.transaction() as inner:
            await _insert(inner, rig)
        with pytest.raises(exceptions.DivisionByZero):
            async with connection.transaction() as inner:
                await _insert(inner, rig)
                await inner.execute("SELECT 1/0")
        rig.may_store = True


@operation("transaction.pipeline()", rows=2)
async def _pipeline_in_transaction(rig: Rig) -> None:
    insert = f"INSERT INTO {rig.table} VALUES ($1, $2)"
    async with rig.pool.transaction() as transaction:
        await transaction.pipeline([(insert, [1, "a"]), (insert, [2, "b"])])
        rig.may_store = True


@operation("pool.transaction()", rows=1, warm=False)
async def _pool_transaction(rig: Rig) -> None:
    async with rig.pool.transaction() as transaction:
        await _insert(transaction, rig)
        rig.may_store = True


@operation("run_transaction()", rows=1)
async def _run_transaction(rig: Rig) -> None:
    """The first attempt fails as if another transaction had been first."""
    attempts: list[int] = []

    async def work(transaction: Transaction) -> None:
        attempts.append(1)
        await _insert(transaction, rig)
        if len(attempts) == 1:
            await transaction.execute("DO $$BEGIN RAISE SQLSTATE '40001'; END$$")
        rig.may_store = True

    await rig.pool.run_transaction(work)
    await async_wait_until(lambda: len(attempts) == 2)
