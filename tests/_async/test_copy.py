"""copy_in, copy_out and binary_copy_to_table: formats, sources, destinations, and what goes wrong in the middle."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from datetime import date
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_answers, ensure_closed, ensure_usable
from tests.concurrency import AsyncGroup

pytestmark = pytest.mark.loops(2)

ROWS = [(number, f'"na\tme"\n{number}, é\\') for number in range(2000)]

FORMATS: list[dict[str, Any]] = [
    {},
    {"format": "csv"},
    {"format": "binary"},
    {"format": "csv", "delimiter": ";", "null": "nil", "header": True, "quote": "'", "escape": "\\"},
    {"format": "CSV", "force_quote": "*"},
    {"format": "text", "delimiter": "|", "null": "\\'", "encoding": "latin1"},
]


def read_options(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "force_quote"}


async def count(executor: Connection | ConnectionPool, table: str) -> int:
    return await executor.fetch_val(f"SELECT count(*) FROM {table}")  # type: ignore[no-any-return]


async def filled(conn: Connection) -> None:
    await conn.execute("CREATE TEMP TABLE filled (id int4, name text)")
    await conn.copy_records_to_table("filled", [*ROWS, (-1, None), (None, "")])


async def test_formats_by_file(conn: Connection, tmp_path: Path) -> None:
    await filled(conn)
    await conn.execute("CREATE TEMP TABLE copied (LIKE filled)")
    for options in FORMATS:
        await conn.execute("TRUNCATE copied")
        path = tmp_path / "copied"
        assert await conn.copy_out("filled", path, **options) == len(ROWS) + 2
        assert await conn.copy_in("copied", str(path), **read_options(options)) == len(ROWS) + 2
        differing = "(TABLE filled EXCEPT TABLE copied) UNION ALL (TABLE copied EXCEPT TABLE filled)"
        assert (await conn.fetch(differing)).result() == [], options
    await ensure_usable(conn)


async def test_lines_that_are_skipped(conn: Connection) -> None:
    await conn.execute("CREATE TEMP TABLE numbers (n int4)")
    skipping: Any = {"on_error": "ignore", "log_verbosity": "verbose", "reject_limit": 2}
    if conn.server_version < 180000:
        with pytest.raises(exceptions.SyntaxError, match="not recognized"):
            await conn.copy_in("numbers", b"1\n", **skipping)
    else:
        assert await conn.copy_in("numbers", b"1\na\n2\nb\n", **skipping) == 2
        with pytest.raises(exceptions.DatabaseError, match="more than REJECT_LIMIT"):
            await conn.copy_in("numbers", b"1\na\nb\nc\n", **skipping)
        assert await count(conn, "numbers") == 2
    with pytest.raises(exceptions.ParameterTypeError, match="reject_limit must be an int, not str"):
        await conn.copy_in("numbers", b"1\n", reject_limit="1")  # type: ignore[arg-type]  # wrong on purpose
    await ensure_usable(conn)


async def test_open_files(conn: Connection, tmp_path: Path) -> None:
    await filled(conn)
    buffer, text = BytesIO(), StringIO()
    assert await conn.copy_out("filled", buffer) == await conn.copy_out("filled", text) == len(ROWS) + 2
    assert buffer.getvalue().decode() == text.getvalue()
    with (tmp_path / "raw").open("w+b", buffering=0) as raw:
        await conn.copy_out("filled", raw)
        raw.seek(0)
        assert await conn.copy_in("filled", raw) == len(ROWS) + 2
    buffer.seek(0), text.seek(0)
    assert await conn.copy_in("filled", buffer) == await conn.copy_in("filled", text) == len(ROWS) + 2
    taken: list[bytes] = []
    assert await conn.copy_out("filled", taken.append, ["id"]) == 4 * (len(ROWS) + 2)
    assert b"".join(taken).startswith(b"0\n1\n2\n")
    assert not buffer.closed
    await ensure_usable(conn)


async def test_iterables_of_bytes(conn: Connection, table: str) -> None:
    async def produced() -> AsyncIterator[bytes]:
        yield b""
        yield b"1\ton"
        yield b"e\n2\t\\N\n"

    def generated() -> Iterator[Any]:
        yield "3\tth"
        yield bytearray(b"ree\n")
        yield memoryview(b"4\t\n")

    assert await conn.copy_in(table, produced()) == 2
    assert await conn.copy_in(table, generated()) == 2
    assert await conn.copy_in(table, b"5\tfive\n") == 1
    assert await conn.copy_in(table, []) == await conn.copy_in(table, b"") == 0
    assert await conn.copy_in(table, [(6, "six"), (7, None)]) == 2
    assert await conn.copy_in(table, [["eight"]], ["name"]) == 1
    assert [row async for row in conn.copy_out(table)] == [
        (1, "one"),
        (2, None),
        (3, "three"),
        (4, ""),
        (5, "five"),
        (6, "six"),
        (7, None),
        (None, "eight"),
    ]
    await ensure_usable(conn)


async def test_rows_and_bytes_out(conn: Connection) -> None:
    await filled(conn)
    rows = [*ROWS, (-1, None), (None, "")]
    assert [row async for row in conn.copy_out("filled")] == rows
    assert [row async for row in conn.copy_out("filled", columns=["name"])] == [(name,) for _, name in rows]
    dicts = [row async for row in conn.copy_out(query="SELECT id, name FROM filled -- all;", as_dict=True)]
    assert dicts == [{"id": id, "name": name} for id, name in rows]
    copy = conn.copy_out(query="VALUES (1), (2);", format="csv", header=True)
    assert b"".join([part async for part in copy]) == b"column1\n1\n2\n"
    assert copy.row_count == 2
    assert [row async for row in conn.copy_out(query="SELECT 1 WHERE false")] == []
    returning = "INSERT INTO filled VALUES (7, 'seven') RETURNING name, name"
    assert [row async for row in conn.copy_out(query=returning)] == [("seven", "seven")]
    await ensure_usable(conn)


async def test_rows_of_types_without_binary_form(conn: Connection) -> None:
    query = "SELECT 'a\\b'::tsvector AS v, E'\\t\\n\\r\\\\N\\b' AS t, NULL, '\\N', date '2024-2-9', '{1,NULL}'::int[]"
    assert [row async for row in conn.copy_out(query=query)] == [
        (await conn.fetch_row(query)).result(as_tuple=True)
    ]
    await conn.execute("SET DateStyle = 'German'")
    dated = "SELECT 'a'::tsvector::text, 'a'::tsvector, date '2024-02-03'"
    assert [row[2] async for row in conn.copy_out(query=dated)] == [date(2024, 2, 3)]


async def test_large_rows(conn: Connection) -> None:
    sizes = [1, 200_000, 3, 5_000_000, 0, 131_000, 131_072]
    query = f"SELECT repeat('x', n) FROM unnest(ARRAY{sizes}) n"
    assert [len(row[0]) async for row in conn.copy_out(query=query)] == sizes
    parts = [part async for part in conn.copy_out(query=query, format="text")]
    assert [len(line) for line in b"".join(parts).split(b"\n")] == [*sizes, 0]
    assert all(part.endswith(b"\n") for part in parts)


async def test_values_that_python_has_not(conn: Connection) -> None:
    query = "SELECT CASE n WHEN 1700 THEN 'infinity'::date ELSE now()::date END AS d FROM generate_series(1, 3000) n"
    with pytest.raises(exceptions.DataError, match='row 1700, column 1 "d" \\(date\\)'):
        [row async for row in conn.copy_out(query=query)]
    await ensure_usable(conn)


async def test_breaking_off(conn: Connection) -> None:
    endless = "SELECT generate_series(1, 100000000), repeat('x', 100)"
    async for row in conn.copy_out(query=endless):
        if row[0] == 3:
            break
    await ensure_answers(conn)
    async with conn.copy_out(query=endless) as copy:
        assert [(await copy.__anext__())[0] for _ in range(3)] == [1, 2, 3]
    with pytest.raises(StopAsyncIteration):
        await copy.__anext__()
    copy.close()
    await ensure_usable(conn)


async def test_giving_the_connection_back_breaks_off(pool: ConnectionPool) -> None:
    connection = await pool.connection()
    copy = connection.copy_out(query="SELECT generate_series(1, 100000000)")
    assert await copy.__anext__() == (1,)
    connection.close()
    for _ in range(4):
        async with pool.acquire() as other:
            await ensure_answers(other)
    copy.close()


async def test_nobody_listens_while_others_wait(conn: Connection) -> None:
    """The rows that nobody takes stay with the server, and a statement behind them waits for its turn."""
    query = "SELECT n, repeat('x', 100) FROM generate_series(1, 100000) n"
    async with AsyncGroup() as group:
        copy = conn.copy_out(query=query)
        await copy.__anext__()
        behind = group.start(conn.fetch_val, "SELECT 7")
        rows = [row async for row in copy]
        assert len(rows) == 99_999
    assert behind.result() == 7


async def test_errors_of_the_server(conn: Connection, table: str) -> None:
    calls: list[tuple[Callable[[], Any], type[exceptions.Error]]] = [
        (lambda: conn.copy_in("psqlpy_nope", b"1\t2\n"), exceptions.UndefinedTable),
        (lambda: conn.binary_copy_to_table(b"", "psqlpy_nope"), exceptions.UndefinedTable),
        (lambda: conn.binary_copy_to_table(b"garbage", table), exceptions.BadCopyFileFormat),
        (lambda: conn.copy_in(table, b"1\t2\t3\n"), exceptions.BadCopyFileFormat),
        (lambda: conn.copy_in(table, [b"1\t2\n"] * 50_000 + [b"x\t2\n"]), exceptions.InvalidTextRepresentation),
        (lambda: conn.copy_in(table, b"1\n", ["nobody"]), exceptions.UndefinedColumn),
        (lambda: conn.copy_in(table, b"", delimiter="ab"), exceptions.FeatureNotSupported),
        (lambda: conn.copy_out("psqlpy_nope", BytesIO()), exceptions.UndefinedTable),
        (lambda: conn.copy_out(query="SELECT 1 / (5 - n) FROM generate_series(1, 9) n", destination=BytesIO()),
         exceptions.DivisionByZero),
    ]  # fmt: skip
    for call, error in calls:
        with pytest.raises(error) as caught:
            await call()
        assert isinstance(caught.value, exceptions.DatabaseError)
        assert await count(conn, table) == 0
    for query in ("SELECT nothing", "SELECT 1 / (5 - n) FROM generate_series(1, 9) n"):
        with pytest.raises(exceptions.DatabaseError):
            [row async for row in conn.copy_out(query=query)]
    await ensure_usable(conn)


async def test_bad_arguments(conn: Connection, table: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: conn.copy_in(table, 5),
        lambda: conn.copy_in(table, b"", format="xml"),
        lambda: conn.copy_in(table, b"", delimiter=5),  # type: ignore[arg-type]
        lambda: conn.copy_in(table, b"", ""),
        lambda: conn.copy_in(table, b"", []),
        lambda: conn.copy_in("", b""),
        lambda: conn.copy_in("a\0b", b""),
        lambda: conn.copy_in(table, [(1, "a")], format="csv"),
        lambda: conn.copy_in(table, [b"1\t2\n", 5]),
        lambda: conn.copy_in(table, b"", null="\0"),
        lambda: conn.binary_copy_to_table("a path", table),  # type: ignore[arg-type]
        lambda: conn.binary_copy_to_table(5, table),  # type: ignore[arg-type]
        lambda: conn.copy_out(table, 5),
        lambda: conn.copy_out(),
        lambda: conn.copy_out(table, query="SELECT 1"),
        lambda: conn.copy_out(query="SELECT 1", columns=["a"]),
        lambda: conn.copy_out(table, format="csv", as_dict=True),  # type: ignore[call-overload]
    ]
    for call in calls:
        with pytest.raises(exceptions.PyToRustValueMappingError):
            await call()
    with pytest.raises(FileNotFoundError):
        await conn.copy_in(table, "/no such file")
    with pytest.raises(IsADirectoryError):
        await conn.copy_out(table, "/")
    await ensure_usable(conn)


async def test_names_are_quoted(conn: Connection) -> None:
    schema, name, column = 'psqlpy "copy"', "t; DROP TABLE x", 'A b") FROM PROGRAM'
    quoted = f'"psqlpy ""copy"""."{name}"'
    await conn.execute_batch('DROP SCHEMA IF EXISTS "psqlpy ""copy""" CASCADE')
    async with conn.transaction() as transaction:
        await transaction.execute('CREATE SCHEMA "psqlpy ""copy"""')
        await transaction.execute(f'CREATE TABLE {quoted} ("A b"") FROM PROGRAM" int4)')
        assert await transaction.copy_records_to_table(name, [(1,)], [column], schema) == 1
        assert await transaction.copy_in(name, b"2\n", [column], schema) == 1
        data = BytesIO()
        await transaction.copy_out(name, data, [column], schema, format="binary")
        assert await transaction.binary_copy_to_table(data, name, [column], schema) == 2
        assert [row async for row in transaction.copy_out(name, None, [column], schema)] == [
            (1,),
            (2,),
            (1,),
            (2,),
        ]
        await transaction.rollback()


