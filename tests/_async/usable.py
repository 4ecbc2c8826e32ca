"""What every test of an error ends with: the connection answers each kind of call, or says that it is closed."""

from __future__ import annotations

from itertools import count

import pytest

from psqlpy import Connection, ConnectionPool, Transaction, exceptions

Executor = Connection | Transaction | ConnectionPool

_tokens = count(1)


async def ensure_answers(executor: Executor) -> None:
    """Assert that the next statement gets its own answer."""
    token = next(_tokens)
    assert await executor.fetch_val("SELECT $1::int4", [token]) == token


async def ensure_usable(executor: Executor) -> None:
    """Assert that every kind of request works, and that each gets its own answer."""
    for prepared in (True, False):
        token = next(_tokens)
        assert await executor.fetch_val("SELECT $1::int4", [token], prepared) == token
        # A text of its own each time: first uses go another way.
        assert await executor.fetch_val(f"SELECT {token}", None, prepared) == token
    if isinstance(executor, Connection):
        await ensure_idle(executor)
    if isinstance(executor, Transaction):
        await ensure_one_transaction(executor)
    if not isinstance(executor, ConnectionPool):
        await executor.execute_batch("SELECT 1; SELECT 2")
    token = next(_tokens)
    assert (await executor.fetch("SELECT $1::text AS t", [str(token)])).result() == [{"t": str(token)}]


async def ensure_idle(conn: Connection) -> None:
    """Assert that no transaction is open, by psqlpy's account and by the server's."""
    assert not conn.is_closed()
    assert not await conn.in_transaction()
    begun = await conn.fetch_val("SELECT now()")
    assert await conn.fetch_val("SELECT now()") != begun


async def ensure_one_transaction(transaction: Transaction) -> None:
    """Assert that two statements are in one transaction: now() is when that began."""
    begun = await transaction.fetch_val("SELECT now()")
    assert await transaction.fetch_val("SELECT now()") == begun


async def ensure_closed(conn: Connection) -> None:
    """Assert that a connection that can't be used says so, and at once."""
    assert conn.is_closed()
    with pytest.raises(exceptions.ConnectionClosedError):
        await conn.execute("SELECT 1", timeout=5)
    with pytest.raises(exceptions.ConnectionClosedError):
        await conn.execute_batch("SELECT 1", timeout=5)
