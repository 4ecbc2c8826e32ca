"""What bad input gets: a clear error, nothing executed, and the connection usable.

Long, since every kind of bad input meets everything that executes, prepared and not.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import Executor, ensure_answers, ensure_closed, ensure_usable

pytestmark = pytest.mark.loops(1)


@pytest.fixture(params=["connection", "pool", "transaction", "block"])
async def executor(request: pytest.FixtureRequest, pool: ConnectionPool) -> AsyncIterator[Executor]:
    """All that executes statements; of a pool of one, so that the pool uses the same connection again."""
    pool.resize(1)
    if request.param == "pool":
        yield pool
        return
    async with pool.acquire() as conn:
        if request.param == "connection":
            yield conn
        elif request.param == "transaction":
            transaction = conn.transaction()
            await transaction.begin()
            yield transaction
            if not transaction.is_closed():
                await transaction.rollback()
        else:
            # Nothing was sent yet: BEGIN travels with the first statement that is.
            async with conn.transaction() as transaction:
                yield transaction
                if not transaction.is_closed():
                    await transaction.rollback()


@pytest.fixture(params=[True, False], ids=["prepared", "unprepared"])
def prepared(request: pytest.FixtureRequest) -> bool:
    """Both ways to the server."""
    return bool(request.param)


async def refuse(
    executor: Executor,
    query: Any,
    parameters: Any,
    prepared: bool,
    error: type[exceptions.Error],
    said: str,
) -> None:
    """Assert that an execution raises and that the connection goes on."""
    with pytest.raises(error) as caught:
        await executor.execute(query, parameters, prepared)
    assert re.search(said, str(caught.value)), f"{query!r} {parameters!r}: {caught.value}"
    assert caught.value.sqlstate is None
    await ensure_answers(executor)


async def refuse_otherwise(
    executor: Executor, query: Any, rows: Any, error: type[exceptions.Error], said: str, *, batch: bool = True
) -> None:
    """Assert that `execute_many` and `execute_batch` raise and that the connection goes on."""
    with pytest.raises(error, match=said):
        await executor.execute_many(query, rows)
    await ensure_answers(executor)
    if batch and not isinstance(executor, ConnectionPool):
        with pytest.raises(error, match=said):
            await executor.execute_batch(query)
    await ensure_usable(executor)


WRONG_NUMBERS: list[tuple[str, Any, str]] = [
    ("SELECT $1::int4, $2::int4", [1], "the statement takes 2 parameters, 1 given"),
    ("SELECT $1::int4, $2::int4", [], "the statement takes 2 parameters, 0 given"),
    ("SELECT $1::int4, $2::int4", None, "the statement takes 2 parameters, 0 given"),
    ("SELECT $1::int4, $2::int4", (1, 2, 3), "the statement takes 2 parameters, 3 given"),
    ("SELECT $1::int4", None, "the statement takes 1 parameter, 0 given"),
    ("SELECT 1", [1], "the statement takes 0 parameters, 1 given"),
    ("SELECT 1", [1, 2], "the statement takes 0 parameters, 2 given"),
]


async def test_wrong_number_of_parameters(executor: Executor, prepared: bool) -> None:
    # The first use of a text, which the server describes, and one when its types are known.
    for known in (False, True):
        for query, parameters, said in WRONG_NUMBERS:
            if known:
                await executor.execute(query, list(range(query.count("$"))), prepared)
            await refuse(executor, query, parameters, prepared, exceptions.ParameterValueError, said)
    query, rows = "SELECT $1::int4, $2::int4", [[1, 2], [1]]
    await refuse_otherwise(
        executor, query, rows, exceptions.ParameterValueError, "takes 2.*1 given", batch=False
    )


UNFIT: list[tuple[str, object, str]] = [
    ("int4", 1.5, "float for int4"),
    ("int4", 2**31, "int for int4"),
    ("int4", [1], "list for int4"),
    ("int4", object(), "object for int4"),
    ("int2", 40_000, "int for int2"),
    ("date", 5, "int for date"),
    ("text", [1], "list for text"),
    ("text", {"a": 1}, "dict for text"),
    ("text", b"bytes", "bytes for text"),
    ("bytea", 5, "int for bytea"),
    ("bool", 2, "int for bool"),
    ("int4[]", 5, "int for int4[]"),
    ("int4[]", [1, object()], "list for int4[]"),
    ("uuid", 5, "int for uuid"),
    ("json", object(), "object for json"),
    ("timestamptz", 1.0, "float for timestamptz"),
    ("interval", date(2020, 1, 1), "date for interval"),
]


async def test_value_that_does_not_fit(executor: Executor, prepared: bool) -> None:
    for known in (False, True):
        for server_type, value, said in UNFIT:
            query = f"SELECT $1::text, $2::{server_type}"
            if known:
                await executor.execute(query, ["a", None], prepared)
            said = rf"\$2 \({re.escape(said)}\)"
            await refuse(executor, query, ["a", value], prepared, exceptions.PyToRustValueMappingError, said)
            with pytest.raises((TypeError, ValueError)):
                await executor.execute(query, ["a", value], prepared)
    query, rows = "SELECT $1::int4", [[1], [1.5]]
    said = r"row 2: parameter \$1 \(float for int4\)"
    await refuse_otherwise(executor, query, rows, exceptions.PyToRustValueMappingError, said, batch=False)


@pytest.mark.parametrize("value", ["x", "99999999999", ""])
async def test_str_that_the_server_refuses(conn: Connection, prepared: bool, value: str) -> None:
    query = "SELECT $1::text, $2::int4"
    for known in (False, True):
        if known:
            await conn.execute(query, ["a", 1], prepared)
        with pytest.raises(exceptions.ParameterValueError, match=r"parameter \$2") as caught:
            await conn.execute(query, ["a", value], prepared)
        assert caught.value.sqlstate in ("22P02", "22003")
        assert isinstance(caught.value, exceptions.DataError)
        await ensure_usable(conn)


async def test_str_that_the_server_refuses_aborts_a_transaction(conn: Connection, prepared: bool) -> None:
    with pytest.raises(exceptions.ParameterValueError) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute("SELECT $1::int4", ["x"], prepared)
    assert caught.value.sqlstate == "22P02"
    assert isinstance(caught.value, exceptions.TransactionExecuteError)
    await ensure_usable(conn)


async def test_nul_and_lone_surrogates_in_a_parameter(executor: Executor, prepared: bool) -> None:
    for text, said in (("a\0b", "NUL"), ("a\ud800", "surrogate")):
        for server_type in ("text", "varchar", "int4", "json", "text[]"):
            query = f"SELECT $1::{server_type} AS {said}"
            value = [text] if server_type == "text[]" else text
            await refuse(executor, query, [value], prepared, exceptions.ParameterValueError, said)
            await executor.execute(query, [None], prepared)
            await refuse(executor, query, [value], prepared, exceptions.ParameterValueError, said)
    await ensure_usable(executor)


async def test_nul_in_the_query(executor: Executor, prepared: bool) -> None:
    said = "query contains a NUL"
    for query in ("SELECT 'a\0b'", "SELECT 1\0", "\0", "-- \0\nSELECT 1"):
        await refuse(executor, query, None, prepared, exceptions.ParameterValueError, said)
        await refuse_otherwise(executor, query, [[]], exceptions.ParameterValueError, said)


async def test_lone_surrogate_in_the_query(executor: Executor, prepared: bool) -> None:
    said = "query contains a lone surrogate"
    await refuse(executor, "SELECT 'a\ud800'", None, prepared, exceptions.ParameterValueError, said)
    await refuse_otherwise(executor, "SELECT 'a\ud800'", [[]], exceptions.ParameterValueError, said)


async def test_query_that_is_no_str(executor: Executor, prepared: bool) -> None:
    for query in (b"SELECT 1", None, 5, ["SELECT 1"]):
        said = f"the query must be a str, not {type(query).__name__}"
        await refuse(executor, query, None, prepared, exceptions.ParameterTypeError, said)
        await refuse_otherwise(executor, query, [[]], exceptions.ParameterTypeError, said)


async def test_more_parameters_than_the_protocol_counts(conn: Connection, prepared: bool) -> None:
    count = 65_536
    said = f"a statement can have 65535 parameters, {count} given"
    many = f"SELECT 1 WHERE 1 IN ({', '.join(f'${n}::int4' for n in range(1, count + 1))})"
    for query in ("SELECT $1::int4", many):
        await refuse(conn, query, [1] * count, prepared, exceptions.ParameterValueError, said)
    await ensure_usable(conn)


def wide(count: int) -> str:
    """A statement with so many parameters."""
    return f"SELECT ARRAY[{', '.join(f'${n}::int4' for n in range(1, count + 1))}] AS a, 'x'::text, 1::float8"


@pytest.mark.parametrize("count", [7498, 7499, pytest.param(65_535, marks=pytest.mark.long)])
async def test_wide_statements(conn: Connection, prepared: bool, count: int) -> None:
    """libpq can't take the description of more than 7,498."""
    query = wide(count)
    for values in (list(range(count)), [None] * count):
        row = await conn.fetch_row(query, values, prepared)
        assert row.result(as_tuple=True) == (values, "x", 1.0)
    many = list(range(count - 1))
    said = f"takes {count} parameters, {count - 1} given"
    if prepared and count == 7499:
        said = "more than 7498 parameters"
    await refuse(conn, query, many, prepared, exceptions.ParameterValueError, said)
    said = f"parameter .{count} "
    await refuse(conn, query, [*many, object()], prepared, exceptions.ParameterTypeError, said)
    left = "SELECT count(*) FROM pg_prepared_statements WHERE length(statement) > 10000"
    assert await conn.fetch_val(left) == 0
    await ensure_usable(conn)


