"""Names are resolved, and servers waited for, without blocking the loop; a connect that is cancelled leaves nothing."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import psycopg
import pytest
from anyio.abc import TaskStatus

from psqlpy import ConnectionPool, exceptions
from psqlpy._io import background
from tests.parameters.asking import Ask, each_way
from tests.parameters.conftest import MakeRelay, Server
from tests.parameters.relays import mute_port, silent_port
from tests.shells.running import each_runner

TICK = 0.01
SLOW_NAME = "slow.example"
FD_DIRECTORY = "/dev/fd"


class SlowNames:
    """The system's resolver, but slow for one name, of which it counts the calls."""

    def __init__(self) -> None:
        self.seconds = 0.4
        self.running = 0
        self.calls = 0
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._real = socket.getaddrinfo

    def getaddrinfo(self, host: Any, *arguments: Any, **options: Any) -> Any:
        if host != SLOW_NAME:
            return self._real(host, *arguments, **options)
        with self._lock:
            self.running += 1
            self.calls += 1
        try:
            self._released.wait(self.seconds)
        finally:
            with self._lock:
                self.running -= 1
        return self._real("127.0.0.1", *arguments, **options)

    def release(self) -> None:
        """Have all calls return."""
        self._released.set()


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    names = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.release()
    deadline = time.monotonic() + 5
    while names.running:
        assert time.monotonic() < deadline
        time.sleep(TICK)


@asynccontextmanager
async def heartbeat(longest: float) -> AsyncIterator[None]:
    """Ticks all through the block; AssertionError if the loop stood still for longer."""
    gaps: list[float] = []

    async def tick(*, task_status: TaskStatus[None]) -> None:
        # The block begins while this sleeps: what blocks the loop at once would otherwise come before the first tick.
        task_status.started()
        while True:
            begun = time.monotonic()
            await anyio.sleep(TICK)
            gaps.append(time.monotonic() - begun)

    async with anyio.create_task_group() as group:
        await group.start(tick)
        yield
        await anyio.sleep(TICK * 2)
        group.cancel_scope.cancel()
    assert len(gaps) > 1 and max(gaps) < longest


def open_fds() -> set[str]:
    return set(os.listdir(FD_DIRECTORY))


async def until(predicate: Callable[[], bool], seconds: float = 5.0) -> None:
    with anyio.fail_after(seconds):
        while not predicate():  # noqa: ASYNC110 (threads and other processes set no event of ours)
            await anyio.sleep(TICK)


async def test_a_slow_resolver_blocks_nobody(server: Server, slow_names: SlowNames, relay: MakeRelay) -> None:
    made = relay()
    parameters = server.parameters(host=SLOW_NAME, port=made.port)
    begun = time.monotonic()
    async with ConnectionPool(**parameters) as pool, heartbeat(longest=slow_names.seconds / 2):
        assert await pool.fetch_val("SELECT 1") == 1
    assert time.monotonic() - begun >= slow_names.seconds
    assert slow_names.calls == 1


async def test_a_mute_server_blocks_nobody(server: Server) -> None:
    with mute_port() as mute:
        parameters = server.parameters(host="127.0.0.1", port=mute)
        async with ConnectionPool(**parameters) as pool, heartbeat(longest=0.2):
            with pytest.raises(exceptions.QueryTimeoutError):
                await pool.fetch_val("SELECT 1", timeout=0.4)


async def test_another_host_is_tried_meanwhile(
    server: Server, slow_names: SlowNames, relay: MakeRelay
) -> None:
    """A name that takes long to resolve is as silent as a host that doesn't answer."""
    slow_names.seconds = 3.0
    made = relay()
    begun = time.monotonic()
    parameters = server.parameters(hosts=[SLOW_NAME, "127.0.0.1"], ports=[made.port, made.port])
    async with ConnectionPool(**parameters) as pool:
        assert await pool.fetch_val("SELECT 1") == 1
    assert time.monotonic() - begun <= 0.5


@each_way
def test_a_timeout_covers_resolving(ask: Ask, server: Server, slow_names: SlowNames) -> None:
    """Nothing waits for the resolver, the end of the event loop neither."""
    slow_names.seconds = 5.0
    for limit, error in (
        ({"timeout": 0.2}, exceptions.QueryTimeoutError),
        ({"connect_timeout_sec": 0, "connect_timeout_nanosec": 200_000_000}, exceptions.ConnectTimeoutError),
    ):
        begun = time.monotonic()
        with pytest.raises(error, match=f"{SLOW_NAME}|resolved"):
            ask("SELECT 1", **server.parameters(host=SLOW_NAME, port=server.port, **limit))
        assert 0.2 <= time.monotonic() - begun < 0.7


