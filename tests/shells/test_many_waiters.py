"""Many calls that wait for a connection: what each of them costs the others."""

from __future__ import annotations

import anyio
import pytest

from psqlpy import ConnectionPool
from psqlpy._async import lending
from psqlpy._io.primitives import AsyncWake, monotonic
from tests.concurrency import async_wait_until


@pytest.mark.loops(1)
async def test_of_many_who_wait_some_look_for_lost_handles(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look is for all: the first in the queue are those who look soon, however many come after them."""
    pauses: list[float] = []

    class NotedWake(AsyncWake):
        async def wait(self, deadline: float | None) -> bool:
            assert deadline is not None
            pauses.append(deadline - monotonic())
            return await super().wait(deadline)

    monkeypatch.setattr(lending, "AsyncWake", NotedWake)
    async with (
        ConnectionPool(dsn, max_db_pool_size=1) as pool,
        pool.acquire(),
        anyio.create_task_group() as group,
    ):
        for _ in range(1000):
            group.start_soon(pool.execute, "SELECT 1")
        await async_wait_until(lambda: len(pauses) >= 1000)
        group.cancel_scope.cancel()
    assert pauses[0] < 1.1
    assert 20 < sum(pause < 2 for pause in pauses[:1000]) < 80
    # A late one looks, too, should all before it have gone.
    assert max(pauses) <= 16
