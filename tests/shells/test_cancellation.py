"""Cancelling under asyncio, uvloop and trio: the caller leaves at once, the server stops, the connection is good.

Long, since every call that can be cancelled is, on the same few fixtures.
"""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import uuid4

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, ConnRecyclingMethod, exceptions
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.shells.running import RUNNERS, join, run_in_thread

# How long a cancelled caller, and a query right after it, may take. Seconds.
AT_ONCE = 0.1
SOON = 0.5

Call = Callable[[Connection], Awaitable[object]]


@pytest.fixture
async def conn(pool: ConnectionPool) -> AsyncIterator[Connection]:
    async with pool.acquire() as conn:
        yield conn


@pytest.fixture
def silent_dsn() -> Iterator[str]:
    """A server that takes TCP connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/postgres"


def is_running(observer: Observer, mark: str) -> bool:
    """Whether a statement with this text in it runs on the server."""
    return bool(
        observer.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE state = 'active' AND strpos(query, %s) > 0 AND pid <> pg_backend_pid()",
            [mark],
        )
    )


async def wait_running(observer: Observer, mark: str) -> None:
    await async_wait_until(lambda: is_running(observer, mark))


def new_mark() -> str:
    return f"mark_{uuid4().hex}"


async def cancel_when(ready: Callable[[], Awaitable[object]], call: Callable[[], Awaitable[object]]) -> float:
    """Cancel a call once `ready` returns; the seconds that it took to leave."""
    ended: list[float] = []
    outcome: list[BaseException | None] = []

    async def run() -> None:
        try:
            await call()
        except BaseException as error:
            outcome.append(error)
            raise
        else:
            outcome.append(None)
        finally:
            ended.append(time.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await ready()
        begun = time.monotonic()
        group.cancel_scope.cancel()
    assert isinstance(outcome[0], anyio.get_cancelled_exc_class()), f"ended otherwise: {outcome[0]!r}"
    return ended[0] - begun


async def assert_usable(conn: Connection, within: float = SOON) -> None:
    begun = time.monotonic()
    assert await conn.fetch_val("SELECT $1::int", [41]) == 41
    assert time.monotonic() - begun < within


# One call, alone on its connection


async def _execute(conn: Connection, mark: str) -> object:
    return await conn.execute(f"SELECT pg_sleep(60) AS {mark}")


async def _execute_known(conn: Connection, mark: str) -> object:
    await conn.execute(f"SELECT pg_sleep($1) AS {mark}", [0])
    return await conn.execute(f"SELECT pg_sleep($1) AS {mark}", [60])


async def _unprepared(conn: Connection, mark: str) -> object:
    return await conn.execute(f"SELECT pg_sleep($1) AS {mark}", [60], prepared=False)


async def _fetch_row(conn: Connection, mark: str) -> object:
    return await conn.fetch_row(f"SELECT pg_sleep(60) AS {mark}")


async def _execute_many(conn: Connection, mark: str) -> None:
    await conn.execute_many(f"SELECT pg_sleep($1) AS {mark}", [[0], [0], [60], [60]])


async def _execute_many_large(conn: Connection, mark: str) -> None:
    """More than fits into the socket: the rest isn't written yet when the call is cancelled."""
    row = [60, "x" * 10_000]
    await conn.execute_many(f"SELECT pg_sleep($1) AS {mark}, $2::text", [row] * 2000)


async def _execute_batch(conn: Connection, mark: str) -> None:
    await conn.execute_batch(f"SELECT 1; SELECT pg_sleep(60) AS {mark}; SELECT 2")


async def _in_transaction(conn: Connection, mark: str) -> object:
    async with conn.transaction() as transaction:
        await transaction.execute("SELECT 1")
        return await transaction.execute(f"SELECT pg_sleep(60) AS {mark}")


async def _first_in_transaction(conn: Connection, mark: str) -> object:
    async with conn.transaction() as transaction:
        return await transaction.execute(f"SELECT pg_sleep(60) AS {mark}")


async def _batch_in_transaction(conn: Connection, mark: str) -> None:
    async with conn.transaction() as transaction:
        await transaction.execute_batch(f"SELECT pg_sleep(60) AS {mark}")


