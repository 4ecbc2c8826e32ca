"""Transactions: what they send, their states, misuse, savepoints, and how they end."""

from __future__ import annotations

import asyncio
import gc
import pickle
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, IsolationLevel, ReadVariant, exceptions
from psqlpy._protocol.transaction import start_transaction
from tests._async.usable import ensure_usable


async def count(pool: ConnectionPool, table: str) -> Any:
    return await pool.fetch_val(f"SELECT count(*) FROM {table}")


def test_modes_are_sent_in_the_order_of_the_original() -> None:
    assert start_transaction(None, None, None) == (b"START TRANSACTION",)
    assert start_transaction("SERIALIZABLE", "READ ONLY", True) == (
        b"START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
    )
    assert start_transaction(None, "READ WRITE", False) == (b"START TRANSACTION READ WRITE NOT DEFERRABLE",)


async def test_modes_reach_the_server(conn: Connection) -> None:
    modes = (IsolationLevel.Serializable, ReadVariant.ReadOnly, True)
    async with conn.transaction(*modes) as transaction:
        for name, value in (("isolation", "serializable"), ("read_only", "on"), ("deferrable", "on")):
            assert await transaction.fetch_val(f"SHOW transaction_{name}") == value


async def test_use_before_begin(conn: Connection) -> None:
    transaction = conn.transaction()
    for call in (
        transaction.execute("SELECT 1"),
        transaction.fetch_val("SELECT 1"),
        transaction.execute_many("SELECT $1::int4", [[1]]),
        transaction.fetch_many("SELECT $1::int4", [[1]]),
        transaction.pipeline([("SELECT 1",)]),
        transaction.pipeline(),
        transaction.commit(),
        transaction.rollback(),
        transaction.create_savepoint("a"),
    ):
        with pytest.raises(exceptions.TransactionBeginError, match="not started"):
            await call
    await ensure_usable(conn)


async def test_begin_waits_for_the_server_and_the_block_does_not(
    conn: Connection, observer: ConnectionPool
) -> None:
    async def state() -> Any:
        return await observer.fetch_val(
            "SELECT state FROM pg_stat_activity WHERE pid = $1", [conn.backend_pid]
        )

    async with conn.transaction() as transaction:
        assert await state() == "idle" and await conn.in_transaction()
    transaction = conn.transaction()
    await transaction.begin()
    assert await state() == "idle in transaction"
    await transaction.rollback()


async def test_begin_twice(conn: Connection) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    with pytest.raises(exceptions.TransactionBeginError, match="already started"):
        await transaction.begin()
    await transaction.commit()
    await ensure_usable(conn)


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_use_after_the_end_is_the_error_of_both_generations(conn: Connection, end: str) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    await getattr(transaction, end)()
    for kind in (exceptions.TransactionClosedError, exceptions.TransactionBeginError):
        for call in (
            transaction.execute("SELECT 1"),
            transaction.fetch_row("SELECT 1"),
            transaction.fetch_val("SELECT 1"),
            transaction.execute_many("SELECT $1::int4", [[1]]),
            transaction.execute_batch("SELECT 1"),
            transaction.fetch_many("SELECT $1::int4", [[1]]),
            transaction.pipeline([("SELECT 1",)]),
            transaction.prepare("SELECT 1"),
            transaction.create_savepoint("a"),
            transaction.rollback_savepoint("a"),
            transaction.release_savepoint("a"),
            transaction.copy_records_to_table("t", [[1]]),
            transaction.binary_copy_to_table(b"", "t"),
            transaction.cursor("SELECT 1").start(),
            transaction.begin(),
            transaction.commit(),
            transaction.rollback(),
        ):
            with pytest.raises(kind):
                await call
    await ensure_usable(conn)


