"""execute_many: all rows or none, within a transaction or as one."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

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
    with pytest.raises(exceptions.ParameterValueError, match="row 2: .*<name>"):
        await conn.execute_many(insert, [{"id": 3, "name": "c"}, {"id": 4}])
    with pytest.raises(exceptions.ParameterTypeError, match="row 2: parameters must be"):
        await conn.execute_many(f"INSERT INTO {table} VALUES ($1)", [[3], 4])
    with pytest.raises(exceptions.ParameterTypeError, match="^the query must be a str"):
        await conn.execute_many(5, [[3]])  # type: ignore[arg-type]
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


async def test_a_late_row_fails(conn: Connection, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES (1 / ($1::int4 - 4000))"
    for begun in (False, True):
        transaction = conn.transaction()
        if begun:
            await transaction.begin()
        with pytest.raises(exceptions.DivisionByZero, match="row 4001: "):
            await conn.execute_many(insert, [[number] for number in range(5_000)])
        if begun:
            await transaction.rollback()
        assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
        await ensure_usable(conn)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_late_row_does_not_fit(conn: Connection, table: str, begun: bool) -> None:
    """Others were sent by then; of a transaction none."""
    insert = f"INSERT INTO {table} VALUES ($1)"
    rows: list[list[Any]] = [[number] for number in range(5_000)]
    rows[4_000] = [object()]
    transaction = conn.transaction()
    if begun:
        await transaction.begin()
        await transaction.execute_many(insert, [[-1]])
    with pytest.raises(exceptions.ParameterTypeError, match=r"^row 4001: parameter \$1 "):
        await conn.execute_many(insert, rows)
    if begun:
        await transaction.commit()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == begun
    await ensure_usable(conn)


async def test_a_late_row_fits_the_type_that_its_column_has_by_now(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    await conn.execute_many(insert, [[1]])
    await pool.execute(f"ALTER TABLE {table} ALTER id TYPE numeric")
    await conn.execute_many(insert, [[number if number < 4_000 else number + 0.5] for number in range(5_000)])
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 5_001
    assert await conn.fetch_val(f"SELECT max(id) FROM {table}") == Decimal("4999.5")
    await ensure_usable(conn)


@pytest.mark.parametrize(
    "statement", ["SELECT $1::int4, repeat('x', 100)", "SELECT 1 WHERE $1 = 0", "CHECKPOINT"]
)
async def test_what_rows_return_is_dropped(conn: Connection, statement: str) -> None:
    rows = [[number] for number in range(1000)] if "$1" in statement else [[], []]
    await conn.execute_many(statement, rows)
    assert (await conn.fetch("SELECT generate_series(1, 3) AS n")).result(as_tuple=True) == [(1,), (2,), (3,)]
    await ensure_usable(conn)


UNUSUAL: list[tuple[str, list[Any]]] = [
    (
        "numeric",
        [Decimal("1.50"), 7, 1.25, "NaN", " 12 ", Decimal("1E-20"), Decimal("Infinity"), 10**40, None],
    ),
    ("int4", [5, "6", None, True]),
    ("float8", [1, 0.1, "1e3", Decimal("2.5")]),
    ("float4", [0.1, "7", 3]),
    ("bool", [True, "yes", None]),
    ("text", ["a", "", "é", None, 5]),
    ("name", ["a", "n" * 100]),
    ("char(3)", ["ab", "b "]),
    ("date", [date(2024, 1, 2), "tomorrow", datetime(2024, 1, 2, 3)]),
    ("timestamp", [datetime(2024, 1, 2, 3, 4, 5, 6), "2024-01-01", "infinity"]),
    ("timestamptz", [datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=3))), "2024-01-01 00:00+02", None]),
    ("interval", [timedelta(days=-1, seconds=3), "1 month", None]),
    ("uuid", [UUID(int=7), "550e8400-e29b-41d4-a716-446655440000", "{550E8400E29B41D4A716446655440000}"]),
    ("json", [{"a": 1}, "[1,  2]", None]),
    ("jsonb", [{"a": 1}, "[1,  2]", None, 5]),
    ("bytea", [b"\0a", bytearray(b"b"), "\\x00ff", None]),
    ("int4[]", [[1, None], [], "{1,2}"]),
]


@pytest.mark.parametrize(("type_name", "values"), UNUSUAL)
async def test_many_rows_store_what_one_does(conn: Connection, type_name: str, values: list[Any]) -> None:
    """Values of one kind, which C writes, and of all kinds among one another, which it may not."""
    await conn.execute(f"CREATE TEMPORARY TABLE many (number int4, value {type_name})")
    insert = "INSERT INTO many VALUES ($1, $2)"
    for column in (values, *([value] * 8 for value in values), values * 5):
        for row in enumerate(column):
            await conn.execute(insert, row)
        await conn.execute_many(insert, list(enumerate(column)))
        stored = await conn.fetch(
            "SELECT number, count(*), count(DISTINCT value::text) FROM many GROUP BY number ORDER BY number"
        )
        for (number, count, distinct), value in zip(stored.result(as_tuple=True), column, strict=True):
            assert (count, distinct) == (2, value is not None), (number, value)
        await conn.execute("TRUNCATE many")
    await conn.execute("DROP TABLE many")
    await ensure_usable(conn)
