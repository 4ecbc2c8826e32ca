"""Transactions: their states, nesting, savepoints, isolation, and what becomes of them when something goes wrong.

Long, since one state machine is tested from all sides: block, begin and commit, nesting, savepoints, loss.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, IsolationLevel, ReadVariant, exceptions
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from tests._async.usable import ensure_closed, ensure_one_transaction, ensure_usable
from tests.concurrency import AsyncGroup, async_wait_until

pytestmark = pytest.mark.loops(2)


class Mistake(Exception):
    """What a block raises in these tests."""


async def count_rows(pool: ConnectionPool, table: str) -> int:
    """What another session sees."""
    count: int = await pool.fetch_val(f"SELECT count(*) FROM {table}")
    return count


async def state_of(pool: ConnectionPool, conn: Connection) -> str:
    """What the server says of a connection."""
    state: str = await pool.fetch_val("SELECT state FROM pg_stat_activity WHERE pid = $1", [conn.backend_pid])
    return state


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


# The block


async def test_block_commits(conn: Connection, pool: ConnectionPool, table: str) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES ($1, $2)", [1, "a"])
        assert await count_rows(pool, table) == 0
        await transaction.execute_many(f"INSERT INTO {table} VALUES ($1, $2)", [[2, "b"], [3, "c"]])
        await transaction.execute_batch(f"INSERT INTO {table} VALUES (4); INSERT INTO {table} VALUES (5)")
        assert (await transaction.fetch(f"SELECT id FROM {table} ORDER BY id")).result()[-1] == {"id": 5}
        assert (await transaction.fetch_row(f"SELECT min(id) FROM {table}")).result() == {"min": 1}
        assert await transaction.fetch_val(f"SELECT count(*) FROM {table}") == 5
    assert await count_rows(pool, table) == 5
    await ensure_usable(conn)


@pytest.mark.parametrize("error", [Mistake("unchanged"), KeyError("a"), exceptions.DataError("by the user")])
async def test_exception_rolls_back_and_goes_on(
    conn: Connection, pool: ConnectionPool, table: str, error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            raise error
    assert caught.value is error
    assert error.__cause__ is None and error.__context__ is None
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    assert transaction.is_closed()
    await ensure_usable(conn)


async def test_base_exception_rolls_back_and_goes_on(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    error = BaseException("neither an Exception nor a cancellation")
    with pytest.raises(BaseException) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            raise error
    assert caught.value is error
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


async def test_server_error_rolls_back_and_goes_on(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    with pytest.raises(exceptions.DivisionByZero) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            await transaction.execute("SELECT 1 / 0")
    assert isinstance(caught.value, exceptions.TransactionExecuteError)
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


async def test_connection_is_part_of_its_transaction(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    with pytest.raises(Mistake):
        async with conn.transaction():
            await conn.execute(f"INSERT INTO {table} VALUES (1)")
            await conn.execute_many(f"INSERT INTO {table} VALUES ($1)", [[2]])
            await conn.execute_batch(f"INSERT INTO {table} VALUES (3)")
            raise Mistake
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


# BEGIN travels with the first statement


async def test_block_sends_nothing_before_the_first_statement(
    conn: Connection, pool: ConnectionPool, flights: list[Request]
) -> None:
    async with conn.transaction() as transaction:
        assert flights == []
        assert await conn.in_transaction()
        assert await state_of(pool, conn) == "idle"
        await transaction.execute("SELECT 1")
        assert await state_of(pool, conn) == "idle in transaction"
    assert await state_of(pool, conn) == "idle"


@pytest.mark.parametrize("prepared", [True, False])
async def test_begin_is_no_flight_of_its_own(
    conn: Connection, table: str, flights: list[Request], prepared: bool
) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    await conn.execute(insert, [0], prepared)
    flights.clear()
    async with conn.transaction() as transaction:
        await transaction.execute(insert, [1], prepared)
        assert len(flights) == 1
        await ensure_one_transaction(transaction)
        flights.clear()
    assert len(flights) == 1  # COMMIT
    await ensure_usable(conn)


async def test_begin_travels_with_execute_many(conn: Connection, table: str, flights: list[Request]) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    await conn.execute_many(insert, [[0]])
    flights.clear()
    async with conn.transaction() as transaction:
        await transaction.execute_many(insert, [[1], [2]])
        assert len(flights) == 1
        await ensure_one_transaction(transaction)
    await ensure_usable(conn)


async def test_block_without_statements_sends_nothing(conn: Connection, flights: list[Request]) -> None:
    async with conn.transaction():
        pass
    with pytest.raises(Mistake):
        async with conn.transaction():
            raise Mistake
    async with conn.transaction() as transaction:
        await transaction.rollback()
    assert flights == []
    assert not await conn.in_transaction()
    await ensure_usable(conn)


async def test_begin_waits_for_the_server(conn: Connection, pool: ConnectionPool) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    assert await state_of(pool, conn) == "idle in transaction"
    assert await conn.in_transaction()
    await transaction.rollback()
    assert await state_of(pool, conn) == "idle"
    assert not await conn.in_transaction()


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize(
    ("query", "error"),
    [("SELECT 1 / 0", "DivisionByZero"), ("SELEC", "SyntaxError"), ("TABLE gone", "UndefinedTable")],
)
async def test_failing_first_statement_aborts(
    conn: Connection, pool: ConnectionPool, table: str, query: str, error: str, prepared: bool
) -> None:
    with pytest.raises(exceptions.TransactionCommitError, match="rolled back"):
        async with conn.transaction() as transaction:
            with pytest.raises(getattr(exceptions, error)):
                await transaction.execute(query, None, prepared)
            assert await conn.in_transaction()
            for _ in range(2):
                with pytest.raises(exceptions.InFailedSqlTransaction):
                    await transaction.execute(f"INSERT INTO {table} VALUES (1)", None, prepared)
            with pytest.raises(exceptions.InFailedSqlTransaction):
                await transaction.execute_many(f"INSERT INTO {table} VALUES ($1)", [[1]])
            with pytest.raises(exceptions.InFailedSqlTransaction):
                await transaction.execute_batch(f"INSERT INTO {table} VALUES (1)")
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
async def test_gathered_first_statements_are_one_transaction(
    conn: Connection, pool: ConnectionPool, table: str, prepared: bool
) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    await conn.execute(insert, [0], prepared)
    with pytest.raises(Mistake):
        async with conn.transaction() as transaction:
            async with AsyncGroup(keep_errors=True) as group:
                calls = [
                    # The first can't be sent, and BEGIN was to travel with it.
                    group.start(transaction.execute, insert, [value], prepared)
                    for value in (1.5, 2, 3)
                ]
            assert isinstance(calls[0].error, exceptions.ParameterTypeError)
            assert calls[1].error is None and calls[2].error is None
            assert await transaction.fetch_val(f"SELECT count(*) FROM {table}") == 3
            raise Mistake
    assert await count_rows(pool, table) == 1
    await ensure_usable(conn)


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("through", ["transaction", "connection", "many", "batch"])
async def test_begin_that_fails(
    conn: Connection, pool: ConnectionPool, table: str, prepared: bool, through: str
) -> None:
    # As on a standby, which has no serializable transactions.
    insert = f"INSERT INTO {table} VALUES (1)"
    transaction = conn.transaction()
    transaction._begin = (b"START TRANSACTION ISOLATION LEVEL NONE",)
    async with transaction:
        with pytest.raises(exceptions.TransactionBeginError) as caught:
            if through == "batch":
                await transaction.execute_batch(insert)
            elif through == "many":
                await transaction.execute_many(insert, [[]])
            else:
                await (conn if through == "connection" else transaction).execute(insert, None, prepared)
        assert isinstance(caught.value, exceptions.SyntaxError)
        # It isn't a transaction: nothing is executed in its name.
        with pytest.raises(exceptions.TransactionFinishedError):
            await transaction.execute(insert, None, prepared)
        with pytest.raises(exceptions.TransactionFinishedError):
            await transaction.commit()
    assert transaction.is_closed()
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


# States


async def test_use_before_begin(conn: Connection) -> None:
    transaction = conn.transaction()
    said = "transaction is not started"
    with pytest.raises(exceptions.TransactionBeginError, match=said):
        await transaction.execute("SELECT 1")
    with pytest.raises(exceptions.TransactionBeginError, match=said):
        await transaction.execute_many("SELECT $1::int4", [[1]])
    with pytest.raises(exceptions.TransactionBeginError, match=said):
        await transaction.execute_batch("SELECT 1")
    with pytest.raises(exceptions.TransactionBeginError, match=said):
        await transaction.commit()
    with pytest.raises(exceptions.TransactionBeginError, match=said):
        await transaction.rollback()
    with pytest.raises(exceptions.TransactionBeginError, match=said):
        await transaction.create_savepoint("a")
    assert not transaction.is_closed()
    await ensure_usable(conn)
    async with transaction:
        await ensure_usable(transaction)
    await ensure_usable(conn)


async def test_begin_twice(conn: Connection) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    with pytest.raises(exceptions.TransactionBeginError, match="already started"):
        await transaction.begin()
    await ensure_usable(transaction)
    async with conn.transaction() as inner:
        with pytest.raises(exceptions.TransactionBeginError, match="already started"):
            await inner.begin()
    await transaction.commit()
    await ensure_usable(conn)


@pytest.mark.parametrize("end", ["commit", "rollback", "block"])
async def test_use_after_the_end(conn: Connection, end: str) -> None:
    transaction = conn.transaction()
    if end == "block":
        async with transaction:
            await transaction.execute("SELECT 1")
    else:
        await transaction.begin()
        await getattr(transaction, end)()
    assert transaction.is_closed()
    said = "already committed or rolled back"
    with pytest.raises(exceptions.TransactionFinishedError, match=said):
        await transaction.begin()
    with pytest.raises(exceptions.TransactionFinishedError, match=said):
        await transaction.commit()
    with pytest.raises(exceptions.TransactionFinishedError, match=said):
        await transaction.rollback()
    with pytest.raises(exceptions.TransactionFinishedError, match=said):
        await transaction.create_savepoint("a")
    with pytest.raises(exceptions.TransactionFinishedError, match=said):
        await transaction.execute("SELECT 1")
    with pytest.raises(exceptions.TransactionFinishedError, match=said):
        async with transaction:
            pytest.fail("entered a transaction that is over")
    for old_and_new in (exceptions.TransactionClosedError, exceptions.TransactionBeginError):
        with pytest.raises(old_and_new):
            await transaction.execute("SELECT 1")
    await ensure_usable(conn)


async def test_block_of_a_begun_transaction(conn: Connection, pool: ConnectionPool, table: str) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    async with transaction as entered:
        assert entered is transaction
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    assert await count_rows(pool, table) == 1
    await ensure_usable(conn)


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_end_within_the_block(conn: Connection, pool: ConnectionPool, table: str, end: str) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        await getattr(transaction, end)()
        assert not await conn.in_transaction()
        # This is no part of it any more, and stays when the block raises.
        await conn.execute(f"INSERT INTO {table} VALUES (2)")
        with pytest.raises(exceptions.TransactionFinishedError):
            await transaction.execute("SELECT 1")
    assert await count_rows(pool, table) == (2 if end == "commit" else 1)
    await ensure_usable(conn)


async def test_in_transaction(conn: Connection) -> None:
    assert not await conn.in_transaction()
    async with conn.transaction() as transaction:
        assert await conn.in_transaction()
        await transaction.execute("SELECT 1")
        assert await conn.in_transaction()
        async with conn.transaction():
            assert await conn.in_transaction()
        assert await conn.in_transaction()
        with pytest.raises(exceptions.DivisionByZero):
            await transaction.execute("SELECT 1 / 0")
        assert await conn.in_transaction()
        await transaction.rollback()
        assert not await conn.in_transaction()
    assert not await conn.in_transaction()


@pytest.mark.parametrize("prepared", [True, False, None], ids=["prepared", "unprepared", "batch"])
async def test_in_transaction_after_begin_as_text(conn: Connection, prepared: bool | None) -> None:
    async def execute(query: str) -> None:
        if prepared is None:
            await conn.execute_batch(query)
        else:
            await conn.execute(query, None, prepared)

    for begin, end in (("BEGIN", "COMMIT"), ("start transaction", "END"), ("/* a */ begin", "ROLLBACK")):
        await execute(begin)
        assert await conn.in_transaction()
        async with conn.transaction() as inner:  # a savepoint of it
            await ensure_usable(inner)
        assert await conn.in_transaction()
        await execute(end)
        assert not await conn.in_transaction()
    await ensure_usable(conn)


# Commit


@pytest.mark.parametrize("by_block", [True, False])
async def test_commit_of_an_aborted_transaction(
    conn: Connection, pool: ConnectionPool, table: str, by_block: bool
) -> None:
    transaction = conn.transaction()
    with pytest.raises(exceptions.TransactionCommitError, match="rolled back, not committed") as caught:
        async with transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            with pytest.raises(exceptions.DivisionByZero):
                await transaction.execute("SELECT 1 / 0")
            if not by_block:
                await transaction.commit()
    assert isinstance(caught.value, exceptions.DatabaseError)
    assert transaction.is_closed()
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


async def test_commit_that_a_deferred_constraint_refuses(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    await conn.execute(f"ALTER TABLE {table} ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED")
    with pytest.raises(exceptions.UniqueViolation) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute_many(f"INSERT INTO {table} VALUES ($1)", [[1], [1]])
    assert isinstance(caught.value, exceptions.TransactionCommitError)
    assert caught.value.table_name == table
    assert transaction.is_closed()
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


# Isolation


@pytest.mark.parametrize("level", list(IsolationLevel))
@pytest.mark.parametrize("by_block", [True, False])
async def test_isolation_levels(conn: Connection, level: IsolationLevel, by_block: bool) -> None:
    for wanted in (level, level.value.lower()):
        transaction = conn.transaction(wanted)
        if not by_block:
            await transaction.begin()
        async with transaction:
            shown = await transaction.fetch_val("SHOW transaction_isolation")
        assert shown == level.value.lower()
    assert await conn.fetch_val("SHOW transaction_isolation") == "read committed"


async def test_read_variants_and_deferrable(conn: Connection) -> None:
    async def shown(**options: Any) -> tuple[str, str, str]:
        async with conn.transaction(**options) as transaction:
            return (
                await transaction.fetch_val("SHOW transaction_isolation"),
                await transaction.fetch_val("SHOW transaction_read_only"),
                await transaction.fetch_val("SHOW transaction_deferrable"),
            )

    assert await shown() == ("read committed", "off", "off")
    assert await shown(read_variant=ReadVariant.ReadOnly) == ("read committed", "on", "off")
    assert await shown(read_variant=ReadVariant.ReadWrite) == ("read committed", "off", "off")
    assert await shown(read_variant="read only", deferrable=True) == ("read committed", "on", "on")
    assert await shown(isolation_level="serializable", read_variant="READ ONLY", deferrable=True) == (
        "serializable",
        "on",
        "on",
    )
    assert await shown(deferrable=False) == ("read committed", "off", "off")
    await conn.execute("SET default_transaction_read_only = on")
    assert await shown() == ("read committed", "on", "off")
    assert await shown(read_variant=ReadVariant.ReadWrite) == ("read committed", "off", "off")


async def test_read_only_refuses_writing(conn: Connection, table: str) -> None:
    with pytest.raises(exceptions.ReadOnlySqlTransaction):
        async with conn.transaction(read_variant=ReadVariant.ReadOnly) as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    await ensure_usable(conn)


@pytest.mark.parametrize(
    "options",
    [
        {"isolation_level": "chaos"},
        {"read_variant": "write only"},
        {"isolation_level": 1},
        {"deferrable": "no"},
    ],
)
async def test_unknown_modes(conn: Connection, options: dict[str, Any]) -> None:
    with pytest.raises(exceptions.Error, match=next(iter(options))):
        conn.transaction(**options)
    await ensure_usable(conn)


# Nesting


async def test_nested_transaction_is_a_savepoint(conn: Connection, pool: ConnectionPool, table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1)"
    async with conn.transaction() as outer:
        await outer.execute(insert, [1])
        with pytest.raises(Mistake):
            async with conn.transaction() as inner:
                await inner.execute(insert, [2])
                async with conn.transaction() as innermost:
                    await innermost.execute(insert, [3])
                raise Mistake
        async with conn.transaction() as inner:
            await inner.execute(insert, [4])
            with pytest.raises(exceptions.DivisionByZero):
                async with conn.transaction() as innermost:
                    await innermost.execute(insert, [5])
                    await innermost.execute("SELECT 1 / 0")
            await inner.execute(insert, [6])
        assert await count_rows(pool, table) == 0
        await ensure_usable(outer)
    rows = (await conn.fetch(f"SELECT id FROM {table} ORDER BY id")).result(as_tuple=True)
    assert rows == [(1,), (4,), (6,)]
    await ensure_usable(conn)


async def test_nested_transaction_before_the_first_statement(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    async with conn.transaction() as outer:
        with pytest.raises(Mistake):
            async with conn.transaction() as inner:
                await inner.execute(f"INSERT INTO {table} VALUES (1)")
                raise Mistake
        await outer.execute(f"INSERT INTO {table} VALUES (2)")
    assert (await pool.fetch(f"SELECT id FROM {table}")).result() == [{"id": 2}]
    await ensure_usable(conn)


async def test_nested_by_begin(conn: Connection, pool: ConnectionPool, table: str) -> None:
    outer, inner = conn.transaction(), conn.transaction()
    await outer.begin()
    await inner.begin()
    await inner.execute(f"INSERT INTO {table} VALUES (1)")
    await inner.rollback()
    again = conn.transaction()
    await again.begin()
    await again.execute(f"INSERT INTO {table} VALUES (2)")
    await again.commit()
    assert await conn.in_transaction()
    await outer.commit()
    assert not await conn.in_transaction()
    assert (await pool.fetch(f"SELECT id FROM {table}")).result() == [{"id": 2}]
    await ensure_usable(conn)


async def test_commit_of_an_aborted_nested_transaction(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    async with conn.transaction() as outer:
        await outer.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(exceptions.TransactionCommitError):
            async with conn.transaction() as inner:
                await inner.execute(f"INSERT INTO {table} VALUES (2)")
                with pytest.raises(exceptions.DivisionByZero):
                    await inner.execute("SELECT 1 / 0")
        # The inner one is undone, the outer one goes on.
        await ensure_usable(outer)
        await outer.execute(f"INSERT INTO {table} VALUES (3)")
    assert (await pool.fetch(f"SELECT id FROM {table} ORDER BY id")).result() == [{"id": 1}, {"id": 3}]
    await ensure_usable(conn)


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_inner_transaction_ends_with_the_outer_one(
    conn: Connection, pool: ConnectionPool, table: str, end: str
) -> None:
    outer, inner = conn.transaction(), conn.transaction()
    await outer.begin()
    await inner.begin()
    await inner.execute(f"INSERT INTO {table} VALUES (1)")
    await getattr(outer, end)()
    assert inner.is_closed()
    with pytest.raises(exceptions.TransactionFinishedError):
        await inner.execute(f"INSERT INTO {table} VALUES (2)")
    with pytest.raises(exceptions.TransactionFinishedError):
        await inner.commit()
    # The next one is no savepoint of theirs, and nothing that happens to the inner one touches it.
    async with conn.transaction() as following:
        await following.execute(f"INSERT INTO {table} VALUES (3)")
        del inner
        gc.collect()
        await ensure_usable(following)
    rows = (await pool.fetch(f"SELECT id FROM {table} ORDER BY id")).result(as_tuple=True)
    assert rows == ([(1,), (3,)] if end == "commit" else [(3,)])
    await ensure_usable(conn)


# Savepoints

NAMES = ["a", "A", "two words", 'qu"ote', '"; ROLLBACK; --', "select", "ünï", "a.b", "'", "$1", "x" * 63]


async def test_savepoint_names_are_quoted(conn: Connection, pool: ConnectionPool, table: str) -> None:
    async with conn.transaction() as transaction:
        for name in NAMES:
            await transaction.create_savepoint(name)
            await transaction.execute(f"INSERT INTO {table} VALUES (1, $1)", [name])
        await transaction.rollback_savepoint("two words")
        assert await transaction.fetch_val(f"SELECT count(*) FROM {table}") == 2
        for name in NAMES[3:]:
            await transaction.create_savepoint(name)
            await transaction.release_savepoint(name)
    assert await count_rows(pool, table) == 2
    await ensure_usable(conn)


async def test_savepoint_states(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        with pytest.raises(exceptions.TransactionSavepointError, match="no savepoint 'a'"):
            await transaction.rollback_savepoint("a")
        with pytest.raises(exceptions.TransactionSavepointError, match="no savepoint 'a'"):
            await transaction.release_savepoint("a")
        await transaction.create_savepoint("a")
        with pytest.raises(exceptions.TransactionSavepointError, match="'a' exists already"):
            await transaction.create_savepoint("a")
        await transaction.create_savepoint("b")
        await transaction.rollback_savepoint("a")
        with pytest.raises(exceptions.TransactionSavepointError, match="no savepoint 'b'"):
            await transaction.rollback_savepoint("b")
        await transaction.rollback_savepoint("a")
        await transaction.release_savepoint("a")
        with pytest.raises(exceptions.TransactionSavepointError, match="no savepoint 'a'"):
            await transaction.release_savepoint("a")
        for name in ("", "a\0b", "a\ud800"):
            with pytest.raises(exceptions.ParameterValueError, match="can't be the name"):
                await transaction.create_savepoint(name)
        with pytest.raises(exceptions.ParameterTypeError, match="not int"):
            await transaction.create_savepoint(5)  # type: ignore[arg-type]
        await ensure_usable(transaction)
    await ensure_usable(conn)


async def test_savepoint_is_the_way_out_of_an_aborted_transaction(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    async with conn.transaction() as transaction:
        # The very first thing: BEGIN goes before it.
        await transaction.create_savepoint("a")
        with pytest.raises(exceptions.DivisionByZero):
            await transaction.execute("SELECT 1 / 0")
        with pytest.raises(exceptions.InFailedSqlTransaction) as caught:
            await transaction.create_savepoint("b")
        assert isinstance(caught.value, exceptions.TransactionSavepointError)
        await transaction.rollback_savepoint("a")
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    assert await count_rows(pool, table) == 1
    await ensure_usable(conn)


# Transactions that nobody ends


@pytest.mark.parametrize("first_statement", [True, False])
async def test_unreferenced_transaction_is_rolled_back(
    conn: Connection, pool: ConnectionPool, table: str, first_statement: bool
) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    if first_statement:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    del transaction
    gc.collect()

    async def idle() -> bool:
        return await state_of(pool, conn) == "idle"

    # With no further call on the connection.
    await async_wait_until(idle)
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


async def test_unreferenced_block_is_rolled_back(conn: Connection, pool: ConnectionPool, table: str) -> None:
    transaction = conn.transaction()
    await transaction.__aenter__()
    del transaction
    gc.collect()
    assert not await conn.in_transaction()
    await ensure_usable(conn)
    transaction = conn.transaction()
    await transaction.__aenter__()
    await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    del transaction
    gc.collect()
    assert not await conn.in_transaction()
    assert await count_rows(pool, table) == 0
    await ensure_usable(conn)


@pytest.mark.parametrize("by_block", [True, False])
async def test_transaction_right_after_an_unreferenced_one(
    conn: Connection, pool: ConnectionPool, table: str, by_block: bool
) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    del transaction
    gc.collect()
    following = conn.transaction()
    if not by_block:
        await following.begin()
    async with following:
        await following.execute(f"INSERT INTO {table} VALUES (2)")
        await ensure_usable(following)
    assert (await pool.fetch(f"SELECT id FROM {table}")).result() == [{"id": 2}]
    await ensure_usable(conn)


async def test_statement_right_after_an_unreferenced_transaction(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    for number in range(3):
        transaction = conn.transaction()
        await transaction.begin()
        await transaction.execute(f"INSERT INTO {table} VALUES (-1)")
        del transaction
        gc.collect()
        if number == 0:
            await conn.execute(f"INSERT INTO {table} VALUES (1)")
        elif number == 1:
            await conn.execute_many(f"INSERT INTO {table} VALUES ($1)", [[2]])
        else:
            await conn.execute_batch(f"INSERT INTO {table} VALUES (3)")
    rows = (await pool.fetch(f"SELECT id FROM {table} ORDER BY id")).result(as_tuple=True)
    assert rows == [(1,), (2,), (3,)]
    await ensure_usable(conn)


async def test_unreferenced_nested_transaction_is_rolled_back(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    async with conn.transaction() as outer:
        await outer.execute(f"INSERT INTO {table} VALUES (1)")
        inner = conn.transaction()
        await inner.begin()
        await inner.execute(f"INSERT INTO {table} VALUES (2)")
        del inner
        gc.collect()
        await outer.execute(f"INSERT INTO {table} VALUES (3)")
    assert (await pool.fetch(f"SELECT id FROM {table} ORDER BY id")).result() == [{"id": 1}, {"id": 3}]
    await ensure_usable(conn)


async def test_unreferenced_in_a_cycle(conn: Connection, pool: ConnectionPool, table: str) -> None:
    # The collector finds it whenever it runs, in the middle of a call on the same connection too.
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(6):
            transaction = conn.transaction()
            await transaction.begin()
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            cycle: list[Any] = [transaction]
            cycle.append(cycle)
            del transaction, cycle
            await ensure_usable_eventually(conn)
    finally:
        gc.set_threshold(*before)
    assert await count_rows(pool, table) == 0


async def ensure_usable_eventually(conn: Connection) -> None:
    """With a collector that runs at any time: nothing hangs, and in the end no transaction is open."""
    for _ in range(5):
        await conn.fetch_val("SELECT $1::int4", [1], timeout=10)
    gc.collect()
    await ensure_usable(conn)


async def test_transaction_on_a_connection_that_is_returned(pool: ConnectionPool, table: str) -> None:
    conn = await pool.connection()
    transaction = conn.transaction()
    await transaction.begin()
    await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    conn.close()
    assert transaction.is_closed()
    with pytest.raises(exceptions.ConnectionClosedError):
        await transaction.commit()
    await ensure_closed(conn)
    assert await count_rows(pool, table) == 0
    await ensure_usable(pool)


async def test_connection_returned_within_the_block(pool: ConnectionPool, table: str) -> None:
    conn = await pool.connection()
    with pytest.raises(exceptions.ConnectionClosedError):
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            conn.close()
    conn = await pool.connection()
    with pytest.raises(Mistake):
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            conn.close()
            raise Mistake
    assert await count_rows(pool, table) == 0
    await ensure_usable(pool)


@pytest.mark.loops(3)
async def test_connection_lost_within_the_block(pool: ConnectionPool, table: str) -> None:
    for error in (exceptions.ConnectionClosedError, Mistake):
        async with pool.acquire() as conn:
            with pytest.raises(error):
                async with conn.transaction() as transaction:
                    await transaction.execute(f"INSERT INTO {table} VALUES (1)")
                    await pool.execute("SELECT pg_terminate_backend($1, 5000)", [conn.backend_pid])
                    if error is Mistake:
                        raise Mistake
                    await transaction.execute("SELECT 1")
            await ensure_closed(conn)
    assert await count_rows(pool, table) == 0
    await ensure_usable(pool)


async def test_repr_shows_state(conn: Connection) -> None:
    transaction = conn.transaction()
    assert "new" in repr(transaction)
    await transaction.begin()
    assert "begun" in repr(transaction)
    inner = conn.transaction()
    await inner.begin()
    assert "begun savepoint" in repr(inner)
    await transaction.rollback()
    assert "finished savepoint" in repr(inner)
    assert "finished" in repr(transaction)
    await ensure_usable(conn)
