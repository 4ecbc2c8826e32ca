"""Errors of the server as its users see them: family, PEP 249's class, leaf and attributes."""

from __future__ import annotations

import pickle

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_closed, ensure_usable

pytestmark = pytest.mark.loops(1)

CASES: list[tuple[str, str, str, type[exceptions.Error]]] = [
    ("SELECT 1 / 0", "22012", "DivisionByZero", exceptions.DataError),
    ("SELECT 'x'::int4", "22P02", "InvalidTextRepresentation", exceptions.DataError),
    ("SELEC", "42601", "SyntaxError", exceptions.ProgrammingError),
    ("SELECT * FROM nowhere", "42P01", "UndefinedTable", exceptions.ProgrammingError),
    ("SELECT nothing", "42703", "UndefinedColumn", exceptions.ProgrammingError),
    ("SELECT no_function()", "42883", "UndefinedFunction", exceptions.ProgrammingError),
    (
        "SELECT 1 WHERE (SELECT 1 UNION SELECT 2) = 1",
        "21000",
        "CardinalityViolation",
        exceptions.ProgrammingError,
    ),
]


@pytest.mark.parametrize("prepared", [True, False])
async def test_classes(conn: Connection, pool: ConnectionPool, prepared: bool) -> None:
    for query, sqlstate, leaf, category in CASES:
        for executor in (conn, pool):
            for _ in range(2):
                with pytest.raises(exceptions.Error) as caught:
                    await executor.execute(query, None, prepared)
                error = caught.value
                assert type(error).__name__ == leaf
                assert isinstance(error, getattr(exceptions, leaf)), query
                assert isinstance(error, category), query
                assert isinstance(error, exceptions.ConnectionExecuteError), query
                assert isinstance(error, exceptions.InterfaceError), query
                assert error.sqlstate == sqlstate
                assert error.severity == "ERROR"
                assert error.message and error.message in str(error)
        await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_attributes(conn: Connection, table: str, prepared: bool) -> None:
    await conn.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_unique UNIQUE (id)")
    await conn.execute(f"ALTER TABLE {table} ALTER name SET NOT NULL")
    insert = f"INSERT INTO {table} VALUES ($1, $2)"
    await conn.execute(insert, [1, "a"], prepared)
    with pytest.raises(exceptions.UniqueViolation) as caught:
        await conn.execute(insert, [1, "b"], prepared)
    error = caught.value
    assert isinstance(error, exceptions.IntegrityError)
    assert (error.schema_name, error.table_name, error.constraint_name) == (
        "public",
        table,
        f"{table}_unique",
    )
    assert error.detail == "Key (id)=(1) already exists."
    assert "DETAIL: Key (id)=(1) already exists." in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, exceptions.UniqueViolation) and again.constraint_name == error.constraint_name
    with pytest.raises(exceptions.NotNullViolation) as missing:
        await conn.execute(insert, [2, None], prepared)
    assert missing.value.column_name == "name"
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_position_and_hint(conn: Connection, prepared: bool) -> None:
    with pytest.raises(exceptions.UndefinedFunction) as caught:
        await conn.execute("SELECT 'é', no_function()", None, prepared)
    assert caught.value.position == 13
    assert caught.value.hint and f"HINT: {caught.value.hint}" in str(caught.value)
    await ensure_usable(conn)


async def test_number_of_rows(conn: Connection, pool: ConnectionPool) -> None:
    none, many = "SELECT 1 WHERE false", "SELECT generate_series(1, 3)"
    for executor in (conn, pool):
        for call in (executor.fetch_row, executor.fetch_val):
            with pytest.raises(exceptions.NoRowsError, match="unexpected number of rows"):
                await call(none)
            with pytest.raises(exceptions.TooManyRowsError, match="3 came"):
                await call(many)
            assert await call(none, default=None) is None
            assert await call(none, default="nothing") == "nothing"
            with pytest.raises(exceptions.TooManyRowsError):
                await call(many, default=None)
        await ensure_usable(executor)
    async with conn.transaction() as transaction:
        with pytest.raises(exceptions.NoRowsError) as caught:
            await transaction.fetch_val(none)
        assert isinstance(caught.value, exceptions.TransactionExecuteError)
        await ensure_usable(transaction)
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_backend_that_ends(pool: ConnectionPool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(exceptions.ConnectionLostError) as caught:
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        assert isinstance(caught.value, exceptions.OperationalError)
        await ensure_closed(conn)
    await ensure_usable(pool)
