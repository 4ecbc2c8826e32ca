"""COMMIT and ROLLBACK as text within transactions: nothing is executed outside of one unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, Transaction, exceptions
from tests._async.usable import ensure_usable

# How a text gets to the server within a block.
WAYS: dict[str, Callable[[Connection, Transaction, str], Any]] = {
    "transaction": lambda conn, transaction, text: transaction.execute(text),
    "connection": lambda conn, transaction, text: conn.execute(text),
    "unprepared": lambda conn, transaction, text: transaction.execute(text, None, False),
    "batch": lambda conn, transaction, text: transaction.execute_batch(f"SELECT 1; {text}"),
    "pipeline": lambda conn, transaction, text: transaction.pipeline([("SELECT 1",), (text,)]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["COMMIT", "/* the end */ rollback"])
async def test_it_ends_the_transaction_as_its_method_does(
    conn: Connection, pool: ConnectionPool, table: str, way: str, text: str
) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    stored = int(text == "COMMIT")
    async with conn.transaction() as transaction:
        await transaction.execute(insert, [1])
        async with conn.transaction() as inner:
            await inner.execute(insert, [1])
            await WAYS[way](conn, transaction, text)
            assert inner.is_closed() and transaction.is_closed()
        assert not await conn.in_transaction()
        for call in (
            transaction.execute(insert, [2]),
            transaction.execute_many(insert, [[2]]),
            transaction.pipeline([(insert, [2])]),
            transaction.commit(),
        ):
            with pytest.raises(exceptions.TransactionClosedError):
                await call
        # Another one is no savepoint of what isn't there.
        async with conn.transaction() as following:
            await following.execute(insert, [3])
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2 * stored + 1
    await ensure_usable(conn)


async def test_what_waits_behind_it_is_not_executed(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    async with conn.transaction() as transaction:
        first, _, *others = await asyncio.gather(
            transaction.execute(insert, [1]),
            transaction.execute("COMMIT"),
            transaction.execute(insert, [2]),
            transaction.execute(insert, [2], False),
            transaction.execute_many(insert, [[2]]),
            return_exceptions=True,
        )
        assert not isinstance(first, BaseException)
        assert [type(other) for other in others] == [exceptions.TransactionFinishedError] * 3
    assert (await pool.fetch(f"SELECT id FROM {table}")).result() == [{"id": 1}]
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_the_rest_of_a_pipeline_is_not_executed(
    conn: Connection, pool: ConnectionPool, table: str, prepared: bool
) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    async with conn.transaction() as transaction:
        with pytest.raises(exceptions.TransactionClosedError):
            await transaction.pipeline([(insert, [1]), ("COMMIT",), (insert, [2])], prepared)
        assert transaction.is_closed()
    assert (await pool.fetch(f"SELECT id FROM {table}")).result() == [{"id": 1}]
    await ensure_usable(conn)


async def test_a_chained_one_goes_on(conn: Connection, pool: ConnectionPool, table: str) -> None:
    with pytest.raises(LookupError):
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            await transaction.execute("COMMIT AND CHAIN")
            assert not transaction.is_closed()
            await transaction.execute(f"INSERT INTO {table} VALUES (2)")
            raise LookupError
    assert (await pool.fetch(f"SELECT id FROM {table}")).result() == [{"id": 1}]
    await ensure_usable(conn)


async def test_texts_from_before_say_nothing_about_a_transaction(conn: Connection, table: str) -> None:
    await conn.execute_batch("SELECT 1; SELECT 2")
    for text in ("BEGIN", "COMMIT"):
        await conn.execute(text)
    async with conn.transaction() as transaction:
        assert not transaction.is_closed()
        await transaction.execute_batch(f"INSERT INTO {table} VALUES (1)")
        await transaction.execute("SAVEPOINT mine")
        await transaction.execute(f"INSERT INTO {table} VALUES (2)")
        await transaction.execute("ROLLBACK TO mine")
        assert not transaction.is_closed()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1
    await ensure_usable(conn)
