"""Connecting beside other tasks: how much of it the event loop does at a time, and what is left to a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from psqlpy import ConnectionPool, exceptions
from psqlpy._io import drive, turns
from psqlpy._pq.connection import PGconn
from psqlpy._pq.enums import PollingStatus
from psqlpy._protocol.connect import connect
from tests.concurrency import async_wait_until

COUNT = 12


class Polls:
    """What becomes of PQconnectPoll in other threads than the event loop's: it waits until `go` is set."""

    def __init__(self) -> None:
        self.here = threading.current_thread()
        self.go = threading.Event()
        self.in_loop = 0
        self.aside: list[PGconn] = []

    def poll(self, conn: PGconn) -> PollingStatus:
        if threading.current_thread() is self.here:
            self.in_loop += 1
        else:
            self.aside.append(conn)
            assert self.go.wait(10)
        return _poll(conn)


_poll = PGconn.poll


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Polls]:
    polls = Polls()
    # Whatever the server asks for.
    monkeypatch.setattr("psqlpy._protocol.connect._HASHED_ANSWER", 1)
    monkeypatch.setattr(PGconn, "poll", lambda conn: polls.poll(conn))
    yield polls
    polls.go.set()


async def test_other_tasks_have_their_turn_between_the_steps(
    dsn: str, monkeypatch: pytest.MonkeyPatch, polls: Polls
) -> None:
    starts = 0

    def start(parameters: dict[str, str]) -> PGconn:
        nonlocal starts
        starts += 1
        return PGconn.start(parameters)

    # One step for each turn of the loop.
    monkeypatch.setattr(turns, "BUDGET", 0.0)
    monkeypatch.setattr(drive, "connect", partial(connect, start=start))
    polls.go.set()
    opened: list[Any] = []
    most = 0

    async def open_one(pool: ConnectionPool) -> None:
        opened.append(await pool.connection())

    async with (
        ConnectionPool(dsn, max_db_pool_size=COUNT, ssl_mode="disable") as pool,
        anyio.create_task_group() as group,
    ):
        for _ in range(COUNT):
            group.start_soon(open_one, pool)
        while len(opened) < COUNT:
            before = starts + polls.in_loop
            await anyio.lowlevel.checkpoint()
            most = max(most, starts + polls.in_loop - before)
        for connection in opened:
            connection.close()
    assert starts == COUNT and polls.in_loop >= 2 * COUNT and len(polls.aside) == COUNT
    # The last of one turn and the first of the next.
    assert 1 <= most <= 2


async def test_a_call_out_of_time_leaves_the_thread_alone(dsn: str, polls: Polls) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, ssl_mode="disable") as pool:
        with pytest.raises(
            exceptions.QueryTimeoutError, match="waiting for the server's answer to the login"
        ):
            await pool.execute("SELECT 1", timeout=0.3)
        await check_left(pool, polls)


async def test_connect_timeout_holds_for_the_thread_too(dsn: str, polls: Polls) -> None:
    short: dict[str, Any] = {
        "ssl_mode": "disable",
        "connect_timeout_sec": 0,
        "connect_timeout_nanosec": 300_000_000,
    }
    async with ConnectionPool(dsn, max_db_pool_size=1, **short) as pool:
        with pytest.raises(
            exceptions.ConnectTimeoutError, match="waiting for the server's answer to the login"
        ):
            await pool.execute("SELECT 1")
        await check_left(pool, polls)


async def test_a_cancelled_call_leaves_the_thread_alone(dsn: str, polls: Polls) -> None:
    async with ConnectionPool(dsn, max_db_pool_size=1, ssl_mode="disable") as pool:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.execute, "SELECT 1")
            await async_wait_until(lambda: bool(polls.aside))
            group.cancel_scope.cancel()
        await check_left(pool, polls)


async def check_left(pool: ConnectionPool, polls: Polls) -> None:
    """The thread closes the connection when it comes back, and the pool opens another one."""
    [conn] = polls.aside
    assert not conn.is_finished
    assert (pool.status().size, pool.status().waiting) == (0, 0)
    polls.go.set()
    await async_wait_until(lambda: conn.is_finished)
    assert await pool.fetch_val("SELECT 1") == 1
