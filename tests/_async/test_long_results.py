"""Answers of many rows, which are decoded as they come: nothing about them may differ from short ones."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from psqlpy._codecs.gathered import Gathered
from psqlpy._record import Record
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncGroup, async_wait_until

pytestmark = pytest.mark.loops(1)

ROWS = 3000

# Every type whose rows aren't kept as libpq received them, with values from which its bytes could come out otherwise.
COLUMNS = {
    "small": "(g % 100)::int2",
    "whole": "g::int4 - 1500",
    "big": "-g::int8 * 1000000007",
    "single": "(g / 7.0)::float4",
    "double": "CASE g % 5 WHEN 0 THEN '-0'::float8 WHEN 1 THEN 'NaN' WHEN 2 THEN '-infinity' ELSE g / 7.0::float8 END",
    "exact": "CASE g % 4 WHEN 0 THEN 'NaN'::numeric WHEN 1 THEN g * 1e30 WHEN 2 THEN -g / 1000.000 ELSE g / 3.0 END",
    "flag": "g % 2 = 0",
    "words": "CASE WHEN g % 9 = 0 THEN NULL ELSE 'smørrebrød ' || g END",
    "padded": "g::text::char(6)",
    "named": "('n' || g)::name",
    "bytes": "decode(lpad(to_hex(g), 8, '0'), 'hex')",
    "day": "date '0001-01-01' + g * 1000",
    "clock": "time '00:00:00.000001' + g * interval '1 second'",
    "moment": "timestamp '1900-01-01 00:00:00.5' + g * interval '1 day'",
    "instant": "timestamptz '1999-12-31 23:00:00.25+01' - g * interval '1 microsecond'",
    "key": "md5(g::text)::uuid",
}
SELECT = "SELECT {} FROM generate_series($1::int4, $2::int4) AS g".format(
    ", ".join(f"{expression} AS {name}" for name, expression in COLUMNS.items())
)


async def test_a_long_answer_is_that_of_its_parts(conn: Connection) -> None:
    long = await conn.fetch(SELECT, [1, ROWS])
    # What was short the last time is kept as it is received.
    await conn.fetch(SELECT, [1, 1])
    parts = [await conn.fetch(SELECT, [start, start + 99]) for start in range(1, ROWS, 100)]
    assert isinstance(long._result, Gathered)
    assert not isinstance(parts[0]._result, Gathered)
    assert len(long) == long.rowcount == ROWS and long.command_tag == f"SELECT {ROWS}"
    assert long.columns == parts[0].columns
    assert repr(long) == repr(parts[0]).replace("100", str(ROWS))
    for _ in range(2):
        assert repr(long.result()) == repr([row for part in parts for row in part.result()])
        assert repr(long.result(as_tuple=True)) == repr(
            [row for part in parts for row in part.result(as_tuple=True)]
        )
        assert repr(long.records()) == repr([row for part in parts for row in part.records()])
    assert repr(list(long)) == repr(long.result())
    assert long.row_factory(tuple)[-1] == tuple(COLUMNS)
    assert len(long.as_class(dict)) == ROWS
    assert long._repr_html_().count("<tr>") == parts[0]._repr_html_().count("<tr>")


async def test_decoders_get_the_bytes_that_the_server_has_sent(conn: Connection) -> None:
    decoders: dict[str, Any] = dict.fromkeys(COLUMNS, bytes)
    long = await conn.fetch(SELECT, [1, ROWS])
    await conn.fetch(SELECT, [1, 1])
    parts = [await conn.fetch(SELECT, [start, start + 99]) for start in range(1, ROWS, 100)]
    assert isinstance(long._result, Gathered)
    assert long.result(decoders) == [row for part in parts for row in part.result(decoders)]


async def test_rows_that_were_given_away_are_not_what_is_kept(conn: Connection) -> None:
    long = await conn.fetch("SELECT g, g::text AS text FROM generate_series(1, 3000) AS g")
    first = long.result()
    first[0]["g"] = None
    first.clear()
    rows = long.result(as_tuple=True)
    rows.clear()
    assert long.result()[0] == {"g": 1, "text": "1"} and len(long.result(as_tuple=True)) == 3000


async def test_records_of_a_long_answer_take_the_place_of_its_tuples(conn: Connection) -> None:
    query = "SELECT g, g::text AS text FROM generate_series(1, 3000) AS g"
    for as_they_come in (False, True):
        long = await conn.fetch(query)
        kept: Any = long._result
        assert {type(chunk[0]) is tuple for chunk in kept._chunks} == {not as_they_come}
        tuples = long.result(as_tuple=True)
        records = long.records()
        assert all(isinstance(chunk[0], Record) for chunk in kept._chunks)
        assert len(records) == 3000 and records[2999] == (3000, "3000") and records[0]["text"] == "1"
        assert tuples == records == long.records() == long.result(as_tuple=True)
        assert {type(row) for row in (*tuples, *long.result(as_tuple=True))} == {tuple}
        assert long.result()[2999] == {"g": 3000, "text": "3000"}
        assert long._plan.value(kept, 2999, 1) == "3000"
        assert kept.tuples(700, 700) == []


async def test_types_that_can_be_changed_are_made_anew(conn: Connection) -> None:
    long = await conn.fetch("SELECT ARRAY[g] AS list, '{}'::jsonb AS json FROM generate_series(1, 3000) AS g")
    assert not isinstance(long._result, Gathered)
    long.result()[0]["list"].append(2)
    long.result()[0]["json"]["key"] = 2
    assert long.result()[0] == {"list": [1], "json": {}}


@pytest.mark.parametrize("row", [1, 513, 2999])
async def test_a_cell_that_cannot_be_decoded(conn: Connection, row: int) -> None:
    moment = "CASE g WHEN $1::int4 THEN 'infinity' ELSE timestamptz 'epoch' END"
    query = f"SELECT g, {moment} AS t FROM generate_series(1, 3000) AS g"
    long = await conn.fetch(query, [row])
    assert isinstance(long._result, Gathered) and len(long) == 3000
    for shape in (long.result, long.records, lambda: list(long)):
        with pytest.raises(exceptions.DataError, match=f'^row {row}, column 2 "t"'):
            shape()
    infinity = bytes.fromhex("7fffffffffffffff")
    rows = long.result({"t": bytes}, as_tuple=True)
    assert [found for found in rows if found[1] == infinity] == [(row, infinity)]
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert long._plan.value(long._result, 1500, 1) == epoch
    await ensure_usable(conn)


async def test_cells_of_more_than_a_stream_takes(conn: Connection) -> None:
    long = await conn.fetch(
        "SELECT g, repeat('x', 70000 * (g % 2)) AS text FROM generate_series(1, 600) AS g"
    )
    assert isinstance(long._result, Gathered)
    assert [len(text) for _, text in long.result(as_tuple=True)] == [70000, 0] * 300


async def test_one_long_row(conn: Connection) -> None:
    for _ in range(2):
        assert (await conn.fetch_row("SELECT 7 AS id, repeat('x', 100000) AS text")).result()["id"] == 7
        assert len(await conn.fetch_val("SELECT repeat('x', 200000)")) == 200_000
        with pytest.raises(exceptions.TooManyRowsError, match="3000 came"):
            await conn.fetch_val("SELECT g FROM generate_series(1, 3000) AS g")
    assert await conn.fetch_val("SELECT 1 WHERE false", default=2) == 2


async def test_an_error_in_the_middle_of_the_rows(conn: Connection) -> None:
    query = "SELECT g, 1 / (g - $1::int4) AS inverse FROM generate_series(1, 5000) AS g"
    for _ in range(2):
        with pytest.raises(exceptions.DivisionByZero):
            await conn.fetch(query, [4000])
        await ensure_usable(conn)
        assert len((await conn.fetch(query, [6000])).result()) == 5000
    async with conn.transaction() as transaction:
        assert len(await transaction.fetch(query, [6000])) == 5000


async def test_statements_are_short_and_long_by_turns(conn: Connection) -> None:
    query = "SELECT g FROM generate_series(1, $1::int4) AS g"
    for count in (5000, 1, 1, 5000, *range(512, 5000, 512), 1023, 1025, 0, 2047, 2048, 2049, 400):
        result = await conn.fetch(query, [count])
        assert result.result(as_tuple=True) == [(g,) for g in range(1, count + 1)]
        assert result.command_tag == f"SELECT {count}" and result.rowcount == count
    # Once it was long, the next long one is decoded as it comes.
    await conn.fetch(query, [5000])
    assert isinstance((await conn.fetch(query, [5000]))._result, Gathered)


async def test_neighbours_of_a_long_answer(conn: Connection) -> None:
    query = "SELECT g, 'text ' || g AS text FROM generate_series(1, 20000) AS g"
    found: list[Any] = []

    async def one(number: int) -> None:
        found.append(await conn.fetch_val("SELECT $1::int4", [number]))

    async def long() -> None:
        found.append(len((await conn.fetch(query)).result()))

    for _ in range(2):
        found.clear()
        async with AsyncGroup() as group:
            for number in range(5):
                group.start(one, number)
                group.start(long)
        assert sorted(found) == [0, 1, 2, 3, 4, *[20_000] * 5]
    await ensure_usable(conn)


async def test_time_runs_out_between_rows(conn: Connection) -> None:
    query = "SELECT g, CASE WHEN g > 3000 THEN pg_sleep(0.01)::text END AS late FROM generate_series(1, 6000) AS g"
    for _ in range(2):
        with pytest.raises(exceptions.QueryTimeoutError):
            await conn.fetch(query, timeout=0.2)
    assert await conn.fetch_val("SELECT 7") == 7


async def test_the_server_hangs_up_between_rows(conn: Connection, observer: ConnectionPool) -> None:
    query = "SELECT g, CASE WHEN g > 3000 THEN pg_sleep(0.01)::text END AS late FROM generate_series(1, 6000) AS g"
    pid = await conn.fetch_val("SELECT pg_backend_pid()")
    session = conn.link.session
    async with AsyncGroup() as group:

        async def fetch() -> None:
            with pytest.raises(exceptions.ConnectionLostError, match="administrator"):
                await conn.fetch(query)

        group.start(fetch)
        await async_wait_until(lambda: any(getattr(flight, "gathered", None) for flight in session.flights))
        await observer.execute("SELECT pg_terminate_backend($1)", [pid])
    assert session.is_closed


async def test_rows_of_nulls(conn: Connection) -> None:
    columns = "CASE WHEN g < 100 THEN g END AS a, NULL::text AS b, NULL::bool AS c"
    query = f"SELECT {columns} FROM generate_series(0, $1) AS g"
    for _ in range(2):
        rows = (await conn.fetch(query, [ROWS])).result(as_tuple=True)
        assert rows == [(number if number < 100 else None, None, None) for number in range(ROWS + 1)]
