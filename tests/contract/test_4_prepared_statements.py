"""The rows about prepared statements; more about them: tests/_async/test_prepare.py."""

from __future__ import annotations

import pytest

from psqlpy import Column, Connection, ConnectionPool, Cursor, PreparedStatement, exceptions
from tests._async.usable import ensure_usable

QUERY = "SELECT $1::int4 AS id, $2::text AS name"


async def test_prepare_binds_the_parameters_once_and_execute_is_repeatable(conn: Connection) -> None:
    parameters = [1, "a"]
    statement = await conn.prepare(QUERY, parameters)
    parameters[:] = [2, "b"]
    assert isinstance(statement, PreparedStatement)
    for _ in range(3):
        assert (await statement.execute()).result() == [{"id": 1, "name": "a"}]


async def test_execute_takes_other_parameters_too(conn: Connection) -> None:
    statement = await conn.prepare(QUERY, [1, "a"])
    assert (await statement.execute([2, "b"])).result() == [{"id": 2, "name": "b"}]
    assert (await statement.execute()).result() == [{"id": 1, "name": "a"}]


async def test_columns_have_a_name_and_the_oid_of_their_table(conn: Connection, table: str) -> None:
    oid = await conn.fetch_val("SELECT $1::text::regclass::oid", [table])
    first, second = (await conn.prepare(f"SELECT id, 1 AS one FROM {table}")).columns()
    assert isinstance(first, Column)
    assert (first.name, first.table_oid) == ("id", oid)
    assert (second.name, second.table_oid) == ("one", None)


async def test_the_types_of_its_parameters(conn: Connection) -> None:
    assert (await conn.prepare(QUERY)).parameter_types == ["int4", "text"]


async def test_a_parameter_of_a_wrong_type(conn: Connection) -> None:
    with pytest.raises(TypeError, match=r"parameter \$1 \(list for int4\)") as caught:
        await conn.prepare(QUERY, [[1], "a"])
    assert isinstance(caught.value, exceptions.PyToRustValueMappingError)
    await ensure_usable(conn)


@pytest.mark.parametrize("parameters", [[], [1], [1, "a", 2]], ids=repr)
async def test_too_few_and_too_many_are_found_at_once(conn: Connection, parameters: list[object]) -> None:
    with pytest.raises(exceptions.PyToRustValueMappingError, match="takes 2 parameters"):
        await conn.prepare(QUERY, parameters)
    await ensure_usable(conn)


async def test_without_any_each_execution_brings_its_own(conn: Connection) -> None:
    statement = await conn.prepare(QUERY)
    with pytest.raises(exceptions.PyToRustValueMappingError, match="takes 2 parameters"):
        await statement.execute()
    assert (await statement.execute([1, "a"])).result() == [{"id": 1, "name": "a"}]


async def test_bad_sql_is_found_by_prepare(conn: Connection) -> None:
    with pytest.raises(exceptions.DatabaseError) as caught:
        await conn.prepare("SELEC 1")
    assert caught.value.sqlstate == "42601"
    await ensure_usable(conn)


async def test_nothing_is_executed_by_prepare(conn: Connection, table: str) -> None:
    statement = await conn.prepare(f"INSERT INTO {table} VALUES ($1)", [1])
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await statement.execute()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1


async def test_its_cursor_needs_to_be_started(conn: Connection) -> None:
    statement = await conn.prepare("SELECT generate_series(1, $1::int4) AS g", [3])
    cursor = statement.cursor()
    assert isinstance(cursor, Cursor)
    with pytest.raises(exceptions.TransactionClosedError, match="not started"):
        await cursor.fetchone()
    await cursor.start()
    assert (await cursor.fetchone()).result() == [{"g": 1}]
    await cursor.close()


async def test_in_a_transaction(conn: Connection, table: str) -> None:
    async with conn.transaction() as transaction:
        statement = await transaction.prepare(f"INSERT INTO {table} VALUES ($1)", [1])
        await statement.execute()
        await transaction.rollback()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    with pytest.raises(exceptions.TransactionClosedError):
        await statement.execute()
    await ensure_usable(conn)


async def test_of_a_connection_given_back(pool: ConnectionPool) -> None:
    async with pool.acquire() as conn:
        statement = await conn.prepare("SELECT 1")
    with pytest.raises(exceptions.ConnectionClosedError, match="returned to the pool"):
        await statement.execute()
    with pytest.raises(exceptions.ConnectionClosedError, match="returned to the pool"):
        await statement.cursor().start()


async def test_no_statement_is_a_type_error(conn: Connection) -> None:
    for wrong in (None, 5, b"SELECT 1"):
        with pytest.raises(TypeError, match="must be a str"):
            await conn.prepare(wrong)  # type: ignore[arg-type]
    await ensure_usable(conn)
