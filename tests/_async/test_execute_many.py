"""execute_many: all rows or none, within a transaction or as one."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)


async def test_all_rows(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1, $2)"
    for _ in range(2):
        await conn.execute_many(insert, [[number, str(number)] for number in range(1000)])
        await ensure_usable(conn)
    await pool.execute_many(insert, ((1000, None), (1001, "a")))
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 2002


async def test_rows_as_mappings(conn: Connection, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($(id)p, $(name)p)"
    await conn.execute_many(insert, [{"id": 1, "name": "a"}, {"name": "b", "id": 2, "extra": 5}])
    rows = (await conn.fetch(f"SELECT * FROM {table} ORDER BY id")).result(as_tuple=True)
    assert rows == [(1, "a"), (2, "b")]
    with pytest.raises(exceptions.ParameterValueError, match="<name>"):
        await conn.execute_many(insert, [{"id": 3, "name": "c"}, {"id": 4}])
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 2
    await ensure_usable(conn)


@pytest.mark.parametrize("known", [False, True])
async def test_failing_row_leaves_nothing(
    conn: Connection, pool: ConnectionPool, table: str, known: bool
) -> None:
    await conn.execute(f"ALTER TABLE {table} ADD UNIQUE (id)")
    insert = f"INSERT INTO {table} VALUES ($1)"
    if known:
        await conn.execute_many(insert, [[-1]])
    for executor in (conn, pool):
        with pytest.raises(exceptions.UniqueViolation, match="row 3: ") as caught:
            await executor.execute_many(insert, [[1], [2], [1], [4]])
        assert isinstance(caught.value, exceptions.ConnectionExecuteError)
        with pytest.raises(exceptions.ParameterTypeError, match="row 2: "):
            await executor.execute_many(insert, [[1], [1.5]])
        assert await executor.fetch_val(f"SELECT count(*) FROM {table} WHERE id > 0") == 0
        await ensure_usable(executor)


async def test_within_a_transaction(conn: Connection, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    transaction = conn.transaction()
    await transaction.begin()
    await transaction.execute_many(insert, [[1], [2]])
    await transaction.rollback()
    with pytest.raises(exceptions.DivisionByZero) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute_many(insert, [[1], [2]])
            await transaction.execute_many(f"INSERT INTO {table} VALUES (1 / $1::int4)", [[1], [0]])
    assert isinstance(caught.value, exceptions.TransactionExecuteError)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)


@pytest.mark.parametrize("rows", [None, [], ()])
async def test_no_rows_is_no_execution(conn: Connection, pool: ConnectionPool, rows: Any) -> None:
    await conn.execute_many("SELECT nothing that exists", rows)
    await pool.execute_many("SELECT nothing that exists", rows)
    await ensure_usable(conn)


async def test_rows_that_are_no_sequence(conn: Connection, table: str) -> None:
    wrong: list[Any] = ["ab", b"ab", {1}, {"a": 1}, 5, (row for row in [[1]])]
    for rows in wrong:
        with pytest.raises(exceptions.ParameterTypeError, match=type(rows).__name__):
            await conn.execute_many(f"INSERT INTO {table} VALUES ($1)", rows)
        await ensure_usable(conn)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
