"""Calls cancelled at each of their waits in turn: the pool is whole and its connections are clean, every time."""

from __future__ import annotations

import anyio
import pytest

from psqlpy import ConnectionPool, ConnRecyclingMethod
from tests.concurrency import async_wait_until
from tests.shells.stepping import cancel_at

# More waits than any of these calls has.
TOO_MANY = 200


async def _pool_execute(pool: ConnectionPool) -> None:
    await pool.execute("SELECT set_config('psqlpy.left', 'yes', false)")


async def _pool_unprepared(pool: ConnectionPool) -> None:
    await pool.execute("SELECT set_config('psqlpy.left', $1, false)", ["yes"], prepared=False)


async def _fetch(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        await connection.fetch("SELECT generate_series(1, $1)", [3])
        await connection.fetch("SELECT generate_series(1, $1)", [3])


async def _transaction(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection, connection.transaction() as transaction:
        await transaction.execute("SELECT set_config('psqlpy.left', 'yes', false)")
        await transaction.execute("SELECT 1")


async def _nested_transaction(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        async with connection.transaction() as inner:
            await inner.execute("SELECT 1")
        await connection.execute("SELECT 2")


async def _begin_and_commit(pool: ConnectionPool) -> None:
    connection = await pool.connection()
    try:
        transaction = connection.transaction()
        await transaction.begin()
        await transaction.execute("SELECT 1")
        await transaction.commit()
    finally:
        connection.close()


async def _batch(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        await connection.execute_batch("SET application_name = 'left'; SELECT 1; SELECT 2")


async def _many(pool: ConnectionPool) -> None:
    """Rows go out while later ones are encoded."""
    async with pool.acquire() as connection:
        await connection.execute("CREATE TEMP TABLE IF NOT EXISTS many (a int4, b text)")
        await connection.execute_many(
            "INSERT INTO many VALUES ($1, $2)", [[n, "x" * 1000] for n in range(2000)]
        )


async def _gathered(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection, anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(connection.fetch_val, "SELECT $1::int", [number])


async def _copied(pool: ConnectionPool) -> None:
    """In and out again; a copy that is cancelled has stored nothing."""
    async with pool.acquire() as connection:
        await connection.execute("CREATE TEMP TABLE IF NOT EXISTS copied (a int4, b text)")
        assert await connection.copy_records_to_table("copied", [(n, "x" * 100) for n in range(2000)]) == 2000
        rows = sum([1 async for _ in connection.copy_out("copied")])
        assert rows == 2000 == await connection.fetch_val("SELECT count(*) FROM copied")


async def _streamed(pool: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        rows = connection.stream("SELECT generate_series(1, $1::int4)", [30], chunk_size=10)
        assert len([row async for row in rows]) == 30


CALLS = [
    _pool_execute,
    _pool_unprepared,
    _fetch,
    _transaction,
    _nested_transaction,
    _begin_and_commit,
    _batch,
    _many,
    _gathered,
    _copied,
    _streamed,
]


async def assert_whole(pool: ConnectionPool, size: int) -> None:
    """All connections are back and idle, and on each there is nothing of those before."""
    await async_wait_until(lambda: pool.status().available == pool.status().size, 3)
    status = pool.status()
    assert status.waiting == 0 and status.size <= size
    held = [await pool.connection() for _ in range(size)]
    for connection in held:
        assert not await connection.in_transaction()
        left = await connection.fetch_val("SELECT coalesce(current_setting('psqlpy.left', true), '')")
        assert left == ""
        assert await connection.fetch_val("SELECT current_setting('application_name')") != "left"
        connection.close()


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize(
    ("call", "warm"),
    [
        pytest.param(_pool_execute, False, id="connecting-pool_execute"),
        pytest.param(_transaction, False, id="connecting-transaction"),
        *[pytest.param(call, True, id=call.__name__[1:]) for call in CALLS],
    ],
)
async def test_cancel_at_every_wait(dsn: str, call: object, warm: bool, late: bool) -> None:
    assert callable(call)
    for place in range(TOO_MANY):
        async with ConnectionPool(dsn, max_db_pool_size=2) as pool:
            if warm:
                await call(pool)
            cancelled = await cancel_at(lambda: call(pool), place, late=late)
            await assert_whole(pool, 2)
        if not cancelled:
            assert place > 0
            return
    pytest.fail(f"more than {TOO_MANY} waits")


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("method", ConnRecyclingMethod)
async def test_cancel_at_every_wait_of_one_connection(
    dsn: str, method: ConnRecyclingMethod, late: bool
) -> None:
    """The only connection of a pool goes on to the next one, whatever has happened on it."""
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method=method) as pool:
        for call in CALLS:
            await call(pool)
            for place in range(TOO_MANY):
                cancelled = await cancel_at(lambda: call(pool), place, late=late)  # noqa: B023
                with anyio.fail_after(3):
                    assert await pool.fetch_val("SELECT 1") == 1
                if not cancelled:
                    break
        await assert_whole(pool, 1)


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
async def test_cancel_the_one_who_waits_for_a_connection(dsn: str, late: bool) -> None:
    """At the very moment when it gets one: then it is the next one's."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        for place in range(TOO_MANY):
            outcome: list[bool] = []
            served: list[object] = []

            async def first(place: int = place, outcome: list[bool] = outcome) -> None:
                outcome.append(await cancel_at(lambda: pool.fetch_val("SELECT 1"), place, late=late))

            async def second(served: list[object] = served) -> None:
                served.append(await pool.fetch_val("SELECT 2"))

            held = await pool.connection()
            async with anyio.create_task_group() as group:
                group.start_soon(first)
                await async_wait_until(lambda: pool.status().waiting == 1 or bool(outcome))  # noqa: B023
                group.start_soon(second)
                await async_wait_until(lambda: pool.status().waiting == (1 if outcome else 2))  # noqa: B023
                held.close()
            assert served == [2]
            await assert_whole(pool, 1)
            if outcome == [False]:
                return
    pytest.fail(f"more than {TOO_MANY} waits")