async def test_queries_that_would_be_more_than_one(conn: Connection, table: str) -> None:
    for query in (
        f"SELECT 1) TO STDOUT; DROP TABLE {table}; --",
        f"SELECT 1; DROP TABLE {table}",
        "",
        "-- nothing",
        "SELECT (1",
    ):
        with pytest.raises(exceptions.ParameterValueError, match="one statement, and complete"):
            conn.copy_out(query=query)
    assert await count(conn, table) == 0


async def test_generated_and_identity_columns(conn: Connection) -> None:
    await conn.execute(
        "CREATE TEMP TABLE made (id int4 GENERATED ALWAYS AS IDENTITY, n int4, "
        "double int4 GENERATED ALWAYS AS (n * 2) STORED)"
    )
    assert await conn.copy_records_to_table("made", [(7, 1)]) == 1
    assert await conn.copy_records_to_table("made", [{"n": 2}]) == 1
    with pytest.raises(exceptions.ParameterValueError, match="record 1 has 3 fields, expected 2: id, n"):
        await conn.copy_records_to_table("made", [(7, 1, 2)])
    assert (await conn.fetch("SELECT * FROM made")).result(as_tuple=True) == [(7, 1, 2), (1, 2, 4)]
    assert [row async for row in conn.copy_out("made")] == [(7, 1), (1, 2)]
    assert [row async for row in conn.copy_out("made", as_dict=True)] == [
        {"id": 7, "n": 1},
        {"id": 1, "n": 2},
    ]
    await conn.execute("ALTER TABLE made DROP COLUMN id, ADD COLUMN \"a b\" text DEFAULT 'x'")
    assert [row async for row in conn.copy_out("made")] == [(1, "x"), (2, "x")]


