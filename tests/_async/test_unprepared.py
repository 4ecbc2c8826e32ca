"""prepared=False: nothing is left on the server, and the statement does what it does prepared.

Long, since all that is tested of prepared statements has its counterpart here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from psqlpy._protocol.unprepared import DESCRIPTIONS_KEPT
from tests._async.usable import ensure_answers, ensure_idle, ensure_usable
from tests.concurrency import AsyncGroup

pytestmark = pytest.mark.loops(1)

# Of any session: the question itself isn't prepared.
PREPARED = "SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[ConnectionPool]:
    """Sessions of somebody else, whose knowledge of statements isn't ours."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as other:
        yield other


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every flight that is sent from now on."""
    sent: list[Request] = []
    fly = Session.fly

    def count(session: Session, request: Request, flushed: int) -> None:
        sent.append(request)
        fly(session, request, flushed)

    monkeypatch.setattr(Session, "fly", count)
    return sent


async def ensure_nothing_prepared(conn: Connection) -> None:
    assert await conn.fetch_val(PREPARED, prepared=False) == 0


# What it leaves, and what it costs


async def test_nothing_is_left_on_the_server(conn: Connection, table: str) -> None:
    for n in range(3):
        await conn.execute(f"INSERT INTO {table} VALUES ($1, $2)", [n, "a"], prepared=False)
        assert (await conn.execute("SELECT $1::int4 AS n", [n], prepared=False)).result() == [{"n": n}]
        rows = (await conn.fetch(f"SELECT id FROM {table} ORDER BY id", prepared=False)).result()
        assert rows == [{"id": m} for m in range(n + 1)]
        assert (await conn.fetch_row("SELECT $1::text AS t", ["x"], prepared=False)).result() == {"t": "x"}
        assert await conn.fetch_val("SELECT $1::float8", [n / 2], prepared=False) == n / 2
    await ensure_nothing_prepared(conn)
    assert len(conn.link.session.statements) == 0


async def test_nothing_is_left_by_a_pool(dsn: str, observer: ConnectionPool) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        assert await pool.fetch_val("SELECT $1::int4", [1], prepared=False) == 1
        assert await pool.fetch_val("SELECT $1::int4", [2], prepared=False) == 2
        assert (await pool.fetch("SELECT 1 AS n", prepared=False)).result() == [{"n": 1}]
        assert await pool.fetch_val(PREPARED, prepared=False) == 0


async def test_every_use_is_one_flight(conn: Connection, flights: list[Request]) -> None:
    for n in range(5):
        assert await conn.fetch_val("SELECT $1::int4 + 10", [n], prepared=False) == n + 10
    assert len(flights) == 5


async def test_known_texts_fly_together(conn: Connection) -> None:
    assert await conn.fetch_val("SELECT $1::int4", [0], prepared=False) == 0
    session = conn.link.session
    seen: list[int] = []
    async with AsyncGroup() as group:
        slow = group.start(conn.execute, "SELECT pg_sleep(0.2)", prepared=False)
        calls = [group.start(conn.fetch_val, "SELECT $1::int4", [n], False) for n in range(50)]
        seen.append(len(session.flights))
    assert not slow.error
    assert [call.result() for call in calls] == list(range(50))
    await ensure_nothing_prepared(conn)


async def test_what_one_connection_learnt_the_others_know(
    conn: Connection, pool: ConnectionPool, flights: list[Request]
) -> None:
    assert await conn.fetch_val("SELECT $1::int4 * 3", [1], prepared=False) == 3
    assert "SELECT $1::int4 * 3" in conn.descriptions
    async with pool.acquire() as another:
        assert another.backend_pid != conn.backend_pid
        assert another.descriptions is conn.descriptions
        assert await another.fetch_val("SELECT $1::int4 * 3", [2], prepared=False) == 6


async def test_what_is_learnt_is_bounded(conn: Connection) -> None:
    async with AsyncGroup() as group:
        for n in range(DESCRIPTIONS_KEPT + 10):
            group.start(conn.execute, f"SELECT {n}", prepared=False)
    assert 0 < len(conn.descriptions) <= DESCRIPTIONS_KEPT
    await ensure_usable(conn)


async def test_prepared_and_unprepared_of_one_text(conn: Connection) -> None:
    async with AsyncGroup() as group:
        calls = [group.start(conn.fetch_val, "SELECT $1::int4 - 1", [n], n % 2 == 0) for n in range(40)]
    assert [call.result() for call in calls] == [n - 1 for n in range(40)]
    assert await conn.fetch_val(PREPARED, prepared=False) == 1


# Results


@pytest.mark.parametrize("text", ["", " ", ";", "-- nothing", "/* nothing */ ;"])
async def test_empty_statements(conn: Connection, text: str) -> None:
    for _ in range(3):
        assert (await conn.execute(text, prepared=False)).result() == []
        with pytest.raises(exceptions.NoRowsError):
            await conn.fetch_row(text, prepared=False)
    async with AsyncGroup() as group:
        empty = [group.start(conn.fetch, text, None, False) for _ in range(5)]
        value = group.start(conn.fetch_val, "SELECT 5", None, False)
    assert [call.result().result() for call in empty] == [[]] * 5
    assert value.result() == 5
    await ensure_usable(conn)
    async with conn.transaction() as transaction:
        assert (await transaction.execute(text, prepared=False)).result() == []
        assert await conn.in_transaction()
    await ensure_idle(conn)


async def test_rows_and_tags(conn: Connection, table: str) -> None:
    for _ in range(2):
        inserted = await conn.execute(f"INSERT INTO {table} SELECT 1 RETURNING id", prepared=False)
        assert inserted.result() == [{"id": 1}]
        assert inserted.command_tag == "INSERT 0 1"
        none = await conn.execute(f"SELECT * FROM {table} WHERE id = 0", prepared=False)
        assert none.result() == []
        assert none.columns == (("id", "int4"), ("name", "text"))
    deleted = await conn.execute(f"DELETE FROM {table}", prepared=False)
    assert deleted.rowcount == 2


async def test_a_type_that_is_only_text(conn: Connection) -> None:
    query = "SELECT '1:1:'::pg_snapshot AS seen, $1::int4 AS n, now()::date = current_date AS today"
    for n in range(3):
        row = (await conn.fetch_row(query, [n], prepared=False)).result()
        assert row["seen"] == "1:1:"
        assert (row["n"], row["today"]) == (n, True)


# Another session changes the table


async def test_columns_change(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table} WHERE id = $1"
    await conn.execute(f"INSERT INTO {table} VALUES (1, 'a')", prepared=False)
    changes: list[tuple[str, dict[str, object]]] = [
        (f"ALTER TABLE {table} ADD size int8 DEFAULT 5", {"id": 1, "name": "a", "size": 5}),
        (f"ALTER TABLE {table} RENAME name TO label", {"id": 1, "label": "a", "size": 5}),
        (f"ALTER TABLE {table} ALTER size TYPE text", {"id": 1, "label": "a", "size": "5"}),
        (f"ALTER TABLE {table} ALTER size TYPE float8 USING 0.5", {"id": 1, "label": "a", "size": 0.5}),
        (f"ALTER TABLE {table} DROP label", {"id": 1, "size": 0.5}),
        (f"ALTER TABLE {table} ALTER size TYPE int4 USING 7", {"id": 1, "size": 7}),
    ]
    for change, row in changes:
        assert (await conn.fetch(select, [1], prepared=False)).rowcount == 1
        await other.execute(change)
        for _ in range(2):
            found = (await conn.fetch_row(select, [1], prepared=False)).result()
            assert {name: str(value) for name, value in found.items()} == {
                name: str(value) for name, value in row.items()
            }
        if isinstance(row.get("size"), int | float):
            assert type(found["size"]) is type(row["size"])


@pytest.mark.parametrize("read", ["SELECT size FROM {0}", "UPDATE {0} SET name = 'b' RETURNING size"])
async def test_a_column_changes_to_a_type_that_is_new(
    conn: Connection, other: ConnectionPool, table: str, read: str
) -> None:
    await conn.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    await other.execute(f"CREATE TYPE {table}_pair AS (a int4, b text)")
    try:
        changes: list[tuple[str, str, object]] = [
            (f"{table}_pair[]", "'{\"(5,x)\"}'", [{"a": 5, "b": "x"}]),
            # Their binary form isn't read.
            ("regclass", "'pg_class'", "pg_class"),
            ("pg_snapshot", "'1:2:'", "1:2:"),
        ]
        for kind, literal, value in changes:
            query = f"{read.format(table)} -- {kind}"
            await other.execute(f"ALTER TABLE {table} ADD size int4 DEFAULT 5")
            assert await conn.fetch_val(query, prepared=False) == 5
            await other.execute(f"ALTER TABLE {table} DROP size, ADD size {kind} DEFAULT {literal}")
            first, second = [await conn.fetch_val(query, prepared=False) for _ in range(2)]
            assert second == value
            # What has been written isn't written once more to be read as text.
            assert first == value or (read.startswith("UPDATE") and isinstance(first, bytes))
            await other.execute(f"ALTER TABLE {table} DROP size")
    finally:
        await other.execute(f"DROP TYPE {table}_pair CASCADE")


@pytest.mark.loops(3)
async def test_columns_change_while_several_wait(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table} WHERE id = $1"
    await conn.execute_many(f"INSERT INTO {table} VALUES ($1, 'a')", [[n] for n in range(10)])
    await conn.execute(select, [0], prepared=False)
    await other.execute(f"ALTER TABLE {table} ADD age int4 DEFAULT 5")
    async with AsyncGroup() as group:
        calls = [group.start(conn.fetch_row, select, [n], False) for n in range(10)]
    expected = [{"id": n, "name": "a", "age": 5} for n in range(10)]
    assert [call.result().result() for call in calls] == expected


async def test_table_goes_and_comes(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table} WHERE id = $1"
    assert (await conn.fetch(select, [1], prepared=False)).result() == []
    await other.execute(f"DROP TABLE {table}")
    for _ in range(2):
        with pytest.raises(exceptions.UndefinedTable):
            await conn.execute(select, [1], prepared=False)
        await ensure_answers(conn)
    await other.execute(f"CREATE TABLE {table} (id text)")
    await other.execute(f"INSERT INTO {table} VALUES ('one')")
    assert (await conn.fetch(select, ["one"], prepared=False)).result() == [{"id": "one"}]


async def test_parameters_change_in_a_transaction(
    conn: Connection, other: ConnectionPool, table: str
) -> None:
    select = f"SELECT name FROM {table} WHERE id = $1"
    await conn.execute(select, [1], prepared=False)
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    with pytest.raises(exceptions.UndefinedFunction):
        async with conn.transaction() as transaction:
            await transaction.execute("SELECT 1", prepared=False)
            await transaction.execute(select, ["1"], prepared=False)
    async with conn.transaction() as transaction:
        await transaction.execute("SELECT 1", prepared=False)
        assert (await transaction.fetch(select, ["1"], prepared=False)).result() == []
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_parameters_change_while_several_wait(
    conn: Connection, other: ConnectionPool, table: str
) -> None:
    select = f"SELECT name FROM {table} WHERE id = $1"
    insert = f"INSERT INTO {table} VALUES ($1, 'a')"
    await conn.execute(select, [1], prepared=False)
    await conn.execute(insert, [1], prepared=False)
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    async with AsyncGroup() as group:
        calls = [group.start(conn.fetch_val, select, ["1"], False) for _ in range(10)]
        others = [group.start(conn.fetch_val, "SELECT $1::int4", [n], False) for n in range(10)]
    assert [call.result() for call in calls] == ["a"] * 10
    assert [call.result() for call in others] == list(range(10))
    async with AsyncGroup(keep_errors=True) as group:
        inserts = [group.start(conn.execute, insert, ["two"], False) for _ in range(5)]
    stored = sum(call.error is None for call in inserts)
    # The first one learns the types at the latest; those that flew with it may have met the old ones.
    assert stored
    assert await conn.fetch_val(f"SELECT count(*) FROM {table} WHERE id = 'two'") == stored
    await ensure_usable(conn)


async def test_search_path_changes_what_a_text_means(conn: Connection, table: str) -> None:
    await conn.execute("CREATE TEMPORARY TABLE here (id int4)")
    await conn.execute("INSERT INTO here VALUES (1)")
    select = "SELECT id FROM here WHERE id = $1"
    assert await conn.fetch_val(select, [1], prepared=False) == 1
    await conn.execute("DROP TABLE here")
    await conn.execute("CREATE TEMPORARY TABLE here (id uuid)")
    await conn.execute("INSERT INTO here VALUES ('00000000-0000-0000-0000-000000000001')")
    value = await conn.fetch_val(select, ["00000000-0000-0000-0000-000000000001"], prepared=False)
    assert str(value) == "00000000-0000-0000-0000-000000000001"


# Errors


ERRORS: list[tuple[str, object, type[exceptions.Error], str | None]] = [
    # Parse
    ("SELEKT 1", None, exceptions.SyntaxError, "42601"),
    ("SELECT no_such_column", None, exceptions.UndefinedColumn, "42703"),
    ("SELECT $1", [object()], exceptions.PyToRustValueMappingError, None),
    ("SELECT $2::int4", [1, 2], exceptions.IndeterminateDatatype, "42P18"),
    # Bind
    ("SELECT $1::int4 AS number", ["no number"], exceptions.ParameterValueError, "22P02"),
    ("SELECT $1::int4 AS number", [1.5], exceptions.PyToRustValueMappingError, None),
    ("SELECT $1::int4 AS number", [], exceptions.ParameterValueError, None),
    # Execute
    ("SELECT 1 / $1::int4", [0], exceptions.DivisionByZero, "22012"),
    ("SELECT 1 / (g - 3) FROM generate_series(1, 5) g", None, exceptions.DivisionByZero, "22012"),
    ("DO $$ BEGIN RAISE 'from inside'; END $$", None, exceptions.RaiseException, "P0001"),
]


@pytest.mark.parametrize(("text", "parameters", "error", "sqlstate"), ERRORS)
async def test_errors(
    conn: Connection, text: str, parameters: object, error: type[exceptions.Error], sqlstate: str | None
) -> None:
    for _ in range(3):
        with pytest.raises(error) as caught:
            await conn.execute(text, parameters, prepared=False)
        assert caught.value.sqlstate == sqlstate
        assert caught.value.__cause__ is None
        await ensure_answers(conn)
    await ensure_usable(conn)


@pytest.mark.parametrize(("text", "parameters", "error", "sqlstate"), ERRORS)
async def test_errors_between_others(
    conn: Connection, text: str, parameters: object, error: type[exceptions.Error], sqlstate: str | None
) -> None:
    for _ in range(2):
        async with AsyncGroup(keep_errors=True) as group:
            before = [group.start(conn.fetch_val, "SELECT $1::int4", [n], False) for n in range(5)]
            failing = [group.start(conn.execute, text, parameters, False) for _ in range(2)]
            after = [group.start(conn.fetch_val, "SELECT $1::int4", [n], n % 2 == 0) for n in range(5)]
        assert [call.result() for call in before] == list(range(5))
        assert all(isinstance(call.error, error) for call in failing)
        assert [call.result() for call in after] == list(range(5))
    await ensure_usable(conn)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("text", "parameters", "error", "sqlstate"), ERRORS)
async def test_errors_in_a_transaction(
    conn: Connection,
    text: str,
    parameters: object,
    error: type[exceptions.Error],
    sqlstate: str | None,
    first: bool,
) -> None:
    for _ in range(2):
        with pytest.raises(error) as caught:
            async with conn.transaction() as transaction:
                if not first:
                    await transaction.execute("SELECT 1", prepared=False)
                await transaction.execute(text, parameters, prepared=False)
        assert caught.value.sqlstate == sqlstate
        await ensure_idle(conn)
    await ensure_usable(conn)


async def test_an_error_behind_known_types_is_not_executed_twice(conn: Connection) -> None:
    await conn.execute("CREATE TEMPORARY SEQUENCE calls")
    query = "SELECT nextval('calls') / $1::int4"
    assert await conn.fetch_val(query, [1], prepared=False) == 1
    with pytest.raises(exceptions.DivisionByZero):
        await conn.execute(query, [0], prepared=False)
    assert await conn.fetch_val(query, [1], prepared=False) == 3


# Transactions


async def test_transaction_of_unprepared_statements(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    for known in range(2):
        async with conn.transaction() as transaction:
            await transaction.execute(insert, [known], prepared=False)
            assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2 * known
            await transaction.execute(insert, [known], prepared=False)
        assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2 * known + 2
    await ensure_nothing_prepared(conn)


async def test_begin_and_rollback_as_text(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    for _ in range(2):
        async with AsyncGroup() as group:
            for text in ("BEGIN", insert, f"{insert} -- again", "ROLLBACK"):
                group.start(conn.execute, text, [1] if "$1" in text else None, False)
        if await conn.in_transaction():
            # Calls of several threads come in any order.
            await conn.execute("ROLLBACK", prepared=False)
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") in range(5)
    await ensure_idle(conn)
    await conn.execute("BEGIN", prepared=False)
    assert await conn.in_transaction()
    await conn.execute(f"DELETE FROM {table}", prepared=False)
    await conn.execute(insert, [5], prepared=False)
    await conn.execute("COMMIT", prepared=False)
    assert await pool.fetch_val(f"SELECT sum(id) FROM {table}") == 5


async def test_statements_that_cannot_run_in_a_transaction(conn: Connection, table: str) -> None:
    for _ in range(2):
        await conn.execute(f"VACUUM {table}", prepared=False)
    with pytest.raises(exceptions.ActiveSqlTransaction):
        async with conn.transaction() as transaction:
            await transaction.execute(f"VACUUM {table}", prepared=False)
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_big_results_and_parameters(conn: Connection) -> None:
    body = bytes(range(256)) * 20_000
    for _ in range(2):
        async with AsyncGroup() as group:
            calls = [group.start(conn.fetch_val, "SELECT $1::bytea", [body], False) for _ in range(3)]
        assert all(call.result() == body for call in calls)
    await ensure_usable(conn)


# All of it together


async def test_nothing_stays_prepared(conn: Connection, table: str) -> None:
    for number in range(3):
        await conn.execute(f"INSERT INTO {table} VALUES ($1, $2)", [number, "a"], False)
        await conn.fetch("SELECT 1", prepared=False)
        await conn.fetch_row("SELECT $1::text", ["a"], prepared=False)
        with pytest.raises(exceptions.DivisionByZero):
            await conn.fetch_val("SELECT 1 / $1::int4", [0], prepared=False)
        with pytest.raises(exceptions.ParameterTypeError):
            await conn.fetch_val("SELECT $1::int4", [1.5], prepared=False)
    assert await conn.fetch_val(PREPARED, prepared=False) == 0
    await ensure_usable(conn)


async def test_second_use_is_one_flight(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Request] = []
    fly = Session.fly

    def count(session: Session, request: Request, flushed: int) -> None:
        sent.append(request)
        fly(session, request, flushed)

    monkeypatch.setattr(Session, "fly", count)
    for number in range(3):
        assert await conn.fetch_val("SELECT $1::int4", [number], False) == number
        assert len(sent) == number + 1
    await ensure_usable(conn)


async def test_table_changes_in_between(conn: Connection, pool: ConnectionPool, table: str) -> None:
    query = f"SELECT * FROM {table}"
    await pool.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    assert (await conn.execute(query, None, False)).result() == [{"id": 1, "name": "a"}]
    await pool.execute(f"ALTER TABLE {table} ADD extra int8 DEFAULT 5")
    for _ in range(2):
        assert (await conn.execute(query, None, False)).result() == [{"id": 1, "name": "a", "extra": 5}]
    await pool.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    for _ in range(2):
        assert (await conn.execute(query, None, False)).result() == [{"id": "1", "name": "a", "extra": 5}]
    await pool.execute(f"ALTER TABLE {table} DROP name")
    for _ in range(2):
        assert (await conn.execute(query, None, False)).result() == [{"id": "1", "extra": 5}]
    await ensure_usable(conn)


@pytest.mark.loops(3)
async def test_gathered(conn: Connection) -> None:
    async with AsyncGroup(keep_errors=True) as group:
        calls = [
            group.start(conn.fetch_val, f"SELECT 12 / $1::int4 + {number % 3}", [number % 4], False)
            for number in range(24)
        ]
    for number, call in enumerate(calls):
        if number % 4:
            assert call.result() == 12 // (number % 4) + number % 3
        else:
            assert isinstance(call.error, exceptions.DivisionByZero)
    await ensure_usable(conn)
