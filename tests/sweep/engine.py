"""The sweep: an operation is broken off at its first wait, its second, ..., until it has no more.

Each time it is looked at what is left, here and on the server.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio

from tests._async.sweep_checks import SOON, check_pool, check_stored, count_sessions, wait_clean, wait_for
from tests._async.sweep_rig import Operation, Rig
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.sweep import remains
from tests.sweep.interrupting import Interrupt, Outcome

# More waits than any operation has.
TOO_MANY = 400
# Longer than anything takes here. Seconds.
TIMEOUT = 1000.0
# How long whoever is broken off may take to leave. tests/shells/test_cancellation.py says how fast it is; here it is
# that nobody waits for what doesn't come, on a machine that has other things to do. Seconds.
AT_ONCE = 1.5


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

    def new_rig(self, kind: type[Any] = Rig) -> Any:
        """Of one attempt; the other mirror's is of another kind."""
        return kind(
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
def made_stage(
    dsn: str, observer: Observer, directory: Path, timeout: float | None = None
) -> Iterator[Stage]:
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
    # trio's own tasks begin to wait a while after ours.
    await anyio.sleep(0.01)
    gc.collect()
    for place in range(TOO_MANY):
        try:
            outcome = await _attempt(operation, interrupt, place, stage, tally)
        except Exception as error:
            raise AssertionError(f"{operation.name}, wait {place}: {error!r}") from error
        tally.attempts += 1
        tally.broken_off += outcome.is_broken_off
        if not outcome.is_reached:
            tally.waits = place
            return tally
    raise AssertionError(f"{operation.name} has more than {TOO_MANY} waits")


async def _attempt(
    operation: Operation, interrupt: Interrupt, place: int, stage: Stage, tally: Tally
) -> Outcome:
    rig: Rig = stage.new_rig()
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
        tally.stored += check_stored(
            operation, rig, outcome.is_broken_off, outcome.error, stage.take_stored()
        )
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
    await wait_for(lambda: not count_sessions(stage.observer, rig.app), "a session is left on the server")
    return outcome


async def _call(operation: Operation, interrupt: Interrupt, place: int, rig: Rig) -> Outcome:
    async with anyio.create_task_group() as group:
        if operation.beside is not None:
            group.start_soon(operation.beside, rig)
        outcome = await interrupt(lambda: operation.call(rig), place)
        rig.is_over = True
    assert outcome.took < AT_ONCE, f"took {outcome.took:.3f} s to leave"
    return outcome


async def _wait_same(before: dict[str, Any]) -> None:
    """Until there is no more than there was before, when the end of another test's may still have been on its way."""
    now: dict[str, Any] = {}

    def is_same() -> bool:
        nonlocal now
        now = remains.all_there_is()
        return not remains.added(before, now)

    try:
        await async_wait_until(is_same, 0.3)
    except TimeoutError:
        # An exception that was raised refers to its frames, and these to it.
        gc.collect()
        try:
            await async_wait_until(is_same, SOON)
        except TimeoutError:
            raise AssertionError(f"{now} is left, where before was {before}") from None
