"""copy_records_to_table: any iterable of any records, and what doesn't fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup

pytestmark = pytest.mark.loops(1)

ROWS = [(number, f"name {number}") for number in range(3000)]

EVERY_TYPE = """
    i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, b bool, t text, v varchar, c char(3), y bytea,
    d date, tm time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, a int4[], ta text[],
    na numeric[]
"""
EVERY_VALUE = (
    -3,
    2**31 - 1,
    -(2**63),
    1.5,
    1e-300,
    Decimal("-12345.000678900"),
    True,
    "tab\tline\nback\\slash 😀",
    "",
    "abc",
    b"\0\xff",
    date(2024, 2, 29),
    time(23, 59, 59, 999999),
    datetime(1999, 12, 31, 23, 59),
    datetime(2024, 5, 1, 12, tzinfo=timezone.utc),
    timedelta(days=-3, seconds=5, microseconds=7),
    "550e8400-e29b-41d4-a716-446655440000",
    {"a": [1, None]},
    [1, "x"],
    [[1, 2], [3, None]],
    ["a", None, ""],
    [Decimal("1.10"), Decimal("NaN")],
)


class Colour(Enum):
    RED = "red"


async def stored(executor: Connection | ConnectionPool, table: str) -> list[Any]:
    return await executor.fetch_val(f"SELECT coalesce(array_agg(id ORDER BY id), '{{}}') FROM {table}")  # type: ignore[no-any-return]


def generated() -> Iterator[tuple[int, str]]:
    yield from ROWS


async def produced() -> AsyncIterator[tuple[int, str]]:
    for row in ROWS:
        yield row


@pytest.mark.parametrize("source", [lambda: ROWS, generated, produced, lambda: tuple(map(list, ROWS))])
async def test_any_iterable(conn: Connection, pool: ConnectionPool, table: str, source: Any) -> None:
    assert await conn.copy_records_to_table(table, source()) == len(ROWS)
    assert await stored(pool, table) == list(range(len(ROWS)))
    await ensure_usable(conn)


async def test_dicts_and_records(conn: Connection, table: str) -> None:
    dicts = [{"name": "a", "id": 1}, {"id": 2, "name": None}]
    assert await conn.copy_records_to_table(table, dicts) == 2
    assert await conn.copy_records_to_table(table, [{"id": 3}]) == 1
    assert (
        await conn.copy_records_to_table(table, (await conn.fetch(f"SELECT * FROM {table}")).records()) == 3
    )
    assert await conn.copy_records_to_table(table, [{"id": 4, "name": "d"}], ["id", "name"]) == 1
    assert (await conn.fetch(f"SELECT id, name FROM {table} WHERE id < 3")).result(as_tuple=True) == [
        (1, "a"),
        (2, None),
        (1, "a"),
        (2, None),
    ]


async def test_no_records(conn: Connection, table: str) -> None:
    assert await conn.copy_records_to_table(table, []) == 0
    with pytest.raises(exceptions.UndefinedTable):
        await conn.copy_records_to_table("psqlpy_no_such_table", [])
    await ensure_usable(conn)


@pytest.mark.parametrize("extra", ["", ", m money", ", x tsquery"])
async def test_every_type(conn: Connection, extra: str) -> None:
    """The last has no binary form that we know, so that all of them travel as text."""
    await conn.execute(f"CREATE TEMP TABLE every ({EVERY_TYPE}{extra})")
    value: tuple[Any, ...] = () if not extra else (5,) if "money" in extra else ("'a' & 'b'",)
    row = EVERY_VALUE + value
    nulls = (None,) * len(row)
    assert await conn.copy_records_to_table("every", [row, nulls, row]) == 3
    expected = (await conn.fetch("SELECT * FROM every")).result(as_tuple=True)
    plain = EVERY_VALUE[:-1]
    assert expected[0][: len(plain)] == plain
    assert [str(number) for number in expected[0][len(plain)]] == ["1.10", "NaN"]
    assert expected[1] == nulls
    copied = [row async for row in conn.copy_out("every")]
    assert [row[: len(plain)] for row in copied] == [row[: len(plain)] for row in expected]
    await ensure_usable(conn)


async def test_values_as_parameters_take_them(conn: Connection) -> None:
    """What isn't the usual value of a type goes another way, with the same meaning."""
    await conn.execute(
        "CREATE TEMP TABLE given (n numeric, d date, u uuid, i int4, t text, jb jsonb, b bool)"
    )
    rows = [
        (1, "2024-01-02", UUID(int=7), "12", Colour.RED, '{"a": 1}', "yes"),
        (0.5, datetime(2024, 1, 2, 3), f"{{{UUID(int=7)}}}", True, 5, {"a": 1}, True),
        ("-1e3", date(2024, 1, 2), UUID(int=7), 1, "text", [], "f"),
    ]
    assert await conn.copy_records_to_table("given", rows) == 3
    got = (await conn.fetch("SELECT * FROM given")).result(as_tuple=True)
    uuid, day = str(UUID(int=7)), date(2024, 1, 2)
    assert got == [
        (Decimal(1), day, uuid, 12, "red", {"a": 1}, True),
        (Decimal("0.5"), day, uuid, 1, "5", {"a": 1}, True),
        (Decimal(-1000), day, uuid, 1, "text", [], False),
    ]