async def test_as_many_parameters_as_the_protocol_counts(conn: Connection) -> None:
    query, values = wide(65_535), list(range(65_535))
    row = await conn.fetch_row(query, values)
    assert row.result(as_tuple=True) == (values, "x", 1.0)
    with pytest.raises(exceptions.ParameterValueError, match="not in execute_many"):
        await conn.execute_many(query, [values])
    await ensure_usable(conn)


async def test_text_that_looks_like_many_parameters(conn: Connection, prepared: bool) -> None:
    text = "$7499 $65536 " * 4000
    assert await conn.fetch_val(f"SELECT length('{text}')", None, prepared) == len(text)
    await ensure_usable(conn)


async def test_too_many_parameters_to_describe_in_a_transaction(conn: Connection) -> None:
    places = ", ".join(f"(${2 * n + 1}, ${2 * n + 2})" for n in range(5000))
    values = [value for n in range(5000) for value in (n, f"name {n}")]
    await conn.execute("CREATE TEMP TABLE wide (id int2 PRIMARY KEY, name text)")
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO wide VALUES {places}", values)
        assert await transaction.fetch_val("SELECT sum(id) FROM wide") == sum(range(5000))
    with pytest.raises(exceptions.UniqueViolation):
        await conn.execute(f"INSERT INTO wide VALUES {places}", values)
    with pytest.raises(exceptions.UndefinedTable):
        await conn.execute(f"INSERT INTO wider VALUES {places}", values)
    assert await conn.fetch_val("SELECT count(*) FROM wide") == 5000
    assert not await conn.in_transaction()


