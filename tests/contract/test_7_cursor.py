"""The rows about cursors, as both generations of the Rust driver were seen to behave; ours where that loses data."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

import pytest

import psqlpy
from psqlpy import Connection, Cursor, QueryResult, Transaction, exceptions
from tests._async.usable import ensure_usable

TWENTY = "SELECT g FROM generate_series(1, 20) AS g"


def numbers(result: QueryResult) -> list[Any]:
    return [row[0] for row in result.result(as_tuple=True)]


UNTIL_08 = """
    start close fetch fetch_next fetch_prior fetch_first fetch_last fetch_absolute fetch_relative fetch_forward_all
    fetch_backward fetch_backward_all
"""
FROM_013 = (
    "start",
    "execute",
    "fetchone",
    "fetchmany",
    "fetchall",
    "close",
    "is_closed",
    "array_size",
    "querystring",
)


@pytest.mark.parametrize(
    "name", [*UNTIL_08.split(), *FROM_013, "parameters", "conn_dbname", "hosts", "options"]
)
def test_a_cursor_has_the_names_of_both_generations(name: str) -> None:
    assert hasattr(Cursor, name)


@pytest.mark.parametrize("owner", [Connection, Transaction])
def test_cursor_takes_the_parameters_of_both_generations(owner: type[Connection | Transaction]) -> None:
    names = list(inspect.signature(owner.cursor).parameters)[1:]
    assert names == ["querystring", "parameters", "fetch_number", "scroll", "prepared", "array_size"]


def test_the_names_of_the_extension_module() -> None:
    # It may have been imported before, and warns once.
    sys.modules.pop("psqlpy._internal", None)
    with pytest.warns(PendingDeprecationWarning):
        internal = importlib.import_module("psqlpy._internal")
    for name in ("Cursor", "PreparedStatement", "Column"):
        assert getattr(internal, name) is getattr(psqlpy, name)


async def test_defect_1_closing_a_cursor_rolls_the_transaction_back(conn: Connection) -> None:
    await conn.execute("CREATE TEMP TABLE defect_1 (id int4)")
    async with conn.transaction() as transaction:
        await transaction.execute("INSERT INTO defect_1 VALUES (1)")
        async with transaction.cursor("SELECT 1"):
            pass
        assert await conn.in_transaction()
        await transaction.execute("INSERT INTO defect_1 VALUES (2)")
    assert await conn.fetch_val("SELECT count(*) FROM defect_1") == 2


async def test_closing_one_of_two_cursors_outside_a_transaction_leaves_the_other(conn: Connection) -> None:
    one, two = conn.cursor("SELECT 1 AS a"), conn.cursor("SELECT 2 AS a")
    await one.start()
    await two.start()
    one.close()
    assert (await two.fetchone()).result() == [{"a": 2}]


async def test_each_way_to_open_it_begins_no_transaction_and_close_rolls_none_back(
    conn: Connection, table: str
) -> None:
    started, executed = conn.cursor(TWENTY), conn.cursor()
    await started.start()
    await executed.execute(TWENTY)
    async with conn.cursor(TWENTY) as entered:
        await conn.execute(f"INSERT INTO {table} VALUES (1)")
        for cursor in (started, executed, entered):
            assert numbers(await cursor.fetchone()) == [1]
            assert not await conn.in_transaction()
            # A plain call does it, as in 0.13, and `await cursor.close()` as in 0.7.
            cursor.close()
            assert cursor.is_closed()
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1
    await ensure_usable(conn)


async def test_default_sizes_are_one_and_ten(conn: Connection) -> None:
    async with conn.cursor(TWENTY) as cursor:
        assert cursor.array_size == 1
        assert len(await cursor.fetchmany()) == 1
        assert len(await cursor.fetch()) == 10
        assert len(await cursor.fetchmany(-1)) == 9


async def test_fetching_at_the_end_gives_empty_results(conn: Connection) -> None:
    async with conn.cursor(TWENTY, array_size=3) as cursor:
        assert numbers(await cursor.fetchone()) == [1]
        assert numbers(await cursor.fetchmany(None)) == [2, 3, 4]
        assert numbers(await cursor.fetchmany(2)) == [5, 6]
        assert numbers(await cursor.fetchall()) == list(range(7, 21))
        for call in (cursor.fetchone, cursor.fetchmany, cursor.fetchall, cursor.fetch, cursor.fetch_next):
            result = await call()
            assert type(result) is QueryResult
            assert result.result() == []


@pytest.mark.parametrize("size", [0, -1])
async def test_fetchmany_of_no_rows_means_all_that_are_left(conn: Connection, size: int) -> None:
    async with conn.cursor(TWENTY) as cursor:
        await cursor.fetch(5)
        assert numbers(await cursor.fetchmany(size)) == list(range(6, 21))


async def test_iterating_gives_results_of_array_size(conn: Connection) -> None:
    async with conn.cursor(TWENTY, array_size=8) as cursor:
        assert [len(result) async for result in cursor] == [8, 8, 4]
        with pytest.raises(StopAsyncIteration):
            await cursor.__anext__()
    async with conn.cursor("SELECT 1 WHERE false") as cursor:
        assert [result async for result in cursor] == []


async def test_an_unstarted_cursor_raises_what_either_generation_raised(conn: Connection) -> None:
    with pytest.raises(exceptions.TransactionClosedError):
        await conn.cursor("SELECT 1").fetchone()
    with pytest.raises(exceptions.TransactionClosedError):
        async for _ in conn.cursor("SELECT 1"):
            pass
    with pytest.raises(exceptions.CursorStartError, match="no statement"):
        await conn.cursor().start()
    await ensure_usable(conn)


async def test_a_closed_cursor_raises_what_either_generation_raised(conn: Connection) -> None:
    cursor = conn.cursor("SELECT 1")
    await cursor.start()
    await cursor.close()
    await cursor.close()
    for call in (cursor.fetch, cursor.fetchone, cursor.fetchall, cursor.fetch_last, cursor.start):
        with pytest.raises(exceptions.TransactionClosedError) as caught:
            await call()
        assert isinstance(caught.value, exceptions.CursorClosedError)
    await ensure_usable(conn)


async def test_starting_twice_is_an_error_and_leaves_the_cursor_open(conn: Connection) -> None:
    async with conn.cursor(TWENTY) as cursor:
        assert numbers(await cursor.fetchone()) == [1]
        with pytest.raises(exceptions.CursorStartError, match="already started"):
            await cursor.start()
        assert numbers(await cursor.fetchone()) == [2]


async def test_executing_twice_is_fine(conn: Connection) -> None:
    async with conn.cursor() as cursor:
        await cursor.execute("SELECT $1::int4 AS g", [5])
        await cursor.execute(TWENTY)
        assert numbers(await cursor.fetchall()) == list(range(1, 21))
        assert (cursor.querystring, cursor.parameters) == (TWENTY, None)
        with pytest.raises(AttributeError):
            cursor.querystring = "SELECT 1"  # type: ignore[misc]


async def test_a_cursor_is_gone_with_its_transaction(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        cursor = transaction.cursor(TWENTY)
        await cursor.start()
        await transaction.commit()
    assert cursor.is_closed()
    with pytest.raises(exceptions.TransactionClosedError):
        await cursor.fetchone()
    await ensure_usable(conn)


async def test_bad_sql_is_a_database_error(conn: Connection) -> None:
    for query in ("SELECT * FROM no_such_table", "SELECT 1 FROM", "SELEC 1"):
        with pytest.raises(exceptions.DatabaseError) as caught:
            await conn.cursor(query).start()
        assert isinstance(caught.value, exceptions.CursorStartError)
        # What the server says of it, whether or not it begins like a query.
        assert caught.value.sqlstate in ("42601", "42P01")
    assert str(caught.value).startswith('syntax error at or near "SELEC"')
    assert caught.value.position == 1
    await ensure_usable(conn)


async def test_what_is_refused_in_a_transaction_leaves_that_as_it_was(conn: Connection, table: str) -> None:
    async with conn.transaction() as transaction:
        for query in (f"INSERT INTO {table} VALUES (1)", "COPY pg_class TO STDOUT", "SELECT 1; SELECT 2", ""):
            with pytest.raises(exceptions.CursorStartError) as caught:
                await transaction.cursor(query).start()
            assert isinstance(caught.value, exceptions.ProgrammingError)
        await transaction.execute(f"INSERT INTO {table} VALUES (2)")
    assert (await conn.fetch(f"SELECT id FROM {table}")).result() == [{"id": 2}]


async def test_what_is_no_query_is_refused_and_not_executed(conn: Connection, table: str) -> None:
    for query in (f"CREATE TABLE {table}_more ()", f"INSERT INTO {table} VALUES (1) RETURNING id"):
        with pytest.raises(exceptions.CursorStartError, match="use execute"):
            await conn.cursor().execute(query)
    assert await conn.fetch_val("SELECT to_regclass($1)", [f"{table}_more"]) is None
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)


@pytest.mark.parametrize("inside", [True, False])
async def test_scroll(conn: Connection, inside: bool) -> None:
    """A join can't be read backward without SCROLL."""
    join = "SELECT a.g FROM generate_series(1, 9) AS a(g), generate_series(1, 1) AS b(g)"
    if inside:
        await conn.execute("BEGIN")
    async with conn.cursor(join, scroll=True) as cursor:
        await cursor.fetch(3)
        assert numbers(await cursor.fetch_prior()) == [2]
        assert numbers(await cursor.fetch_backward_all()) == [1]
        assert numbers(await cursor.fetch_absolute(9)) == [9]
    if inside:
        await conn.execute("COMMIT")
    for scroll in (None, False):
        async with conn.transaction() as transaction:
            async with transaction.cursor(join, scroll=scroll) as cursor:
                await cursor.fetch(3)
                with pytest.raises(exceptions.CursorFetchError) as caught:
                    await cursor.fetch_prior()
                assert isinstance(caught.value, exceptions.DatabaseError)
            await transaction.rollback()
    await ensure_usable(conn)


async def test_a_number_that_is_none(conn: Connection) -> None:
    async with conn.cursor(TWENTY, scroll=True) as cursor:
        wrong: Any = "1; DROP TABLE users"
        for call in (cursor.fetch, cursor.fetchmany, cursor.fetch_absolute, cursor.fetch_backward):
            with pytest.raises(TypeError, match="must be an int"):
                await call(wrong)
        with pytest.raises(ValueError, match="must be from"):
            await cursor.fetch_relative(2**31)
        assert numbers(await cursor.fetchone()) == [1]


async def test_properties_of_its_connection(conn: Connection) -> None:
    cursor = conn.cursor(TWENTY)
    for name in ("conn_dbname", "user", "host_addrs", "hosts", "ports", "options"):
        assert getattr(cursor, name) == getattr(conn, name)