async def test_all_that_a_transaction_does_is_part_of_it(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    await transaction.execute_many(f"INSERT INTO {table} VALUES ($1)", [[2]])
    await transaction.fetch_many(f"INSERT INTO {table} VALUES ($1) RETURNING id", [[3]])
    await transaction.execute_batch(f"INSERT INTO {table} VALUES (4); INSERT INTO {table} VALUES (5)")
    await transaction.pipeline([(f"INSERT INTO {table} VALUES (6)", None)])
    await (await transaction.prepare(f"INSERT INTO {table} VALUES ($1)", [7])).execute()
    assert await transaction.copy_records_to_table(table, [[8, "x"]]) == 1
    async with transaction.cursor(f"SELECT id FROM {table}") as cursor:
        assert len(await cursor.fetchall()) == 8
    row: Any = await transaction.fetch_row(f"SELECT count(*) AS n FROM {table}")
    assert row.result() == {"n": 8}
    await transaction.rollback()
    assert await count(pool, table) == 0


async def test_begin_then_block(conn: Connection, pool: ConnectionPool, table: str) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    async with transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    assert await count(pool, table) == 1


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_an_end_by_hand_within_the_block_is_fine(
    conn: Connection, pool: ConnectionPool, table: str, end: str
) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        await getattr(transaction, end)()
    assert await count(pool, table) == (end == "commit")
    await ensure_usable(conn)


async def test_the_block_commits_or_rolls_back_and_the_exception_is_the_original(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    error = LookupError("original")
    with pytest.raises(LookupError) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (2)")
            raise error
    assert caught.value is error
    assert await count(pool, table) == 1


async def test_a_commit_that_fails_is_a_commit_error(conn: Connection, table: str) -> None:
    await conn.execute(f"ALTER TABLE {table} ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED")
    with pytest.raises(exceptions.TransactionCommitError) as caught:
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1), (1)")
    assert isinstance(caught.value, exceptions.UniqueViolation)
    assert not await conn.in_transaction()
    await ensure_usable(conn)


async def test_committing_an_aborted_transaction_raises(conn: Connection) -> None:
    with pytest.raises(exceptions.TransactionCommitError, match="rolled back"):
        async with conn.transaction() as transaction:
            with pytest.raises(exceptions.DivisionByZero):
                await transaction.execute("SELECT 1 / 0")
    await ensure_usable(conn)


# Savepoints


@pytest.mark.parametrize("name", ["a", "A b", 'a"; DROP TABLE x; --', "ä", "select"])
async def test_savepoints_of_any_name(conn: Connection, table: str, name: str) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        await transaction.create_savepoint(name)
        for _ in range(2):
            await transaction.execute(f"INSERT INTO {table} VALUES (2)")
            await transaction.rollback_savepoint(name)
        await transaction.release_savepoint(name)
        await transaction.create_savepoint(name)
    assert await conn.fetch_val(f"SELECT count(*) FROM {table}") == 1


async def test_savepoint_taken_or_unknown(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        await transaction.create_savepoint("a")
        for call in (
            transaction.create_savepoint("a"),
            transaction.rollback_savepoint("b"),
            transaction.release_savepoint("b"),
        ):
            with pytest.raises(exceptions.TransactionSavepointError):
                await call
        # No SQL was sent, so nothing is aborted.
        await ensure_usable(transaction)


async def test_a_savepoint_saves_an_aborted_transaction(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        await transaction.create_savepoint("a")
        with pytest.raises(exceptions.DivisionByZero):
            await transaction.execute("SELECT 1 / 0")
        await transaction.rollback_savepoint("a")
        await ensure_usable(transaction)


async def test_a_nested_transaction_is_a_savepoint(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    async with conn.transaction() as outer:
        await outer.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(LookupError):
            async with conn.transaction() as inner:
                await inner.execute(f"INSERT INTO {table} VALUES (2)")
                raise LookupError
        async with conn.transaction() as inner:
            await inner.execute(f"INSERT INTO {table} VALUES (3)")
        assert await count(pool, table) == 0
    assert await count(pool, table) == 2


@pytest.mark.parametrize("how", ["rollback", "rollback_savepoint", "release_savepoint", "commit"])
async def test_what_the_outer_transaction_does_while_an_inner_one_is_open(
    conn: Connection, pool: ConnectionPool, table: str, how: str
) -> None:
    undone = how.startswith("rollback")
    async with conn.transaction() as outer:
        await outer.create_savepoint("a")
        inner = conn.transaction()
        await inner.begin()
        await inner.execute(f"INSERT INTO {table} VALUES (1)")
        await (getattr(outer, how)() if how in ("rollback", "commit") else getattr(outer, how)("a"))
        assert inner.is_closed()
        with pytest.raises(exceptions.TransactionClosedError):
            await inner.execute(f"INSERT INTO {table} VALUES (2)")
        if undone:
            # What was not stored is not passed over in silence.
            with pytest.raises(exceptions.TransactionCommitError, match="around it was rolled back"):
                await inner.__aexit__(None, None, None)
        await inner.__aexit__(None, None, None)
        if "savepoint" in how:
            await ensure_usable(outer)
    assert await count(pool, table) == (not undone)
    await ensure_usable(conn)


async def test_a_task_whose_transaction_another_task_rolls_back_hears_of_it(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    begun, nested = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (1)")
            begun.set()
            await nested.wait()
            raise LookupError

    async def second(ended: asyncio.Task[None]) -> None:
        await begun.wait()
        async with conn.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (2)")
            nested.set()
            await asyncio.wait([ended])

    task = asyncio.ensure_future(first())
    with pytest.raises(exceptions.TransactionCommitError):
        await second(task)
    assert isinstance(task.exception(), LookupError)
    assert await count(pool, table) == 0
    await ensure_usable(conn)


async def test_savepoints_of_outer_and_inner_transactions_are_apart(conn: Connection, table: str) -> None:
    async def ids() -> Any:
        return (await conn.fetch(f"SELECT id FROM {table} ORDER BY id")).result(as_tuple=True)

    async with conn.transaction() as outer:
        await outer.create_savepoint("a")
        await outer.execute(f"INSERT INTO {table} VALUES (1)")
        inner = conn.transaction()
        await inner.begin()
        await inner.create_savepoint("a")
        await inner.execute(f"INSERT INTO {table} VALUES (2)")
        # Each means its own: to the server the last of a name is the only one.
        await inner.rollback_savepoint("a")
        assert await ids() == [(1,)]
        await outer.rollback_savepoint("a")
        assert await ids() == []
        # Made while an inner transaction was open, it ends with that.
        async with conn.transaction():
            await outer.create_savepoint("b")
        with pytest.raises(exceptions.TransactionSavepointError, match="no savepoint 'b'"):
            await outer.rollback_savepoint("b")
        inner = conn.transaction()
        await inner.begin()
        await inner.create_savepoint("a")
        await outer.execute(f"INSERT INTO {table} VALUES (3)")
        await outer.release_savepoint("a")
        assert inner.is_closed()
        with pytest.raises(exceptions.TransactionSavepointError, match="no savepoint 'a'"):
            await outer.rollback_savepoint("a")
        await ensure_usable(outer)
    assert await ids() == [(3,)]


async def test_a_savepoint_name_that_the_server_would_cut(conn: Connection) -> None:
    async with conn.transaction() as transaction:
        for name in ("x" * 64, "ä" * 32):
            with pytest.raises(exceptions.ParameterValueError, match="at most 63 bytes"):
                await transaction.create_savepoint(name)
        await transaction.create_savepoint("ä" * 31)
        await ensure_usable(transaction)


# Dropped, and what the connection says


async def test_a_dropped_transaction_is_rolled_back(
    conn: Connection, pool: ConnectionPool, table: str
) -> None:
    transaction = conn.transaction()
    await transaction.begin()
    await transaction.execute(f"INSERT INTO {table} VALUES (1)")
    del transaction
    gc.collect()
    assert not await conn.in_transaction()
    assert await count(pool, table) == 0
    await ensure_usable(conn)


async def test_in_transaction_is_what_the_server_says(conn: Connection) -> None:
    async with conn.transaction():
        assert await conn.in_transaction()
    await conn.execute("BEGIN")
    assert await conn.in_transaction()
    await conn.execute("COMMIT")
    assert not await conn.in_transaction()


async def test_begin_on_a_dead_connection(pool: ConnectionPool, observer: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await observer.execute("SELECT pg_terminate_backend($1, 5000)", [connection.backend_pid])
        for _ in range(2):
            # Found out by trying, and known.
            with pytest.raises(exceptions.TransactionBeginError) as caught:
                await transaction.begin()
            assert isinstance(caught.value, exceptions.ConnectionLostError)
            assert isinstance(pickle.loads(pickle.dumps(caught.value)), exceptions.TransactionBeginError)
            transaction = connection.transaction()
    await ensure_usable(pool)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("commit", exceptions.TransactionCommitError),
        ("rollback", exceptions.TransactionRollbackError),
        ("create_savepoint", exceptions.TransactionSavepointError),
        ("execute", exceptions.TransactionExecuteError),
    ],
)
async def test_a_connection_that_is_lost_meanwhile_is_an_error_of_the_call(
    pool: ConnectionPool, observer: ConnectionPool, call: str, kind: type[exceptions.Error]
) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.begin()
        await observer.execute("SELECT pg_terminate_backend($1, 5000)", [connection.backend_pid])
        arguments = {"create_savepoint": ["a"], "execute": ["SELECT 1"]}.get(call, [])
        with pytest.raises(kind) as caught:
            await getattr(transaction, call)(*arguments)
        assert isinstance(caught.value, exceptions.ConnectionLostError)
    await ensure_usable(pool)
