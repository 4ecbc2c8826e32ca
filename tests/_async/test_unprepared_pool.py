"""A pool with prepared=False: whatever is called, nothing is left prepared, and it does what it does prepared.

Behind a real pooler: tests/poolers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup

pytestmark = pytest.mark.loops(1)

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[ConnectionPool]:
    """A pool of 2 that prepares nothing."""
    async with ConnectionPool(dsn, max_db_pool_size=2, prepared=False) as pool:
        yield pool


@pytest.fixture
async def flights(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every flight that is sent from now on."""
    sent: list[Request] = []
    fly = Session.fly

    def count(session: Session, request: Request, flushed: int) -> None:
        sent.append(request)
        fly(session, request, flushed)

    monkeypatch.setattr(Session, "fly", count)
    return sent


async def test_nothing_is_left_by_any_call(conn: Connection, table: str) -> None:
    insert, select = f"INSERT INTO {table} VALUES ($1, $2)", f"SELECT id FROM {table} WHERE id = $1"
    await conn.execute(insert, [1, "a"])
    await conn.execute_many(insert, [[2, "b"], [3, "c"]])
    returned = await conn.fetch_many(f"{insert} RETURNING id", [[4, "d"], [5, "e"]])
    assert [result.result() for result in returned] == [[{"id": 4}], [{"id": 5}]]
    assert [len(result) for result in await conn.pipeline([(select, [1]), (select, [9])])] == [1, 0]
    assert (await conn.fetch(select, [2])).result() == [{"id": 2}]
    assert (await conn.fetch_row(select, [3])).result() == {"id": 3}
    assert await conn.fetch_val(select, [4]) == 4
    statement = await conn.prepare(select, [5])
    assert statement.parameter_types == ["int4"] and [column.name for column in statement.columns()] == ["id"]
    assert (await statement.execute()).result() == [{"id": 5}]
    assert [row async for row in conn.stream(select, [1])] == [{"id": 1}]
    async with conn.transaction() as transaction:
        async with transaction.cursor(select, [2]) as cursor:
            assert (await cursor.fetchall()).result() == [{"id": 2}]
        await transaction.execute_many(insert, [[6, "f"]])
        assert [row async for row in transaction.stream(select, [6])] == [{"id": 6}]
    await conn.copy_records_to_table(table, [[7, "g"]])
    assert await conn.fetch_val(f"SELECT array_agg(id ORDER BY id) FROM {table}") == [1, 2, 3, 4, 5, 6, 7]
    assert await conn.fetch_val(PREPARED) == 0


async def test_nothing_is_left_by_the_pools_calls(pool: ConnectionPool, table: str) -> None:
    pool.resize(1)
    await pool.execute_many(f"INSERT INTO {table} VALUES ($1)", [[1], [2]])
    assert len(await pool.fetch_many(f"SELECT id FROM {table} WHERE id = $1", [[1], [2]])) == 2
    async with pool.transaction() as transaction:
        assert await transaction.fetch_val(f"SELECT sum(id) FROM {table} WHERE id > $1", [0]) == 3
    assert await pool.fetch_val(PREPARED) == 0


async def test_a_call_that_says_so_prepares(conn: Connection) -> None:
    assert await conn.fetch_val("SELECT $1::int4", [1], prepared=True) == 1
    assert await conn.fetch_val(PREPARED) == 1


async def test_a_call_that_says_so_does_not(dsn: str, table: str) -> None:
    async with ConnectionPool(dsn) as preparing, preparing.acquire() as conn:
        await conn.execute_many(f"INSERT INTO {table} VALUES ($1)", [[1], [2]], prepared=False)
        await conn.fetch_many(f"SELECT id FROM {table} WHERE id = $1", [[1]], prepared=False)
        assert await conn.fetch_val(PREPARED, prepared=False) == 0
        assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 2


async def test_what_rows_cost(conn: Connection, table: str, flights: list[Request]) -> None:
    """From Parse to the last row it is one flight."""
    rows = [[n, "x" * 100] for n in range(5000)]
    await conn.execute_many(f"INSERT INTO {table} VALUES ($1, $2)", rows)
    assert len(flights) == 1
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 5000


