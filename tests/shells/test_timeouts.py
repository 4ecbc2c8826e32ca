"""`timeout=` of every method, in every world: the call ends in time, says so, and leaves a good connection behind."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer

TIMEOUT = 0.2
# Much less than the two seconds that a statement gets to end after it was cancelled.
LATE = 0.5


@contextmanager
def timing_out(timeout: float = TIMEOUT) -> Iterator[list[exceptions.QueryTimeoutError]]:
    """Assert that the block raises QueryTimeoutError within its time, or not much later."""
    caught: list[exceptions.QueryTimeoutError] = []
    begun = time.monotonic()
    with pytest.raises(exceptions.QueryTimeoutError) as info:
        yield caught
    taken = time.monotonic() - begun
    assert timeout - 0.01 <= taken <= timeout + LATE, f"took {taken:.3f} s"
    caught.append(info.value)


# Both kinds of objects have these methods under these names: what they return is awaited, or not.
METHODS: dict[str, Callable[[Any, float | None], Any]] = {
    "execute": lambda it, timeout: it.execute("SELECT pg_sleep(60)", timeout=timeout),
    "execute known": lambda it, timeout: it.execute("SELECT pg_sleep($1)", [60], timeout=timeout),
    "execute unprepared": lambda it, timeout: it.execute("SELECT pg_sleep(60)", None, False, timeout=timeout),
    "fetch": lambda it, timeout: it.fetch("SELECT pg_sleep(60)", timeout=timeout),
    "fetch_row": lambda it, timeout: it.fetch_row("SELECT pg_sleep(60)", timeout=timeout),
    "fetch_val": lambda it, timeout: it.fetch_val("SELECT pg_sleep(60)", timeout=timeout),
    "execute_many": lambda it, timeout: it.execute_many("SELECT pg_sleep($1)", [[0], [60]], timeout=timeout),
}
CONNECTION_METHODS = {
    **METHODS,
    "execute_batch": lambda it, timeout: it.execute_batch("SELECT 1; SELECT pg_sleep(60)", timeout=timeout),
}

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
each_connection_method = pytest.mark.parametrize(
    "method", CONNECTION_METHODS.values(), ids=CONNECTION_METHODS
)

Method = Callable[[Any, float | None], Any]


@pytest.fixture
async def impatient(dsn: str) -> AsyncIterator[ConnectionPool]:
    """A pool whose calls have a timeout by default."""
    async with ConnectionPool(dsn, max_db_pool_size=2, timeout=TIMEOUT) as pool:
        yield pool


@pytest.fixture
def sync_impatient(dsn: str) -> Iterator[sync.ConnectionPool]:
    with sync.ConnectionPool(dsn, max_db_pool_size=2, timeout=TIMEOUT) as pool:
        yield pool


def is_active(observer: Observer, pid: int) -> bool:
    return observer.state(pid) == "active"


# Tasks


@each_method
async def test_pools_methods(pool: ConnectionPool, method: Method) -> None:
    await pool.execute("SELECT 1")
    with timing_out():
        await method(pool, TIMEOUT)
    await async_wait_until(lambda: pool.status() == (4, 1, 1, 0), 1)


@each_method
async def test_pools_default(impatient: ConnectionPool, method: Method) -> None:
    await impatient.execute("SELECT 1")
    with timing_out():
        await method(impatient, None)
    await async_wait_until(lambda: impatient.status().available == impatient.status().size, 1)


@each_connection_method
@pytest.mark.parametrize("by_default", [False, True], ids=["own", "pool's"])
async def test_connections_methods(dsn: str, observer: Observer, method: Method, by_default: bool) -> None:
    async with ConnectionPool(dsn, timeout=TIMEOUT if by_default else None) as pool, pool.acquire() as conn:
        pid = conn.backend_pid
        await conn.execute("SELECT pg_sleep($1)", [0], timeout=5)
        with timing_out():
            await method(conn, None if by_default else TIMEOUT)
        begun = time.monotonic()
        assert await conn.fetch_val("SELECT pg_backend_pid()", timeout=5) == pid
        assert time.monotonic() - begun < 1.5
        assert not is_active(observer, pid)


@each_connection_method
async def test_in_a_transaction(pool: ConnectionPool, method: Method) -> None:
    """The transaction is aborted, or undisturbed if the statement wasn't executed; never half of it stored."""
    async with pool.acquire() as conn:
        await conn.execute("CREATE TEMP TABLE timed (a int)")
        with timing_out():
            async with conn.transaction() as transaction:
                await transaction.execute("INSERT INTO timed VALUES (1)")
                await method(transaction, TIMEOUT)
        assert not await conn.in_transaction()
        assert await conn.fetch_val("SELECT count(*) FROM timed") == 0


