"""What a connection that was given back had left on the server is gone at once, with no further call.

Seen from another session. `pg_stat_activity.query` of an idle backend is the last statement of its reset.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, ConnRecyclingMethod, exceptions, sync
from psqlpy._config import PoolConfig
from psqlpy._protocol import reset
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.shells.relay import relay_to

GONE_WITHIN = 0.1
# The message Sync, and nothing else.
SYNC = b"S\0\0\0\4"

METHODS = pytest.mark.parametrize("method", ConnRecyclingMethod, ids=lambda method: method.name)


class Trace:
    """Something that a session may leave: how to leave it, and how another session sees that it is there."""

    def __init__(self, name: str, statements: str, seen: str) -> None:
        self.name = name
        self.statements = statements.split(";")
        # A query about the backend %(pid)s that is true while the trace is there.
        self.seen = seen

    def __repr__(self) -> str:
        return self.name


LOCKED = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %(pid)s AND granted AND {})"

TRACES = [
    Trace("row lock", "BEGIN; SELECT * FROM {table} FOR UPDATE", LOCKED.format("mode = 'RowShareLock'")),
    Trace(
        "inserted row", "BEGIN; INSERT INTO {table} VALUES (2)", LOCKED.format("mode = 'RowExclusiveLock'")
    ),
    Trace(
        "failed transaction",
        "BEGIN; SELECT * FROM {table} FOR UPDATE; SELECT 1/0",
        "SELECT state = 'idle in transaction (aborted)' FROM pg_stat_activity WHERE pid = %(pid)s",
    ),
    Trace(
        "savepoint", "BEGIN; SAVEPOINT a; LOCK TABLE {table}", LOCKED.format("mode = 'AccessExclusiveLock'")
    ),
    Trace("advisory lock", "SELECT pg_advisory_lock(4711)", LOCKED.format("locktype = 'advisory'")),
    Trace(
        "temporary table",
        "CREATE TEMP TABLE mine_{table} (a int)",
        "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'mine_{table}')",
    ),
    Trace(
        "setting",
        "SET application_name = 'left behind'",
        "SELECT application_name = 'left behind' FROM pg_stat_activity WHERE pid = %(pid)s",
    ),
    Trace(
        "setting by function",
        "SELECT set_config('application_name', 'left behind', false)",
        "SELECT application_name = 'left behind' FROM pg_stat_activity WHERE pid = %(pid)s",
    ),
    Trace(
        "cursor",
        "BEGIN; DECLARE mine CURSOR FOR SELECT * FROM {table} FOR SHARE",
        LOCKED.format("mode = 'RowShareLock'"),
    ),
]
"""Those that another session sees by themselves."""

each_trace = pytest.mark.parametrize("trace", TRACES, ids=repr)
some_traces = pytest.mark.parametrize("trace", [TRACES[0], TRACES[2], TRACES[4], TRACES[6]], ids=repr)
# In a failed transaction nothing runs that could be cancelled.
each_live_trace = pytest.mark.parametrize(
    "trace", [trace for trace in TRACES if trace.name != "failed transaction"], ids=repr
)

INVISIBLE = {
    "channel": ("LISTEN mine", "SELECT count(*) FROM pg_listening_channels()", 0),
    "held cursor": (
        "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
        "SELECT count(*) FROM pg_cursors WHERE name = 'mine'",
        0,
    ),
    "role": ("SET ROLE pg_monitor", "SELECT current_user = session_user", True),
    "session user": (
        "SET SESSION AUTHORIZATION pg_monitor",
        "SELECT session_user::text LIKE 'pg\\_%'",
        False,
    ),
    "sequence": (
        "SELECT nextval('seq_{table}')",
        "SELECT lastval()",
        exceptions.ObjectNotInPrerequisiteState,
    ),
    "planner setting": ("SET enable_seqscan = off", "SHOW enable_seqscan", "on"),
    "local setting": ("BEGIN; SET LOCAL work_mem = '1MB'", "SHOW work_mem", "4MB"),
    "transaction mode": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SHOW transaction_read_only",
        "off",
    ),
}
"""Those that only the session itself sees: what to do, what its next user asks, and the answer that is clean."""

each_invisible = pytest.mark.parametrize("name", INVISIBLE)


@pytest.fixture
def table(observer: Observer) -> Any:
    """The name of a table with one row, and, after `seq_`, of a sequence."""
    name = f"t_{uuid4().hex}"
    observer.command(f"CREATE TABLE {name} AS SELECT 1 AS id; CREATE SEQUENCE seq_{name}")
    yield name
    observer.command(f"SET lock_timeout = '5s'; DROP TABLE {name}; DROP SEQUENCE seq_{name}")


def login(dsn: str) -> dict[str, Any]:
    """The parameters of a pool that logs in as `dsn` does, but for the host."""
    parameters = PoolConfig.from_parameters(dsn).plan.parameters
    return {
        "username": parameters["user"],
        "password": parameters["password"],
        "db_name": parameters["dbname"],
        "ssl_mode": "disable",
    }


async def leave(connection: Connection, statements: list[str], table: str) -> None:
    for statement in statements:
        try:
            await connection.execute(statement.format(table=table))
        except exceptions.DivisionByZero:
            pass


def leave_sync(connection: sync.Connection, statements: list[str], table: str) -> None:
    for statement in statements:
        try:
            connection.execute(statement.format(table=table))
        except exceptions.DivisionByZero:
            pass


async def ensure_gone(gone: Callable[[], bool], within: float = GONE_WITHIN) -> None:
    """Assert that it is true before so many seconds are over. The loop runs on, but nobody calls the pool."""
    begun = time.monotonic()
    while not gone():
        assert time.monotonic() - begun <= within
        await anyio.sleep(0.005)


# Traces that another session sees


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
        assert time.monotonic() - begun < 0.02
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


def last_statement(observer: Observer, pid: int) -> str:
    return str(observer.value("SELECT query FROM pg_stat_activity WHERE pid = %s AND state = 'idle'", [pid]))


def is_reset(observer: Observer, pid: int) -> bool:
    return last_statement(observer, pid).startswith(("DISCARD", "ROLLBACK"))


# The three methods, as the server sees them


async def test_fast_keeps_prepared_statements_and_skips_what_is_not_needed(
    dsn: str, observer: Observer
) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, conn_recycling_method="fast") as pool:
        pid = await pool.fetch_val("SELECT pg_backend_pid()")
        await pool.fetch_val("SELECT $1::int4 + 1", [1])
        await anyio.sleep(0.05)
        assert last_statement(observer, pid) == "SELECT $1::int4 + 1"
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int4 + 1'"
        assert await pool.fetch_val(prepared) == 1
        await pool.execute("SET work_mem = '1MB'")
        assert await pool.fetch_val(prepared) == 1


@pytest.mark.parametrize(("method", "asked"), [("fast", b""), ("verified", SYNC), ("clean", b"")])
async def test_verified_asks_before_each_use(dsn: str, method: str, asked: bytes) -> None:
    with relay_to(dsn) as relay:
        async with ConnectionPool(
            **login(dsn), host="127.0.0.1", port=relay.port, conn_recycling_method=method
        ) as pool:
            await pool.fetch_val("SELECT 1")
            await async_wait_until(lambda: pool.status().available == 1)
            await anyio.sleep(0.05)
            relay.sent.clear()
            async with pool.acquire():
                await async_wait_until(lambda: len(relay.sent) >= len(asked))
                assert bytes(relay.sent) == asked


@pytest.mark.backend("sync")
@pytest.mark.parametrize(("method", "asked"), [("fast", b""), ("verified", SYNC)])
def test_verified_asks_before_each_use_of_a_synchronous_pool(dsn: str, method: str, asked: bytes) -> None:
    with (
        relay_to(dsn) as relay,
        sync.ConnectionPool(
            **login(dsn), host="127.0.0.1", port=relay.port, conn_recycling_method=method
        ) as pool,
    ):
        pool.fetch_val("SELECT 1")
        relay.sent.clear()
        with pool.acquire():
            assert bytes(relay.sent) == asked


async def test_verified_finds_a_connection_that_answers_no_more(dsn: str) -> None:
    """Its socket looks as good as any; only a question tells, and `timeout` says how long to wait for the answer."""
    with relay_to(dsn) as relay:
        async with ConnectionPool(
            **login(dsn),
            host="127.0.0.1",
            port=relay.port,
            max_db_pool_size=1,
            conn_recycling_method="verified",
        ) as pool:
            await pool.fetch_val("SELECT 1")
            relay.open.clear()
            with pytest.raises(exceptions.QueryTimeoutError):
                await pool.fetch_val("SELECT 1", timeout=0.2)
            relay.open.set()
            assert await pool.fetch_val("SELECT 1", timeout=5) == 1
            assert pool.status() == (1, 1, 1, 0)


async def test_clean_discards_prepared_statements_too(dsn: str, observer: Observer) -> None:
    async with ConnectionPool(
        dsn, max_db_pool_size=1, conn_recycling_method=ConnRecyclingMethod.Clean
    ) as pool:
        pid = await pool.fetch_val("SELECT pg_backend_pid()")
        await pool.fetch_val("SELECT $1::int4 + 1", [1])
        await ensure_gone(lambda: last_statement(observer, pid) == "DISCARD ALL")
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1%'"
        assert await pool.fetch_val(prepared) == 0
        assert await pool.fetch_val("SELECT $1::int4 + 1", [1]) == 2


# Release waits for nothing


@METHODS
async def test_release_waits_for_nothing(
    dsn: str, observer: Observer, table: str, method: ConnRecyclingMethod
) -> None:
    """Not for the network either; the connection is available at once, and clean for whoever takes it."""
    with relay_to(dsn) as relay:
        async with ConnectionPool(
            **login(dsn), host="127.0.0.1", port=relay.port, max_db_pool_size=1, conn_recycling_method=method
        ) as pool:
            connection = await pool.connection()
            pid = connection.backend_pid
            await leave(connection, ["BEGIN", "SET LOCAL work_mem = '1MB'", "LOCK TABLE {table}"], table)
            relay.open.clear()
            begun = time.monotonic()
            connection.close()
            assert time.monotonic() - begun < 0.02
            assert pool.status() == (1, 1, 1, 0)
            assert observer.state(pid) == "idle in transaction"
            relay.open.set()
            assert await pool.fetch_val("SHOW work_mem") == "4MB"
            assert await pool.fetch_val("SELECT pg_backend_pid()") == pid


async def test_release_while_another_task_still_uses_it(pool: ConnectionPool, observer: Observer) -> None:
    """Its statement ends as if nothing had happened; then the connection is cleaned."""
    connection = await pool.connection()
    pid = connection.backend_pid
    await connection.execute("SET application_name = 'left behind'")
    values: list[Any] = []

    async def use() -> None:
        values.append(await connection.fetch_val("SELECT 5 FROM pg_sleep(0.3)"))

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await async_wait_until(lambda: observer.state(pid) == "active")
        connection.close()
        assert pool.status() == (4, 1, 0, 0)
        assert await pool.fetch_val("SELECT pg_backend_pid()") != pid
    assert values == [5]
    shown = "SELECT application_name = 'left behind' FROM pg_stat_activity WHERE pid = %s"
    await ensure_gone(lambda: not observer.value(shown, [pid]))
    assert pool.status() == (4, 2, 2, 0)


@pytest.mark.backend("sync")
def test_release_while_another_thread_still_uses_it(
    sync_pool: sync.ConnectionPool, observer: Observer
) -> None:
    connection = sync_pool.connection()
    pid = connection.backend_pid
    connection.execute("SET application_name = 'left behind'")
    values: list[Any] = []
    thread = threading.Thread(
        target=lambda: values.append(connection.fetch_val("SELECT 5 FROM pg_sleep(0.3)")), daemon=True
    )
    thread.start()
    observer.wait(lambda: observer.state(pid) == "active", 2, "running")
    begun = time.monotonic()
    connection.close()
    assert time.monotonic() - begun < 0.1
    assert sync_pool.status() == (4, 1, 0, 0)
    thread.join(5)
    assert values == [5]
    shown = "SELECT application_name = 'left behind' FROM pg_stat_activity WHERE pid = %s"
    observer.wait(lambda: not observer.value(shown, [pid]), GONE_WITHIN, "gone")
    assert sync_pool.status() == (4, 1, 1, 0)


@each_live_trace
async def test_release_right_after_a_cancelled_statement(
    pool: ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    pool.resize(1)
    connection = await pool.connection()
    pid = connection.backend_pid
    await leave(connection, trace.statements, table)
    with anyio.move_on_after(0.05):
        await connection.execute_batch("SELECT pg_sleep(60)")
    begun = time.monotonic()
    connection.close()
    assert time.monotonic() - begun < 0.02
    seen = trace.seen.format(table=table)
    # The cancel request has a connection of its own to make.
    await ensure_gone(lambda: not observer.value(seen, {"pid": pid}), 2 * GONE_WITHIN)
    await async_wait_until(lambda: pool.status() == (1, 1, 1, 0), 1)
    assert await pool.fetch_val("SELECT 1") == 1


@each_live_trace
async def test_release_after_a_timeout_in_a_block(
    pool: ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    pool.resize(1)
    with pytest.raises(exceptions.QueryTimeoutError):
        async with pool.acquire() as connection:
            pid = connection.backend_pid
            await leave(connection, trace.statements, table)
            await connection.execute("SELECT pg_sleep(60)", timeout=0.05)
    seen = trace.seen.format(table=table)
    await ensure_gone(lambda: not observer.value(seen, {"pid": pid}), 2 * GONE_WITHIN)
    assert await pool.fetch_val("SELECT 1") == 1


@pytest.mark.backend("sync")
@each_live_trace
def test_release_after_a_timeout_in_a_synchronous_block(
    sync_pool: sync.ConnectionPool, observer: Observer, table: str, trace: Trace
) -> None:
    sync_pool.resize(1)
    with pytest.raises(exceptions.QueryTimeoutError), sync_pool.acquire() as connection:
        pid = connection.backend_pid
        leave_sync(connection, trace.statements, table)
        connection.execute("SELECT pg_sleep(60)", timeout=0.05)
    seen = trace.seen.format(table=table)
    observer.wait(lambda: not observer.value(seen, {"pid": pid}), GONE_WITHIN, f"{trace} gone")
    assert sync_pool.fetch_val("SELECT 1") == 1


async def test_a_connection_that_can_not_be_reset_is_replaced(
    pool: ConnectionPool, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server may have against it."""
    monkeypatch.setattr(reset, "_FORGET", (*reset._FORGET[:-1], b"SELECT 1/0"))
    pool.resize(1)
    async with pool.acquire() as connection:
        pid = connection.backend_pid
        await connection.execute("SET work_mem = '1MB'")
    # Whoever comes before the answer finds the connection lost.
    await ensure_gone(lambda: last_statement(observer, pid) in ("SELECT 1/0", "None"), 1)
    assert await pool.fetch_val("SELECT pg_backend_pid()", timeout=5) != pid
    assert pool.status() == (1, 1, 1, 0)
    await async_wait_until(lambda: observer.count_alive([pid]) == 0, 2)
