"""What a session may leave behind, and how another session sees that it is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from psqlpy import Connection, ConnRecyclingMethod, exceptions, sync
from psqlpy._config import PoolConfig
from tests.shells.observing import Observer

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


def last_statement(observer: Observer, pid: int) -> str:
    return str(observer.value("SELECT query FROM pg_stat_activity WHERE pid = %s AND state = 'idle'", [pid]))


def is_reset(observer: Observer, pid: int) -> bool:
    return last_statement(observer, pid).startswith(("DISCARD", "ROLLBACK"))
