"""What a statement leaves behind whose text doesn't show it: in a view, a domain, an overload, a column-like call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from psqlpy import ConnectionPool
from tests.concurrency import async_wait_until

pytestmark = pytest.mark.loops(1)

SCHEMA = "hidden_traces"
CREATE = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE FUNCTION {SCHEMA}.act() RETURNS bool LANGUAGE sql AS
    $$ SELECT set_config('work_mem', '9MB', false) IS NOT NULL AND pg_try_advisory_lock(4711) $$;
CREATE VIEW {SCHEMA}.a_view AS SELECT {SCHEMA}.act();
CREATE DOMAIN {SCHEMA}.a_domain AS int CHECK ({SCHEMA}.act());
CREATE FUNCTION {SCHEMA}.area(text) RETURNS bool LANGUAGE sql AS 'SELECT {SCHEMA}.act()';
CREATE TABLE {SCHEMA}.a_table AS SELECT 1 AS n;
CREATE FUNCTION public.a_hidden_call({SCHEMA}.a_table) RETURNS bool LANGUAGE sql AS 'SELECT {SCHEMA}.act()';
"""


@pytest.fixture
async def lone_pool(dsn: str) -> AsyncIterator[ConnectionPool]:
    """A pool of one: the next user has the same connection."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        async with pool.acquire() as conn:
            await conn.execute_batch(CREATE)
        yield pool
        async with pool.acquire() as conn:
            await conn.execute_batch(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT * FROM {SCHEMA}.a_view",
        f"TABLE {SCHEMA}.a_view",
        f"SELECT 5::{SCHEMA}.a_domain",
        f"SELECT CAST('5' AS {SCHEMA}.a_domain)",
        f"SELECT {SCHEMA}.area('1'::text)",
        f"SELECT t.a_hidden_call FROM {SCHEMA}.a_table t",
    ],
)
@pytest.mark.parametrize("prepared", [True, False])
async def test_nothing_is_left(lone_pool: ConnectionPool, dsn: str, query: str, prepared: bool) -> None:
    before = await lone_pool.fetch_val("SHOW work_mem")
    await lone_pool.fetch(query, prepared=prepared)
    assert await lone_pool.fetch_val("SHOW work_mem") == before != "9MB"
    async with ConnectionPool(dsn, max_db_pool_size=1) as other, other.acquire() as conn:

        async def lock_is_free() -> bool:
            free: bool = await conn.fetch_val("SELECT pg_try_advisory_lock(4711)")
            return free

        await async_wait_until(lock_is_free, 1.0)


async def test_statements_that_their_user_prepared_are_gone(dsn: str) -> None:
    others = "SELECT array_agg(name) FROM pg_prepared_statements WHERE name LIKE 'mine%'"
    prepare = "PREPARE mine AS SELECT 1"
    async with ConnectionPool(dsn, max_db_pool_size=1) as lone_pool:

        async def left() -> bool:
            found: object = await lone_pool.fetch_val(others)
            return found is not None

        pid = await lone_pool.fetch_val("SELECT pg_backend_pid()")
        for prepared in (True, False, True):
            await lone_pool.execute(prepare, prepared=prepared)
            assert not await left()
        for text in (prepare, "DO $$ BEGIN EXECUTE 'prepare mine2 AS SELECT 1'; END $$"):
            async with lone_pool.acquire() as conn:
                await conn.execute_batch(f"SELECT 1; {text}")
                assert await conn.fetch_val(others) is not None
            assert not await left()
        await lone_pool.execute("DO $$ BEGIN EXECUTE 'PREPARE mine3 AS SELECT 1'; END $$")
        assert not await left()
        async with lone_pool.acquire() as conn:
            await conn.pipeline([("PREPARE mine4 AS SELECT 1",)])
        assert not await left()
        async with lone_pool.acquire() as conn:
            assert [row async for row in conn.stream(prepare)] == []
            assert await conn.fetch_val(others) is not None
        assert not await left()
        async with lone_pool.acquire() as conn:
            await conn.prepare(prepare)
        await lone_pool.execute(prepare)
        assert not await left()
        # On the same connection, where ours are prepared anew.
        assert await lone_pool.fetch_val("SELECT pg_backend_pid()") == pid
    async with ConnectionPool(dsn, max_db_pool_size=1) as lone_pool:
        # Whoever makes none keeps those that the cache has made.
        kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 4711'"
        await lone_pool.execute("SELECT 4711")
        await lone_pool.execute("SELECT set_config('work_mem', '9MB', false)")
        assert await lone_pool.fetch_val(kept) == 1


async def test_settings_and_locks_do_act(dsn: str) -> None:
    """The same statements, seen from inside: otherwise the test above could not fail."""
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as conn:
        await conn.execute_batch(CREATE)
        await conn.fetch(f"SELECT * FROM {SCHEMA}.a_view")
        assert await conn.fetch_val("SHOW work_mem") == "9MB"
        await conn.execute_batch(f"DROP SCHEMA {SCHEMA} CASCADE")
