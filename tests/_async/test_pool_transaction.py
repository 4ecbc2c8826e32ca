"""pool.transaction and pool.run_transaction: transactions on a connection of their own, run again where that helps."""

from __future__ import annotations

from itertools import count

import pytest

from psqlpy import (
    ConnectionPool,
    IsolationLevel,
    ReadVariant,
    SynchronousCommit,
    Transaction,
    exceptions,
)
from tests._async.usable import ensure_usable
from tests.concurrency import AsyncEvent, AsyncGroup

pytestmark = pytest.mark.loops(2)


class Mistake(Exception):
    """What a block raises in these tests."""


async def ids(pool: ConnectionPool, table: str) -> list[int]:
    result = await pool.fetch(f"SELECT id FROM {table} ORDER BY id")
    return [row["id"] for row in result]


# The block


async def test_block_commits_and_gives_the_connection_back(pool: ConnectionPool, table: str) -> None:
    async with pool.transaction() as transaction:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        assert await ids(pool, table) == []
        assert pool.status().available == pool.status().size - 1
    assert await ids(pool, table) == [1]
    with pytest.raises(Mistake):
        async with pool.transaction() as transaction:
            await transaction.execute(f"INSERT INTO {table} VALUES (2)")
            raise Mistake
    assert transaction.is_closed()
    with pytest.raises(exceptions.TransactionClosedError):
        await transaction.execute("SELECT 1")
    assert await ids(pool, table) == [1]
    assert pool.status().available == pool.status().size
    await ensure_usable(pool)


async def test_modes(pool: ConnectionPool) -> None:
    async with pool.transaction(
        IsolationLevel.Serializable, ReadVariant.ReadOnly, True, SynchronousCommit.RemoteWrite
    ) as transaction:
        shown = {
            name: await transaction.fetch_val(f"SHOW {name}")
            for name in (
                "transaction_isolation",
                "transaction_read_only",
                "transaction_deferrable",
                "synchronous_commit",
            )
        }
    assert list(shown.values()) == ["serializable", "on", "on", "remote_write"]
    default = await pool.fetch_val("SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'")
    assert await pool.fetch_val("SHOW synchronous_commit") == default
    async with pool.transaction(synchronous_commit="off") as transaction:
        assert await transaction.fetch_val("SHOW synchronous_commit") == "off"
    for name in ("isolation_level", "read_variant", "synchronous_commit"):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=name):
            pool.transaction(**{name: "nonsense"})  # type: ignore[arg-type]
    await ensure_usable(pool)


async def test_begin_with_synchronous_commit(pool: ConnectionPool) -> None:
    async with pool.acquire() as conn:
        transaction = conn.transaction(synchronous_commit="local")
        await transaction.begin()
        assert await transaction.fetch_val("SHOW synchronous_commit") == "local"
        await transaction.rollback()
        default = await conn.fetch_val("SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'")
        assert await conn.fetch_val("SHOW synchronous_commit") == default != "local"
        await ensure_usable(conn)


async def test_block_inside_itself(pool: ConnectionPool) -> None:
    block = pool.transaction()
    async with block as transaction:
        with pytest.raises(exceptions.TransactionBeginError, match="already started"):
            async with block:
                pytest.fail("entered twice")
        await ensure_usable(transaction)
    async with block as transaction:
        await ensure_usable(transaction)
    assert pool.status().available == pool.status().size


async def test_block_of_a_closed_pool(pool: ConnectionPool) -> None:
    pool.close()
    with pytest.raises(exceptions.BaseConnectionPoolError):
        async with pool.transaction():
            pytest.fail("entered without a connection")


@pytest.mark.loops(3)
async def test_connection_lost_in_the_block(pool: ConnectionPool, observer: ConnectionPool) -> None:
    with pytest.raises(exceptions.ConnectionLostError):
        async with pool.transaction() as transaction:
            pid = await transaction.fetch_val("SELECT pg_backend_pid()")
            await observer.execute("SELECT pg_terminate_backend($1, 5000)", [pid])
            await transaction.execute("SELECT 1")
    await ensure_usable(pool)


# The function


async def test_function_is_committed_and_its_value_returned(pool: ConnectionPool, table: str) -> None:
    async def work(transaction: Transaction) -> str:
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        return "done"

    assert await pool.run_transaction(work) == "done"
    assert await ids(pool, table) == [1]
    assert pool.status().available == pool.status().size


async def test_function_sees_the_modes(pool: ConnectionPool) -> None:
    async def work(transaction: Transaction) -> object:
        return await transaction.fetch_val("SHOW transaction_isolation")

    assert await pool.run_transaction(work, "repeatable read") == "repeatable read"


