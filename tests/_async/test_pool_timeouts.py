"""The pool's timeouts: what each covers, what it raises, and that the pool is what it was afterwards."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import pytest

from psqlpy import ConnectionPool, exceptions
from psqlpy._async import lending
from psqlpy._config import ConnectPlan
from psqlpy._io.drive import async_connect
from psqlpy._pq.connection import PGconn
from tests.concurrency import AsyncEvent, AsyncGroup, async_sleep, async_wait_until

# What others may take of the machine's time meanwhile. Seconds.
SLACK = 1.0


@contextmanager
def taking(seconds: float) -> Iterator[None]:
    """Assert how long the block takes."""
    begun = time.monotonic()
    yield
    # Where the clock stands still while callbacks run, timers are a little early.
    assert seconds - 0.01 <= time.monotonic() - begun <= seconds + SLACK


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of 127.0.0.1 where TCP connections are made and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


def mute_pool(port: int, **parameters: float) -> ConnectionPool:
    return ConnectionPool(
        username="postgres",
        password="secret",
        host="127.0.0.1",
        port=port,
        max_db_pool_size=2,
        ssl_mode="disable",
        timeout=parameters.get("timeout"),
        acquire_timeout=parameters.get("acquire_timeout"),
    )


def numbers(pool: ConnectionPool) -> tuple[int, int, int, int]:
    """max_size, size, available, waiting."""
    status = pool.status()
    return status.max_size, status.size, status.available, status.waiting


async def test_timeout_covers_the_wait_for_a_connection(pool: ConnectionPool) -> None:
    pool.resize(1)
    async with pool.acquire():
        with (
            taking(0.2),
            pytest.raises(exceptions.QueryTimeoutError, match=r"timeout: waited 0\.(19|2)") as caught,
        ):
            await pool.execute("SELECT 1", timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.safe_to_retry
        assert numbers(pool) == (1, 1, 0, 0)
    assert await pool.fetch_val("SELECT 1", timeout=5) == 1


async def test_timeout_covers_connecting(silent_port: int) -> None:
    async with mute_pool(silent_port) as pool:
        with taking(0.2), pytest.raises(exceptions.QueryTimeoutError) as caught:
            await pool.execute("SELECT 1", timeout=0.2)
        assert "127.0.0.1" in str(caught.value)
        assert "secret" not in str(caught.value)
        assert caught.value.safe_to_retry
        assert numbers(pool) == (2, 0, 0, 0)


async def test_timeout_covers_the_statement(pool: ConnectionPool, observer: ConnectionPool) -> None:
    async with pool.acquire() as connection:
        pid = connection.backend_pid
    with taking(0.2), pytest.raises(exceptions.QueryTimeoutError, match="server's answer"):
        await pool.execute("SELECT pg_sleep(30)", timeout=0.2)

    async def is_cancelled() -> bool:
        running = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'"
        return bool(await observer.fetch_val(running, [pid]) == 0)

    await async_wait_until(is_cancelled, 1)
    await async_wait_until(lambda: pool.status().available == pool.status().size, 1)
    assert await pool.fetch_val("SELECT 1") == 1


async def test_timeout_covers_all_three_together(pool: ConnectionPool) -> None:
    """0.3 s of waiting leave 0.2 s of 0.5 s for a statement that would end within 0.5 s of its own."""
    pool.resize(1)

    async def hold() -> None:
        async with pool.acquire():
            await async_sleep(0.3)

    async with AsyncGroup() as group:
        group.start(hold)
        await async_wait_until(lambda: pool.status().size == 1 and pool.status().waiting == 0)
        with taking(0.5), pytest.raises(exceptions.QueryTimeoutError, match="server's answer"):
            await pool.execute("SELECT pg_sleep(0.45)", timeout=0.5)


async def test_the_pools_timeout_is_the_default_of_every_call(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, timeout=0.15) as pool:
        for call in (pool.execute, pool.fetch, pool.fetch_row, pool.fetch_val):
            with taking(0.15), pytest.raises(exceptions.QueryTimeoutError):
                await call("SELECT pg_sleep(30)")
        with taking(0.15), pytest.raises(exceptions.QueryTimeoutError):
            await pool.execute_many("SELECT pg_sleep($1::float8)", [[30.0]])
        assert await pool.fetch_val("SELECT 1 FROM pg_sleep(0.3)", timeout=5) == 1
        assert await pool.fetch_val("SELECT 1 FROM pg_sleep(0.3)", timeout=inf) == 1
        async with pool.acquire() as connection:
            with taking(0.15), pytest.raises(exceptions.QueryTimeoutError):
                await connection.execute("SELECT pg_sleep(30)")
            with taking(0.15), pytest.raises(exceptions.QueryTimeoutError, match="become free"):
                await pool.connection()
            with taking(0.15), pytest.raises(exceptions.QueryTimeoutError, match="become free"):
                async with pool.acquire():
                    pass


async def test_acquire_timeout_bounds_the_wait_for_a_connection(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, acquire_timeout=0.2) as pool:
        async with pool.acquire() as held:
            for call in (pool.connection, lambda: pool.execute("SELECT 1")):
                with taking(0.2), pytest.raises(exceptions.PoolTimeoutError) as caught:
                    await call()
                assert isinstance(caught.value, exceptions.BaseConnectionPoolError)
                assert isinstance(caught.value, TimeoutError)
                assert re.search(r"acquire_timeout: waited 0\.(19|2)", str(caught.value))
                assert "1 connections" in str(caught.value)
            with taking(0.2), pytest.raises(exceptions.PoolTimeoutError):
                async with pool.acquire():
                    pass
            assert numbers(pool) == (1, 1, 0, 0)
            # It is no limit for statements.
            assert await held.fetch_val("SELECT 1 FROM pg_sleep(0.4)") == 1
        assert await pool.fetch_val("SELECT 1 FROM pg_sleep(0.4)") == 1


async def test_the_shorter_of_both_counts(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, acquire_timeout=0.5) as pool, pool.acquire():
        with taking(0.1), pytest.raises(exceptions.QueryTimeoutError):
            await pool.execute("SELECT 1", timeout=0.1)
        with taking(0.5), pytest.raises(exceptions.PoolTimeoutError):
            await pool.execute("SELECT 1", timeout=5)


async def test_waiters_that_gave_up_are_not_counted_nor_served(dsn: str) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, acquire_timeout=0.2) as pool:
        held = await pool.connection()
        async with AsyncGroup(keep_errors=True) as group:
            calls = [group.start(pool.execute, "SELECT 1") for _ in range(5)]
            await async_wait_until(lambda: pool.status().waiting == 5)
        assert [type(call.error) for call in calls] == [exceptions.PoolTimeoutError] * 5
        assert numbers(pool) == (1, 1, 0, 0)
        held.close()
        assert numbers(pool) == (1, 1, 1, 0)
        assert await pool.fetch_val("SELECT 1") == 1


async def test_calls_that_are_connecting_count_as_waiting(silent_port: int) -> None:
    async with mute_pool(silent_port, timeout=1) as pool, AsyncGroup(keep_errors=True) as group:
        calls = [group.start(pool.execute, "SELECT 1") for _ in range(3)]
        await async_wait_until(lambda: numbers(pool) == (2, 2, 0, 3))
    assert [type(call.error) for call in calls] == [exceptions.QueryTimeoutError] * 3
    assert pool.status().size == 0


async def test_aclose_waits_for_calls_that_are_connecting_and_cuts_them(silent_port: int) -> None:
    pool = mute_pool(silent_port, timeout=1)
    async with AsyncGroup(keep_errors=True) as group:
        call = group.start(pool.execute, "SELECT 1")
        await async_wait_until(lambda: pool.status().size == 1)
        with taking(0.2):
            await pool.aclose(timeout=0.2)
        assert not call.done
        await pool.aclose()
        assert pool.status().size == 0
    assert isinstance(call.error, exceptions.QueryTimeoutError)


async def test_aclose_lets_nobody_use_what_connects_after_the_cut(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ConnectionPool(dsn)
    cut = AsyncEvent()

    async def connect_late(plan: ConnectPlan, deadline: float | None) -> PGconn:
        await cut.wait()
        return await async_connect(plan, deadline)

    monkeypatch.setattr(lending, async_connect.__name__, connect_late)
    async with AsyncGroup(keep_errors=True) as group:
        call = group.start(pool.fetch_val, "SELECT 1")
        await async_wait_until(lambda: pool.status().size == 1)
        await pool.aclose(timeout=0)
        cut.set()
    assert type(call.error) is exceptions.BaseConnectionPoolError
    assert pool.status().size == 0


@pytest.mark.parametrize("value", [0, -1, True, "5", float("nan")])
@pytest.mark.parametrize("name", ["timeout", "acquire_timeout"])
def test_timeouts_that_are_none(dsn: str, name: str, value: object) -> None:
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=f"^{name} must be"):
        ConnectionPool(dsn, **{name: value})  # type: ignore[arg-type]