TWO_STATEMENTS = [
    "SELECT 1; SELECT 2",
    "SELECT $1::int4; SELECT 2",
    ";SELECT 1;;SELECT 2",
    "BEGIN; COMMIT",
    "/* ; */ SELECT ';'; -- ;\nDELETE FROM x",
]


async def test_two_statements(executor: Executor, prepared: bool) -> None:
    said = "more than one statement.*execute_batch"
    for query in TWO_STATEMENTS:
        parameters = [1] if "$1" in query else None
        for _ in range(2):
            await refuse(executor, query, parameters, prepared, exceptions.ProgrammingError, said)
    await refuse_otherwise(executor, TWO_STATEMENTS[1], [[1]], exceptions.ProgrammingError, said, batch=False)


COPIES = [
    "COPY pg_class TO STDOUT",
    "copy pg_class to stdout",
    "CoPy (SELECT 1) TO StdOut WITH (FORMAT binary)",
    "COPY (SELECT 'stdin' FROM pg_class) TO STDOUT",
    "-- a comment\n/* and /* another */ */ COPY pg_class TO STDOUT;",
    "; COPY pg_class TO STDOUT",
    "COPY target FROM STDIN",
    "copy target (a) from stdin csv",
    "COPY/**/target/**/FROM/**/STDIN",
    "COPY target FROM STDOUT",
    "COPY target TO STDIN",
]


