"""Prepared statements."""

from __future__ import annotations

import pytest

from psqlpy import Column, Connection, PreparedStatement, exceptions
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)


async def test_bound_and_new_parameters(conn: Connection) -> None:
    bound = [1, "a"]
    statement = await conn.prepare("SELECT $1::int4 AS id, $2::text AS name", bound)
    bound[0] = 9
    assert isinstance(statement, PreparedStatement)
    for _ in range(2):
        assert (await statement.execute()).result() == [{"id": 1, "name": "a"}]
    assert (await statement.fetch([2, "b"])).result() == [{"id": 2, "name": "b"}]
    assert (await statement.fetch_row()).result() == {"id": 1, "name": "a"}
    assert await statement.fetch_val([3, "c"]) == 3
    assert await statement.fetch_val() == 1
    assert statement.parameter_types == ["int4", "text"]
    assert statement.parameter_oids == (23, 25)
    assert statement.querystring == "SELECT $1::int4 AS id, $2::text AS name"
    assert repr(statement) == "<PreparedStatement 'SELECT $1::int4 AS id, $2::text AS name'>"


async def test_named_parameters(conn: Connection) -> None:
    query = "SELECT $(a)p::int4 - $(b)p::int4"
    statement = await conn.prepare(query, {"b": 1, "a": 3})
    assert await statement.fetch_val() == 2
    assert await statement.fetch_val({"a": 10, "b": 3}) == 7
    unbound = await conn.prepare(query)
    assert await unbound.fetch_val({"a": 1, "b": 1}) == 0
    with pytest.raises(exceptions.ParameterValueError):
        await unbound.execute()
    await ensure_usable(conn)


async def test_columns(conn: Connection, table: str) -> None:
    oid = await conn.fetch_val("SELECT $1::text::regclass::oid", [table])
    statement = await conn.prepare(f"SELECT id, name, $1::bool AS flag FROM {table}")
    assert statement.columns() == [
        Column("id", oid, 23, "int4"),
        Column("name", oid, 25, "text"),
        Column("flag", None, 16, "bool"),
    ]
    insert = await conn.prepare(f"INSERT INTO {table} VALUES ($1, $2)")
    assert insert.columns() == []
    assert insert.parameter_types == ["int4", "text"]
    await insert.execute_many([[1, "a"], [2, "b"]])
    await insert.execute([3, "c"])
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 3


async def test_a_cursor_on_it(conn: Connection) -> None:
    statement = await conn.prepare("SELECT generate_series(1, $1::int4)", [3])
    async with statement.cursor(array_size=2) as cursor:
        assert [len(result) async for result in cursor] == [2, 1]
    cursor = statement.cursor([5])
    await cursor.start()
    assert len(await cursor.fetchall()) == 5
    await cursor.close()


async def test_in_a_transaction(conn: Connection, table: str) -> None:
    async with conn.transaction() as transaction:
        statement = await transaction.prepare(f"INSERT INTO {table} VALUES ($1, $2)", [1, "a"])
        await statement.execute()
        await transaction.rollback()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    with pytest.raises(exceptions.TransactionClosedError):
        await statement.execute()
    await ensure_usable(conn)


async def test_it_survives_what_makes_the_server_forget_it(conn: Connection, table: str) -> None:
    statement = await conn.prepare(f"SELECT * FROM {table} WHERE id = $1", [1])
    await conn.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    assert (await statement.execute()).result() == [{"id": 1, "name": "a"}]
    await conn.execute(f"ALTER TABLE {table} ADD COLUMN more int4 DEFAULT 7")
    assert (await statement.execute()).result() == [{"id": 1, "name": "a", "more": 7}]
    await conn.execute("DEALLOCATE ALL")
    assert (await statement.execute()).result() == [{"id": 1, "name": "a", "more": 7}]
    again = await conn.prepare(f"SELECT * FROM {table} WHERE id = $1")
    assert [column.name for column in again.columns()] == ["id", "name", "more"]


@pytest.mark.parametrize(
    ("query", "parameters", "kind"),
    [
        ("SELEC", None, exceptions.SyntaxError),
        ("SELECT * FROM no_such_table", None, exceptions.UndefinedTable),
        ("SELECT $1::int4", ["x", "y"], exceptions.ParameterValueError),
        ("SELECT $1::int4", [[1]], exceptions.ParameterTypeError),
        ("SELECT $1::int4", [], exceptions.ParameterValueError),
        ("SELECT 1; SELECT 2", None, exceptions.ProgrammingError),
        ("SELECT $1", 5, exceptions.ParameterTypeError),
    ],
)
async def test_what_cannot_be_prepared(
    conn: Connection, query: str, parameters: object, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await conn.prepare(query, parameters)
    await ensure_usable(conn)


async def test_many_leave_no_more_than_the_cache_holds(conn: Connection) -> None:
    for _ in range(20):
        await conn.prepare("SELECT 1 AS one")
    count = await conn.fetch_val("SELECT count(*) FROM pg_prepared_statements")
    assert count <= 3
    await ensure_usable(conn)
