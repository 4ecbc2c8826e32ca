"""What a connection that was given back had left on the server is gone at once, with no further call.

Seen from another session. `pg_stat_activity.query` of an idle backend is the last statement of its reset.
"""

from __future__ import annotations

import time

import pytest

from psqlpy import ConnectionPool, ConnRecyclingMethod, sync
from tests.shells.observing import Observer
from tests.shells.traces import (
    GONE_WITHIN,
    INVISIBLE,
    METHODS,
    Trace,
    each_invisible,
    each_trace,
    ensure_gone,
    is_reset,
    leave,
    leave_sync,
    some_traces,
)

pytestmark = pytest.mark.loops(2)

# Traces that another session sees


@pytest.mark.loops(1)
@METHODS
@each_trace
async def test_a_trace_is_gone(
    dsn: str, observer: Observer, table: str, trace: Trace, method: ConnRecyclingMethod
) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method=method) as pool:
        connection = await pool.connection()
        pid = connection.backend_pid
        await leave(connection, trace.statements, table)
        seen = trace.seen.format(table=table)
        assert observer.value(seen, {"pid": pid})
        begun = time.monotonic()
        connection.close()
        assert time.monotonic() - begun < 0.25
        assert pool.status() == (1, 1, 1, 0)
        await ensure_gone(lambda: not observer.value(seen, {"pid": pid}))
        assert await pool.fetch_val("SELECT pg_backend_pid()") == pid


@pytest.mark.backend("sync")
@METHODS
@each_trace
def test_a_trace_is_gone_where_nobody_reads(
    dsn: str, observer: Observer, table: str, trace: Trace, method: ConnRecyclingMethod
) -> None:
    with sync.ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method=method) as pool:
        connection = pool.connection()
        pid = connection.backend_pid
        leave_sync(connection, trace.statements, table)
        seen = trace.seen.format(table=table)
        assert observer.value(seen, {"pid": pid})
        connection.close()
        assert pool.status() == (1, 1, 1, 0)
        observer.wait(lambda: not observer.value(seen, {"pid": pid}), GONE_WITHIN, f"{trace} gone")
        assert pool.fetch_val("SELECT pg_backend_pid()") == pid


@some_traces
async def test_a_trace_of_a_dropped_handle_is_gone(
    pool: ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    connection = await pool.connection()
    pid = connection.backend_pid
    await leave(connection, trace.statements, table)
    seen = trace.seen.format(table=table)
    with pytest.warns(ResourceWarning):
        del connection
    await ensure_gone(lambda: not observer.value(seen, {"pid": pid}))


@pytest.mark.backend("sync")
@some_traces
def test_a_trace_of_a_dropped_synchronous_handle_is_gone(
    sync_pool: sync.ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    connection = sync_pool.connection()
    pid = connection.backend_pid
    leave_sync(connection, trace.statements, table)
    seen = trace.seen.format(table=table)
    with pytest.warns(ResourceWarning):
        del connection
    observer.wait(lambda: not observer.value(seen, {"pid": pid}), GONE_WITHIN, f"{trace} gone")


@some_traces
async def test_a_trace_of_a_statement_on_the_pool_is_gone(
    pool: ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    """The pool takes a connection for each statement, and gives it back after it."""
    pid = await pool.fetch_val("SELECT pg_backend_pid()")
    if len(trace.statements) > 1:
        async with pool.acquire() as connection:
            await leave(connection, trace.statements, table)
    else:
        await pool.execute(trace.statements[0].format(table=table))
    await ensure_gone(lambda: not observer.value(trace.seen.format(table=table), {"pid": pid}))
    assert await pool.fetch_val("SELECT pg_backend_pid()") == pid


# Traces that only the session itself sees


@pytest.mark.loops(1)
@METHODS
@each_invisible
async def test_an_invisible_trace_is_gone(
    dsn: str, observer: Observer, table: str, name: str, method: ConnRecyclingMethod
) -> None:
    """Another session sees the last statement of the reset, and the next user that it did what it should."""
    statements, question, clean = INVISIBLE[name]
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method=method) as pool:
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            await leave(connection, statements.split(";"), table)
        await ensure_gone(lambda: is_reset(observer, pid))
        if isinstance(clean, type):
            with pytest.raises(clean):
                await pool.fetch_val(question)
        else:
            assert await pool.fetch_val(question) == clean
        assert await pool.fetch_val("SELECT pg_backend_pid()") == pid


@pytest.mark.backend("sync")
@each_invisible
def test_an_invisible_trace_is_gone_where_nobody_reads(
    dsn: str, observer: Observer, table: str, name: str
) -> None:
    statements, question, clean = INVISIBLE[name]
    with sync.ConnectionPool(dsn, max_db_pool_size=1) as pool:
        with pool.acquire() as connection:
            pid = connection.backend_pid
            leave_sync(connection, statements.split(";"), table)
        observer.wait(lambda: is_reset(observer, pid), GONE_WITHIN, "reset")
        if isinstance(clean, type):
            with pytest.raises(clean):
                pool.fetch_val(question)
        else:
            assert pool.fetch_val(question) == clean
