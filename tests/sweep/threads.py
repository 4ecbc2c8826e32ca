"""The sweep in threads: signals in the main thread and timeouts, at each wait of a call and at any moment of it.

A program, since KeyboardInterrupt is the main thread's, and pytest's: `python -m tests.sweep.threads DSN WAY NAME...`
prints a line of JSON for each operation, all of them without a name; `failure` is what went wrong with one.
The way `interrupted at random` is no test: a signal may strike in a __del__, where Python swallows it, and the call
ends with what that has broken.
"""

from __future__ import annotations

import gc
import json
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest

import psqlpy._io.thread_driver as thread_driver
import tests._sync.sweep_data
import tests._sync.sweep_statements
import tests._sync.sweep_transactions  # noqa: F401  # they enter their operations
from psqlpy import exceptions
from psqlpy._io import primitives
from psqlpy._pq.connection import wait
from tests._sync.sweep_checks import SOON, check_pool, check_stored, count_sessions, wait_clean, wait_for
from tests._sync.sweep_rig import OPERATIONS, Operation, Rig
from tests.concurrency import sync_wait_until
from tests.shells.observing import Observer
from tests.sweep import remains
from tests.sweep.clocks import Clock, movable_clock
from tests.sweep.engine import AT_ONCE, TIMEOUT, Stage, Tally, made_stage
from tests.sweep.interrupting import OUT_OF_TIME, Outcome

AT_RANDOM = "interrupted at random"
WAYS = ("interrupted", "interrupted late", "interrupted twice", "out of time")
# A thread that drains looks every few milliseconds: those waits are alike, and as many as the machine is slow.
MOST_WAITS = 40
# How often an operation is interrupted at a random moment.
RANDOM_TIMES = 60


class Waits:
    """The waits of the main thread's call, and what happens at one of them."""

    def __init__(self, way: str, clock: Clock) -> None:
        self.way = way
        self.clock = clock
        self.place = self.count = 0
        self.is_armed = False
        self.begun: float | None = None

    def arm(self, place: int) -> None:
        self.place, self.count, self.begun = place, 0, None
        self.is_armed = True

    def wrap(self, waits: Callable[..., Any], nothing: Callable[..., Any]) -> Callable[..., Any]:
        """`nothing` says what it returns when its time is over, and None where that can't be."""

        def waited(*arguments: Any) -> Any:
            if not self.is_armed or threading.current_thread() is not threading.main_thread():
                return waits(*arguments)
            number, self.count = self.count, self.count + 1
            if number < self.place or (number > self.place and self.way != "interrupted twice"):
                return waits(*arguments)
            if self.way == "out of time":
                self.clock.jump(2 * TIMEOUT)
                self.note()
                answer = nothing(*arguments)
                return waits(*arguments) if answer is None else answer
            if self.way == "interrupted late":
                answer = waits(*arguments)
                self.note()
                signal.raise_signal(signal.SIGINT)
                return answer
            self.note()
            signal.raise_signal(signal.SIGINT)
            return waits(*arguments)

        return waited

    def note(self) -> None:
        if self.begun is None:
            self.begun = time.monotonic()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(thread_driver, "wait", self.wrap(wait, lambda *_: 0))
        patch.setattr(
            thread_driver,
            "wait_any",
            self.wrap(thread_driver.wait_any, lambda wanted: None if wanted.until is None else set()),
        )
        patch.setattr(
            primitives.SyncWake,
            "wait",
            self.wrap(primitives.SyncWake.wait, lambda _, deadline: None if deadline is None else False),
        )
        sleep = primitives.sync_sleep
        pause = self.wrap(sleep, lambda _: None)
        for name, module in list(sys.modules.items()):
            if name.startswith("psqlpy.") and getattr(module, "sync_sleep", None) is sleep:
                patch.setattr(module, "sync_sleep", pause)

    def call(self, call: Callable[[], object], place: int) -> Outcome:
        self.arm(place)
        error: exceptions.Error | None = None
        is_broken_off = False
        try:
            call()
        except KeyboardInterrupt:
            is_broken_off = True
        except exceptions.Error as raised:
            if not isinstance(raised, OUT_OF_TIME) or self.count <= place:
                raise
            is_broken_off, error = True, raised
        finally:
            self.is_armed = False
        took = 0.0 if self.begun is None else time.monotonic() - self.begun
        return Outcome(self.count > place, is_broken_off, took, error)


class Alarm:
    """A signal at a moment that has nothing to do with what happens here."""

    def __init__(self) -> None:
        self.is_armed = False
        # How long the calls took that were let alone.
        self.longest = 0.0
        signal.signal(signal.SIGALRM, self.strike)

    def strike(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_armed:
            self.is_armed = False
            raise KeyboardInterrupt

    def call(self, call: Callable[[], object], place: int) -> Outcome:
        begun = time.monotonic()
        is_broken_off = False
        try:
            if place:
                self.is_armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, self.longest))
            call()
        except KeyboardInterrupt:
            is_broken_off = True
        finally:
            self.is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not place:
            self.longest = time.monotonic() - begun
        return Outcome(place < RANDOM_TIMES, is_broken_off)