@pytest.mark.parametrize(
    "call",
    [
        _execute,
        _execute_known,
        _unprepared,
        _fetch_row,
        _execute_many,
        _execute_many_large,
        _execute_batch,
        _in_transaction,
        _first_in_transaction,
        _batch_in_transaction,
    ],
)
async def test_cancel_what_runs_alone(
    conn: Connection, observer: Observer, call: Callable[[Connection, str], Awaitable[object]]
) -> None:
    mark = new_mark()
    took = await cancel_when(lambda: wait_running(observer, mark), lambda: call(conn, mark))
    assert took < AT_ONCE
    await async_wait_until(lambda: not is_running(observer, mark), 1)
    await assert_usable(conn)
    assert not await conn.in_transaction()


async def test_cancel_a_pools_call(pool: ConnectionPool, observer: Observer) -> None:
    mark = new_mark()
    took = await cancel_when(
        lambda: wait_running(observer, mark), lambda: pool.execute(f"SELECT pg_sleep(60) AS {mark}")
    )
    assert took < AT_ONCE
    await async_wait_until(lambda: not is_running(observer, mark), 1)
    await async_wait_until(lambda: pool.status().available == 1, 1)
    assert await pool.fetch_val("SELECT 1") == 1
    assert pool.status() == (4, 1, 1, 0)


async def test_cancelled_write_is_undone(conn: Connection, observer: Observer) -> None:
    mark = new_mark()
    await conn.execute(f"CREATE TEMP TABLE {mark} (a int)")
    text = f"WITH slept AS (SELECT pg_sleep(60)) INSERT INTO {mark} SELECT 1 FROM slept"
    await cancel_when(lambda: wait_running(observer, text), lambda: conn.execute(text))
    assert await conn.fetch_val(f"SELECT count(*) FROM {mark}") == 0


async def test_connection_given_back_while_its_statement_is_being_cancelled(
    pool: ConnectionPool, observer: Observer
) -> None:
    """The way most cancellations go: out of the block, with what was cancelled still on its way."""
    mark = new_mark()

    async def use() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_lock(4711)")
            await connection.execute(f"SELECT pg_sleep(60) AS {mark}")

    assert await cancel_when(lambda: wait_running(observer, mark), use) < AT_ONCE
    await async_wait_until(lambda: pool.status().available == 1, 1)
    async with pool.acquire() as connection:
        await assert_usable(connection)
        assert not await connection.in_transaction()
    assert observer.value("SELECT pg_try_advisory_lock(4711)")
    assert observer.value("SELECT pg_advisory_unlock(4711)")
    assert pool.status() == (4, 1, 1, 0)


# Neighbours on one connection


async def test_cancel_a_queued_call(conn: Connection, observer: Observer) -> None:
    """Not written yet: it is forgotten, and nobody notices."""
    mark = new_mark()
    values: list[object] = []

    async def slow() -> None:
        # The first use of a statement keeps what comes behind it from being written.
        values.append(await conn.fetch_val(f"SELECT 'slow' AS {mark} FROM pg_sleep(0.5)", prepared=False))

    async def never() -> None:
        await conn.execute("SELECT set_config('psqlpy.never', 'yes', false)")

    async with anyio.create_task_group() as group:
        group.start_soon(conn.execute_batch, f"SELECT pg_sleep(0.3) AS {mark}")
        await wait_running(observer, mark)
        group.start_soon(slow)
        assert await cancel_when(lambda: anyio.sleep(0.05), never) < AT_ONCE
    assert values == ["slow"]
    assert await conn.fetch_val("SELECT current_setting('psqlpy.never', true)") is None


@pytest.mark.parametrize("place", [0, 1, 2, 4])
async def test_cancel_one_of_several(conn: Connection, place: int) -> None:
    """Its neighbours get their own results, whether it is the first of them, in the middle or the last."""
    await conn.fetch_val("SELECT $1::int FROM pg_sleep($2)", [0, 0])
    values: dict[int, object] = {}
    scope = anyio.CancelScope()

    async def one(number: int) -> None:
        values[number] = await conn.fetch_val("SELECT $1::int FROM pg_sleep($2)", [number, 0.03])

    async def cancelled() -> None:
        with scope:
            await conn.fetch_val("SELECT -1 FROM pg_sleep(0.03)")
            values[-1] = -1

    async with anyio.create_task_group() as group:
        for number in range(5):
            if number == place:
                group.start_soon(cancelled)
            group.start_soon(one, number)
        await anyio.sleep(0.01)
        scope.cancel()
    assert values == {number: number for number in range(5)}
    await assert_usable(conn)


