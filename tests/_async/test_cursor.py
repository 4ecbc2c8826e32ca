"""Cursors, as both generations of the Rust driver call them, inside and outside of transactions."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, Cursor, QueryResult, exceptions
from tests._async.usable import ensure_answers, ensure_idle, ensure_usable

pytestmark = pytest.mark.loops(2)

TEN = "SELECT g FROM generate_series(1, 10) AS g"


def numbers(result: QueryResult) -> list[int]:
    return [row[0] for row in result.result(as_tuple=True)]


async def open_cursors(conn: Any) -> int:
    """The cursors on the server; the question itself is a portal without a name."""
    count: int = await conn.fetch_val("SELECT count(*) FROM pg_cursors WHERE name <> ''")
    return count


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("prepared", [None, False])
async def test_scrolling(conn: Connection, inside: bool, prepared: bool | None) -> None:
    if inside:
        await conn.execute("BEGIN")
    async with conn.cursor(
        "SELECT g FROM generate_series(1, $1::int4) AS g", [10], 3, True, prepared
    ) as cursor:
        assert numbers(await cursor.fetch()) == [1, 2, 3]
        assert numbers(await cursor.fetch(2)) == [4, 5]
        assert numbers(await cursor.fetch_next()) == [6]
        assert numbers(await cursor.fetch_prior()) == [5]
        assert numbers(await cursor.fetch_first()) == [1]
        assert numbers(await cursor.fetch_last()) == [10]
        assert numbers(await cursor.fetch_absolute(7)) == [7]
        assert numbers(await cursor.fetch_absolute(-2)) == [9]
        assert numbers(await cursor.fetch_relative(-4)) == [5]
        assert numbers(await cursor.fetch_backward(2)) == [4, 3]
        assert numbers(await cursor.fetch_backward_all()) == [2, 1]
        assert numbers(await cursor.fetch_forward_all()) == list(range(1, 11))
        assert numbers(await cursor.fetch(-1)) == [10]
        assert numbers(await cursor.fetch(0)) == [10]
        assert await open_cursors(conn) == 1
    assert await open_cursors(conn) == 0
    assert await conn.in_transaction() is inside
    if inside:
        await conn.execute("ROLLBACK")
    await ensure_usable(conn)


@pytest.mark.parametrize("inside", [True, False])
async def test_fetching(conn: Connection, inside: bool) -> None:
    if inside:
        await conn.execute("BEGIN")
    cursor = conn.cursor()
    await cursor.execute(TEN)
    assert numbers(await cursor.fetchone()) == [1]
    assert numbers(await cursor.fetchmany(3)) == [2, 3, 4]
    cursor.array_size = 2
    assert numbers(await cursor.fetchmany()) == [5, 6]
    assert numbers(await cursor.fetchall()) == [7, 8, 9, 10]
    for nothing in (await cursor.fetchone(), await cursor.fetchmany(2), await cursor.fetchall()):
        assert nothing.result() == []
    # Another statement closes the one before.
    await cursor.execute("SELECT $1::text AS t", ["x"])
    assert (cursor.querystring, cursor.parameters) == ("SELECT $1::text AS t", ["x"])
    assert (await cursor.fetchmany(0)).result() == [{"t": "x"}]
    assert await open_cursors(conn) == 1
    await cursor.close()
    assert await open_cursors(conn) == 0
    if inside:
        await conn.execute("COMMIT")
    await ensure_usable(conn)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({}, [1] * 10),
        ({"array_size": 4}, [4, 4, 2]),
        ({"fetch_number": 5}, [5, 5]),
        ({"fetch_number": 5, "array_size": 10}, [10]),
        ({"array_size": 0}, [10]),
    ],
)
async def test_iterating(conn: Connection, sizes: dict[str, Any], expected: list[int]) -> None:
    async with conn.cursor(TEN, **sizes) as cursor:
        found = [numbers(result) async for result in cursor]
    assert [len(part) for part in found] == expected
    assert [number for part in found for number in part] == list(range(1, 11))
    async with conn.cursor("SELECT 1 WHERE false") as cursor:
        assert [result async for result in cursor] == []


async def test_a_plain_close_is_one_too(conn: Connection) -> None:
    for _ in range(3):
        cursor = conn.cursor(TEN)
        await cursor.start()
        cursor.close()
        cursor.close()
        assert cursor.is_closed()
    assert await open_cursors(conn) == 0
    await ensure_usable(conn)


async def test_several_at_once(conn: Connection) -> None:
    async with conn.cursor(TEN) as one, conn.cursor(TEN) as two, conn.transaction() as transaction:
        async with transaction.cursor(TEN) as three:
            for expected in range(1, 11):
                for cursor in (one, two, three):
                    assert numbers(await cursor.fetchone()) == [expected]
        assert numbers(await one.fetch_next()) == []
        await one.close()
        assert await open_cursors(conn) == 1
        assert not two.is_closed()
    await ensure_usable(conn)


async def test_what_a_cursor_does_to_transactions(conn: Connection, table: str) -> None:
    """Nothing: neither the caller's is ended by closing it, nor do statements outside of one fall into the cursor's."""
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1, 'a')")
        async with transaction.cursor(TEN) as cursor:
            await cursor.fetchone()
        await transaction.execute(f"INSERT INTO {table} VALUES (2, 'b')")
    async with conn.cursor(TEN) as cursor:
        assert not await conn.in_transaction()
        await conn.execute(f"INSERT INTO {table} VALUES (3, 'c')")
        with pytest.raises(exceptions.DivisionByZero):
            await conn.execute("SELECT 1/0")
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (4, 'd')")
            await transaction.rollback()
        assert numbers(await cursor.fetchone()) == [1]
    assert numbers(await conn.fetch(f"SELECT id FROM {table} ORDER BY id")) == [1, 2, 3]


async def test_a_cursor_ends_with_its_transaction(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        cursor = transaction.cursor(TEN)
        await cursor.start()
    assert cursor.is_closed()
    with pytest.raises(exceptions.TransactionClosedError, match="gone with its transaction"):
        await cursor.fetchone()
    await cursor.close()
    async with conn.transaction() as transaction:
        # Neither closing nor dropping an old one harms another transaction.
        await cursor.close()
        assert await transaction.fetch_val("SELECT 1") == 1
    await ensure_idle(conn)


@pytest.mark.parametrize("end", ["close", "drop", "block", "execute"])
async def test_a_cursor_that_went_with_a_savepoint(conn: Connection, end: str) -> None:
    """There is nothing to close on the server any more: trying would abort the transaction."""
    async with conn.transaction() as transaction:
        await transaction.create_savepoint("a")
        cursor: Cursor | None = transaction.cursor(TEN)
        assert cursor is not None
        await cursor.start()
        await transaction.rollback_savepoint("a")
        if end == "close":
            await cursor.close()
        elif end == "block":
            await cursor.__aexit__(None, None, None)
        elif end == "execute":
            await cursor.execute(TEN)
            assert numbers(await cursor.fetchone()) == [1]
        cursor = None
        gc.collect()
        assert await transaction.fetch_val("SELECT 1") == 1
        assert await open_cursors(transaction) == 0
    await ensure_usable(conn)


@pytest.mark.parametrize("inside", [True, False])
async def test_a_dropped_cursor_leaves_nothing(conn: Connection, inside: bool) -> None:
    if inside:
        await conn.execute("BEGIN")
    cursor = conn.cursor(TEN)
    await cursor.start()
    del cursor
    gc.collect()
    assert await open_cursors(conn) == 0
    assert await conn.in_transaction() is inside


async def test_a_connection_given_back_has_no_cursors(pool: ConnectionPool) -> None:
    pool.resize(1)
    async with pool.acquire() as conn:
        pid = conn.backend_pid
        cursor = conn.cursor("SELECT 1")
        await cursor.start()
    assert cursor.is_closed()
    async with pool.acquire() as conn:
        assert conn.backend_pid == pid
        assert await open_cursors(conn) == 0
        with pytest.raises(exceptions.ConnectionClosedError):
            await cursor.fetchone()
        await cursor.close()
        await ensure_usable(conn)


async def call_nothing(cursor: Cursor) -> None:
    """Leave it as it was made."""


async def start_and_close(cursor: Cursor) -> None:
    await cursor.start()
    await cursor.close()


@pytest.mark.parametrize("before", [call_nothing, start_and_close])
async def test_fetching_from_what_is_not_open(conn: Connection, before: Callable[[Cursor], Any]) -> None:
    cursor = conn.cursor(TEN)
    await before(cursor)
    for call in (
        cursor.fetch,
        cursor.fetch_next,
        cursor.fetchone,
        cursor.fetchall,
        cursor.fetch_last,
        cursor.__anext__,
    ):
        with pytest.raises(exceptions.CursorNotOpenError, match="cursor is") as caught:
            await call()
        for family in ("CursorClosedError", "CursorFetchError", "TransactionClosedError"):
            assert isinstance(caught.value, getattr(exceptions, family))
    await ensure_usable(conn)


async def test_starting_in_odd_orders(conn: Connection) -> None:
    with pytest.raises(exceptions.CursorStartError, match="no statement"):
        await conn.cursor().start()
    cursor = conn.cursor(TEN)
    await cursor.start()
    with pytest.raises(exceptions.CursorStartError, match="already started"):
        await cursor.start()
    assert numbers(await cursor.fetchone()) == [1]
    await cursor.close()
    with pytest.raises(exceptions.CursorClosedError):
        await cursor.start()
    with pytest.raises(exceptions.CursorClosedError):
        await cursor.execute(TEN)
    unused = conn.cursor(TEN)
    await unused.close()
    with pytest.raises(exceptions.CursorClosedError):
        await unused.start()
    with pytest.raises(exceptions.TransactionBeginError, match="not started"):
        await conn.transaction().cursor(TEN).start()
    await ensure_usable(conn)


REFUSED: list[tuple[str, list[object] | None, type[Exception]]] = [
    ("SELECT 1/0", None, exceptions.DivisionByZero),
    ("SELECT * FROM no_such_table", None, exceptions.UndefinedTable),
    ("SELECT $1::int4", ["x"], exceptions.ParameterValueError),
    ("SELECT $1::int4", [[]], exceptions.ParameterTypeError),
    ("SELECT $1::int4", None, exceptions.ParameterValueError),
    ("SELECT 1; SELECT 2", None, exceptions.ProgrammingError),
    ("CREATE TABLE never (id int)", None, exceptions.CursorStartError),
    ("SELECT 1 \0", None, exceptions.ParameterValueError),
]


@pytest.mark.parametrize(("query", "parameters", "kind"), REFUSED)
async def test_what_cannot_be_opened(
    conn: Connection, query: str, parameters: list[object] | None, kind: type[Exception]
) -> None:
    cursor = conn.cursor(query, parameters)
    with pytest.raises(kind):
        # Not before the first row is asked for where the server computes rows one by one.
        await cursor.start()
    assert await open_cursors(conn) == 0
    await ensure_usable(conn)
    # It is as new.
    await cursor.execute(TEN)
    assert numbers(await cursor.fetchone()) == [1]


async def test_an_error_points_at_the_statement_as_given(conn: Connection) -> None:
    with pytest.raises(exceptions.CursorStartError) as caught:
        await conn.cursor("WITH d AS (DELETE FROM pg_class RETURNING 1) SELECT * FROM d").start()
    assert isinstance(caught.value, exceptions.DatabaseError)
    assert caught.value.position in (None, 6)
    await ensure_usable(conn)


async def test_an_error_while_fetching(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        async with transaction.cursor("SELECT 1/(3 - g) FROM generate_series(1, 5) AS g") as cursor:
            assert numbers(await cursor.fetchmany(2)) == [0, 1]
            with pytest.raises(exceptions.CursorFetchError) as caught:
                await cursor.fetchone()
            assert isinstance(caught.value, exceptions.DivisionByZero)
        # As after any error in it, and the cursor's end has changed nothing.
        with pytest.raises(exceptions.InFailedSqlTransaction):
            await transaction.execute("SELECT 1")
        await transaction.rollback()
    await ensure_usable(conn)


async def test_backward_without_scroll(conn: Connection) -> None:
    async with conn.cursor(TEN, scroll=False) as cursor:
        await cursor.fetch(3)
        with pytest.raises(exceptions.CursorFetchError):
            await cursor.fetch_prior()
    await ensure_usable(conn)


async def test_wrong_arguments(conn: Connection) -> None:
    for name, value in (("fetch_number", "1"), ("array_size", 1.5), ("fetch_number", True), ("scroll", 1)):
        arguments: Any = {name: value}
        with pytest.raises(TypeError, match=name):
            conn.cursor(TEN, **arguments)
    async with conn.cursor(TEN) as cursor:
        wrong: Any = "1; DROP TABLE users"
        for call in (cursor.fetch, cursor.fetch_absolute, cursor.fetch_relative, cursor.fetch_backward):
            with pytest.raises(exceptions.ParameterTypeError):
                await call(wrong)
            with pytest.raises(exceptions.ParameterValueError):
                await call(2**31)
        with pytest.raises(exceptions.ParameterTypeError):
            cursor.array_size = wrong
        assert numbers(await cursor.fetchone()) == [1]
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_a_fetch_that_takes_too_long_closes_the_cursor(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        cursor = transaction.cursor("SELECT g, pg_sleep(g) FROM generate_series(0, 10, 5) AS g")
        await cursor.start()
        assert len(await cursor.fetchone()) == 1
        with pytest.raises(exceptions.QueryTimeoutError):
            await cursor.fetchone(timeout=0.05)
        assert cursor.is_closed()
        await transaction.rollback()
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.cursor("SELECT pg_sleep(5)").start(timeout=0.05)
    assert await open_cursors(conn) == 0
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_a_lost_connection(conn: Connection, observer: ConnectionPool) -> None:
    cursor = conn.cursor(TEN)
    await cursor.start()
    await observer.execute("SELECT pg_terminate_backend($1)", [conn.backend_pid])
    with pytest.raises(exceptions.ConnectionClosedError):
        await cursor.fetchone()
    assert cursor.is_closed()
    await cursor.close()
    with pytest.raises(exceptions.ConnectionClosedError):
        await conn.cursor(TEN).start()


async def test_a_table_that_was_altered_since_the_statement_was_prepared(
    conn: Connection, table: str
) -> None:
    query = f"SELECT * FROM {table}"
    await conn.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    await conn.execute(query)
    await conn.execute(f"ALTER TABLE {table} DROP COLUMN id, ADD COLUMN tags text[] DEFAULT '{{x}}'")
    for _ in range(2):
        async with conn.cursor(query) as cursor:
            assert (await cursor.fetchone()).result() == [{"name": "a", "tags": ["x"]}]


async def test_a_column_that_has_become_one_of_a_new_type(conn: Connection, table: str) -> None:
    query = f"SELECT id FROM {table}"
    await conn.execute(query)
    await conn.execute_batch(f"""
        CREATE TYPE pg_temp.pair AS (a int4); INSERT INTO {table} VALUES (1); BEGIN;
        ALTER TABLE {table} ALTER id TYPE pg_temp.pair USING ROW(5)::pg_temp.pair""")
    async with conn.cursor(query) as cursor:
        assert (await cursor.fetchall()).result() == [{"id": {"a": 5}}]
    await conn.execute("ROLLBACK")


async def test_properties(conn: Connection) -> None:
    cursor = conn.cursor(TEN)
    for name in ("conn_dbname", "user", "host_addrs", "hosts", "ports", "options"):
        assert getattr(cursor, name) == getattr(conn, name)
    assert not cursor.is_closed()
    assert repr(cursor) == "<Cursor new>"
    await cursor.start()
    assert repr(cursor).startswith("<Cursor open psqlpy_cursor_")
    await cursor.close()
    assert cursor.is_closed()
    await ensure_answers(conn)
