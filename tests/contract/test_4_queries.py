"""Queries and results: shapes of rows, parameters, what is prepared, execute_many, what a statement may not be."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, QueryResult, Record, exceptions
from tests._async.usable import ensure_usable

# Results


async def test_execute_is_fetch(conn: Connection) -> None:
    for call in (conn.execute, conn.fetch):
        result = await call("SELECT 1 AS a")
        assert type(result) is QueryResult
        assert result.result() == [{"a": 1}]


async def test_values_are_decoded_when_they_are_asked_for_each_time(conn: Connection) -> None:
    result = await conn.execute("SELECT '[]'::jsonb AS a")
    first, second = result.result(), result.result()
    assert first == second == [{"a": []}]
    assert first[0]["a"] is not second[0]["a"]


async def test_a_value_that_python_has_not_is_an_error_where_it_is_decoded(conn: Connection) -> None:
    query = "SELECT 'infinity'::date AS day, 5 AS n"
    result = await conn.execute(query)
    for decode in (result.result, result.records, lambda: result.as_class(Row), lambda: list(result)):
        with pytest.raises(exceptions.RustToPyValueMappingError):
            decode()
    assert result.result({"day": bytes.upper})[0]["n"] == 5
    with pytest.raises(exceptions.RustToPyValueMappingError):
        await conn.fetch_val(query)
    await ensure_usable(conn)


@pytest.mark.parametrize("query", ["SELECT 1 WHERE false", "CREATE TEMP TABLE no_rows ()"])
async def test_no_row_for_fetch_row_and_fetch_val(conn: Connection, query: str) -> None:
    for call in (conn.fetch_row, conn.fetch_val):
        await conn.execute("DROP TABLE IF EXISTS no_rows")
        with pytest.raises(exceptions.NoRowsError, match="unexpected number of rows") as caught:
            await call(query)
        assert isinstance(caught.value, exceptions.ConnectionExecuteError)
        await conn.execute("DROP TABLE IF EXISTS no_rows")
        assert await call(query, default="other") == "other"
        assert await call("SELECT 1 WHERE false", default=None) is None
    await ensure_usable(conn)


async def test_many_rows_for_fetch_row_and_fetch_val(conn: Connection) -> None:
    for call in (conn.fetch_row, conn.fetch_val):
        with pytest.raises(exceptions.TooManyRowsError, match="unexpected number of rows"):
            await call("VALUES (1), (2)", default=5)
    await ensure_usable(conn)


async def test_fetch_val_is_the_first_column(conn: Connection) -> None:
    assert await conn.fetch_val("SELECT 1, 2") == 1
    assert await conn.fetch_val("SELECT") is None


async def test_statements_without_rows(conn: Connection) -> None:
    for query in ("CREATE TEMP TABLE a ()", "", "-- nothing", ";"):
        assert (await conn.execute(query)).result() == []
    assert (await conn.execute("SELECT")).result() == [{}]
    result = await conn.execute("INSERT INTO a DEFAULT VALUES")
    assert (result.rowcount, result.command_tag) == (1, "INSERT 0 1")


async def test_of_equal_names_the_last_wins(conn: Connection) -> None:
    result = await conn.execute("SELECT 1 AS a, 2 AS a")
    assert result.result() == [{"a": 2}]
    assert result.result(as_tuple=True) == [(1, 2)]


class Row:
    def __init__(self, **columns: Any) -> None:
        self.columns = columns


async def test_as_class_and_row_factory(conn: Connection) -> None:
    result = await conn.execute("SELECT 1 AS a, 'x' AS b")
    single: Any = await conn.fetch_row("SELECT 1 AS a, 'x' AS b")
    assert [row.columns for row in result.as_class(Row)] == [{"a": 1, "b": "x"}]
    assert single.as_class(Row).columns == {"a": 1, "b": "x"}
    assert result.row_factory(list) == [["a", "b"]]
    assert single.row_factory(list) == ["a", "b"]
    error = LookupError("unchanged")

    def fail(**columns: Any) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        result.as_class(fail)
    assert caught.value is error


async def test_custom_decoders(conn: Connection) -> None:
    query = "SELECT 'a b'::text AS plain, 'c' AS \"Mixed\", NULL::text AS nothing"
    result = await conn.execute(query)
    single: Any = await conn.fetch_row(query)
    decoders = {"plain": len, "mixed": bytes.upper, "nothing": len}
    expected = {"plain": 3, "Mixed": b"C", "nothing": None}
    assert result.result(decoders) == [expected]
    assert result.result(custom_decoders=decoders, as_tuple=True) == [(3, b"C", None)]
    assert single.result(custom_decoders=decoders) == expected
    assert result.row_factory(dict, custom_decoders=decoders) == [expected]
    assert result.as_class(Row, custom_decoders=decoders)[0].columns == expected
    # The name as it is, too.
    assert result.result({"Mixed": len})[0]["Mixed"] == 1


async def test_record(conn: Connection) -> None:
    [record] = (await conn.execute("SELECT 1 AS a, 'x' AS b")).records()
    assert isinstance(record, Record)
    assert (record[0], record[-1], record["b"], record[0:2], len(record)) == (1, "x", "x", [1, "x"], 2)
    assert list(record) == record.values() == [1, "x"]
    assert (record.keys(), record.items()) == (["a", "b"], [("a", 1), ("b", "x")])
    assert (record.get("a"), record.get("zz"), record.get("zz", 5)) == (1, None, 5)
    assert repr(record) == "<Record a: 1, b: 'x'>"
    # Values, as in 0.13, and names, as asyncpg's users know it.
    assert 1 in record and "x" in record and "a" in record
    assert 2 not in record and "zz" not in record and None not in record and [] not in record
    assert dict(record.items()) == {"a": 1, "b": "x"}
    with pytest.raises(IndexError, match="ecord index 9 out of range"):
        record[9]
    with pytest.raises(KeyError, match="zz"):
        record["zz"]
    with pytest.raises(TypeError, match="ecord key must be"):
        record[1.5]  # type: ignore[call-overload]


async def test_a_record_is_a_value(conn: Connection) -> None:
    [first] = (await conn.execute("SELECT 1 AS a, 'x' AS b")).records()
    [second] = (await conn.execute("SELECT 1 AS a, 'x' AS b")).records()
    assert first == second == (1, "x")
    assert hash(first) == hash((1, "x"))
    assert {first: 5}[second] == {first: 5}[(1, "x")] == 5
    assert sorted([second, (0, "y")]) == [(0, "y"), (1, "x")]
    a, b = first
    assert (a, b) == (1, "x")


async def test_dict_of_a_record(conn: Connection) -> None:
    [record] = (await conn.execute("SELECT 1 AS a, 'x' AS b")).records()
    assert dict(record) == {"a": 1, "b": "x"}


# Preparing


@pytest.mark.parametrize("prepared", [None, True])
async def test_a_text_is_prepared_once(conn: Connection, prepared: bool | None) -> None:
    for _ in range(3):
        await conn.execute("SELECT 4711", None, prepared)
    count = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 4711'"
    assert await conn.fetch_val(count) == 1


async def test_unprepared_leaves_nothing_on_the_server(conn: Connection) -> None:
    before = await conn.fetch_val("SELECT count(*) FROM pg_prepared_statements", prepared=False)
    for number in range(3):
        assert await conn.fetch_val("SELECT $1::int4", [number], prepared=False) == number
    assert await conn.fetch_val("SELECT count(*) FROM pg_prepared_statements", prepared=False) == before


async def test_statements_heal_after_ddl_and_discard(conn: Connection, table: str) -> None:
    query = f"SELECT * FROM {table}"
    await conn.execute(query)
    await conn.execute(f"ALTER TABLE {table} ADD extra int4")
    assert [name for name, _ in (await conn.execute(query)).columns] == ["id", "name", "extra"]
    for forget in ("DEALLOCATE ALL", "DISCARD ALL"):
        await conn.execute(forget)
        assert len((await conn.execute(query)).columns) == 3
    await ensure_usable(conn)


# What a statement may not be


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT 1; SELECT 2", exceptions.ProgrammingError),
        ("COPY pg_class TO STDOUT", exceptions.ProgrammingError),
        ("COPY pg_class FROM STDIN", exceptions.ProgrammingError),
        ("SELECT '\0'", exceptions.PyToRustValueMappingError),
    ],
)
async def test_refused_before_it_is_sent(
    conn: Connection, query: str, error: type[exceptions.Error], prepared: bool
) -> None:
    with pytest.raises(error):
        await conn.execute(query, None, prepared)
    await ensure_usable(conn)


async def test_a_batch_takes_any_number_of_statements_in_one_transaction(
    conn: Connection, table: str
) -> None:
    assert await conn.execute_batch("") is None  # type: ignore[func-returns-value]
    await conn.execute_batch(f"INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2);")
    with pytest.raises(exceptions.DivisionByZero):
        await conn.execute_batch(f"INSERT INTO {table} VALUES (3); SELECT 1 / 0")
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 2
    await ensure_usable(conn)


# Parameters


@pytest.mark.parametrize("parameters", [[1, 2], (1, 2), range(1, 3), b"\1\2"], ids=repr)
async def test_sequences(conn: Connection, parameters: Any) -> None:
    result = await conn.execute("SELECT $1::int4 AS a, $2::int4 AS b", parameters)
    assert result.result() == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    "parameters",
    ["12", bytearray(b"12"), {1, 2}, (n for n in (1, 2)), 5],
    ids=["str", "bytearray", "set", "generator", "int"],
)
async def test_what_is_no_sequence(conn: Connection, parameters: Any) -> None:
    with pytest.raises(
        exceptions.PyToRustValueMappingError, match="parameters must be (sequence or mapping|a list)"
    ):
        await conn.execute("SELECT $1::int4, $2::int4", parameters)
    await ensure_usable(conn)


async def test_bytes_that_were_meant_as_one_value(conn: Connection) -> None:
    with pytest.raises(
        exceptions.ParameterValueError, match="takes 1 parameter, 2 given: put a single value into a list"
    ):
        await conn.execute("SELECT $1::bytea", b"12")
    await ensure_usable(conn)


@pytest.mark.parametrize("make", [dict, MappingProxyType])
async def test_mappings(conn: Connection, make: Any) -> None:
    query = "SELECT $(a)p::int4 AS a, $(b c)p::int4 AS b, $(a)p::int4 + 1 AS again"
    result = await conn.execute(query, make({"a": 1, "b c": 2, "extra": 3}))
    assert result.result() == [{"a": 1, "b": 2, "again": 2}]
    assert (await conn.execute(query, [1, 2])).result() == [{"a": 1, "b": 2, "again": 2}]
    with pytest.raises(exceptions.PyToRustValueMappingError, match="<b c>"):
        await conn.execute(query, make({"a": 1}))
    with pytest.raises(exceptions.PyToRustValueMappingError):
        await conn.execute("SELECT $1::int4", make({"a": 1}))
    await ensure_usable(conn)


async def test_placeholders_in_literals_and_comments_stay(conn: Connection) -> None:
    query = "SELECT '$(a)p' AS literal, $(a)p::int4 AS a /* $(b)p */"
    assert (await conn.execute(query, {"a": 1})).result() == [{"literal": "$(a)p", "a": 1}]


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("parameters", [None, [], [1], [1, 2, 3]], ids=repr)
async def test_too_few_and_too_many(conn: Connection, parameters: Any, prepared: bool) -> None:
    with pytest.raises(exceptions.PyToRustValueMappingError, match="takes 2 parameters"):
        await conn.execute("SELECT $1::int4, $2::int4", parameters, prepared)
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_a_parameter_without_a_type_is_text(conn: Connection, prepared: bool) -> None:
    # There is a text form of an int, so it is taken.
    for value, text in (("a", "a"), (5, "5"), (None, None)):
        assert await conn.fetch_val("SELECT $1", [value], prepared) == text


# execute_many


async def test_an_error_of_execute_many_is_that_of_a_statement(conn: Connection, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES (1 / $1::int4)"
    with pytest.raises(exceptions.ConnectionExecuteError) as caught:
        await conn.execute_many(insert, [[1], [0]])
    assert isinstance(caught.value, exceptions.DivisionByZero)
    assert not await conn.in_transaction()
    async with conn.transaction() as transaction:
        await transaction.create_savepoint("a")
        with pytest.raises(exceptions.TransactionExecuteError):
            await transaction.execute_many(insert, [[1], [0]])
        await transaction.rollback_savepoint("a")
        # Rows are not converted before they are known to fit, and then none is stored.
        with pytest.raises(TypeError):
            await transaction.execute_many(insert, [[1], [[2]]])
        await transaction.rollback_savepoint("a")
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_execute_many_is_all_or_nothing(conn: Connection, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES (1 / $1::int4)"
    assert await conn.execute_many(insert, [[1], [1]]) is None  # type: ignore[func-returns-value]
    with pytest.raises(exceptions.DivisionByZero):
        await conn.execute_many(insert, [[1], [0], [1]])
    with pytest.raises(exceptions.PyToRustValueMappingError):
        await conn.execute_many(insert, [[1], ["x", "y"]])
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 2
    await ensure_usable(conn)


async def test_execute_many_takes_part_in_a_transaction(conn: Connection, table: str) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    await transaction.execute_many(f"INSERT INTO {table} VALUES ($(a)p)", [{"a": 1}, {"a": 2}])
    await transaction.rollback()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_execute_many_without_rows_executes_nothing(conn: Connection) -> None:
    nothing: list[Any] = [None, []]
    for rows in nothing:
        await conn.execute_many("no statement at all", rows)
    with pytest.raises(TypeError, match="generator"):
        await conn.execute_many("SELECT $1::int4", (row for row in [[1]]))  # type: ignore[arg-type]
    await ensure_usable(conn)


# Prepared statements


async def test_prepare_binds_and_execute_repeats(conn: Connection) -> None:
    statement = await conn.prepare("SELECT $1::int4 AS a, $2::text AS b", [1, "x"])
    for _ in range(2):
        assert (await statement.execute()).result() == [{"a": 1, "b": "x"}]
    assert [(column.name, column.table_oid) for column in statement.columns()] == [("a", None), ("b", None)]
    [column] = (await conn.prepare("SELECT relname FROM pg_class")).columns()
    assert (column.name, column.table_oid) == ("relname", 1259)


async def test_what_prepare_refuses(conn: Connection) -> None:
    with pytest.raises(TypeError, match=r"\$1"):
        await conn.prepare("SELECT $1::int4", [[1]])
    # Found at once, not at the execution.
    for parameters in ([], [1, 2]):
        with pytest.raises(exceptions.PyToRustValueMappingError, match="takes 1 parameter"):
            await conn.prepare("SELECT $1::int4", parameters)
    with pytest.raises(exceptions.DatabaseError, match="syntax error"):
        await conn.prepare("SELEC")
    await ensure_usable(conn)


async def test_a_cursor_of_a_prepared_statement_is_started(conn: Connection) -> None:
    cursor = (await conn.prepare("SELECT generate_series(1, $1::int4) AS n", [3])).cursor()
    with pytest.raises(exceptions.BaseCursorError):
        await cursor.fetchone()
    await cursor.start()
    assert len(await cursor.fetchall()) == 3
    await cursor.close()
    await ensure_usable(conn)


# pipeline


async def test_pipeline_takes_tuples_with_and_without_parameters(pool: ConnectionPool, table: str) -> None:
    async with pool.transaction() as transaction:
        results = await transaction.pipeline(
            [
                (f"INSERT INTO {table} VALUES ($1)", [1]),
                (f"INSERT INTO {table} VALUES ($(id)p)", {"id": 2}),
                (f"SELECT count(*) AS n FROM {table}", None),
                ("SELECT 5 AS n",),
                ("SELECT 6 AS n", []),
            ]
        )
        assert [result.result() for result in results] == [[], [], [{"n": 2}], [{"n": 5}], [{"n": 6}]]
        assert await transaction.pipeline([]) == await transaction.pipeline() == []
        with pytest.raises(exceptions.PyToRustValueMappingError, match="query 1"):
            await transaction.pipeline(["SELECT 1"])
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2


async def test_an_error_in_a_pipeline_undoes_it_and_what_follows_is_not_executed(
    conn: Connection, table: str
) -> None:
    insert = (f"INSERT INTO {table} VALUES (1)",)
    async with conn.transaction() as transaction:
        with pytest.raises(exceptions.DivisionByZero, match="query 2: ") as caught:
            await transaction.pipeline([insert, ("SELECT 1 / 0",), insert])
        assert isinstance(caught.value, exceptions.ConnectionExecuteError)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)