@pytest.mark.loops(1)
async def test_what_is_wrong_is_named(conn: Connection, table: str) -> None:
    calls: list[Any] = [conn.copy_in, conn.copy_records_to_table, conn.copy_out]
    for call in calls:
        with pytest.raises(exceptions.ParameterTypeError, match="progress must be a plain function.*not int"):
            await call(table, [(1, "x")], progress=5)
    wrong: list[tuple[Any, str]] = [("id", "must be a list of names, not str"), ([], "has no names in it")]
    for names, message in wrong:
        with pytest.raises((exceptions.ParameterTypeError, exceptions.ParameterValueError)) as caught:
            await conn.copy_in(table, b"1,\n", format="csv", force_null=names)
        assert f"force_null {message}" in str(caught.value)
    assert await count(conn, table) == 0


async def test_progress(conn: Connection, tmp_path: Path) -> None:
    await filled(conn)
    for options in FORMATS:
        seen: list[tuple[int, int]] = []

        def see(rows: int, size: int, seen: list[tuple[int, int]] = seen) -> None:
            seen.append((rows, size))

        path = tmp_path / "file"
        rows = await conn.copy_out("filled", path, progress=see, **options)
        assert [sum(column) for column in zip(*seen, strict=True)] == [rows, path.stat().st_size]
        seen.clear()
        await conn.execute("CREATE TEMP TABLE IF NOT EXISTS copied (LIKE filled)")
        assert rows == await conn.copy_in("copied", path, progress=see, **read_options(options))
        assert [sum(column) for column in zip(*seen, strict=True)] == [rows, path.stat().st_size]


