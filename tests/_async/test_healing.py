"""The prepared statements of a connection: how many there are, and how they outlive changes on the server.

Long, since each change on the server meets statements in and outside of transactions, alone and in company.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from psqlpy._protocol.statements import DEFAULT_CAPACITY, LONGEST_TEXT
from tests._async.usable import Executor, ensure_usable
from tests.concurrency import AsyncGroup, async_wait_until

pytestmark = pytest.mark.loops(2)

OURS = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'psqlpy%'"
DROP_PLANS = [
    ("execute", "DISCARD ALL"),
    ("execute", "DEALLOCATE ALL"),
    ("execute", "/* all */ deallocate prepare all;"),
    ("execute_batch", "DISCARD ALL"),
    ("execute_batch", "SELECT 1; DEALLOCATE ALL; SELECT 2"),
    ("execute_batch", "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"),
    ("execute", "SELECT pg_temp.drop_plans()"),
]
FUNCTION = """CREATE FUNCTION pg_temp.drop_plans() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"""


async def count_ours(conn: Connection) -> int:
    """How many statements the server has prepared for us, this question not counted."""
    count: int = await conn.fetch_val(OURS, prepared=False)
    return count


async def columns_of(executor: Executor, query: str) -> tuple[str, ...]:
    """The names of a query's columns."""
    return tuple(name for name, _ in (await executor.fetch(query)).columns)


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[ConnectionPool]:
    """Sessions of somebody else."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as other:
        yield other


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every flight that is sent from now on."""
    sent: list[Request] = []
    fly = Session.fly

    def count(session: Session, request: Request, flushed: int) -> None:
        if not request.silent:
            sent.append(request)
        fly(session, request, flushed)

    monkeypatch.setattr(Session, "fly", count)
    return sent


# The cache


async def test_a_text_is_prepared_once(conn: Connection, flights: list[Request]) -> None:
    for n in range(5):
        assert await conn.fetch_val("SELECT $1::int4 + 1", [n]) == n + 1
    assert len(flights) == 6
    assert await count_ours(conn) == 1


async def test_number_of_statements_is_bounded(conn: Connection) -> None:
    for n in range(DEFAULT_CAPACITY + 100):
        assert await conn.fetch_val(f"SELECT {n}") == n
    # What leaves the cache is closed behind the next new text.
    assert DEFAULT_CAPACITY - 1 <= await count_ours(conn) <= DEFAULT_CAPACITY + 1
    for n in range(DEFAULT_CAPACITY + 100):
        assert await conn.fetch_val(f"SELECT {n}") == n
    assert await count_ours(conn) <= DEFAULT_CAPACITY + 1


async def test_number_of_statements_is_bounded_at_once(conn: Connection) -> None:
    for _ in range(2):
        async with AsyncGroup() as group:
            calls = [group.start(conn.fetch_val, f"SELECT {n}") for n in range(DEFAULT_CAPACITY + 50)]
        assert [call.result() for call in calls] == list(range(DEFAULT_CAPACITY + 50))
    assert await count_ours(conn) <= DEFAULT_CAPACITY + 1


async def test_least_recently_used_leaves(conn: Connection, flights: list[Request]) -> None:
    await conn.execute("SELECT 'kept'")
    await conn.execute("SELECT 'left'")
    for n in range(DEFAULT_CAPACITY - 2):
        await conn.execute(f"SELECT {n}")
        await conn.execute("SELECT 'kept'")
    await conn.execute("SELECT 'one more'")
    flights.clear()
    await conn.execute("SELECT 'kept'")
    assert len(flights) == 1
    await conn.execute("SELECT 'left'")
    assert len(flights) == 3


