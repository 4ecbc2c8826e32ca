"""What `timeout=` may be, and one that leaves no time."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import Connection, ConnectionPool, exceptions
from tests._async.usable import ensure_usable


@pytest.mark.parametrize("timeout", ["5", True, float("nan"), [1]])
async def test_no_number_of_seconds(conn: Connection, pool: ConnectionPool, timeout: Any) -> None:
    for executor in (conn, pool):
        with pytest.raises(exceptions.ParameterTypeError, match="timeout must be"):
            await executor.fetch_val("SELECT 1", timeout=timeout)
    await ensure_usable(conn)


@pytest.mark.parametrize("timeout", [1e7, 1e18, 1e300, float("inf"), 10**400])
async def test_more_than_anybody_waits(dsn: str, timeout: Any) -> None:
    async with ConnectionPool(dsn, timeout=timeout, acquire_timeout=timeout) as pool:
        assert await pool.fetch_val("SELECT 1", timeout=timeout) == 1
        async with pool.acquire() as conn:
            # Waits for the server, so the time left goes to whatever waits.
            assert await conn.fetch_val("SELECT 1 FROM pg_sleep(0.01)", timeout=timeout) == 1


@pytest.mark.parametrize("timeout", [0, -1, 0.0])
async def test_no_time_is_left_so_nothing_is_sent(
    conn: Connection, pool: ConnectionPool, table: str, timeout: float
) -> None:
    for executor in (conn, pool):
        with pytest.raises(exceptions.QueryTimeoutError, match="nothing was sent") as caught:
            await executor.execute(f"INSERT INTO {table} VALUES (1)", timeout=timeout)
        assert caught.value.safe_to_retry
        assert not caught.value.may_have_committed
    assert await pool.fetch_val(f"SELECT count(*) FROM {table}") == 0
    await ensure_usable(conn)


async def test_a_transaction_that_has_no_time_to_begin_can_begin_later(conn: Connection, table: str) -> None:
    transaction = conn.transaction()
    with pytest.raises(exceptions.QueryTimeoutError):
        await transaction.begin(timeout=0)
    assert not await conn.in_transaction()
    async with conn.transaction() as another:
        with pytest.raises(exceptions.QueryTimeoutError):
            await another.execute(f"INSERT INTO {table} VALUES (1)", timeout=0)
        await another.execute(f"INSERT INTO {table} VALUES (2)")
    assert await conn.fetch_val(f"SELECT max(id) FROM {table}") == 2
    await ensure_usable(conn)
