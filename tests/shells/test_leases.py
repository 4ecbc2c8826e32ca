"""A connection given back by one thread while another one is on its way into it: the next user notices nothing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from psqlpy import exceptions, sync
from tests.shells.observing import Observer

pytestmark = pytest.mark.backend("sync")

TABLE = f"shells_leases_{os.getpid()}"
WRITE = f"INSERT INTO {TABLE} VALUES (1)"

Call = Callable[[], object]
# What is begun on the connection; the call to be made returns.
Operation = Callable[[sync.Connection], Call]


def execute(connection: sync.Connection) -> Call:
    return lambda: connection.execute(WRITE)


def unprepared(connection: sync.Connection) -> Call:
    return lambda: connection.execute(WRITE, prepared=False)


def many(connection: sync.Connection) -> Call:
    return lambda: connection.execute_many(f"INSERT INTO {TABLE} VALUES ($1)", [[1], [2]])


def script(connection: sync.Connection) -> Call:
    return lambda: connection.execute_batch(f"COMMIT; {WRITE}")


def pipeline(connection: sync.Connection) -> Call:
    return lambda: connection.pipeline([(WRITE, None), (WRITE, None)])


def commit(connection: sync.Connection) -> Call:
    transaction = connection.transaction()
    transaction.begin()
    transaction.execute(WRITE)
    return transaction.commit


def rollback(connection: sync.Connection) -> Call:
    transaction = connection.transaction()
    transaction.begin()
    transaction.execute(WRITE)
    return transaction.rollback


def prepare(connection: sync.Connection) -> Call:
    return lambda: connection.prepare(WRITE)


def prepared(connection: sync.Connection) -> Call:
    return connection.prepare(WRITE).execute


def cursor(connection: sync.Connection) -> Call:
    made = connection.cursor("SELECT 1 FROM generate_series(1, 9)")
    made.start()
    return made.fetchone


def cursor_closed(connection: sync.Connection) -> Call:
    made = connection.cursor("SELECT 1 FROM generate_series(1, 9)")
    made.start()
    return made.close


def stream(connection: sync.Connection) -> Call:
    rows = iter(connection.stream("SELECT g FROM generate_series(1, 20) AS g", chunk_size=10))
    next(rows)
    return lambda: list(rows)


def copy_in(connection: sync.Connection) -> Call:
    return lambda: connection.copy_in(TABLE, source=[(1,), (2,)])


def copy_out(connection: sync.Connection) -> Call:
    return lambda: list(connection.copy_out(TABLE))


OPERATIONS = (
    execute,
    unprepared,
    many,
    script,
    pipeline,
    commit,
    rollback,
    prepare,
    prepared,
    cursor,
    cursor_closed,
    stream,
    copy_in,
    copy_out,
)


class Held(threading.Thread):
    """A call that stands still where it is about to enter its connection, until it is told to go on."""

    def __init__(self, call: Call) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._go_on = threading.Event()
        self.stands = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        sys.settrace(self._trace)
        try:
            self._call()
        except BaseException as error:
            self.error = error
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if code.co_filename.endswith("thread_driver.py") and code.co_name in ("run", "go_on"):
            sys.settrace(None)
            self.stands.set()
            self._go_on.wait(10)

    def go_on(self) -> None:
        self._go_on.set()
        self.join(10)
        assert not self.is_alive(), "the call hangs"


@pytest.fixture
def table(observer: Observer) -> Iterator[None]:
    observer.command(f"DROP TABLE IF EXISTS {TABLE}; CREATE TABLE {TABLE} (a int)")
    yield
    observer.command(f"DROP TABLE {TABLE}")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_the_next_user_notices_nothing(dsn: str, observer: Observer, operation: Operation) -> None:
    with sync.ConnectionPool(dsn, max_db_pool_size=1, timeout=10) as pool:
        connection = pool.connection()
        pid = connection.backend_pid
        held = Held(operation(connection))
        held.start()
        assert held.stands.wait(10), f"it never came: {held.error!r}"
        connection.close()
        with pool.acquire() as other, other.transaction() as transaction:
            assert other.backend_pid == pid
            before = transaction.fetch_val("SELECT pg_current_xact_id()::text::int8")
            held.go_on()
            assert transaction.fetch_val("SELECT pg_current_xact_id()::text::int8") == before
            assert transaction.fetch_val(f"SELECT count(*) FROM {TABLE}") == 0
        if held.error is not None:
            assert isinstance(held.error, exceptions.ConnectionClosedError)
            assert held.error.safe_to_retry
        assert pool.status() == (1, 1, 1, 0)
        assert pool.fetch_val("SELECT pg_backend_pid()") == pid
    assert observer.value(f"SELECT count(*) FROM {TABLE}") == 0