async def test_destination_that_raises(conn: Connection) -> None:
    def full(part: bytes) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        await conn.copy_out(query="SELECT generate_series(1, 100000000)", destination=full)
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_timeout_of_a_copy_out(conn: Connection, pool: ConnectionPool) -> None:
    sleepy = "SELECT n, pg_sleep(CASE n WHEN 2 THEN 60 ELSE 0 END) FROM generate_series(1, 3) n"
    with pytest.raises(exceptions.QueryTimeoutError):
        await conn.copy_out(query=sleepy, destination=BytesIO(), timeout=0.1)
    await ensure_answers(conn)
    with pytest.raises(exceptions.QueryTimeoutError):
        [row async for row in pool.copy_out(query=sleepy, timeout=0.1)]
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_closed_connection(conn: Connection, pool: ConnectionPool, table: str) -> None:
    await pool.execute("SELECT pg_terminate_backend($1)", [conn.backend_pid])
    with pytest.raises(exceptions.ConnectionClosedError):
        await conn.copy_records_to_table(table, ROWS)
    await ensure_closed(conn)
    with pytest.raises(exceptions.ConnectionClosedError):
        await conn.copy_in(table, b"")
    with pytest.raises(exceptions.ConnectionClosedError):
        [row async for row in conn.copy_out(table)]