@pytest.mark.parametrize(
    ("text", "rows", "error", "said"),
    [
        (
            "INSERT INTO {} VALUES ($1, $2)",
            [[1, "a"], [2, "b"], [1, "c"]],
            exceptions.UniqueViolation,
            "row 3: ",
        ),
        ("INSERT INTO {} VALUES ($1, $2)", [[1, "a"], [2, object()]], TypeError, "row 2: "),
        ("INSERT INTO {} VALUES ($1, $2)", [[1, "a"], [2]], ValueError, "row 2: "),
        (
            "INSERT INTO {} VALUES ($1::int4, $2, $3)",
            [[1, "a", 1]],
            exceptions.ProgrammingError,
            "INSERT has more",
        ),
        ("SELECT 1; SELECT 2", [[]], exceptions.ProgrammingError, "more than one statement"),
    ],
    ids=["server", "value", "number", "text", "two"],
)
@pytest.mark.parametrize("method", ["execute_many", "fetch_many"])
async def test_all_rows_or_none(
    conn: Connection, table: str, method: str, text: str, rows: Any, error: type[Exception], said: str
) -> None:
    await conn.execute(f"CREATE UNIQUE INDEX ON {table} (id)")
    with pytest.raises(error, match=said):
        await getattr(conn, method)(text.format(table), rows)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0
    with pytest.raises(error, match=said):
        async with conn.transaction() as transaction:
            # BEGIN travels with it.
            await getattr(transaction, method)(text.format(table), rows)
    assert await conn.fetch_val(PREPARED) == 0
    await ensure_usable(conn)


async def test_types_that_nobody_has_asked_about(conn: Connection) -> None:
    name = f"pg_temp.pair_{uuid4().hex}"
    await conn.execute(f"CREATE TYPE {name} AS (a int4, b text)")
    await conn.execute(f"CREATE TEMP TABLE pairs (pair {name})")
    await conn.execute_many("INSERT INTO pairs VALUES ($1)", [[{"a": 1, "b": "x"}], [{"a": 2, "b": "y"}]])
    await conn.execute(f"ALTER TYPE {name} ADD ATTRIBUTE c int4")
    await conn.execute_many("INSERT INTO pairs VALUES ($1)", [[{"a": 3, "b": "z", "c": 5}]])
    found = await conn.fetch_many("SELECT pair FROM pairs WHERE (pair).a = $1", [[2], [3]])
    assert [result.result()[0]["pair"]["b"] for result in found] == ["y", "z"]
    await conn.execute(f"CREATE TYPE {name}s AS (p {name}, n int4)")
    value = {"p": {"a": 1, "b": "x", "c": 2}, "n": 3}
    statement = await conn.prepare(f"SELECT $1::{name}s AS v", [value])
    assert (await statement.execute()).result() == [{"v": value}]


async def test_among_others_on_one_connection(conn: Connection, table: str) -> None:
    """What is new is asked about when nothing else is in flight."""
    await conn.execute(f"INSERT INTO {table} SELECT generate_series(0, 4)")
    async with AsyncGroup() as group:
        for n in range(5):
            group.start(conn.fetch_val, "SELECT $1::int4", [n])
            group.start(conn.fetch_val, f"SELECT $1::int4 + {n}", [n])
            group.start(conn.execute_many, f"UPDATE {table} SET name = $1 WHERE id = {n}", [["a"], [f"b{n}"]])
    names = await conn.fetch_val(f"SELECT array_agg(name ORDER BY id) FROM {table}")
    assert names == [f"b{n}" for n in range(5)]


async def test_rows_out_of_time(conn: Connection, table: str) -> None:
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.execute_many(f"INSERT INTO {table} SELECT 1 FROM pg_sleep($1)", [[0], [30]], timeout=0.2)
    await ensure_usable(conn)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 0


async def test_a_statement_that_is_gone(dsn: str) -> None:
    """As behind a pooler that gives a transaction another backend."""
    async with ConnectionPool(dsn) as preparing, preparing.acquire() as conn:
        await conn.fetch_val("SELECT $1::int4", [1])
        name = await conn.fetch_val("SELECT name FROM pg_prepared_statements", prepared=False)
        with pytest.raises(exceptions.TransactionExecuteError) as caught:
            async with conn.transaction() as transaction:
                await transaction.execute(f'DEALLOCATE "{name}"', prepared=False)
                await transaction.fetch_val("SELECT $1::int4", [1])
        assert caught.value.sqlstate == "26000" and "prepared=False" in str(caught.value.hint)
        await ensure_usable(conn)


async def test_it_is_a_bool(dsn: str) -> None:
    for wrong in (None, 0, "no"):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="prepared must be a bool"):
            ConnectionPool(dsn, prepared=wrong)  # type: ignore[arg-type]