async def test_swallowed_in_a_transaction(pool: ConnectionPool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("CREATE TEMP TABLE timed (a int)")
        await conn.execute("SELECT pg_sleep($1)", [0])
        with pytest.raises(exceptions.TransactionCommitError):
            async with conn.transaction() as transaction:
                await transaction.execute("INSERT INTO timed VALUES (1)")
                with timing_out():
                    await transaction.execute("SELECT pg_sleep($1)", [60], timeout=TIMEOUT)
                with pytest.raises(exceptions.DatabaseError, match="aborted"):
                    await transaction.execute("INSERT INTO timed VALUES (2)")
        assert await conn.fetch_val("SELECT count(*) FROM timed") == 0


async def test_before_its_turn_in_a_transaction(pool: ConnectionPool) -> None:
    """BEGIN was to travel with a statement that gave up before it was sent: the next one takes it along."""
    import anyio

    for text in ("execute", "batch"):
        async with pool.acquire() as conn:
            async with anyio.create_task_group() as group:
                group.start_soon(conn.execute_batch, "SELECT pg_sleep(0.5)")
                await anyio.sleep(0.05)
                transaction = conn.transaction()
                await transaction.__aenter__()
                with timing_out():
                    if text == "batch":
                        await transaction.execute_batch("SELECT 1", timeout=TIMEOUT)
                    else:
                        await transaction.execute("SELECT 1", timeout=TIMEOUT)
            await transaction.execute("CREATE TEMP TABLE never (a int)")
            assert await conn.in_transaction()
            await transaction.rollback()
            assert await conn.fetch_val("SELECT to_regclass('never') IS NULL")


async def test_begin_commit_rollback_and_savepoints(pool: ConnectionPool) -> None:
    """Behind another task's statement that takes longer."""
    import anyio

    for action in ("begin", "commit", "rollback", "create_savepoint"):
        async with pool.acquire() as conn:
            transaction = conn.transaction()
            arguments = ["here"] if action == "create_savepoint" else []
            if action != "begin":
                await transaction.begin()
            async with anyio.create_task_group() as group:
                group.start_soon(conn.execute, "SELECT pg_sleep(0.5)")
                await anyio.sleep(0.05)
                with timing_out():
                    await getattr(transaction, action)(*arguments, timeout=TIMEOUT)
            if action == "create_savepoint":
                await transaction.commit()
            assert not await conn.in_transaction()


async def test_the_error(pool: ConnectionPool) -> None:
    async with pool.acquire() as conn:
        await conn.execute("SELECT pg_sleep($1)", [0])
        with timing_out() as caught:
            await conn.execute("SELECT pg_sleep($1)", [60], timeout=TIMEOUT)
    error = caught[0]
    assert {TimeoutError, exceptions.OperationalError} < set(type(error).__mro__)
    assert re.match(r"timeout: waited 0\.(19|[2-6])", str(error)) and "the server's answer" in str(error)
    assert "asked to cancel" in str(error)
    assert error.may_have_committed and not error.safe_to_retry


async def test_the_error_before_anything_was_executed(pool: ConnectionPool) -> None:
    import anyio

    async with pool.acquire() as conn, anyio.create_task_group() as group:
        group.start_soon(conn.execute_batch, "SELECT pg_sleep(0.5)")
        await anyio.sleep(0.05)
        with timing_out() as caught:
            await conn.execute("SELECT 1", timeout=TIMEOUT)
    assert "before the statement could be executed" in str(caught[0])
    assert caught[0].safe_to_retry and not caught[0].may_have_committed


@pytest.mark.parametrize("timeout", [0, 0.0, 1e-9])
async def test_no_time_at_all(pool: ConnectionPool, timeout: float) -> None:
    await pool.execute("SELECT 1")
    for _ in range(5):
        with timing_out(0):
            await pool.execute("SELECT pg_sleep(60)", timeout=timeout)
    async with pool.acquire() as conn:
        with timing_out(0):
            await conn.execute("SELECT pg_sleep(60)", timeout=timeout)
        assert await conn.fetch_val("SELECT 1") == 1


async def test_infinity_is_no_timeout(impatient: ConnectionPool) -> None:
    assert await impatient.fetch_val(f"SELECT 1 FROM pg_sleep({2 * TIMEOUT})", timeout=inf) == 1
    async with impatient.acquire() as conn:
        assert await conn.fetch_val(f"SELECT 1 FROM pg_sleep({2 * TIMEOUT})", timeout=inf) == 1


async def test_a_timeout_that_is_not_reached_costs_nothing(conn: Connection) -> None:
    for _ in range(50):
        assert await conn.fetch_val("SELECT $1::int", [1], timeout=30) == 1


@pytest.fixture
async def conn(pool: ConnectionPool) -> AsyncIterator[Connection]:
    async with pool.acquire() as conn:
        yield conn


async def test_one_just_in_time(conn: Connection) -> None:
    """The answer and the timeout come together: one of both, never neither, and never the wrong answer later."""
    await conn.execute("SELECT $1::int FROM pg_sleep($2)", [0, 0])
    late = 0
    for number in range(60):
        try:
            answer: Awaitable[Any] = conn.fetch_val(
                "SELECT $1::int FROM pg_sleep($2)", [number, 0.02], timeout=0.0205
            )
            assert await answer == number
        except exceptions.QueryTimeoutError:
            late += 1
    assert await conn.fetch_val("SELECT -1") == -1


# Threads


@pytest.mark.backend("sync")
@each_method
def test_threads_pools_methods(sync_pool: sync.ConnectionPool, method: Method) -> None:
    sync_pool.execute("SELECT 1")
    with timing_out():
        method(sync_pool, TIMEOUT)
    status = sync_pool.status()
    assert status.available == status.size


@pytest.mark.backend("sync")
@each_method
def test_threads_pools_default(sync_impatient: sync.ConnectionPool, method: Method) -> None:
    sync_impatient.execute("SELECT 1")
    with timing_out():
        method(sync_impatient, None)
    status = sync_impatient.status()
    assert status.available == status.size


@pytest.mark.backend("sync")
@each_connection_method
def test_threads_connections_methods(
    sync_pool: sync.ConnectionPool, observer: Observer, method: Method
) -> None:
    with sync_pool.acquire() as conn:
        pid = conn.backend_pid
        conn.execute("SELECT pg_sleep($1)", [0])
        with timing_out():
            method(conn, TIMEOUT)
        observer.wait(lambda: not is_active(observer, pid), 1, "the statement has ended")
        begun = time.monotonic()
        if not conn.is_closed():
            assert conn.fetch_val("SELECT pg_backend_pid()") == pid
        assert time.monotonic() - begun < 1.5


@pytest.mark.backend("sync")
@each_connection_method
def test_threads_in_a_transaction(sync_pool: sync.ConnectionPool, method: Method) -> None:
    with timing_out(), sync_pool.acquire() as conn, conn.transaction() as transaction:
        transaction.execute("SELECT 1")
        method(transaction, TIMEOUT)
    assert sync_pool.fetch_val("SELECT 1") == 1
    status = sync_pool.status()
    assert status.available == status.size


@pytest.mark.backend("sync")
def test_threads_no_time_at_all(sync_pool: sync.ConnectionPool) -> None:
    sync_pool.execute("SELECT 1")
    for _ in range(5):
        with timing_out(0):
            sync_pool.execute("SELECT pg_sleep(60)", timeout=0)
    assert sync_pool.fetch_val("SELECT 1") == 1
