"""execute_batch: several statements in one text, by the simple query protocol."""

from __future__ import annotations

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)


async def test_is_one_transaction(conn: Connection, pool: ConnectionPool, table: str) -> None:
    await conn.execute_batch(f"INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2)")
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2
    with pytest.raises(exceptions.DivisionByZero) as caught:
        await conn.execute_batch(
            f"INSERT INTO {table} VALUES (3); SELECT 1 / 0; INSERT INTO {table} VALUES (4)"
        )
    assert isinstance(caught.value, exceptions.ConnectionExecuteError)
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2
    await ensure_usable(conn)


async def test_with_its_own_transactions(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES (1)"
    with pytest.raises(exceptions.SyntaxError):
        await conn.execute_batch(f"BEGIN; {insert}; COMMIT; SELEC")
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0  # the text is parsed as a whole
    with pytest.raises(exceptions.DivisionByZero):
        await conn.execute_batch(f"BEGIN; {insert}; COMMIT; SELECT 1 / 0")
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 1
    with pytest.raises(exceptions.DivisionByZero):
        await conn.execute_batch(f"BEGIN; {insert}; SELECT 1 / 0")
    assert await conn.in_transaction()
    await conn.execute_batch("ROLLBACK")
    await ensure_usable(conn)


@pytest.mark.parametrize("text", ["", " ", ";;", "-- nothing", "SELECT 1;", "VALUES (1); ; SELECT"])
async def test_texts_without_effect(conn: Connection, text: str) -> None:
    await conn.execute_batch(text)
    await ensure_usable(conn)


async def test_copy(conn: Connection, table: str) -> None:
    await conn.execute_batch(f"INSERT INTO {table} VALUES (1); COPY {table} TO STDOUT")
    with pytest.raises(exceptions.Error, match="COPY"):
        await conn.execute_batch(f"INSERT INTO {table} VALUES (2); COPY {table} FROM STDIN")
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_big_results_are_read(conn: Connection) -> None:
    await conn.execute_batch("SELECT repeat('x', 10000) FROM generate_series(1, 1000); SELECT 1")
    await ensure_usable(conn)