async def test_cancel_the_head_while_neighbours_wait(conn: Connection, observer: Observer) -> None:
    mark = new_mark()
    await conn.fetch_val("SELECT $1::text", ["prepared"])
    text = f"SELECT pg_sleep($1) AS {mark}"
    await conn.fetch_val(text, [0])
    values: list[object] = []

    async def neighbour(number: int) -> None:
        values.append(await conn.fetch_val("SELECT $1::text", [str(number)]))

    async with anyio.create_task_group() as group:

        async def neighbours() -> None:
            await wait_running(observer, mark)
            for number in range(5):
                group.start_soon(neighbour, number)
            await anyio.sleep(0.02)

        assert await cancel_when(neighbours, lambda: conn.fetch_val(text, [60])) < AT_ONCE
        await async_wait_until(lambda: not is_running(observer, mark) and len(values) == 5, 1)
    assert sorted(values, key=str) == ["0", "1", "2", "3", "4"]
    await assert_usable(conn)


@pytest.mark.parametrize("known", [True, False], ids=["pipelined", "queued"])
async def test_cancel_all_of_several(conn: Connection, observer: Observer, known: bool) -> None:
    """Each of them would run for a minute: all have to go, one after the other."""
    mark = new_mark()
    text = f"SELECT pg_sleep($1) AS {mark}"
    pid = conn.backend_pid
    if known:
        await conn.execute(text, [0])

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(conn.execute, text, [60])

    assert await cancel_when(lambda: wait_running(observer, mark), all_of_them) < AT_ONCE
    await async_wait_until(lambda: not is_running(observer, mark), 1)
    await assert_usable(conn)
    assert conn.backend_pid == pid
    assert await conn.fetch_val("SELECT pg_backend_pid()") == pid


async def test_cancel_several_of_several(conn: Connection, observer: Observer) -> None:
    """Two long ones in one pipeline with a short one between and behind them."""
    mark = new_mark()
    text = f"SELECT $1::int AS {mark} FROM pg_sleep($2)"
    await conn.execute(text, [0, 0])
    values: list[object] = []
    doomed = [anyio.CancelScope() for _ in range(3)]

    async def long(scope: anyio.CancelScope) -> None:
        with scope:
            await conn.fetch_val(text, [-1, 60])
            values.append(-1)

    async def short(number: int) -> None:
        values.append(await conn.fetch_val(text, [number, 0]))

    with anyio.fail_after(2):
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(long, doomed[number])
                group.start_soon(short, number)
            await wait_running(observer, mark)
            for scope in doomed:
                scope.cancel()
    assert sorted(values, key=str) == [0, 1, 2]
    await async_wait_until(lambda: not is_running(observer, mark), 1)
    await assert_usable(conn)


async def test_neighbours_in_a_transaction_learn_of_it(conn: Connection, observer: Observer) -> None:
    """What was cancelled has aborted the transaction, as any failing statement does."""
    mark = new_mark()
    errors: list[Exception] = []
    text = f"SELECT pg_sleep($1) AS {mark}"
    await conn.execute(text, [0])
    await conn.execute("SELECT 1")

    async def neighbour() -> None:
        try:
            await conn.execute("SELECT 1")
        except exceptions.Error as error:
            errors.append(error)

    with pytest.raises(exceptions.TransactionCommitError):
        async with conn.transaction() as transaction, anyio.create_task_group() as group:
            await transaction.execute("SELECT 1")

            async def ready() -> None:
                await wait_running(observer, mark)
                group.start_soon(neighbour)
                await anyio.sleep(0.01)

            await cancel_when(ready, lambda: transaction.execute(text, [60]))
    assert [type(error).__name__ for error in errors] == ["InFailedSqlTransaction"]
    await assert_usable(conn)


# Other places to wait at


