"""What comes back: rows in every shape, counts and tags, also for statements without rows."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool
from tests._async.usable import ensure_usable

pytestmark = pytest.mark.loops(1)

QUERY = "SELECT n AS id, 'row ' || n AS name FROM generate_series(1, 3) n"


class User:
    def __init__(self, id: int, name: str) -> None:
        self.id, self.name = id, name


@pytest.mark.parametrize("prepared", [True, False])
async def test_rows_in_every_shape(conn: Connection, pool: ConnectionPool, prepared: bool) -> None:
    expected = [{"id": 1, "name": "row 1"}, {"id": 2, "name": "row 2"}, {"id": 3, "name": "row 3"}]
    for executor in (conn, pool):
        for call in (executor.execute, executor.fetch):
            result = await call(QUERY, None, prepared)
            for _ in range(2):
                assert result.result() == expected
            assert result.result(as_tuple=True) == [tuple(row.values()) for row in expected]
            assert list(result) == expected
            assert [user.name for user in result.as_class(User)] == ["row 1", "row 2", "row 3"]
            assert result.row_factory(len) == [2, 2, 2]
            assert [record["name"] for record in result.records()] == ["row 1", "row 2", "row 3"]
            assert len(result) == result.rowcount == 3
            assert result.command_tag == "SELECT 3"
            assert result.columns == (("id", "int4"), ("name", "text"))
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_one_row(conn: Connection, prepared: bool) -> None:
    row: Any = await conn.fetch_row(f"{QUERY} LIMIT 1", None, prepared)
    assert row.result() == {"id": 1, "name": "row 1"}
    assert row.result(as_tuple=True) == (1, "row 1")
    assert row.as_class(User).name == "row 1"
    assert row.row_factory(len) == 2
    assert await conn.fetch_val("SELECT 5, 6", None, prepared) == 5
    assert await conn.fetch_val("SELECT NULL", None, prepared) is None
    assert await conn.fetch_val("SELECT pg_sleep(0)", None, prepared) is None  # void
    assert await conn.fetch_val("SELECT", None, prepared) is None
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_tags_and_counts(conn: Connection, table: str, prepared: bool) -> None:
    cases = [
        (f"INSERT INTO {table} SELECT generate_series(1, 3)", "INSERT 0 3", 3),
        (f"UPDATE {table} SET name = 'a' WHERE id > 1", "UPDATE 2", 2),
        (f"DELETE FROM {table} WHERE id = 1", "DELETE 1", 1),
        (f"SELECT * FROM {table} WHERE false", "SELECT 0", 0),
        ("SET application_name = 'a'", "SET", -1),
    ]
    for query, tag, count in cases:
        result = await conn.execute(query, None, prepared)
        assert (result.command_tag, result.rowcount, result.result()) == (tag, count, [])
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_peculiar_columns(conn: Connection, prepared: bool) -> None:
    assert (await conn.execute("SELECT", None, prepared)).result() == [{}]
    twice = await conn.execute("SELECT 1 AS a, 2 AS a", None, prepared)
    assert twice.result() == [{"a": 2}]
    assert twice.result(as_tuple=True) == [(1, 2)]
    # A type that isn't known comes as text, its neighbours as what they are.
    mixed = await conn.fetch_row("SELECT 1 AS a, 'x'::tsvector AS b, '{1,NULL}'::int4[] AS c", None, prepared)
    assert mixed.result() == {"a": 1, "b": "'x'", "c": [1, None]}
    await ensure_usable(conn)


async def test_dates_beside_a_type_that_we_do_not_know_in_any_style(conn: Connection) -> None:
    query = "SELECT date '2024-02-03' AS day, ARRAY[date '2024-02-03'] AS days, '1:1:'::pg_snapshot AS seen"
    expected = [{"day": date(2024, 2, 3), "days": [date(2024, 2, 3)], "seen": "1:1:"}]
    for style in ("SQL, DMY", "SQL, MDY", "Postgres, DMY", "German", "ISO"):
        await conn.execute(f"SET DateStyle = '{style}'")
        for prepared in (True, True, False, False):
            assert (await conn.fetch(query, prepared=prepared)).result() == expected
    await ensure_usable(conn)
