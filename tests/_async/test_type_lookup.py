"""Types that a user has just made, in every kind of statement that can name them for the first time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from psqlpy import Connection
from tests._async.usable import ensure_usable

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