Call = Callable[[Callable[[], object], int], Outcome]


def sweep(operation: Operation, way: str, interrupt: Call, stage: Stage) -> Tally:
    """As that of tasks."""
    tally = Tally()
    for place in range(MOST_WAITS if way != AT_RANDOM else RANDOM_TIMES + 1):
        try:
            outcome = _attempt(operation, way, interrupt, place, stage, tally)
        except (Exception, KeyboardInterrupt) as error:
            raise AssertionError(f"{operation.name}, wait {place}: {error!r}") from error
        tally.attempts += 1
        tally.broken_off += outcome.is_broken_off
        if not outcome.is_reached:
            break
        tally.waits += 1
    return tally


def _attempt(
    operation: Operation, way: str, interrupt: Call, place: int, stage: Stage, tally: Tally
) -> Outcome:
    rig: Rig = stage.new_rig(Rig)
    before = remains.of_process()
    try:
        if operation.options is not None:
            rig.make_pool(**operation.options)
        if operation.is_warm:
            rig.pool.startup()
        if operation.prepare is not None:
            operation.prepare(rig)
        outcome = _call(operation, way, interrupt, place, rig)
        while rig.held:
            rig.held.pop().close()
        if outcome.is_broken_off:
            # A handle that an interrupt has kept from its name is in the error's traceback.
            gc.collect()
        wait_clean(rig, stage.observer)
        stored = stage.take_stored()
        tally.stored += check_stored(operation, rig, outcome.is_broken_off, outcome.error, stored)
        for pool in rig.pools:
            check_pool(pool)
            tally.closed += pool.stats().closed["lost"]
    finally:
        rig.is_over = True
        for pool in rig.pools:
            pool.close()
    rig.made = None
    rig.pools.clear()
    _wait_same(before)
    wait_for(lambda: not count_sessions(stage.observer, rig.app), "a session is left on the server")
    return outcome


def _call(operation: Operation, way: str, interrupt: Call, place: int, rig: Rig) -> Outcome:
    failures: list[BaseException] = []

    def go_on() -> None:
        assert operation.beside is not None
        try:
            operation.beside(rig)
        except BaseException as error:
            # Between two of its statements nobody would read on, so that the second interrupt closes the connection;
            # at random it may strike within a message.
            closes = way in ("interrupted twice", AT_RANDOM)
            if not closes or not isinstance(error, exceptions.ConnectionClosedError):
                failures.append(error)

    beside = threading.Thread(target=go_on, daemon=True)
    if operation.beside is not None:
        beside.start()
    try:
        outcome = interrupt(lambda: operation.call(rig), place)
    finally:
        rig.is_over = True
        if operation.beside is not None:
            beside.join(SOON)
    assert not beside.is_alive() and not failures, f"beside it: {failures}"
    assert outcome.took < AT_ONCE, f"took {outcome.took:.3f} s to leave"
    return outcome


def _wait_same(before: dict[str, Any]) -> None:
    now: dict[str, Any] = {}

    def is_same() -> bool:
        nonlocal now
        now = remains.of_process()
        return not remains.added(before, now)

    try:
        sync_wait_until(is_same, SOON)
    except TimeoutError:
        raise AssertionError(f"{now} is left, where before was {before}") from None


def main(dsn: str, way: str, *names: str) -> None:
    # What is there already is no garbage, and need not be looked at each time.
    gc.freeze()
    # A handle that is lost to an interrupt comes back to its pool with a warning, as it should.
    warnings.simplefilter("error")
    if way == AT_RANDOM:
        warnings.simplefilter("ignore", ResourceWarning)
    with (
        movable_clock() as clock,
        pytest.MonkeyPatch.context() as patch,
        psycopg.connect(dsn, autocommit=True) as connection,
        tempfile.TemporaryDirectory() as directory,
        made_stage(
            dsn, Observer(connection), Path(directory), TIMEOUT if way == "out of time" else None
        ) as stage,
    ):
        interrupt: Call
        if way == AT_RANDOM:
            interrupt = Alarm().call
        else:
            waits = Waits(way, clock)
            waits.install(patch)
            interrupt = waits.call
        for name in names or OPERATIONS:
            try:
                seen = vars(sweep(OPERATIONS[name], way, interrupt, stage))
            except (Exception, KeyboardInterrupt):
                seen = {"failure": traceback.format_exc()}
                stage.take_stored()
            print(json.dumps({"name": name, **seen}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
