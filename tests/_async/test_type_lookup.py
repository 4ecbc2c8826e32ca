"""Types that a user has just made, or changed, in every kind of statement that can name them for the first time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from psqlpy import Connection, ConnectionPool
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup

PAIR = {"a": 1, "b": "x"}


@pytest.fixture
async def fresh(conn: Connection) -> AsyncIterator[Connection]:
    """Its temporary schema has types that nobody has asked about."""
    await conn.execute_batch(
        "CREATE TYPE pg_temp.pair AS (a int4, b text); CREATE TYPE pg_temp.mood AS ENUM ('x', 'y');"
        "CREATE DOMAIN pg_temp.age AS int4; CREATE TEMP TABLE pairs (p pg_temp.pair, m pg_temp.mood[], a pg_temp.age)"
    )
    yield conn
    await ensure_usable(conn)


async def test_in_a_text_that_is_too_long_to_be_kept(fresh: Connection) -> None:
    comment = "-" * 20_000
    assert await fresh.fetch_val(f"SELECT ROW(1, 'x')::pg_temp.pair {comment}") == PAIR
    assert await fresh.fetch_val(f"SELECT $1::pg_temp.mood[] {comment}", [["x", None]]) == ["x", None]


async def test_in_a_stream(fresh: Connection) -> None:
    rows = [
        row async for row in fresh.stream("SELECT $1::pg_temp.pair AS p, 'y'::pg_temp.mood AS m", [(1, "x")])
    ]
    assert rows == [{"p": PAIR, "m": "y"}]


async def test_in_a_cursor(fresh: Connection) -> None:
    async with fresh.cursor("SELECT $1::pg_temp.pair AS p", [(1, "x")]) as cursor:
        assert (await cursor.fetchall()).result() == [{"p": PAIR}]


async def test_in_a_pipeline(fresh: Connection) -> None:
    async with fresh.transaction() as transaction:
        results = await transaction.pipeline(
            [
                ("SELECT ROW(1, 'x')::pg_temp.pair AS p", None),
                ("INSERT INTO pairs VALUES ($1, $2, $3)", [PAIR, ["x"], 5]),
                ("SELECT p FROM pairs WHERE p = $1::pg_temp.pair", [(1, "x")]),
            ]
        )
    assert [result.result() for result in results] == [[{"p": PAIR}], [], [{"p": PAIR}]]


async def test_in_copies(fresh: Connection) -> None:
    records: list[tuple[Any, ...]] = [(PAIR, ["x", "y"], 5), (None, None, None)]
    assert await fresh.copy_records_to_table("pairs", records) == 2
    assert [row async for row in fresh.copy_out("pairs")] == records


async def test_of_the_rows_of_a_copy(fresh: Connection) -> None:
    await fresh.execute("INSERT INTO pairs VALUES ((1, 'x'), '{x,NULL}', 5)")
    async with fresh.transaction() as transaction:
        assert [row async for row in transaction.copy_out("pairs")] == [(PAIR, ["x", None], 5)]


PREPARED = pytest.mark.parametrize("prepared", [True, False], ids=["prepared", "unprepared"])


@PREPARED
async def test_in_anonymous_records(fresh: Connection, prepared: bool) -> None:
    """Whose types show in the values only, those of each row in that row."""
    record = "ROW(1, 'x'::pg_temp.mood, ROW(1, 'x')::pg_temp.pair)"
    row = (1, "x", PAIR)
    assert await fresh.fetch_val(f"SELECT {record}", None, prepared) == row
    await fresh.execute_batch(
        "CREATE TYPE pg_temp.later AS ENUM ('z'); CREATE DOMAIN pg_temp.last AS pg_temp.pair[]"
    )
    query = "SELECT CASE WHEN i < 3 THEN ROW(i, NULL) ELSE ROW('z'::pg_temp.later, i) END FROM generate_series(1, 3) i"
    found = (await fresh.fetch(query, None, prepared)).result(as_tuple=True)
    assert found == [((1, None),), ((2, None),), (("z", 3),)]
    query = f"SELECT ARRAY[{record}, NULL], ROW(ARRAY[(1, 'x')]::pg_temp.last)"
    assert (await fresh.fetch(query, None, prepared)).result(as_tuple=True) == [([row, None], ([PAIR],))]


@PREPARED
async def test_in_records_within_a_transaction(fresh: Connection, prepared: bool) -> None:
    async with fresh.transaction() as transaction:
        await transaction.execute("CREATE TYPE pg_temp.later AS ENUM ('z')")
        assert await transaction.fetch_val("SELECT ROW('z'::pg_temp.later)", None, prepared) == ("z",)


async def test_in_records_that_come_otherwise(fresh: Connection) -> None:
    """Each names a type that nobody has asked about."""
    await fresh.execute_batch(
        "".join(f"CREATE TYPE pg_temp.mood{number} AS ENUM ('x');" for number in range(4))
    )
    query = "SELECT ROW('x'::pg_temp.mood{0}, $1::int4) AS r"
    async with fresh.cursor(query.format(0), [1]) as cursor:
        assert (await cursor.fetchall()).result() == [{"r": ("x", 1)}]
    results = await fresh.fetch_many(query.format(1), [[1], [2]])
    assert [result.result() for result in results] == [[{"r": ("x", 1)}], [{"r": ("x", 2)}]]
    async with fresh.transaction() as transaction:
        results = await transaction.pipeline(
            [(query.format(2), [1]), ("SELECT 5 AS r",), (query.format(2), [2])]
        )
        assert [result.result() for result in results] == [[{"r": ("x", 1)}], [{"r": 5}], [{"r": ("x", 2)}]]
        assert [row async for row in transaction.stream(query.format(3), [1])] == [{"r": ("x", 1)}]


async def test_in_records_names_are_the_servers_secret(fresh: Connection) -> None:
    query = "SELECT ROW('pg_class'::regclass, 'int4'::regtype, NULL::regproc), 'pg_class'::regclass::oid"
    assert (await fresh.fetch_row(query)).result(as_tuple=True) == ((1259, 23, None), 1259)


async def test_what_has_oids_by_name_within_a_record(conn: Connection) -> None:
    await conn.execute("CREATE TYPE pg_temp.of_table AS (name text, found regclass, others regtype[])")
    value = "ROW('x', 'pg_class', '{int4,NULL}')::pg_temp.of_table"
    query = f"SELECT ROW('{{pg_class,4294967295}}'::regclass[], {value}, ARRAY[{value}, NULL])"
    inner = {"name": "x", "found": 1259, "others": [23, None]}
    assert await conn.fetch_val(query) == ([1259, 4294967295], inner, [inner, None])
    assert await conn.fetch_val(f"SELECT {value}") == {
        "name": "x",
        "found": "pg_class",
        "others": ["integer", None],
    }


async def test_in_records_of_what_has_the_connection_for_itself(fresh: Connection) -> None:
    """Nothing can be asked while its rows come, so all types are asked about before, each time the new ones."""
    record = "ROW(1, 'x'::pg_temp.mood{0}, ROW(1, 'x')::pg_temp.pair{0}, '{{x}}'::pg_temp.mood{0}[], 5::pg_temp.age{0})"
    row = (1, "x", PAIR, ["x"], 5)
    for number in range(4):
        await fresh.execute_batch(
            f"CREATE TYPE pg_temp.mood{number} AS ENUM ('x'); CREATE TYPE pg_temp.pair{number} AS (a int4, b text);"
            f"CREATE DOMAIN pg_temp.age{number} AS int4"
        )
        query = f"SELECT {record.format(number)}, ARRAY[{record.format(number)}]"
        if number < 2:
            assert [row async for row in fresh.stream(query, as_tuple=True)] == [(row, [row])]
        elif number == 2:
            assert [row async for row in fresh.copy_out(query=query)] == [(row, [row])]
        else:
            async with fresh.transaction() as transaction:
                assert [row async for row in transaction.copy_out(query=query)] == [(row, [row])]


async def test_rows_of_tables_in_records_of_a_stream(fresh: Connection) -> None:
    rows = fresh.stream("SELECT ROW(t) AS r FROM pairs AS t UNION ALL SELECT ROW($1::pg_temp.mood)", ["x"])
    assert [row async for row in rows] == [{"r": ("x",)}]
    await fresh.execute("INSERT INTO pairs VALUES (ROW(1, 'x'), ARRAY['x']::pg_temp.mood[], 5)")
    rows = fresh.stream("SELECT ROW(t) AS r FROM pairs AS t")
    assert [row async for row in rows] == [{"r": ({"p": PAIR, "m": ["x"], "a": 5},)}]


@PREPARED
async def test_what_is_looked_up_in_company_is_executed_once(fresh: Connection, prepared: bool) -> None:
    """The type shows in the second execution, which has others behind it."""
    await fresh.execute_batch("CREATE TYPE pg_temp.later AS ENUM ('z'); CREATE TEMP TABLE once (i int4)")
    insert = """INSERT INTO once VALUES ($1)
        RETURNING CASE $1 WHEN 1 THEN ROW(1) ELSE ROW('z'::pg_temp.later) END"""
    assert await fresh.fetch_val(insert, [1], prepared) == (1,)
    await fresh.fetch_val("SELECT 1")
    async with AsyncGroup() as group:
        tasks = [group.start(fresh.fetch_val, insert, [number], prepared) for number in (2, 3)]
        others = [group.start(fresh.fetch_val, "SELECT 1") for _ in range(5)]
    assert [task.result() for task in (*tasks, *others)] == [("z",)] * 2 + [1] * 5
    assert await fresh.fetch_val("SELECT array_agg(i ORDER BY i) FROM once") == [1, 2, 3]


async def test_composite_parameters_whose_type_has_changed(pool: ConnectionPool, fresh: Connection) -> None:
    """In requests that haven't seen the text before, and in those that have."""
    query = "SELECT $1::pg_temp.pair AS p"
    insert = "INSERT INTO pairs (p) VALUES ($1)"
    expected: dict[str, Any] = dict(PAIR)
    assert await fresh.fetch_val(query, [PAIR]) == PAIR
    for number in range(5):
        await fresh.execute(f"ALTER TYPE pg_temp.pair ADD ATTRIBUTE c{number} int4 CASCADE")
        expected[f"c{number}"] = number
        text = query if number % 2 else f"{query} -- {number}"
        if number < 2:
            async with fresh.cursor(text, [expected], prepared=bool(number)) as cursor:
                assert (await cursor.fetchall()).result() == [{"p": expected}]
        elif number == 2:
            assert [row async for row in fresh.stream(text, [expected])] == [{"p": expected}]
        elif number == 3:
            async with fresh.transaction() as transaction:
                [result] = await transaction.pipeline([(text, [expected])])
                assert result.result() == [{"p": expected}]
        else:
            await fresh.execute_many(insert, [[expected], [expected]])
            assert await fresh.fetch_val("SELECT p FROM pairs LIMIT 1") == expected