NUMBERS = [
    "0",
    "0.00",
    "-0.0001",
    "1",
    "9999",
    "10000",
    "99999999",
    "100000000.00000001",
    "123456789012345678901234567890",
    "1e-20",
    "1E+30",
    "-1.5e-7",
    "0.1234567",
    "NaN",
    "Infinity",
    "-Infinity",
    "12e100",
    "1e-1000",
    "7e131000",
]


async def test_numeric(conn: Connection) -> None:
    await conn.execute("CREATE TEMP TABLE numbers (n numeric, expected text)")
    await conn.copy_records_to_table("numbers", [(Decimal(text), text) for text in NUMBERS])
    wrong = "SELECT expected FROM numbers WHERE n::text <> expected::numeric::text"
    assert (await conn.fetch(wrong)).result() == []
    for text in ("1e-20000", "1e140000"):
        with pytest.raises(exceptions.ParameterValueError, match="numeric has at most"):
            await conn.copy_records_to_table("numbers", [(Decimal(text), text)])


async def test_enum_and_domain(conn: Connection, dsn: str) -> None:
    await conn.execute_batch(
        "CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok');"
        "CREATE DOMAIN pg_temp.small AS int2 CHECK (value < 100);"
        "CREATE DOMAIN pg_temp.smaller AS pg_temp.small;"
        "CREATE TEMP TABLE felt (m pg_temp.mood, s pg_temp.smaller)"
    )
    assert await conn.copy_records_to_table("felt", [("sad", 1), (None, None), ("ok", 99)]) == 3
    for bad in [("glad", 1), ("ok", 100)]:
        with pytest.raises(exceptions.DatabaseError):
            await conn.copy_records_to_table("felt", [("ok", 1), bad])
    assert (await conn.fetch("SELECT m::text, s FROM felt")).result(as_tuple=True) == [
        ("sad", 1),
        (None, None),
        ("ok", 99),
    ]
    await ensure_usable(conn)


BAD_RECORDS: list[tuple[Any, str]] = [
    ((1,), "record 3001 has 1 field, expected 2: id, name"),
    ((1, "a", 2), "record 3001 has 3 fields, expected 2: id, name"),
    (("x", "a"), 'record 3001, column "id" \\(str for int4\\): the text isn\'t int4'),
    ((2**31, "a"), 'record 3001, column "id" \\(int for int4\\): out of range'),
    (([1], "a"), 'record 3001, column "id" \\(list for int4\\)'),
    ((1, b"a"), 'record 3001, column "name" \\(bytes for text\\)'),
    ((1, "a\0"), 'record 3001, column "name" \\(str for text\\): .*NUL'),
    ((1, "\ud800"), 'record 3001, column "name" \\(str for text\\): .*surrogate'),
    (5, "record 3001 must be a sequence of values or a dict, not int"),
    ("ab", "record 3001 must be a sequence of values or a dict, not str"),
    ({"id": 1}, 'record 3001 has no column "name"'),
    ({"id": 1, "name": "", "z": 0}, 'record 3001 has a column "z" that isn\'t copied'),
]


async def test_bad_records(conn: Connection, pool: ConnectionPool, table: str) -> None:
    for record, message in BAD_RECORDS:
        with pytest.raises(exceptions.PyToRustValueMappingError, match=message) as caught:
            await conn.copy_records_to_table(table, [*ROWS, record, *ROWS])
        assert isinstance(caught.value, TypeError | ValueError)
        assert await stored(pool, table) == []
    await ensure_usable(conn)


async def test_bad_sources(conn: Connection, table: str) -> None:
    for records in (5, "text", b"bytes", None):
        with pytest.raises(exceptions.ParameterTypeError, match="records must be an iterable"):
            await conn.copy_records_to_table(table, records)
    await ensure_usable(conn)


@pytest.mark.parametrize("at", [0, 1, 100, 20_000])
async def test_source_that_raises(conn: Connection, pool: ConnectionPool, table: str, at: int) -> None:
    class Spilt(Exception):
        pass

    async def leaking() -> AsyncIterator[tuple[int, str]]:
        for number in range(at):
            yield number, "x" * 100
        raise Spilt

    with pytest.raises(Spilt):
        await conn.copy_records_to_table(table, leaking())
    assert await stored(pool, table) == []
    await ensure_usable(conn)