async def test_cancel_in_the_middle_of_prepare(conn: Connection, observer: Observer) -> None:
    """Parsing waits for a lock. Neighbours that use the same text prepare it themselves."""
    table = new_mark()
    for command in (f"CREATE TABLE {table} (a int)", "BEGIN", f"LOCK TABLE {table}"):
        observer.command(command)
    values: list[object] = []

    async def neighbour() -> None:
        values.append(await conn.fetch_val(f"SELECT count(*) FROM {table}"))

    try:
        async with anyio.create_task_group() as group:

            async def blocked() -> None:
                await anyio.sleep(0.05)
                group.start_soon(neighbour)
                await anyio.sleep(0.05)

            took = await cancel_when(blocked, lambda: conn.fetch_val(f"SELECT count(*) FROM {table}"))
            assert took < AT_ONCE
            await anyio.sleep(0.1)
            observer.command("COMMIT")
        assert values == [0]
        await assert_usable(conn)
    finally:
        observer.command("ROLLBACK")
        observer.command(f"DROP TABLE {table}")


async def test_cancel_begin_and_commit(pool: ConnectionPool, observer: Observer) -> None:
    """Behind a statement of another task, they wait for their turn."""
    mark = new_mark()
    async with pool.acquire() as conn:
        async with anyio.create_task_group() as group:
            group.start_soon(conn.execute, f"SELECT pg_sleep(0.3) AS {mark}")
            await wait_running(observer, mark)
            transaction = conn.transaction()
            assert await cancel_when(lambda: anyio.sleep(0.02), transaction.begin) < AT_ONCE
        assert not await conn.in_transaction()
        transaction = conn.transaction()
        await transaction.begin()
        mark = new_mark()
        async with anyio.create_task_group() as group:
            group.start_soon(conn.execute, f"SELECT pg_sleep(0.3) AS {mark}")
            await wait_running(observer, mark)
            assert await cancel_when(lambda: anyio.sleep(0.02), transaction.commit) < AT_ONCE
    await async_wait_until(lambda: pool.status().available == 1, 1)
    async with pool.acquire() as conn:
        assert not await conn.in_transaction()
        await assert_usable(conn)


async def test_cancel_the_wait_for_a_connection(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        for call in (pool.connection, lambda: pool.execute("SELECT 1")):
            async with pool.acquire() as conn:

                async def waiting() -> None:
                    await async_wait_until(lambda: pool.status().waiting == 1)

                async def wait(call: Callable[[], Awaitable[object]] = call) -> None:
                    await call()

                assert await cancel_when(waiting, wait) < AT_ONCE
                assert pool.status() == (1, 1, 0, 0)
                await assert_usable(conn)
            assert pool.status() == (1, 1, 1, 0)


async def test_cancel_connecting(silent_dsn: str) -> None:
    """The server takes the connection and says nothing."""
    async with ConnectionPool(silent_dsn, max_db_pool_size=1) as pool:

        async def connecting() -> None:
            await async_wait_until(lambda: pool.status().waiting == 1)
            await anyio.sleep(0.02)

        assert await cancel_when(connecting, lambda: pool.execute("SELECT 1")) < AT_ONCE
        assert pool.status() == (1, 0, 0, 0)


async def test_cancel_the_check_of_a_verified_connection(dsn: str, observer: Observer) -> None:
    """At every moment of it."""
    async with ConnectionPool(
        dsn, max_db_pool_size=1, conn_recycling_method=ConnRecyclingMethod.Verified
    ) as pool:
        await pool.execute("SELECT 1")
        for step in range(40):
            with anyio.CancelScope() as scope:

                async def cancel(scope: anyio.CancelScope = scope, step: int = step) -> None:
                    for _ in range(step // 4):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                async with anyio.create_task_group() as group:
                    group.start_soon(cancel)
                    async with pool.acquire():
                        pass
            await async_wait_until(lambda: pool.status() == (1, 1, 1, 0), 3)
        assert await pool.fetch_val("SELECT 1") == 1


async def test_cancel_asked_for_in_another_thread(conn: Connection, observer: Observer) -> None:
    """Under an event loop of its own: the one that runs the statement goes on by itself."""
    mark, pid = new_mark(), conn.backend_pid
    errors: list[exceptions.Error] = []

    async def run() -> None:
        with pytest.raises(exceptions.QueryCanceled) as caught:
            await conn.execute(f"SELECT pg_sleep(60) AS {mark}")
        errors.append(caught.value)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await wait_running(observer, mark)
        thread, failures = run_in_thread(lambda: RUNNERS["asyncio"](conn.cancel))
        await async_wait_until(lambda: bool(errors), 2)
    join(thread, failures)
    await assert_usable(conn)
    assert conn.backend_pid == pid