@PREPARED
@pytest.mark.parametrize("by_another", [True, False], ids=["by another", "by itself"])
async def test_composite_types_that_change(pool: ConnectionPool, prepared: bool, by_another: bool) -> None:
    """Their oid stays, and so do the statements that the server has: only the values tell."""
    # Others may use the same server.
    changing = f"changing_{uuid4().hex[:12]}"
    read = [f"SELECT v FROM {changing}_rows", f"SELECT ARRAY[v] AS v, $1::int4 FROM {changing}_rows"]
    write = f"UPDATE {changing}_rows SET v = $1 RETURNING v"
    async with pool.acquire() as conn, pool.acquire() as other:
        changer = other if by_another else conn
        await other.execute_batch(
            f"SET client_min_messages = warning; DROP TABLE IF EXISTS {changing}_rows; DROP TYPE IF EXISTS {changing};"
            f"CREATE TYPE {changing} AS (a int4); CREATE TABLE {changing}_rows (v {changing});"
            f"INSERT INTO {changing}_rows VALUES (ROW(1))"
        )
        try:
            value: dict[str, Any] = {"a": 1}
            for change in (None, "ADD ATTRIBUTE b text", "DROP ATTRIBUTE a", "ADD ATTRIBUTE c int4"):
                if change is not None:
                    await changer.execute(f"ALTER TYPE {changing} {change} CASCADE")
                    kind = change.split()[0]
                    name = change.split()[2]
                    value = {**value, name: None} if kind == "ADD" else {"b": value["b"]}
                assert await conn.fetch_val(read[0], None, prepared) == value
                assert (await conn.fetch_row(read[1], [1], prepared)).result()["v"] == [value]
                value = dict.fromkeys(value, "5" if "b" in value else 5) | ({"a": 5} if "a" in value else {})
                value |= {"c": 7} if "c" in value else {}
                assert await conn.fetch_val(write, [value], prepared) == value
                await changer.execute(f"ALTER TYPE {changing} ADD ATTRIBUTE more int4 CASCADE")
                wider = {**value, "more": 6}
                assert await conn.fetch_val(write, [wider], prepared) == wider
                assert await conn.fetch_val(f"SELECT $1::{changing}", [wider], prepared) == wider
                await changer.execute(f"ALTER TYPE {changing} DROP ATTRIBUTE more CASCADE")
                assert await conn.fetch_val(f"SELECT $1::{changing}", [value], prepared) == value
                assert await conn.fetch_val(write, [value], prepared) == value
            await ensure_usable(conn)
        finally:
            await other.execute_batch(f"DROP TABLE {changing}_rows; DROP TYPE {changing}")
