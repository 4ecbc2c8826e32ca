"""Handles that only the garbage collection finds: who waits for a connection doesn't depend on when that comes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from psqlpy import ConnectionPool, sync
from psqlpy._async import waiting
from tests.concurrency import async_wait_until

pytestmark = pytest.mark.filterwarnings("ignore:a connection was not given back:ResourceWarning")


@pytest.fixture(autouse=True)
def idle_process() -> Iterator[None]:
    """One that makes so few objects that it collects nothing by itself."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks sooner than usual."""
    monkeypatch.setattr(waiting, "_FIRST_PAUSE", 0.1)


async def test_who_waits_finds_them(pool: ConnectionPool, soon: None) -> None:
    pool.resize(1)
    cycle: list[Any] = [await pool.connection()]
    cycle.append(cycle)
    del cycle
    assert await pool.fetch_val("SELECT 1", timeout=20) == 1


async def test_who_waits_already_finds_them(pool: ConnectionPool, soon: None) -> None:
    pool.resize(1)
    cycle: list[Any] = [await pool.connection()]
    cycle.append(cycle)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(pool.execute, "SELECT 1", timeout=20))
        await async_wait_until(lambda: pool.status().waiting == 1, 5)
        del cycle


@pytest.mark.backend("sync")
def test_a_thread_that_waits_finds_them(sync_pool: sync.ConnectionPool) -> None:
    sync_pool.resize(1)
    cycle: list[Any] = [sync_pool.connection()]
    cycle.append(cycle)
    del cycle
    assert sync_pool.fetch_val("SELECT 1", timeout=20) == 1


@pytest.mark.loops(1)
async def test_nobody_looks_while_connections_change_hands(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection stops everybody, and where connections come back there is nothing to find."""
    collections: list[int] = []
    monkeypatch.setattr(waiting, "collect", lambda: collections.append(1))
    pool.resize(1)

    async def think() -> None:
        async with pool.acquire():
            await anyio.sleep(0.04)

    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(think)
    assert collections == []