@each_way
def test_without_descriptors_left(
    ask: Ask, server: Server, slow_names: SlowNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipe() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    parameters = server.parameters(host="localhost", port=server.port)
    with monkeypatch.context() as patch:
        patch.setattr("psqlpy._io.resolve.os.pipe", pipe)
        with pytest.raises(exceptions.BaseConnectionPoolError, match="Too many open files"):
            ask("SELECT 1", **parameters)


# Cancelled connects


async def test_cancelled_connects_leave_no_descriptors(server: Server, slow_names: SlowNames) -> None:
    with ExitStack() as stack:
        mute, silent = stack.enter_context(mute_port()), stack.enter_context(silent_port())
        hosts = [("127.0.0.1", mute), ("127.0.0.1", silent), (SLOW_NAME, mute)]
        pools = [
            ConnectionPool(**server.parameters(host=host, port=port), max_db_pool_size=5)
            for host, port in hosts
        ]
        before = open_fds()
        for moment in (0.0, 0.02, 0.1):
            for pool in pools:
                with anyio.move_on_after(moment) as scope:
                    async with anyio.create_task_group() as group:
                        for _ in range(5):
                            group.start_soon(pool.fetch_val, "SELECT 1")
                assert scope.cancelled_caught
                assert pool.status() == (5, 0, 0, 0)
        # What a thread that resolves a name still holds, it gives back when that has ended.
        await until(lambda: not slow_names.running and open_fds() == before)
        for pool in pools:
            pool.close()


async def test_connects_cancelled_at_any_moment(
    server: Server, relay: MakeRelay, observer: psycopg.Connection[Any]
) -> None:
    """In the middle of a login too: the server's backend ends, and the pool is as good as new."""
    slow = relay(delay=0.01)
    name = f"cancelled {time.monotonic()}"
    parameters = server.parameters(host="127.0.0.1", port=slow.port, application_name=name)

    def backends() -> int:
        row = observer.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]
        ).fetchone()
        return int(row[0]) if row else -1

    async with ConnectionPool(**parameters, max_db_pool_size=3) as pool:
        for moment in range(0, 140, 14):
            with anyio.move_on_after(moment / 1000):
                async with anyio.create_task_group() as group:
                    for _ in range(3):
                        group.start_soon(pool.fetch_val, "SELECT 1 FROM pg_sleep(10)")
        await until(
            lambda: pool.status().size == pool.status().available and backends() <= pool.status().size
        )
        assert await pool.fetch_val("SELECT 2") == 2


async def test_abandoned_names_are_not_looked_up(
    server: Server, slow_names: SlowNames, relay: MakeRelay
) -> None:
    """A dead resolver costs as many threads as it has been given, and the next name waits for none of the abandoned."""
    slow_names.seconds = 10.0
    before = open_fds()
    queued = 30
    async with (
        ConnectionPool(
            **server.parameters(host=SLOW_NAME, port=1), max_db_pool_size=background.THREADS + queued
        ) as stuck,
        anyio.create_task_group() as group,
    ):
        for _ in range(background.THREADS + queued):
            group.start_soon(stuck.fetch_val, "SELECT 1")
        await until(lambda: slow_names.running == background.THREADS)
        group.cancel_scope.cancel()
    assert slow_names.calls == slow_names.running == background.THREADS
    # Those that nobody has begun with hold nothing.
    await until(lambda: len(open_fds() - before) <= background.THREADS)
    slow_names.release()
    made = relay()
    async with ConnectionPool(**server.parameters(host="localhost", port=made.port)) as pool:
        assert await pool.fetch_val("SELECT 1", timeout=5) == 1
    assert slow_names.calls == background.THREADS


@each_runner
def test_the_end_of_a_loop_waits_for_no_resolver(
    run: Callable[..., Any], server: Server, slow_names: SlowNames
) -> None:
    slow_names.seconds = 5.0

    async def main() -> None:
        async with ConnectionPool(**server.parameters(host=SLOW_NAME, port=server.port)) as pool:
            with anyio.move_on_after(0.1):
                await pool.fetch_val("SELECT 1")

    begun = time.monotonic()
    run(main)
    assert time.monotonic() - begun < 2.0
    assert slow_names.running == 1
