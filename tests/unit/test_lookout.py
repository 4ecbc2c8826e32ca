"""Who looks around while others wait: once for all on a loop, soon enough for each, and not when nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from psqlpy._io.lookout import AsyncLookout, SyncLookout

FIRST = 0.5


class Loop:
    """An event loop that only takes note."""

    def __init__(self) -> None:
        self.timers: list[SimpleNamespace] = []

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: object) -> Any:
        timer = SimpleNamespace(seconds=seconds, run=lambda: callback(*arguments))
        timer.cancel = lambda: self.timers.remove(timer) if timer in self.timers else None
        self.timers.append(timer)
        return timer

    def ring(self) -> None:
        [timer] = self.timers
        self.timers.clear()
        timer.run()

    @property
    def pause(self) -> float:
        [timer] = self.timers
        return float(timer.seconds)


class Pool:
    """What looks around."""

    def __init__(self) -> None:
        self.look_count = 0
        self.somebody_waits = True
        self.fails = False
        self.lookout = AsyncLookout(self.look)

    def look(self) -> bool:
        self.look_count += 1
        if self.fails:
            raise MemoryError
        return self.somebody_waits

    def comes_to_wait(self, loop: Loop | None, until: float | None = None) -> bool:
        return self.lookout.begins(SimpleNamespace(loop=loop), until, FIRST)  # type: ignore[arg-type]


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_one_timer_is_for_all(pool: Pool, loop: Loop) -> None:
    assert [pool.comes_to_wait(loop) for _ in range(1000)] == [True] + 999 * [False]
    assert FIRST <= loop.pause <= 2 * FIRST
    loop.ring()
    assert pool.look_count == 1


def test_pauses_grow_while_nobody_comes(pool: Pool, loop: Loop) -> None:
    pool.comes_to_wait(loop)
    pauses = []
    for _ in range(10):
        loop.ring()
        pauses.append(loop.pause)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 16


def test_who_comes_in_a_long_pause_is_helped_as_soon_as_the_first(pool: Pool, loop: Loop) -> None:
    pool.comes_to_wait(loop)
    for _ in range(10):
        loop.ring()
    assert not pool.comes_to_wait(loop)
    assert loop.pause <= 2 * FIRST


def test_the_next_pause_is_short_where_somebody_has_come(pool: Pool, loop: Loop) -> None:
    pool.comes_to_wait(loop)
    for _ in range(10):
        pool.comes_to_wait(loop)
        loop.ring()
        assert loop.pause <= 2 * FIRST


def test_nobody_looks_when_nobody_waits(pool: Pool, loop: Loop) -> None:
    pool.comes_to_wait(loop)
    pool.somebody_waits = False
    loop.ring()
    assert not loop.timers
    pool.somebody_waits = True
    assert pool.comes_to_wait(loop)
    assert FIRST <= loop.pause <= 2 * FIRST


def test_each_loop_has_its_own(pool: Pool, loop: Loop) -> None:
    """One may have ended without a word."""
    other = Loop()
    assert pool.comes_to_wait(loop)
    assert pool.comes_to_wait(other)
    other.ring()
    assert pool.look_count == 1
    assert other.pause


def test_a_look_that_fails_is_not_the_last(pool: Pool, loop: Loop) -> None:
    pool.comes_to_wait(loop)
    pool.fails = True
    with pytest.raises(MemoryError):
        loop.ring()
    assert not loop.timers
    assert pool.comes_to_wait(loop)
    assert loop.timers


def test_who_gives_up_soon_needs_no_timer(pool: Pool, loop: Loop) -> None:
    assert pool.comes_to_wait(loop, monotonic() + FIRST)
    assert not loop.timers


def test_none_is_taken_when_all_are_about_to_give_up(
    pool: Pool, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = monotonic()
    pool.comes_to_wait(loop, now + 2)
    pool.comes_to_wait(loop, now + 1)
    monkeypatch.setattr("psqlpy._io.lookout.monotonic", lambda: now + 1.5)
    loop.ring()
    assert pool.look_count == 1
    monkeypatch.setattr("psqlpy._io.lookout.monotonic", lambda: now + 1.8)
    loop.ring()
    assert pool.look_count == 1
    assert not loop.timers


def test_a_pool_that_is_gone_is_not_kept(loop: Loop) -> None:
    pool = Pool()
    pool.comes_to_wait(loop)
    del pool
    loop.ring()
    assert not loop.timers


def test_under_trio_each_looks_himself(pool: Pool) -> None:
    assert pool.comes_to_wait(None)
    assert pool.comes_to_wait(None)
    wake: Any = SimpleNamespace(loop=None)
    moments = list(pool.lookout.moments(wake, monotonic() + 4, FIRST))
    assert moments == sorted(moments)
    assert moments[-1] <= monotonic() + 4 - 0.25


def test_threads_look_themselves(pool: Pool) -> None:
    lookout = SyncLookout(pool.look)
    wake: Any = None
    assert lookout.begins(wake, None, FIRST)
    assert lookout.begins(wake, None, FIRST)
    first = next(iter(lookout.moments(wake, None, FIRST)))
    assert FIRST - 0.1 <= first - monotonic() <= 2 * FIRST
