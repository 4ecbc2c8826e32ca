"""What the operations of the cancellation sweep (tests/sweep) stand on: a table, pools, and their list itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from psqlpy import Connection, ConnectionPool, exceptions
from tests.concurrency import async_wait_until

# Each value is asked for once, so that an answer that reaches another one is seen.
_tokens = count(1)


@dataclass
class Rig:
    """One attempt's: every pool made here is looked at afterwards, and every row that was stored is counted."""

    dsn: str
    # A table (id int4, name text) that is empty, and `other`, which has the row (1, 'one').
    table: str
    directory: Path
    # Executes statements on a session of another driver.
    command: Callable[[str], None]
    # The application_name of all connections.
    app: str
    timeout: float | None = None
    pools: list[ConnectionPool] = field(default_factory=list)
    # What the preparation has acquired for the call, or has made for it.
    held: list[Connection] = field(default_factory=list)
    made: Any = None
    # Whether that which stores rows may have been sent: none are there before.
    may_store: bool = False
    # Whether the call has ended, for what goes on beside it.
    is_over: bool = False

    @property
    def pool(self) -> ConnectionPool:
        """The first, made before the call."""
        return self.pools[0]

    @property
    def other(self) -> str:
        return f"{self.table}_other"

    def make_pool(self, **options: Any) -> ConnectionPool:
        options = {"dsn": self.dsn, "max_db_pool_size": 2, **options}
        pool = ConnectionPool(application_name=self.app, timeout=self.timeout, **options)
        self.pools.append(pool)
        return pool

    def records(self, number: int = 3) -> list[tuple[int, str]]:
        self.may_store = True
        return [(n, f"row {n}") for n in range(number)]


@dataclass(frozen=True)
class Operation:
    """A call that is cancelled at each of its waits."""

    name: str
    call: Callable[[Rig], Any]
    # Before it, without being cancelled; and at the same time, until it ends by itself or `is_over`.
    prepare: Callable[[Rig], Any] | None
    beside: Callable[[Rig], Any] | None
    # How many rows it stores, all or none.
    rows: int
    # Of the pool; None: the call makes its own.
    options: dict[str, Any] | None
    # Whether the pool has a connection already.
    is_warm: bool


OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str,
    *,
    prepare: Callable[[Rig], Any] | None = None,
    beside: Callable[[Rig], Any] | None = None,
    rows: int = 0,
    options: dict[str, Any] | None = None,
    pooled: bool = True,
    warm: bool = True,
) -> Callable[[Callable[[Rig], Any]], Callable[[Rig], Any]]:
    """Enter a function into the list."""

    def enter(call: Callable[[Rig], Any]) -> Callable[[Rig], Any]:
        assert name not in OPERATIONS
        given = (options or {}) if pooled else None
        OPERATIONS[name] = Operation(name, call, prepare, beside, rows, given, warm and pooled)
        return call

    return enter


def token() -> int:
    return next(_tokens)


async def ask(executor: Any, **options: Any) -> None:
    """Get an answer that nobody else gets."""
    wanted = token()
    assert await executor.fetch_val("SELECT $1::int4", [wanted], **options) == wanted


async def hold_all(rig: Rig) -> None:
    """Preparation: all connections of the pool are in use."""
    for _ in range(rig.pool.status().max_size):
        rig.held.append(await rig.pool.connection())


async def release_to_waiting(rig: Rig) -> None:
    """Beside: give them back when somebody waits."""
    await async_wait_until(lambda: rig.is_over or rig.pool.status().waiting > 0)
    while rig.held:
        rig.held.pop().close()


async def ask_all_the_time(rig: Rig) -> None:
    """Beside: a neighbour, whose answers are always its own, on the same connection if `held` has one."""
    while not rig.is_over:
        try:
            await ask(rig.held[0] if rig.held else rig.pool)
        except exceptions.QueryTimeoutError:
            # The clock is everybody's.
            if rig.timeout is None:
                raise
