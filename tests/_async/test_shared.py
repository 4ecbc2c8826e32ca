"""Shared connections: who rides with whom, who never does, and that nobody waits for ever behind another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from psqlpy import Connection, ConnectionPool, QueryEvent, exceptions
from psqlpy._async.outages import ON_ITS_WAY
from tests.concurrency import AsyncGroup, async_fail_after, async_sleep, async_wait_until

PID = "SELECT pg_backend_pid()"
BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass"
READ_ONLY = "SHOW default_transaction_read_only"

NEVER_SHARED = [
    "SET work_mem = '5MB'",
    "SELECT set_config('psqlpy.shared', 'x', false)",
    "LISTEN psqlpy_shared",
    "SELECT pg_notify('psqlpy_shared', '')",
    "CREATE TEMP TABLE psqlpy_shared (i int)",
    "SELECT pg_try_advisory_lock(815, 4711)",
    "SELECT pg_sleep(0)",
    "BEGIN",
    "BEGIN READ WRITE",
    "SELECT current_setting('default_transaction_read_only')",
    "SELECT setting FROM pg_settings WHERE name = 'default_transaction_read_only'",
    "SELECT id FROM {table} FOR SHARE",
    "WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone",
    "INSERT INTO {table} VALUES (100)",
    "SELECT {table}_f()",
    "SELECT {table}_f() FROM {table}",
    "PREPARE psqlpy_shared AS SELECT 1",
    "DECLARE psqlpy_shared CURSOR WITH HOLD FOR SELECT 1",
    "SELECT (815::int8).pg_try_advisory_lock",
    "SELECT ('default_transaction_read_only'::text).current_setting",
]


async def make_light(pool: ConnectionPool, text: str, parameters: list[object] | None = None) -> None:
    """Have the pool learn that a statement is fast and small."""
    standing = pool._standing(text, True)
    assert standing is not None
    for _ in range(500):
        if standing.may_ride(monotonic()):
            return
        await pool.execute(text, parameters, shared=True)
    raise AssertionError(f"not light after 500 executions: {standing!r}")


@asynccontextmanager
async def shared_pool(dsn: str, size: int) -> AsyncIterator[ConnectionPool]:
    with async_fail_after(50):
        async with ConnectionPool(dsn=dsn, max_db_pool_size=size) as pool:
            yield pool


@asynccontextmanager
async def locked(observer: ConnectionPool, table: str) -> AsyncIterator[Connection]:
    """Nobody else can read the table."""
    async with observer.acquire() as holder, holder.transaction() as transaction:
        await transaction.execute(f"LOCK TABLE {table}")
        yield holder


async def wait_until_blocked(holder: Connection, table: str) -> None:
    async def is_blocked() -> bool:
        count: int = await holder.fetch_val(BLOCKED, [table])
        return count > 0

    await async_wait_until(is_blocked)


def lane_pids(pool: ConnectionPool) -> list[int]:
    return [lane.connection.session.pgconn.backend_pid for lane in pool._sharing.lanes]


async def test_reads_of_many_tasks_are_answered_over_few_connections(dsn: str) -> None:
    text = "SELECT $1::int4 AS number, pg_backend_pid() AS pid"
    async with shared_pool(dsn, 2) as pool:
        await make_light(pool, text, [0])
        most = 0
        pids = set()

        async def ask(first: int) -> None:
            nonlocal most
            for number in range(first, first + 10):
                row = (await pool.fetch_row(text, [number])).result()
                assert row["number"] == number
                pids.add(row["pid"])
                most = max(most, *(lane.users for lane in pool._sharing.lanes), 0)
                assert pool.status().size <= 2

        async with AsyncGroup() as group:
            for first in range(0, 1000, 10):
                group.start(ask, first)
        assert 1 <= len(pids) <= 2
        assert 1 < most <= 32
        assert pool._sharing.lanes == []
        status = pool.status()
        assert (status.available, status.waiting) == (status.size, 0)


async def test_sharing_can_be_switched_off_and_on(dsn: str, pool: ConnectionPool) -> None:
    assert await pool.fetch_val("SELECT 1", shared=False) == 1
    assert (await pool.fetch_row("SELECT 1", shared=False)).result() == {"?column?": 1}
    assert (await pool.fetch("SELECT 1", shared=False)).result() == [{"?column?": 1}]
    assert (await pool.execute("SELECT 1", shared=False)).result() == [{"?column?": 1}]
    assert pool._standings == {}
    assert await pool.fetch_val("SELECT 1") == 1
    assert list(pool._standings) == ["SELECT 1"]
    async with ConnectionPool(dsn=dsn, shared=False) as alone:
        for _ in range(3):
            assert await alone.fetch_val("SELECT 1") == 1
        assert alone._standings == {}
        assert await alone.fetch_val("SELECT 1", shared=True) == 1
        assert list(alone._standings) == ["SELECT 1"]
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="shared must be a bool"):
        ConnectionPool(dsn=dsn, shared=1)  # type: ignore[arg-type]


async def test_its_next_sole_user_finds_a_connection_that_was_reset(dsn: str, table: str) -> None:
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, PID)
        pid = await pool.fetch_val(PID)
        assert pool.status().available == 1
        async with pool.acquire() as connection:
            assert connection.backend_pid == pid
            assert await connection.fetch_val(READ_ONLY) == "off"
            await connection.execute(f"INSERT INTO {table} VALUES (1)")
        assert await pool.fetch_val(PID) == pid
        await pool.execute(f"INSERT INTO {table} VALUES (2)")
        assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 2


async def test_an_error_is_its_callers_alone(dsn: str) -> None:
    text = "SELECT 12 / $1::int4"
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, text, [1])
        async with AsyncGroup(keep_errors=True) as group:
            calls = [group.start(pool.fetch_val, text, [number % 4]) for number in range(40)]
        for number, call in enumerate(calls):
            if number % 4:
                assert call.result() == 12 // (number % 4)
            else:
                assert isinstance(call.error, exceptions.DivisionByZero)
                assert isinstance(call.error, exceptions.ConnectionExecuteError)
        with pytest.raises(exceptions.PyToRustValueMappingError):
            await pool.fetch_val(text, ["x"])
        assert await pool.fetch_val(text, [3]) == 4


async def test_one_row_is_asked_for(dsn: str) -> None:
    text = "SELECT i FROM generate_series(1, $1::int4) AS i"
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, text, [1])
        assert await pool.fetch_val(text, [1]) == 1
        assert await pool.fetch_val(text, [0], default="none") == "none"
        with pytest.raises(exceptions.NoRowsError):
            await pool.fetch_row(text, [0])
        with pytest.raises(exceptions.TooManyRowsError):
            await pool.fetch_row(text, [2])
        assert (await pool.execute(text, [2])).result() == [{"i": 1}, {"i": 2}]


async def test_what_may_act_never_reaches_a_shared_connection(dsn: str, table: str) -> None:
    shared: dict[str, set[bool]] = {}

    def note(event: QueryEvent) -> None:
        if event.error is None:
            shared.setdefault(event.query, set()).add(event.backend_pid in lane_pids(pool))

    with async_fail_after(50):
        async with ConnectionPool(dsn=dsn, max_db_pool_size=2, on_query=note) as pool:
            await pool.execute(f"CREATE FUNCTION {table}_f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
            await make_light(pool, PID)
            stop = False

            async def ask() -> None:
                while not stop:
                    await pool.fetch_val(PID)

            texts = [text.format(table=table) for text in NEVER_SHARED]
            async with AsyncGroup() as group:
                for _ in range(4):
                    group.start(ask)
                try:
                    # In turn each, and so often that it would become light: some make the server forget others.
                    for text in texts:
                        for _ in range(25):
                            await pool.execute(text)
                finally:
                    stop = True
            await pool.execute(f"DROP FUNCTION {table}_f()")
    assert True in shared[PID]
    assert {text: shared[text] for text in texts} == {text: {False} for text in texts}


async def test_what_writes_after_all_is_run_once_more_by_itself(dsn: str, table: str) -> None:
    async with shared_pool(dsn, 1) as pool:
        await pool.execute(f"CREATE SEQUENCE {table}_seq")
        await pool.execute(f"CREATE TABLE {table}_view AS SELECT 0::int8 AS value")
        try:
            text = f"SELECT value FROM {table}_view"
            await make_light(pool, text)
            # Behind the back of what the catalogs said.
            await pool.execute(f"DROP TABLE {table}_view")
            await pool.execute(f"CREATE VIEW {table}_view AS SELECT nextval('{table}_seq') AS value")
            assert await pool.fetch_val(text) == 1
            assert pool._standing(text, None) is None
            assert await pool.fetch_val(text) == 2
        finally:
            await pool.execute(f"DROP VIEW {table}_view")
            await pool.execute(f"DROP SEQUENCE {table}_seq")


async def test_a_read_behind_a_blocked_one_is_run_elsewhere(
    dsn: str, table: str, observer: ConnectionPool
) -> None:
    blocked = f"SELECT count(*) FROM {table}"
    async with shared_pool(dsn, 2) as pool:
        await make_light(pool, blocked)
        await make_light(pool, PID)
        async with AsyncGroup() as group, locked(observer, table) as holder:
            other = await pool.connection()
            first = group.start(pool.fetch_val, blocked)
            await wait_until_blocked(holder, table)
            (shared,) = lane_pids(pool)
            # Nothing else is free: it gets in line behind the blocked one.
            second = group.start(pool.fetch_val, PID)
            await async_wait_until(lambda: pool.status().waiting == 1)
            assert lane_pids(pool) == [shared]
            other.close()
            await async_wait_until(lambda: second.done)
            assert second.result() != shared
            assert not first.done
        assert first.result() == 0
        assert await pool.fetch_val(PID) > 0
        await async_wait_until(lambda: pool.status().available == 2)


async def test_a_timeout_is_its_callers_alone(dsn: str, table: str, observer: ConnectionPool) -> None:
    blocked = f"SELECT count(*) FROM {table}"
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, blocked)
        await make_light(pool, PID)
        async with AsyncGroup(keep_errors=True) as group, locked(observer, table) as holder:
            first = group.start(pool.fetch_val, blocked, timeout=0.3)
            await wait_until_blocked(holder, table)
            others = [group.start(pool.fetch_val, PID) for _ in range(5)]
            await async_wait_until(lambda: first.done)
            await async_wait_until(lambda: all(call.done for call in others))
        assert isinstance(first.error, exceptions.QueryTimeoutError)
        assert {call.result() for call in others} != set()
        assert await pool.fetch_val(blocked) == 0
        async with pool.acquire() as connection:
            assert await connection.fetch_val(READ_ONLY) == "off"
        assert pool.status().available == 1


async def test_a_lost_connection_fails_those_on_it_and_is_replaced(
    dsn: str, table: str, observer: ConnectionPool
) -> None:
    blocked = f"SELECT count(*) FROM {table}"
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, blocked)
        async with AsyncGroup(keep_errors=True) as group, locked(observer, table) as holder:
            first = group.start(pool.fetch_val, blocked)
            await wait_until_blocked(holder, table)
            (shared,) = lane_pids(pool)
            # Otherwise it would be run again elsewhere, as if the server's last words had been on their way.
            await async_sleep(ON_ITS_WAY)
            await holder.execute("SELECT pg_terminate_backend($1)", [shared])
            await async_wait_until(lambda: first.done)
        assert isinstance(first.error, exceptions.OperationalError)
        assert await pool.fetch_val(PID) != shared
        assert pool.status().size == 1


async def test_neither_shared_statements_nor_sole_users_starve(dsn: str) -> None:
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, PID)
        stop = False
        asked = acquired = 0

        async def ask() -> None:
            nonlocal asked
            while not stop:
                await pool.fetch_val(PID)
                asked += 1

        async def acquire() -> None:
            nonlocal acquired
            while not stop:
                async with pool.acquire() as connection:
                    assert await connection.fetch_val(READ_ONLY) == "off"
                acquired += 1

        async with AsyncGroup() as group:
            for _ in range(8):
                group.start(ask)
            for _ in range(4):
                group.start(acquire)
            try:
                await async_wait_until(lambda: asked >= 100 and acquired >= 20, 45)
            finally:
                stop = True
        status = pool.status()
        assert (status.available, status.waiting) == (1, 0)


async def test_large_results_ride_alone(dsn: str) -> None:
    text = "SELECT repeat('x', 1000) FROM generate_series(1, 1000)"
    async with shared_pool(dsn, 1) as pool:
        for _ in range(5):
            await pool.execute(text)
        standing = pool._standing(text, True)
        assert standing is not None and not standing.is_light


@pytest.mark.loops(1)
async def test_a_million_rows_do_not_hold_up_small_results(dsn: str) -> None:
    text = "SELECT i, i + 1 FROM generate_series(1, $1::int4) AS i"
    async with shared_pool(dsn, 2) as pool:
        await make_light(pool, text, [1])
        await make_light(pool, PID)
        other = await pool.connection()
        async with AsyncGroup() as group:
            # Small until now, so the others get in line behind it.
            large = group.start(pool.fetch, text, [1_000_000])
            await async_wait_until(lambda: len(pool._sharing.lanes) == 1)
            small = [group.start(pool.fetch_val, PID) for _ in range(5)]
            await async_wait_until(lambda: pool._sharing.lanes[0].users == 6)
            other.close()
            await async_wait_until(lambda: all(call.done for call in small))
            assert not large.done
        assert len(large.result()) == 1_000_000
        standing = pool._standing(text, None)
        assert standing is not None and not standing.is_light


async def test_status_counts_everybody_who_waits(dsn: str, table: str, observer: ConnectionPool) -> None:
    blocked = f"SELECT count(*) FROM {table}"
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, blocked)
        await make_light(pool, PID)
        async with AsyncGroup() as group, locked(observer, table) as holder:
            group.start(pool.fetch_val, blocked)
            await wait_until_blocked(holder, table)
            for _ in range(3):
                group.start(pool.fetch_val, PID)
            group.start(pool.fetch_val, PID, shared=False)
            await async_wait_until(lambda: pool.status().waiting == 4)
            status = pool.status()
            assert (status.max_size, status.size, status.available) == (1, 1, 0)
        status = pool.status()
        assert (status.max_size, status.size, status.available, status.waiting) == (1, 1, 1, 0)


async def test_closing_the_pool_fails_those_who_wait(dsn: str, table: str, observer: ConnectionPool) -> None:
    blocked = f"SELECT count(*) FROM {table}"
    async with shared_pool(dsn, 1) as pool:
        await make_light(pool, blocked)
        await make_light(pool, PID)
        async with AsyncGroup(keep_errors=True) as group, locked(observer, table) as holder:
            first = group.start(pool.fetch_val, blocked)
            await wait_until_blocked(holder, table)
            others = [group.start(pool.fetch_val, PID) for _ in range(3)]
            # Sent away from behind the blocked one, they wait for a connection.
            await async_wait_until(lambda: pool.status().waiting == 3)
            pool.close()
            await async_wait_until(lambda: all(call.done for call in others))
        assert all(isinstance(call.error, exceptions.BaseConnectionPoolError) for call in others)
        assert first.result() == 0
        # What those behind it had asked for is answered first.
        await async_wait_until(lambda: pool.status().size == 0)