async def test_number_of_statements_is_bounded_in_transactions(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        for n in range(DEFAULT_CAPACITY + 20):
            await transaction.execute(f"SELECT {n}")
    for n in range(DEFAULT_CAPACITY + 20):
        # The one that leaves the cache can't always be closed at once.
        async with AsyncGroup(keep_errors=True) as group:
            for text in (f"SELECT 'in {n}'", "BEGIN", "SELECT 1 / 0", f"SELECT 'out {n}'", "ROLLBACK"):
                group.start(conn.execute, text)
        if await conn.in_transaction():
            await conn.execute("ROLLBACK")
    # In whichever order the last round ran, no more than its five statements may still have one to close each.
    assert await count_ours(conn) <= DEFAULT_CAPACITY + 5
    await ensure_usable(conn)


async def test_long_texts_are_not_kept(conn: Connection) -> None:
    for n in range(3):
        text = f"SELECT {n}, $1::int4 -- {'x' * LONGEST_TEXT}"
        for m in range(2):
            assert (await conn.fetch(text, [m])).result(as_tuple=True) == [(n, m)]
    assert await count_ours(conn) == 0


@pytest.mark.parametrize(
    "text", ["SELECT no_such_column", "SELEKT 1", "SELECT * FROM no_such_table", "SELECT $1::no_such_type"]
)
async def test_failed_parse_is_not_remembered(conn: Connection, text: str) -> None:
    parameters = ["x"] if "$1" in text else None
    for _ in range(3):
        with pytest.raises(exceptions.ProgrammingError):
            await conn.execute(text, parameters)
        with pytest.raises(exceptions.ProgrammingError):
            await conn.execute_many(text, [parameters or []])
    assert text not in conn.link.session.statements
    assert await count_ours(conn) == 0
    await ensure_usable(conn)


async def test_failed_parse_succeeds_later(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT age FROM {table}"
    with pytest.raises(exceptions.UndefinedColumn):
        await conn.execute(select)
    await other.execute(f"ALTER TABLE {table} ADD age int4")
    assert (await conn.fetch(select)).result() == []


# Another session changes the table


async def test_added_column(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table} WHERE id = $1"
    await conn.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    assert (await conn.fetch(select, [1])).result() == [{"id": 1, "name": "a"}]
    for n in range(3):
        await other.execute(f"ALTER TABLE {table} ADD c{n} text DEFAULT 'new'")
        added = {f"c{m}": "new" for m in range(n + 1)}
        assert (await conn.fetch_row(select, [1])).result() == {"id": 1, "name": "a", **added}
    assert await count_ours(conn) <= 3
    await ensure_usable(conn)


async def test_dropped_and_renamed_columns(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table}"
    await conn.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    assert (await conn.fetch(select)).result() == [{"id": 1, "name": "a"}]
    await other.execute(f"ALTER TABLE {table} RENAME name TO label")
    assert (await conn.fetch(select)).result() == [{"id": 1, "label": "a"}]
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    assert (await conn.fetch(select)).result() == [{"id": "1", "label": "a"}]
    await other.execute(f"ALTER TABLE {table} DROP id")
    assert (await conn.fetch(select)).result() == [{"label": "a"}]


async def test_added_column_while_several_wait(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table} WHERE id = $1"
    await conn.execute_many(f"INSERT INTO {table} VALUES ($1, 'a')", [[n] for n in range(20)])
    await conn.execute(select, [0])
    await other.execute(f"ALTER TABLE {table} ADD age int4 DEFAULT 5")
    async with AsyncGroup() as group:
        calls = [group.start(conn.fetch_row, select, [n]) for n in range(20)]
        others = [group.start(conn.fetch_val, "SELECT $1::text", [str(n)]) for n in range(20)]
    assert [call.result().result() for call in calls] == [{"id": n, "name": "a", "age": 5} for n in range(20)]
    assert [call.result() for call in others] == [str(n) for n in range(20)]
    await ensure_usable(conn)


async def test_insert_is_executed_once(conn: Connection, other: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1, $2) RETURNING *"
    await conn.execute(insert, [1, "a"])
    await other.execute(f"ALTER TABLE {table} ADD age int4 DEFAULT 5")
    assert (await conn.fetch(insert, [2, "b"])).result() == [{"id": 2, "name": "b", "age": 5}]
    assert (await conn.fetch(f"SELECT id FROM {table} ORDER BY id")).result() == [{"id": 1}, {"id": 2}]


async def test_what_leaves_something_is_not_executed_out_of_order(
    conn: Connection, other: ConnectionPool, table: str
) -> None:
    insert = f"INSERT INTO {table} VALUES ($1, $2) RETURNING *"
    await conn.execute(insert, [0, "a"])
    await other.execute(f"ALTER TABLE {table} ADD age serial")
    async with AsyncGroup(keep_errors=True) as group:
        calls = [group.start(conn.fetch_row, insert, [n, "b"]) for n in range(1, 6)]
    stored = [call.result().result() for call in calls if call.error is None]
    for call in calls:
        if call.error is not None:
            assert isinstance(call.error, exceptions.FeatureNotSupported)
            assert "again" in (call.error.hint or "")
    rows = (await conn.fetch(f"SELECT * FROM {table} WHERE id > 0 ORDER BY age")).result()
    assert stored
    assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in stored)
    await ensure_usable(conn)


async def test_own_table_changes_too(conn: Connection, table: str) -> None:
    select = f"SELECT * FROM {table}"
    await conn.execute(select)
    await conn.execute(f"ALTER TABLE {table} ADD age int4")
    assert (await columns_of(conn, select)) == ("id", "name", "age")
    await conn.execute_batch(f"ALTER TABLE {table} DROP age; ALTER TABLE {table} DROP name")
    async with AsyncGroup() as group:
        added = group.start(conn.execute, f"ALTER TABLE {table} ADD size int8")
        await async_wait_until(lambda: added.done)
        calls = [group.start(conn.fetch, select) for _ in range(5)]
    assert [call.result().columns for call in calls] == [(("id", "int4"), ("size", "int8"))] * 5


async def test_table_made_anew(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table} WHERE id = $1"
    await conn.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    assert (await conn.fetch(select, [1])).result() == [{"id": 1, "name": "a"}]
    await other.execute(f"DROP TABLE {table}")
    for _ in range(2):
        with pytest.raises(exceptions.UndefinedTable):
            await conn.execute(select, [1])
        await ensure_usable(conn)
    await other.execute(f"CREATE TABLE {table} (id int4, name text)")
    assert (await conn.fetch(select, [1])).result() == []
    await other.execute(f"DROP TABLE {table}")
    await other.execute(f"CREATE TABLE {table} (id text, size int8)")
    await other.execute(f"INSERT INTO {table} VALUES ('1', 2)")
    assert (await conn.fetch(select, ["1"])).result() == [{"id": "1", "size": 2}]


# The type of a parameter changes


@pytest.mark.parametrize("prepared", [True, False])
async def test_parameter_of_another_type(
    conn: Connection, other: ConnectionPool, table: str, prepared: bool
) -> None:
    select = f"SELECT name FROM {table} WHERE id = $1"
    insert = f"INSERT INTO {table} VALUES ($1, $2)"
    await conn.execute(insert, [1, "a"], prepared)
    assert await conn.fetch_val(select, [1], prepared) == "a"
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    assert await conn.fetch_val(select, ["1"], prepared) == "a"
    await conn.execute(insert, ["two", "b"], prepared)
    assert await conn.fetch_val(select, ["two"], prepared) == "b"
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE bytea USING id::bytea")
    await conn.execute(insert, [b"\0three", "c"], prepared)
    assert await conn.fetch_val(select, [b"\0three"], prepared) == "c"
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_wider_parameter(conn: Connection, other: ConnectionPool, table: str, prepared: bool) -> None:
    # The server goes on reading an int4: that the column takes more shows only in what we can't send.
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    await conn.execute(insert, [1], prepared)
    with pytest.raises(exceptions.PyToRustValueMappingError):
        await conn.execute(insert, [2**40], prepared)
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE int8")
    await conn.execute(insert, [2**40], prepared)
    async with conn.transaction() as transaction:
        await transaction.execute(insert, [2**41], prepared)
    assert await conn.fetch_val(f"SELECT sum(id)::int8 FROM {table}") == 1 + 2**40 + 2**41
    await ensure_usable(conn)


async def test_wider_parameter_while_several_wait(
    conn: Connection, other: ConnectionPool, table: str
) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    await conn.execute(insert, [1])
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE int8")
    async with AsyncGroup(keep_errors=True) as group:
        calls = [group.start(conn.execute, insert, [2**40]) for _ in range(5)]
    failed = [call.error for call in calls if call.error is not None]
    assert all(isinstance(error, exceptions.PyToRustValueMappingError) for error in failed)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1 + len(calls) - len(failed)
    await conn.execute(insert, [2**40])
    await conn.execute_many(insert, [[2**40]])


async def test_rows_of_another_type(conn: Connection, other: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    await conn.execute_many(insert, [[1], [2]])
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE int8")
    await conn.execute_many(insert, [[1], [2**40]])
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    # What the server has refused isn't executed again as a batch, but the next one is prepared anew.
    with pytest.raises(exceptions.ParameterValueError, match="row 2"):
        await conn.execute_many(insert, [["3"], ["four"]])
    await conn.execute_many(insert, [["3"], ["four"]])
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 6


async def test_values_that_do_not_fit_are_refused_every_time(
    conn: Connection, flights: list[Request]
) -> None:
    for _ in range(10):
        assert await conn.fetch_val("SELECT $1::int4", [1]) == 1
        with pytest.raises(exceptions.PyToRustValueMappingError):
            await conn.execute("SELECT $1::int4", [1.5])
    assert await count_ours(conn) <= 2
    await ensure_usable(conn)


async def test_errors_of_the_statement_itself_are_not_retried(
    conn: Connection, table: str, flights: list[Request]
) -> None:
    await conn.execute("SELECT 1 / $1::int4", [1])
    flights.clear()
    with pytest.raises(exceptions.DivisionByZero):
        await conn.execute("SELECT 1 / $1::int4", [0])
    assert len(flights) == 1


# In a transaction


async def test_added_column_in_a_transaction(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table}"
    await conn.execute(select)
    await other.execute(f"ALTER TABLE {table} ADD age int4")
    with pytest.raises(exceptions.FeatureNotSupported) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute("SELECT 1")
            await transaction.execute(select)
    assert isinstance(caught.value, exceptions.TransactionExecuteError)
    assert "plan was dropped" in (caught.value.hint or "")
    assert "run the transaction again" in (caught.value.hint or "")
    assert (await columns_of(conn, select)) == ("id", "name", "age")
    async with conn.transaction() as transaction:
        assert (await columns_of(transaction, select)) == ("id", "name", "age")
    await ensure_usable(conn)


async def test_transaction_runs_again_at_once(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table}"
    await conn.execute(select)
    await other.execute(f"ALTER TABLE {table} ADD age int4")
    await conn.execute("BEGIN")
    with pytest.raises(exceptions.FeatureNotSupported):
        await conn.execute(select)
    with pytest.raises(exceptions.InFailedSqlTransaction):
        await conn.execute(select)
    await conn.execute("ROLLBACK")
    await conn.execute("BEGIN")
    assert (await columns_of(conn, select)) == ("id", "name", "age")
    await conn.execute("COMMIT")
    await ensure_usable(conn)


async def test_parameter_of_another_type_in_a_transaction(
    conn: Connection, other: ConnectionPool, table: str
) -> None:
    select = f"SELECT name FROM {table} WHERE id = $1"
    await conn.execute(select, [1])
    await other.execute(f"ALTER TABLE {table} ALTER id TYPE text")
    with pytest.raises(exceptions.UndefinedFunction) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute(select, ["1"])
    assert "run the transaction again" in (caught.value.hint or "")
    async with conn.transaction() as transaction:
        assert (await transaction.fetch(select, ["1"])).result() == []


async def test_savepoint_survives(conn: Connection, other: ConnectionPool, table: str) -> None:
    select = f"SELECT * FROM {table}"
    await conn.execute(select)
    await other.execute(f"ALTER TABLE {table} ADD age int4")
    async with conn.transaction() as transaction:
        await transaction.create_savepoint("before")
        with pytest.raises(exceptions.FeatureNotSupported):
            await transaction.execute(select)
        await transaction.rollback_savepoint("before")
        assert (await columns_of(transaction, select)) == ("id", "name", "age")


async def test_dropped_plans_in_a_transaction(conn: Connection) -> None:
    await conn.execute("SELECT 1")
    await conn.execute(FUNCTION)
    with pytest.raises(exceptions.Error) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute("SELECT pg_temp.drop_plans()")
            await transaction.execute("SELECT 1")
    assert caught.value.sqlstate == "26000"
    assert "run the transaction again" in (caught.value.hint or "")
    await ensure_usable(conn)


async def test_deallocate_all_in_a_transaction(conn: Connection) -> None:
    await conn.execute("SELECT 1")
    async with conn.transaction() as transaction:
        await transaction.execute("DEALLOCATE ALL")
        assert await transaction.fetch_val("SELECT 1") == 1
        await transaction.execute_batch("DEALLOCATE ALL; SELECT 2")
        assert await transaction.fetch_val("SELECT 1") == 1
    await ensure_usable(conn)


# The user drops all plans


@pytest.mark.parametrize(("method", "text"), DROP_PLANS)
async def test_dropped_plans(conn: Connection, method: str, text: str) -> None:
    await conn.execute("CREATE TEMPORARY TABLE kept (n int4)")
    insert = "INSERT INTO kept VALUES ($1) RETURNING n"
    for n in range(3):
        # DISCARD ALL drops them as well.
        await conn.execute("CREATE TEMPORARY TABLE IF NOT EXISTS kept (n int4)")
        await conn.execute("DROP FUNCTION IF EXISTS pg_temp.drop_plans()")
        await conn.execute(FUNCTION)
        assert await conn.fetch_val("SELECT $1::int4", [n]) == n
        assert await conn.fetch_val(insert, [n]) == n
        if method == "execute":
            await conn.execute(text)
        else:
            await conn.execute_batch(text)
        assert await conn.fetch_val("SELECT $1::int4", [n]) == n
        await conn.execute("CREATE TEMPORARY TABLE IF NOT EXISTS kept (n int4)")
        assert await conn.fetch_val(insert, [n]) == n
    assert await conn.fetch_val("SELECT count(*) FROM kept WHERE n = 2") in (1, 2)
    await ensure_usable(conn)


@pytest.mark.parametrize(("method", "text"), DROP_PLANS)
async def test_dropped_plans_while_several_wait(conn: Connection, method: str, text: str) -> None:
    await conn.execute(FUNCTION)
    drop = conn.execute if method == "execute" else conn.execute_batch
    for _ in range(2):
        async with AsyncGroup() as group:
            before = [group.start(conn.fetch_val, "SELECT $1::int4", [n]) for n in range(10)]
            if "drop_plans" not in text or not _:
                group.start(drop, text)
            after = [group.start(conn.fetch_val, "SELECT $1::int4", [n]) for n in range(10)]
        assert [call.result() for call in before] == list(range(10))
        assert [call.result() for call in after] == list(range(10))
    await ensure_usable(conn)


@pytest.mark.parametrize("text", ["DISCARD ALL", "DEALLOCATE ALL"])
async def test_what_leaves_something_behind_dropped_plans(conn: Connection, table: str, text: str) -> None:
    insert = f"INSERT INTO {table} (id) VALUES ($1)"
    await conn.execute(text)
    await conn.execute(insert, [0])
    await conn.execute(text)
    async with AsyncGroup() as group:
        group.start(conn.execute, text)
        for n in range(1, 10):
            group.start(conn.execute, insert, [n])
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 10


async def test_user_deallocates_a_statement_of_their_own(conn: Connection, flights: list[Request]) -> None:
    await conn.execute("SELECT 'ours'")
    for call in (conn.execute, conn.execute_batch):
        await conn.execute("PREPARE theirs AS SELECT 1")
        await call("DEALLOCATE theirs")
        flights.clear()
        await conn.execute("SELECT 'ours'")
        # Nothing of ours was dropped, nor forgotten.
        assert len(flights) == 1
    assert await count_ours(conn) == len(conn.link.session.statements)


async def test_failing_discard_all_drops_nothing(conn: Connection) -> None:
    await conn.execute("SELECT 'ours'")
    for prepared in (True, False):
        with pytest.raises(exceptions.ActiveSqlTransaction):
            async with conn.transaction() as transaction:
                await transaction.execute("DISCARD ALL", None, prepared)
    with pytest.raises(exceptions.ActiveSqlTransaction):
        await conn.execute_batch("SELECT 1; DISCARD ALL")
    assert await count_ours(conn) == len(conn.link.session.statements)
    await ensure_usable(conn)


async def test_executing_an_unknown_statement_is_the_callers_error(
    conn: Connection, flights: list[Request]
) -> None:
    with pytest.raises(exceptions.Error) as caught:
        await conn.execute("EXECUTE nobody_prepared_this")
    assert caught.value.sqlstate == "26000"
    assert "again" not in (caught.value.hint or "")
    await ensure_usable(conn)


async def test_plans_dropped_by_the_pool(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method="Clean") as pool:
        for n in range(3):
            async with pool.acquire() as conn:
                assert await conn.fetch_val("SELECT $1::int4", [n]) == n
                assert await conn.fetch_val("SELECT $1::int4", [n]) == n
                assert await count_ours(conn) == 1
