"""The sweep: an operation is broken off at its first wait, its second, ..., until it has no more; each time it is looked
at what is left, here and on the server.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio

from psqlpy import ConnectionPool, exceptions
from tests._async.sweep_rig import Operation, Rig, ask
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.sweep import remains
from tests.sweep.interrupting import Interrupt, Outcome

# More waits than any operation has.
TOO_MANY = 400
# How long whoever is cancelled may take to leave, on a machine that has other things to do. Seconds.
AT_ONCE = 0.35
# How long it may take until everything is as before. Seconds.
SOON = 3.0

BUSY = """
SELECT string_agg(a.state || ': ' || a.query || coalesce(' holds ' || l.mode, ''), '; ')
FROM pg_stat_activity AS a LEFT JOIN pg_locks AS l ON l.pid = a.pid
WHERE a.application_name LIKE %s AND (a.state <> 'idle' OR l.pid IS NOT NULL)
"""


@dataclass
class Tally:
    """Of one operation, on one event loop."""

    attempts: int = 0
    waits: int = 0
    broken_off: int = 0
    stored: int = 0
    closed: int = 0


@dataclass
class Stage:
    """What all attempts of a sweep share."""

    dsn: str
    observer: Observer
    directory: Path
    table: str
    timeout: float | None = None

    def new_rig(self) -> Rig:
        return Rig(
            self.dsn,
            self.table,
            self.directory,
            self.observer.command,
            f"{self.table}_{uuid4().hex[:8]}",
            self.timeout,
        )

    def take_stored(self) -> int:
        """How many rows there are; there are none afterwards."""
        found: int = self.observer.value(f"SELECT count(*) FROM {self.table}")
        if found:
            self.observer.command(f"TRUNCATE {self.table}")
        return found


@contextmanager
def made_stage(dsn: str, observer: Observer, directory: Path, timeout: float | None = None) -> Iterator[Stage]:
    table = f"sweep_{uuid4().hex[:12]}"
    observer.command("SET lock_timeout = '5s'; SET client_min_messages = warning")
    observer.command(f"CREATE TABLE {table} (id int4, name text)")
    observer.command(f"CREATE TABLE {table}_other AS SELECT 1 AS id, 'one' AS name")
    try:
        yield Stage(dsn, observer, directory, table, timeout)
    finally:
        observer.command(f"DROP TABLE {table}, {table}_other")
        observer.command(f"DROP TYPE IF EXISTS {table}_pair, {table}_mood")


async def sweep(operation: Operation, interrupt: Interrupt, stage: Stage) -> Tally:
    """Try every place; AssertionError says at which something wasn't as it should be."""
    tally = Tally()
    gc.collect()
    for place in range(TOO_MANY):
        try:
            outcome = await _attempt(operation, interrupt, place, stage, tally)
        except BaseException as error:
            error.add_note(f"{operation.name}, wait {place}")
            raise
        tally.attempts += 1
        tally.broken_off += outcome.is_broken_off
        if not outcome.is_reached:
            tally.waits = place
            return tally
    raise AssertionError(f"{operation.name} has more than {TOO_MANY} waits")


async def _attempt(
    operation: Operation, interrupt: Interrupt, place: int, stage: Stage, tally: Tally
) -> Outcome:
    rig = stage.new_rig()
    before = remains.all_there_is()
    try:
        if operation.options is not None:
            rig.make_pool(**operation.options)
        if operation.is_warm:
            await rig.pool.startup()
        if operation.prepare is not None:
            await operation.prepare(rig)
        outcome = await _call(operation, interrupt, place, rig)
        while rig.held:
            rig.held.pop().close()
        await wait_clean(rig, stage.observer)
        tally.stored += check_stored(operation, rig, outcome, stage.take_stored())
        for pool in rig.pools:
            await check_pool(pool)
            tally.closed += pool.stats().closed["lost"]
    finally:
        rig.is_over = True
        for pool in rig.pools:
            pool.close()
    rig.made = None
    rig.pools.clear()
    await _wait_same(before)
    await wait_for(lambda: not _sessions(stage.observer, rig.app), "a session is left on the server")
    return outcome


async def _call(operation: Operation, interrupt: Interrupt, place: int, rig: Rig) -> Outcome:
    async with anyio.create_task_group() as group:
        if operation.beside is not None:
            group.start_soon(operation.beside, rig)
        outcome = await interrupt(lambda: operation.call(rig), place)
        rig.is_over = True
    assert outcome.took < AT_ONCE, f"took {outcome.took:.3f} s to leave"
    return outcome


async def wait_for(predicate: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    try:
        await async_wait_until(predicate, SOON)
    except TimeoutError:
        raise AssertionError(f"after {SOON} s: {what}") from None


async def _wait_same(before: dict[str, Any]) -> None:
    """Until there is what there was before."""
    now: dict[str, Any] = {}

    def is_same() -> bool:
        nonlocal now
        now = remains.all_there_is()
        return now == before

    try:
        await async_wait_until(is_same, 0.3)
    except TimeoutError:
        # An exception that was raised refers to its frames, and these to it.
        gc.collect()
        try:
            await async_wait_until(is_same, SOON)
        except TimeoutError:
            raise AssertionError(f"{now} is left, where before was {before}") from None


def _sessions(observer: Observer, app: str) -> int:
    count: int = observer.value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s", [f"{app}%"]
    )
    return count


async def wait_clean(rig: Rig, observer: Observer) -> None:
    """Until the server does nothing for us any more, and holds nothing, and the pools have all their connections."""
    busy: Any = None

    def is_idle() -> bool:
        nonlocal busy
        busy = observer.value(BUSY, [f"{rig.app}%"])
        return busy is None

    try:
        await async_wait_until(is_idle, SOON)
    except TimeoutError:
        raise AssertionError(f"the server still has {busy}") from None
    for pool in rig.pools:
        await wait_for(lambda: is_whole(pool), f"{pool!r} is not whole")  # noqa: B023


def is_whole(pool: Any) -> bool:
    """Whether all connections of a pool are back, and none was lost count of."""
    status, stats = pool.status(), pool.stats()
    return bool(
        status.waiting == 0
        and status.available == status.size <= status.max_size
        and stats.opened - sum(stats.closed.values()) == status.size
    )


async def check_pool(pool: ConnectionPool) -> None:
    """Each connection is clean and gets its own answers, and there are as many as there may be."""
    if pool._policy.closed:
        assert pool.status().size == 0
        return
    held = [await pool.connection() for _ in range(pool.status().max_size)]
    for connection in held:
        assert not await connection.in_transaction()
        await ask(connection)
        await ask(connection, prepared=False)
        left = "SELECT concat(current_setting('psqlpy.left', true), current_setting('application_name'))"
        found = await connection.fetch_val(left)
        assert not found.startswith("yes") and not found.endswith("left"), found
        connection.close()
    assert is_whole(pool)


def check_stored(operation: Operation, rig: Rig, outcome: Outcome, found: int) -> int:
    """What was stored is all or nothing; nothing, before what stores it was sent. Returns the number of rows."""
    if not outcome.is_broken_off:
        assert found == operation.rows, f"{found} rows are stored, not {operation.rows}"
    elif not rig.may_store or _is_undone(outcome.error):
        assert found == 0, f"{found} rows are stored, and none should be: {outcome.error!r}"
    else:
        assert found in (0, operation.rows), f"{found} of {operation.rows} rows are stored"
    return found


def _is_undone(error: exceptions.Error | None) -> bool:
    """Whether an error says that nothing was stored."""
    return error is not None and not error.may_have_committed


def now() -> float:
    return time.monotonic()
