"""Many calls that wait for a connection: what each of them costs the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from psqlpy import ConnectionPool
from psqlpy._async import lending, waiting
from psqlpy._async.waiting import Waiting
from psqlpy._io.primitives import AsyncWake, monotonic
from tests.concurrency import async_wait_until


async def fill(pool: ConnectionPool, seen: Callable[[], bool]) -> None:
    """A thousand calls that wait for the only connection, until they were seen to."""
    async with pool.acquire(), anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(pool.execute, "SELECT 1")
        await async_wait_until(seen)
        group.cancel_scope.cancel()


@pytest.mark.backend("trio")
def test_of_many_who_wait_some_look_for_lost_handles(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look is for all: the first in the queue are those who look soon, however many come after them."""
    pauses: list[float] = []

    class NotedWake(AsyncWake):
        async def wait(self, deadline: float | None) -> bool:
            assert deadline is not None
            pauses.append(deadline - monotonic())
            return await super().wait(deadline)

    monkeypatch.setattr(lending, "AsyncWake", NotedWake)

    async def main() -> None:
        async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
            await fill(pool, lambda: len(pauses) >= 1000)

    anyio.run(main, backend="trio")
    assert pauses[0] < 1.1
    assert 20 < sum(pause < 2 for pause in pauses[:1000]) < 80
    # A late one looks, too, should all before it have gone.
    assert max(pauses) <= 16


@pytest.mark.backend("asyncio")
def test_many_who_wait_have_one_timer(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    monkeypatch.setattr(Waiting, "_free_cycles", lambda pool: looks.append(pool))
    monkeypatch.setattr(waiting, "_FIRST_PAUSE", 0.1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        timers: list[float] = []
        start = loop.call_later

        def call_later(seconds: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
            timers.append(seconds)
            return start(seconds, *arguments, **options)

        async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
            await pool.startup()
            monkeypatch.setattr(loop, "call_later", call_later)
            await fill(pool, lambda: pool.status().waiting == 1000 and len(looks) > 1)
            # The look's own, and those of the test, which looks every few milliseconds itself.
            assert len(timers) < 500

    asyncio.run(main())