ANYWHERE: dict[str, tuple[str, Any, Any, str | None]] = {
    # Their text, or None where they are refused.
    "an infinite interval": ("interval", timedelta(1), "infinity", "infinity"),
    "a negative one": ("interval", timedelta(1), " -Infinity ", "-infinity"),
    "infinite intervals": ("interval[]", [timedelta(1)], ["infinity", "1 mon"], '{infinity,"1 mon"}'),
    "an array in text": ("interval[]", [timedelta(1)], "{infinity,-infinity}", "{infinity,-infinity}"),
    "an infinite date": ("date", date(2024, 1, 2), "infinity", "infinity"),
    "a word": ("date", date(2024, 1, 2), "today", None),
    "whole money": ("money", 150, "5", None),
    "half of money": ("money", 150, "1.5", None),
    "too much money": ("money", 150, "$100,000,000,000,000,000.00", None),
    "money as it is printed": ("money", 150, "-$1,000.50", "-$1,000.50"),
    "an array of money": ("money[]", [150], ["1000.50"], '{"$1,000.50"}'),
}


@pytest.mark.parametrize(("type_name", "ordinary", "value", "text"), ANYWHERE.values(), ids=ANYWHERE.keys())
async def test_a_str_is_taken_at_any_place_or_at_none(
    conn: Connection, type_name: str, ordinary: Any, value: Any, text: str | None
) -> None:
    await conn.execute(f"CREATE TEMP TABLE placed (n int4, x {type_name})")
    if type_name.startswith("interval") and conn.server_version < 170000:
        text = None
    said = set()
    for before in ([], [(0, None)], [(0, ordinary)], [(0, ordinary)] * 300):
        await conn.execute("TRUNCATE placed")
        try:
            await conn.copy_records_to_table("placed", [*before, (1, value)])
            said.add(await conn.fetch_val("SELECT x::text FROM placed WHERE n = 1"))
        except exceptions.PyToRustValueMappingError as error:
            said.add(str(error).replace(f"record {len(before) + 1},", "record 1,"))
    [only] = said
    assert only == text if text is not None else 'column "x"' in only


async def test_server_refuses_a_row(conn: Connection, pool: ConnectionPool, table: str) -> None:
    await conn.execute(f"ALTER TABLE {table} ADD UNIQUE (id)")
    with pytest.raises(exceptions.UniqueViolation) as caught:
        await conn.copy_records_to_table(table, [*ROWS, (7, "again")])
    assert isinstance(caught.value, exceptions.ConnectionExecuteError | exceptions.IntegrityError)
    assert await stored(pool, table) == []
    await ensure_usable(conn)


async def test_in_a_transaction(conn: Connection, pool: ConnectionPool, table: str) -> None:
    async with conn.transaction() as transaction:
        assert await transaction.copy_records_to_table(table, ROWS[:3]) == 3
        assert await transaction.copy_in(table, b"3\tthree\n") == 1
        assert await stored(pool, table) == []
    assert await stored(pool, table) == [0, 1, 2, 3]
    with pytest.raises(exceptions.UndefinedColumn) as caught:
        async with conn.transaction() as transaction:
            await transaction.copy_records_to_table(table, ROWS[:3])
            await transaction.copy_records_to_table(table, ROWS[:3], ["id", "nobody"])
    assert isinstance(caught.value, exceptions.DatabaseError)
    assert await stored(pool, table) == [0, 1, 2, 3]
    with pytest.raises(exceptions.TransactionClosedError):
        await transaction.copy_records_to_table(table, ROWS)
    await ensure_usable(conn)


async def test_progress(conn: Connection, table: str) -> None:
    seen: list[tuple[int, int]] = []
    await conn.copy_records_to_table(table, ROWS, progress=lambda rows, size: seen.append((rows, size)))
    assert sum(rows for rows, _ in seen) == len(ROWS)
    assert sum(size for _, size in seen) > 14 * len(ROWS)

    def broken(rows: int, size: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await conn.copy_records_to_table(table, ROWS, progress=broken)
    assert len(await stored(conn, table)) == len(ROWS)
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_others_wait_for_it(conn: Connection, table: str) -> None:
    async def count() -> int:
        return await conn.fetch_val(f"SELECT count(*) FROM {table}")  # type: ignore[no-any-return]

    async with AsyncGroup() as group:
        copies = [group.start(conn.copy_records_to_table, table, ROWS) for _ in range(4)]
        counts = [group.start(count) for _ in range(8)]
    assert [copy.result() for copy in copies] == [len(ROWS)] * 4
    assert {call.result() % len(ROWS) for call in counts} == {0}
    assert await count() == 4 * len(ROWS)


@pytest.mark.loops(3)
async def test_timeout_with_an_endless_source(conn: Connection, pool: ConnectionPool, table: str) -> None:
    def endless() -> Iterator[tuple[int, str]]:
        while True:
            yield 1, "x" * 1000

    with pytest.raises(exceptions.QueryTimeoutError) as caught:
        await conn.copy_records_to_table(table, endless(), timeout=0.2)
    assert not caught.value.may_have_committed
    assert await stored(pool, table) == []
    await ensure_usable(conn)


async def test_on_the_pool(pool: ConnectionPool, table: str) -> None:
    assert await pool.copy_records_to_table(table, ROWS) == len(ROWS)
    assert [row async for row in pool.copy_out(table)] == ROWS
    with pytest.raises(exceptions.ParameterValueError):
        await pool.copy_records_to_table(table, [(1,)])
    assert pool.status().size == pool.status().available
