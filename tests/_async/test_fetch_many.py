"""fetch_many: what each row of parameters returned, in order; all rows or none."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)


async def test_results_in_order(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1, $2) RETURNING id * 2 AS double, name"
    rows = [(number, str(number)) for number in range(1000)]
    for executor in (conn, pool):
        for _ in range(2):
            results = await executor.fetch_many(insert, rows)
            expected = [[{"double": number * 2, "name": str(number)}] for number in range(1000)]
            assert [result.result() for result in results] == expected
    async with conn.transaction() as transaction:
        [first, second] = await transaction.fetch_many(
            f"SELECT id FROM {table} WHERE id = $(id)p", [{"id": 5}, {"id": -1}]
        )
        assert (len(first), len(second)) == (4, 0)
        await ensure_usable(transaction)
    await ensure_usable(conn)


async def test_without_returning(conn: Connection, table: str) -> None:
    results = await conn.fetch_many(f"INSERT INTO {table} VALUES ($1)", [[1], [2]])
    assert [(result.rowcount, result.result()) for result in results] == [(1, []), (1, [])]
    await ensure_usable(conn)


async def test_failing_row_leaves_nothing(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES (10 / $1::int4) RETURNING id"
    for executor in (conn, pool):
        with pytest.raises(exceptions.DivisionByZero, match="row 3: "):
            await executor.fetch_many(insert, [[1], [2], [0], [4]])
        with pytest.raises(exceptions.ParameterTypeError, match="row 2: "):
            await executor.fetch_many(insert, [[1], [1.5]])
        assert await executor.fetch_val(f"SELECT count(*) FROM {table}") == 0
        await ensure_usable(executor)


@pytest.mark.parametrize("rows", [None, [], ()])
async def test_no_rows(conn: Connection, pool: ConnectionPool, rows: Any) -> None:
    assert await conn.fetch_many("SELECT nothing that exists", rows) == []
    assert await pool.fetch_many("SELECT nothing that exists", rows) == []
    await ensure_usable(conn)


async def test_rows_that_are_no_sequence(conn: Connection) -> None:
    wrong: list[Any] = ["ab", b"ab", {1}, 5, (row for row in [[1]])]
    for rows in wrong:
        with pytest.raises(exceptions.ParameterTypeError, match=f"fetch_many .* {type(rows).__name__}"):
            await conn.fetch_many("SELECT $1::int4", rows)
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_timeout(conn: Connection, pool: ConnectionPool, table: str) -> None:
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.fetch_many("SELECT pg_sleep($1)", [[0], [20.0]], timeout=0.2)
    await ensure_usable(pool)


async def test_a_column_is_added(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1, $2) RETURNING *"
    await conn.fetch_many(insert, [[1, "a"], [2, "b"]])
    await pool.execute(f"ALTER TABLE {table} ADD age int4 DEFAULT 5")
    results = await conn.fetch_many(insert, [[3, "c"], [4, "d"]])
    assert [result.result() for result in results] == [
        [{"id": 3, "name": "c", "age": 5}],
        [{"id": 4, "name": "d", "age": 5}],
    ]
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 4
    await pool.execute(f"ALTER TABLE {table} DROP age")
    async with conn.transaction() as transaction:
        with pytest.raises(exceptions.FeatureNotSupported) as caught:
            await transaction.fetch_many(insert, [[5, "e"]])
        assert "again" in (caught.value.hint or "")
        await transaction.rollback()
    await ensure_usable(conn)
