"""What tasks write in one turn of asyncio's loop onto a shared connection travels as one, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import anyio
import pytest
from sniffio import current_async_library

from psqlpy import ConnectionPool
from psqlpy._config import PoolConfig
from psqlpy._pq.connection import PGconn
from tests.concurrency import async_wait_until
from tests.shells.test_cancelled_neighbours import TEXT, make_light


@pytest.fixture
def corks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every call that was made."""
    calls: list[bool] = []
    cork = PGconn.cork

    def recorded(conn: PGconn, on: bool) -> bool:
        calls.append(on)
        return cork(conn, on)

    monkeypatch.setattr(PGconn, "cork", recorded)
    return calls


def is_corked(pool: ConnectionPool) -> bool:
    (lane,) = pool._sharing.lanes
    with socket.socket(fileno=os.dup(lane.connection.session.fd)) as copy:
        return bool(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK))


def can_cork(dsn: str) -> bool:
    host = PoolConfig.from_parameters(dsn).plan.endpoints[0].host or "/"
    return sys.platform == "linux" and not host.startswith("/")


async def test_statements_of_one_turn_travel_as_one(dsn: str, corks: list[bool]) -> None:
    async with ConnectionPool(dsn=dsn, max_db_pool_size=1) as pool:
        await make_light(pool)
        found: dict[int, object] = {}
        states: list[bool] = []

        async def ask(number: int) -> None:
            if number == 19 and pool._sharing.lanes:
                # The last to write in this turn; but trio begins tasks in any order.
                states.append(is_corked(pool))
            found[number] = (await pool.fetch_row(TEXT, [number])).result()["number"]

        for _ in range(2):
            corks.clear()
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(ask, number)
            assert found == {number: number for number in range(20)}
        if current_async_library() == "trio":
            assert not any(states) and not corks
        elif can_cork(dsn):
            assert states == [True, True]
            assert corks[:1] == [True] and corks.count(True) == corks.count(False) < 10
        else:
            # Asked once.
            assert not any(states) and corks == []


async def test_a_loop_that_ends_in_that_turn_leaves_nothing_behind(dsn: str, corks: list[bool]) -> None:
    if current_async_library() == "trio":
        return
    pool = ConnectionPool(dsn=dsn, max_db_pool_size=1)
    await make_light(pool)
    loop = asyncio.new_event_loop()

    async def stop_at_once() -> None:
        tasks = [loop.create_task(pool.fetch_row(TEXT, [number])) for number in range(3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

    def run() -> None:
        loop.run_until_complete(stop_at_once())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    await anyio.to_thread.run_sync(run)
    corks.clear()
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(pool.fetch_row, TEXT, [number])
    await async_wait_until(lambda: pool.status().available == pool.status().size)
    assert corks.count(True) == corks.count(False)
    pool.close()