@pytest.mark.parametrize(("sqlstate", "runs"), [("40001", 3), ("40P01", 3), ("23505", 1), ("40000", 1)])
async def test_what_is_run_again(pool: ConnectionPool, table: str, sqlstate: str, runs: int) -> None:
    attempts = []

    async def work(transaction: Transaction) -> None:
        attempts.append(transaction)
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        await transaction.execute(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{sqlstate}'; END $$")

    with pytest.raises(exceptions.DatabaseError) as caught:
        await pool.run_transaction(work, max_attempts=3)
    assert caught.value.sqlstate == sqlstate
    assert len(set(map(id, attempts))) == len(attempts) == runs
    assert await ids(pool, table) == []
    assert pool.status().available == pool.status().size
    await ensure_usable(pool)


async def test_an_error_of_the_function_is_raised_at_once(pool: ConnectionPool, table: str) -> None:
    attempts = []

    async def work(transaction: Transaction) -> None:
        attempts.append(1)
        await transaction.execute(f"INSERT INTO {table} VALUES (1)")
        raise Mistake

    with pytest.raises(Mistake):
        await pool.run_transaction(work)
    assert attempts == [1]
    assert await ids(pool, table) == []


async def test_write_skew_is_run_again_until_it_succeeds(pool: ConnectionPool, table: str) -> None:
    # Each reads what the other writes: whichever commits second fails, often only at COMMIT.
    both_have_read = AsyncEvent()
    readers = []

    async def work(transaction: Transaction) -> None:
        count = await transaction.fetch_val(f"SELECT count(*) FROM {table}")
        readers.append(count)
        if len(readers) == 2:
            both_have_read.set()
        await both_have_read.wait()
        await transaction.execute(f"INSERT INTO {table} VALUES ($1)", [count])

    async with AsyncGroup() as group:
        for _ in range(2):
            group.start(pool.run_transaction, work, IsolationLevel.Serializable)
    assert await ids(pool, table) == [0, 1]
    assert len(readers) == 3
    await ensure_usable(pool)


async def test_deadlock_is_run_again(pool: ConnectionPool, table: str) -> None:
    await pool.execute(f"INSERT INTO {table} VALUES (1, ''), (2, '')")
    both_have_locked = AsyncEvent()
    numbers = count()
    runs: list[int] = []
    locked: list[int] = []

    async def work(transaction: Transaction) -> None:
        first = 1 + next(numbers) % 2
        runs.append(first)
        await transaction.execute("SET LOCAL deadlock_timeout = '50ms'")
        await transaction.execute(f"UPDATE {table} SET name = name || 'a' WHERE id = $1", [first])
        locked.append(first)
        if len(locked) == 2:
            both_have_locked.set()
        await both_have_locked.wait()
        await transaction.execute(f"UPDATE {table} SET name = name || 'b' WHERE id = $1", [3 - first])

    async with AsyncGroup() as group:
        for _ in range(2):
            group.start(pool.run_transaction, work)
    assert len(runs) >= 3
    assert await pool.fetch_val(f"SELECT min(length(name)) FROM {table}") == 2
    await ensure_usable(pool)


@pytest.mark.loops(3)
async def test_no_attempt_begins_after_the_timeout(pool: ConnectionPool) -> None:
    attempts = []

    async def work(transaction: Transaction) -> None:
        attempts.append(1)
        await transaction.execute("DO $$ BEGIN RAISE 'no' USING ERRCODE = '40001'; END $$")

    with pytest.raises(exceptions.SerializationFailure):
        await pool.run_transaction(work, max_attempts=1_000_000, timeout=0.3)
    assert 1 <= len(attempts) < 100
    await ensure_usable(pool)


@pytest.mark.loops(3)
async def test_timeout_covers_waiting_for_a_connection(pool: ConnectionPool) -> None:
    async def work(transaction: Transaction) -> None:
        pytest.fail("no connection was free")

    pool.resize(1)
    async with pool.acquire() as conn:
        with pytest.raises(exceptions.QueryTimeoutError):
            await pool.run_transaction(work, timeout=0.1)
        await ensure_usable(conn)
    await ensure_usable(pool)


@pytest.mark.parametrize("attempts", [0, -1, True, 1.5, None])
async def test_max_attempts_is_checked(pool: ConnectionPool, attempts: object) -> None:
    async def work(transaction: Transaction) -> None:
        pytest.fail("called")

    with pytest.raises(ValueError, match="max_attempts"):
        await pool.run_transaction(work, max_attempts=attempts)  # type: ignore[arg-type]