@pytest.mark.loops(3)
async def test_backend_killed_in_the_middle(conn: Connection, pool: ConnectionPool, table: str) -> None:
    async def deadly() -> AsyncGenerator[tuple[int, str], None]:
        for row in ROWS:
            yield row
        await pool.execute("SELECT pg_terminate_backend($1)", [conn.backend_pid])
        while True:
            yield 1, "x" * 1000

    with pytest.raises(exceptions.ConnectionLostError):
        async with aclosing(deadly()) as source:
            await conn.copy_records_to_table(table, source, timeout=10)
    await ensure_closed(conn)
    assert await count(pool, table) == 0
    copy = pool.copy_out(query="SELECT n, repeat('x', 1000) FROM generate_series(1, 1000000) n")
    await copy.__anext__()
    await pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT n, repeat%'"
    )
    with pytest.raises(exceptions.ConnectionLostError):
        [row async for row in copy]
    await ensure_usable(pool)


async def test_an_option_that_copy_does_not_have_is_named(conn: Connection) -> None:
    with pytest.raises(TypeError, match=r"copy_in\(\) got an unexpected keyword argument 'delim'"):
        await conn.copy_in("t", b"", delim=";")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"copy_out\(\) got an unexpected keyword argument 'freeze'"):
        conn.copy_out("t", freeze=True)  # type: ignore[call-overload]
