"""Cursors that a rollback to a savepoint takes away: their users are told here, the transaction around goes on."""

from __future__ import annotations

import pytest

from psqlpy import Connection, exceptions

NINE = "SELECT generate_series(1, 9) AS g"
GONE = "gone with its transaction or savepoint"


async def test_a_transaction_within_is_rolled_back(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        before, inside = transaction.cursor(NINE), transaction.cursor(NINE)
        await before.start()
        nested = conn.transaction()
        await nested.begin()
        await inside.start()
        rows = aiter(conn.stream(NINE, chunk_size=2))
        assert await anext(rows) == {"g": 1}
        await nested.rollback()
        assert inside.is_closed() and not before.is_closed()
        with pytest.raises(exceptions.CursorNotOpenError, match=GONE):
            await inside.fetchone()
        assert await anext(rows) == {"g": 2}
        with pytest.raises(exceptions.CursorNotOpenError, match=GONE):
            await anext(rows)
        assert len(await before.fetchone()) == 1
        await inside.execute(NINE)
        assert len(await inside.fetchone()) == 1


async def test_a_savepoint_is_rolled_back(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        await transaction.create_savepoint("here")
        first, second = transaction.cursor(NINE), transaction.cursor(NINE)
        await first.start()
        await transaction.rollback_savepoint("here")
        # It is still there, and so is what is opened from now on.
        await second.start()
        assert first.is_closed()
        with pytest.raises(exceptions.CursorNotOpenError, match=GONE):
            await first.fetchone()
        assert len(await second.fetchone()) == 1
        await transaction.rollback_savepoint("here")
        with pytest.raises(exceptions.CursorNotOpenError, match=GONE):
            await second.fetchone()
        assert await transaction.fetch_val("SELECT 1") == 1


async def test_one_that_is_released_keeps_them(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        cursor, other = transaction.cursor(NINE), transaction.cursor(NINE)
        async with conn.transaction():
            await cursor.start()
        await transaction.create_savepoint("here")
        await other.start()
        await transaction.release_savepoint("here")
        for one in (cursor, other):
            assert not one.is_closed() and len(await one.fetchone()) == 1
    assert cursor.is_closed()


async def test_the_next_transaction_knows_nothing_of_it(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        for _ in range(3):
            nested = conn.transaction()
            await nested.begin()
            await nested.rollback()
        assert len(conn.undone_levels) == 3
    async with conn.transaction() as transaction:
        assert conn.undone_levels == []
        cursor = transaction.cursor(NINE)
        await cursor.start()
        assert len(await cursor.fetchone()) == 1
