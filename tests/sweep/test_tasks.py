"""Every operation, cancelled or out of time at each of its waits, under asyncio, uvloop and trio."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import tests._async.sweep_data
import tests._async.sweep_statements
import tests._async.sweep_transactions  # noqa: F401  # they enter their operations
from tests._async.sweep_rig import OPERATIONS
from tests.shells.observing import Observer
from tests.sweep.clocks import RUNNERS, movable_clock
from tests.sweep.engine import TIMEOUT, Tally, made_stage, sweep
from tests.sweep.interrupting import early, late, out_of_time, scope, shielded, twice

WAYS = {
    "cancelled": early,
    "cancelled late": late,
    "cancelled twice": twice,
    "cancelled by a scope": scope,
    "shielded": shielded,
    "out of time": None,
}
# A scope of trio's cancels it early or not at all, and on and on.
SAME_IN_TRIO = {"cancelled late", "cancelled twice", "cancelled by a scope"}


def _cases() -> Iterator[Any]:
    """Every operation is cancelled on one of the loops by `make test`, and in all ways on all by `make test-long`."""
    loops = list(RUNNERS)
    for name in OPERATIONS:
        for way in WAYS:
            for loop in loops:
                if loop == "trio" and way in SAME_IN_TRIO:
                    continue
                marks = [pytest.mark.backend(loop)]
                if way != "cancelled" or loop != loops[zlib.crc32(name.encode()) % len(loops)]:
                    marks.append(pytest.mark.long)
                yield pytest.param(name, way, loop, id=f"{loop}-{way}-{name}", marks=marks)


@pytest.fixture(scope="module")
def observer(dsn: str) -> Iterator[Observer]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Observer(connection)


def swept(name: str, way: str, loop: str, dsn: str, observer: Observer, directory: Path) -> Tally:
    tallies: list[Tally] = []
    with movable_clock() as clock:
        interrupt = WAYS[way] or out_of_time(lambda: clock.jump(2 * TIMEOUT))
        timeout = None if WAYS[way] else TIMEOUT
        with made_stage(dsn, observer, directory, timeout) as stage:

            async def main() -> None:
                tallies.append(await sweep(OPERATIONS[name], interrupt, stage))

            RUNNERS[loop](main, clock)
    return tallies[0]


@pytest.mark.parametrize(("name", "way", "loop"), list(_cases()))
def test_at_every_wait(dsn: str, observer: Observer, tmp_path: Path, name: str, way: str, loop: str) -> None:
    tally = swept(name, way, loop, dsn, observer, tmp_path)
    assert tally.waits > 0
    if way == "shielded":
        assert tally.broken_off == 0
    elif way.startswith("cancelled"):
        assert tally.broken_off <= tally.waits
        if loop == "trio":
            # A scope cancels nobody who waits for nothing any more.
            assert tally.broken_off >= tally.waits - 1
        elif way != "cancelled by a scope":
            # A task that is told to go ends where it is. A scope of anyio looks each time the loop comes round, and
            # finds one that waits for nothing any more where the server was faster: that may be at each of its waits.
            assert tally.broken_off == tally.waits
