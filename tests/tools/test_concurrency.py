"""The pairs of tests/concurrency.py keep their promises on both sides."""

from __future__ import annotations

import time

import pytest

from tests.concurrency import (
    AsyncEvent,
    AsyncGroup,
    SyncEvent,
    SyncGroup,
    async_fail_after,
    async_sleep,
    async_wait_until,
    sync_fail_after,
    sync_sleep,
    sync_wait_until,
)


async def async_fail(text: str) -> None:
    raise ValueError(text)


def sync_fail(text: str) -> None:
    raise ValueError(text)


async def test_async_group_runs_calls_at_the_same_time() -> None:
    event = AsyncEvent()
    async with AsyncGroup() as group:
        waiting = group.start(event.wait)
        setting = group.start(set_soon, event)
    assert waiting.done
    assert setting.result() == 7


async def set_soon(event: AsyncEvent) -> int:
    await async_sleep(0)
    event.set()
    return 7


@pytest.mark.backend("sync")
def test_sync_group_runs_calls_at_the_same_time() -> None:
    event = SyncEvent()

    def set_it() -> int:
        sync_sleep(0)
        event.set()
        return 7

    with SyncGroup() as group:
        waiting = group.start(event.wait)
        setting = group.start(set_it)
    assert waiting.done
    assert setting.result() == 7


async def test_async_group_raises_the_first_error_at_the_end() -> None:
    with pytest.raises(ValueError, match="^first$"):
        async with AsyncGroup() as group:
            group.start(async_fail, "first")
            other = group.start(async_fail, "second")
    assert str(other.error) == "second"


@pytest.mark.backend("sync")
def test_sync_group_raises_the_first_error_at_the_end() -> None:
    with pytest.raises(ValueError, match="^first$"), SyncGroup() as group:
        group.start(sync_fail, "first")
        other = group.start(sync_fail, "second")
    assert str(other.error) == "second"


async def test_async_group_keeps_errors_when_asked() -> None:
    async with AsyncGroup(keep_errors=True) as group:
        failed = group.start(async_fail, "kept")
    with pytest.raises(ValueError, match="^kept$"):
        failed.result()


@pytest.mark.backend("sync")
def test_sync_group_keeps_errors_when_asked() -> None:
    with SyncGroup(keep_errors=True) as group:
        failed = group.start(sync_fail, "kept")
    with pytest.raises(ValueError, match="^kept$"):
        failed.result()


async def test_async_group_is_cancelled_by_its_block() -> None:
    begun = time.monotonic()
    with pytest.raises(KeyError):
        async with AsyncGroup() as group:
            sleeping = group.start(async_sleep, 30)
            raise KeyError
    assert time.monotonic() - begun < 10
    with pytest.raises(AssertionError, match="did not end"):
        sleeping.result()


async def test_async_limits() -> None:
    with pytest.raises(TimeoutError), async_fail_after(0.01):
        await async_sleep(30)
    with pytest.raises(TimeoutError, match="not true within"):
        await async_wait_until(lambda: False, timeout=0.01)
    await async_wait_until(lambda: True)
    answers = iter([False, True])

    async def answer() -> bool:
        return next(answers)

    await async_wait_until(answer)


@pytest.mark.backend("sync")
def test_sync_limits() -> None:
    with pytest.raises(TimeoutError, match="more than"), sync_fail_after(0.01):
        sync_sleep(0.02)
    with pytest.raises(TimeoutError, match="not true within"):
        sync_wait_until(lambda: False, timeout=0.01)
    answers = iter([False, True])
    sync_wait_until(lambda: next(answers))