async def test_copy_over_the_connection(executor: Executor, prepared: bool) -> None:
    said = "COPY.*its data"
    for query in COPIES:
        for _ in range(2):
            await refuse(executor, query, None, prepared, exceptions.ProgrammingError, said)
    await refuse_otherwise(executor, COPIES[0], [[]], exceptions.ProgrammingError, said, batch=False)


async def test_parameter_list_that_is_none(executor: Executor, prepared: bool) -> None:
    lists: list[object] = ["ab", "", {1}, set(), (n for n in [1]), 5, 0, False, object()]
    for query in ("SELECT $1::int4", "SELECT $(a)p::int4", "SELECT 1"):
        for parameters in lists:
            said = f"must be sequence or mapping, not {type(parameters).__name__}"
            await refuse(executor, query, parameters, prepared, exceptions.ParameterTypeError, said)
    query = "SELECT $1::int4"
    for parameters in lists:
        with pytest.raises(exceptions.ParameterTypeError):
            await executor.execute_many(query, [[1], parameters])
    await ensure_usable(executor)


async def test_bytes_as_parameter_list(executor: Executor, prepared: bool) -> None:
    # Bytes themselves are a list of ints, as in psqlpy.
    for parameters in (bytearray(b"ab"), memoryview(b"ab")):
        for query in ("SELECT $1::int4, $2::int4", "SELECT $(a)p::int4, $(b)p::int4", "SELECT 1"):
            await refuse(
                executor, query, parameters, prepared, exceptions.PyToRustValueMappingError, "parameters"
            )
    await ensure_usable(executor)


EMPTY = ["", " ", ";", " ; ;\n", "-- nothing", "/* nothing /* at */ all */", "\t-- a\n;/* b */;"]


async def test_empty_statement_is_no_error(executor: Executor, prepared: bool) -> None:
    for query in EMPTY:
        for _ in range(2):
            result = await executor.execute(query, None, prepared)
            assert result.result() == []
            assert result.result(as_tuple=True) == []
            assert result.columns == ()
            assert result.command_tag == ""
            await ensure_answers(executor)
        await executor.execute_many(query, [[], []])
        with pytest.raises(exceptions.NoRowsError):
            await executor.fetch_row(query, None, prepared)
        await refuse(executor, query, [1], prepared, exceptions.ParameterValueError, "0 parameters, 1 given")
        if not isinstance(executor, ConnectionPool):
            await executor.execute_batch(query)
    await ensure_usable(executor)


async def test_nothing_is_executed(pool: ConnectionPool, prepared: bool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1, $2)"
    bad: list[tuple[str, Any]] = [
        (insert, [1]),
        (insert, [1, "a", 2]),
        (insert, [1, "a\0"]),
        (insert, [1.5, "a"]),
        (insert, ["x", "a"]),
        (insert, {1, "a"}),
        (f"INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2)", None),
        (f"INSERT INTO {table} VALUES (1, 'a\0')", None),
    ]
    async with pool.acquire() as conn:
        for query, parameters in bad:
            for executor in (conn, pool):
                with pytest.raises(exceptions.Error):
                    await executor.execute(query, parameters, prepared)
        assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
        await ensure_usable(conn)


async def test_bad_input_as_first_statement_leaves_the_transaction_one(
    conn: Connection, prepared: bool, table: str
) -> None:
    insert = f"INSERT INTO {table} VALUES ($1, $2)"
    await conn.execute(insert, [0, "known to the server"], prepared)
    bad: list[tuple[str, Any]] = [
        (insert, [1]),
        (insert, [1.5, "a"]),
        (insert, {1}),
        ("SELECT 1; SELECT 2", None),
        ("COPY x TO STDOUT", None),
        ("SELECT '\0'", None),
        ("SELECT '\ud800'", None),
    ]
    for query, parameters in bad:
        with pytest.raises(ZeroDivisionError):
            async with conn.transaction() as transaction:
                with pytest.raises(exceptions.Error):
                    await transaction.execute(query, parameters, prepared)
                await transaction.execute(insert, [1, "a"], prepared)
                raise ZeroDivisionError
        assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1, query
        await ensure_usable(conn)


async def test_bad_timeout_leaves_the_transaction_one(conn: Connection, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    bad: Any = "soon"
    with pytest.raises(ZeroDivisionError):
        async with conn.transaction() as transaction:
            with pytest.raises((TypeError, ValueError)):
                await transaction.execute(insert, [1], timeout=bad)
            await transaction.execute(insert, [2])
            raise ZeroDivisionError
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)


# Things that are over


async def test_returned_connection(pool: ConnectionPool, prepared: bool) -> None:
    conn = await pool.connection()
    transaction = conn.transaction()
    await transaction.begin()
    conn.close()
    said = "connection is returned to the pool: acquire another one from the pool"
    for executor in (conn, transaction):
        with pytest.raises(exceptions.ConnectionClosedError, match=said):
            await executor.execute("SELECT 1", None, prepared)
        with pytest.raises(exceptions.ConnectionClosedError, match=said):
            await executor.fetch("SELECT 1", None, prepared)
        with pytest.raises(exceptions.ConnectionClosedError, match=said):
            await executor.fetch_row("SELECT 1", None, prepared)
        with pytest.raises(exceptions.ConnectionClosedError, match=said):
            await executor.fetch_val("SELECT 1", None, prepared)
        with pytest.raises(exceptions.ConnectionClosedError, match=said):
            await executor.execute_many("SELECT $1::int4", [[1]], prepared)
        with pytest.raises(exceptions.ConnectionClosedError, match=said):
            await executor.execute_batch("SELECT 1")
    with pytest.raises(exceptions.ConnectionClosedError, match=said):
        conn.transaction()
    with pytest.raises(exceptions.ConnectionClosedError, match=said):
        await conn.in_transaction()
    with pytest.raises(exceptions.ConnectionClosedError, match=said):
        await conn.cancel()
    with pytest.raises(exceptions.ConnectionClosedError, match=said):
        await transaction.commit()
    with pytest.raises(exceptions.ConnectionClosedError, match=said):
        async with conn:
            pytest.fail("a returned connection was entered")
    await ensure_closed(conn)
    conn.close()
    assert pool.status().available == 1
    await ensure_usable(pool)


async def test_connection_that_was_not_acquired(pool: ConnectionPool) -> None:
    conn = pool.acquire()
    with pytest.raises(exceptions.ConnectionClosedError, match=r"not acquired yet"):
        await conn.execute("SELECT 1")
    async with conn:
        await ensure_usable(conn)
    await ensure_closed(conn)


async def test_closed_pool(dsn: str, prepared: bool) -> None:
    pool = ConnectionPool(dsn, max_db_pool_size=2)
    await ensure_usable(pool)
    pool.close()
    said = "pool has been closed"
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        await pool.connection()
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        async with pool.acquire():
            pytest.fail("a closed pool gave a connection")
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        await pool.execute("SELECT 1", None, prepared)
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        await pool.fetch("SELECT 1", None, prepared)
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        await pool.fetch_row("SELECT 1", None, prepared)
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        await pool.fetch_val("SELECT 1", None, prepared)
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        await pool.execute_many("SELECT $1::int4", [[1]], prepared)
    with pytest.raises(exceptions.BaseConnectionPoolError, match=said):
        await pool.startup()


async def test_finished_transaction(conn: Connection, prepared: bool) -> None:
    for commit in (True, False):
        transaction = conn.transaction()
        await transaction.begin()
        await (transaction.commit() if commit else transaction.rollback())
        said = "transaction is already committed or rolled back"
        with pytest.raises(exceptions.TransactionFinishedError, match=said) as caught:
            await transaction.execute("SELECT 1", None, prepared)
        assert isinstance(caught.value, exceptions.TransactionClosedError)
        assert isinstance(caught.value, exceptions.TransactionBeginError)
        with pytest.raises(exceptions.TransactionFinishedError, match=said):
            await transaction.fetch_val("SELECT 1", None, prepared)
        with pytest.raises(exceptions.TransactionFinishedError, match=said):
            await transaction.execute_many("SELECT $1::int4", [[1]], prepared)
        with pytest.raises(exceptions.TransactionFinishedError, match=said):
            await transaction.execute_batch("SELECT 1")
        await ensure_usable(conn)


@pytest.mark.parametrize("size", [0, -1, True, "5", 1.0])
async def test_size_of_a_pool(dsn: str, pool: ConnectionPool, size: Any) -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="max_db_pool_size") as caught:
        ConnectionPool(dsn, max_db_pool_size=size)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="new_max_size"):
        pool.resize(size)
    assert pool.status().max_size == 4
    await ensure_usable(pool)
