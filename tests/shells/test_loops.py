"""One pool and many event loops: in turn, at once in two threads, and closed under what is in use."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import anyio
import pytest

from psqlpy import Connection, ConnectionPool
from tests.concurrency import async_wait_until
from tests.shells.observing import Observer
from tests.shells.relay import relay_to
from tests.shells.running import RUNNERS, Main, each_runner, join, run_in_thread
from tests.shells.traces import login

Run = Callable[[Main[Any]], Any]


# In turn


@pytest.mark.parametrize(
    "names",
    [*product(RUNNERS, repeat=2), ("asyncio", "trio", "uvloop", "trio", "asyncio", "uvloop", "asyncio")],
    ids=" then ".join,
)
def test_one_pool_under_several_loops_in_turn(dsn: str, names: tuple[str, ...]) -> None:
    """Made outside of any of them, it keeps its connection from one to the next."""
    with ConnectionPool(dsn, max_db_pool_size=2) as pool:

        async def use() -> int:
            async with pool.acquire() as connection:
                assert await connection.fetch_val("SELECT $1::text", ["x"]) == "x"
            # The reset of the one before is still on its way, here and at the end of the loop.
            await pool.execute("SET application_name = 'mine'")
            pid: int = await pool.fetch_val("SELECT pg_backend_pid()")
            await pool.execute("SET application_name = 'mine'")
            return pid

        assert len({RUNNERS[name](use) for name in names}) == 1
        assert pool.status() == (2, 1, 1, 0)


@pytest.mark.parametrize("names", [*product(RUNNERS, repeat=2)], ids=" then ".join)
def test_a_copy_and_a_stream_that_are_left_under_one_loop_end_under_the_next(
    dsn: str, names: tuple[str, str]
) -> None:
    """Rows wait in the socket when the first loop ends."""
    query = "SELECT g, repeat('x', 100) FROM generate_series(1, 100000) AS g"
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        left: list[Any] = []

        async def begin(kind: str) -> None:
            connection = await pool.connection()
            rows = connection.copy_out(query=query) if kind == "copy" else connection.stream(query)
            await rows.__anext__()
            await anyio.sleep(0.05)
            left.append((connection, rows))

        async def go_on() -> None:
            connection, rows = left.pop()
            assert sum([1 async for _ in rows]) == 99_999
            assert await connection.fetch_val("SELECT 1") == 1
            connection.close()

        async def drop() -> None:
            left.clear()
            gc.collect()
            assert await pool.fetch_val("SELECT 2") == 2

        for kind in ("copy", "stream"):
            for end in (go_on, drop):
                RUNNERS[names[0]](partial(begin, kind))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ResourceWarning)
                    RUNNERS[names[1]](end)


@each_runner
def test_a_handle_goes_from_one_loop_to_the_next(dsn: str, run: Run) -> None:
    with ConnectionPool(dsn) as pool:
        handles: list[Connection] = []

        async def take() -> None:
            connection = await pool.connection()
            await connection.execute("CREATE TEMP TABLE of_mine AS SELECT 5 AS a")
            handles.append(connection)

        async def use() -> Any:
            return await handles[0].fetch_val("SELECT a FROM of_mine")

        run(take)
        for other in RUNNERS.values():
            assert other(use) == 5
        handles[0].close()
        assert pool.status() == (10, 1, 1, 0)


def test_many_short_loops(dsn: str) -> None:
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        pids = {asyncio.run(_backend_pid(pool)) for _ in range(50)}
        assert len(pids) == 1


async def _backend_pid(pool: ConnectionPool) -> int:
    pid: int = await pool.fetch_val("SELECT pg_backend_pid()")
    return pid


# At once


@pytest.mark.parametrize("names", list(product(RUNNERS, repeat=2)), ids=" beside ".join)
def test_two_loops_in_two_threads_at_once(dsn: str, names: tuple[str, str]) -> None:
    """Four connections, of which each loop wants three: they go from one to the other, and no answer does."""
    with ConnectionPool(dsn, max_db_pool_size=4) as pool:
        backends: list[set[int]] = [set(), set()]

        async def user(name: str, seen: set[int]) -> None:
            for number in range(40):
                token = f"{name} {number}"
                row = await pool.fetch_row("SELECT $1::text AS token, pg_backend_pid() AS pid", [token])
                assert row.result()["token"] == token
                seen.add(row.result()["pid"])
                if number % 4 == 0:
                    async with pool.acquire() as connection:
                        await connection.execute("SELECT set_config('application_name', $1, false)", [token])
                        await anyio.sleep(0.001)
                        shown = await connection.fetch_val("SHOW application_name")
                        assert shown == token

        async def main(number: int) -> None:
            async with anyio.create_task_group() as group:
                for letter in "abc":
                    group.start_soon(user, f"{number}{letter}", backends[number])

        threads = [
            run_in_thread(lambda number=number, name=name: RUNNERS[name](lambda: main(number)))  # type: ignore[misc]
            for number, name in enumerate(names)
        ]
        for thread, errors in threads:
            join(thread, errors)
        status = pool.status()
        assert status.available == status.size <= 4
        assert backends[0] & backends[1]


def test_loops_in_threads_each_with_a_pool_of_its_own(dsn: str) -> None:
    """Two of each kind at once; every one ends with what it has written itself, and all its connections back."""
    names = list(RUNNERS) * 2
    ready = threading.Barrier(len(names))

    async def main(number: int) -> None:
        async with ConnectionPool(dsn, max_db_pool_size=3) as pool:
            await pool.startup()
            ready.wait(20)
            sums: list[int] = []

            async def user(name: int) -> None:
                async with pool.transaction() as transaction:
                    await transaction.execute("CREATE TEMP TABLE own (n int4) ON COMMIT DROP")
                    await transaction.execute_many("INSERT INTO own VALUES ($1)", [[name]] * 20)
                    sums.append(await transaction.fetch_val("SELECT sum(n)::int4 FROM own"))
                assert await pool.fetch_val("SELECT $1::int4", [name]) == name

            async with anyio.create_task_group() as group:
                for task in range(10):
                    group.start_soon(user, 100 * number + task)
            assert sorted(sums) == [20 * (100 * number + task) for task in range(10)]
            status = pool.status()
            assert status.available == status.size <= 3

    threads = [
        run_in_thread(lambda number=number, name=name: RUNNERS[name](lambda: main(number)))  # type: ignore[misc]
        for number, name in enumerate(names)
    ]
    for thread, errors in threads:
        join(thread, errors, 40)


@pytest.mark.parametrize("names", list(product(RUNNERS, repeat=2)), ids=" serves ".join)
def test_a_waiter_is_served_from_another_thread(dsn: str, names: tuple[str, str]) -> None:
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:

        async def hold() -> None:
            async with pool.acquire() as connection:
                await connection.fetch_val("SELECT 1")
                await async_wait_until(lambda: pool.status().waiting == 1)
            # Its loop goes on: the connection is to be had all the same.
            await async_wait_until(lambda: bool(served))

        async def wait() -> None:
            with anyio.fail_after(5):
                served.append(await pool.fetch_val("SELECT 7"))

        served: list[int] = []
        thread, errors = run_in_thread(lambda: RUNNERS[names[0]](hold))
        while pool.status().size == 0 or pool.status().waiting:
            time.sleep(0.005)
        RUNNERS[names[1]](wait)
        join(thread, errors)
        assert served == [7]


@each_runner
def test_a_handle_may_be_closed_in_another_thread(dsn: str, run: Run, observer: Observer) -> None:
    """In the loop's own thread nothing happens to it but by the loop."""
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:

        async def main() -> int:
            connection = await pool.connection()
            pid = connection.backend_pid
            await connection.execute("SELECT pg_advisory_lock(77)")
            thread, errors = run_in_thread(connection.close)
            with anyio.fail_after(5):
                assert await pool.fetch_val("SELECT pg_backend_pid()") == pid
            join(thread, errors)
            return pid

        pid = run(main)
        assert (
            observer.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = %s", [pid])
            == 0
        )


# Loops that end


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_loop_closed_while_a_statement_ran(dsn: str, name: str, observer: Observer) -> None:
    """Not by asyncio.run, which would cancel its tasks. The next loop gets a connection that answers."""
    loop = asyncio.new_event_loop() if name == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    pool = ConnectionPool(dsn, max_db_pool_size=1)
    handles: list[Any] = []

    async def start() -> int:
        connection = await pool.connection()
        pid = connection.backend_pid
        handles.append(connection)
        handles.append(asyncio.ensure_future(connection.execute("SELECT pg_sleep(60)")))
        await async_wait_until(lambda: observer.state(pid) == "active")
        return pid

    pid = loop.run_until_complete(start())
    loop.close()
    handles[0].close()
    handles.clear()
    gc.collect()

    async def use() -> None:
        with anyio.fail_after(5):
            assert await pool.fetch_val("SELECT 1") == 1

    for run in RUNNERS.values():
        run(use)
    assert pool.status() == (1, 1, 1, 0)
    observer.wait(lambda: observer.state(pid) != "active", 2, "the statement of the closed loop is cancelled")
    pool.close()


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_loop_closed_over_connections_in_use(dsn: str, name: str) -> None:
    """Nothing runs on them: they are as good under the next loop."""
    loop = asyncio.new_event_loop() if name == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    with ConnectionPool(dsn, max_db_pool_size=2) as pool:

        async def take() -> list[Connection]:
            return [await pool.connection() for _ in range(2)]

        handles = loop.run_until_complete(take())
        loop.close()

        async def use() -> None:
            for handle in handles:
                assert await handle.fetch_val("SELECT 1") == 1

        for run in RUNNERS.values():
            run(use)
        for handle in handles:
            handle.close()
        assert pool.status() == (2, 2, 2, 0)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_loop_closed_over_a_waiter(dsn: str, name: str) -> None:
    """What it is granted goes on to the next one."""
    loop = asyncio.new_event_loop() if name == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        tasks: list[Any] = []

        async def start() -> Connection:
            held = await pool.connection()
            tasks.append(asyncio.ensure_future(pool.execute("SELECT 1")))
            await async_wait_until(lambda: pool.status().waiting == 1)
            return held

        held = loop.run_until_complete(start())
        loop.close()
        held.close()
        assert pool.status() == (1, 1, 1, 0)
        assert asyncio.run(_backend_pid(pool))
        # Its task was never told anything; only now it ends.
        tasks.clear()
        gc.collect()
        assert pool.status() == (1, 1, 1, 0)


@each_runner
def test_statements_cancelled_by_the_end_of_a_loop(dsn: str, run: Run, observer: Observer) -> None:
    with ConnectionPool(dsn, max_db_pool_size=1) as pool:

        async def leave() -> int:
            pid = await _backend_pid(pool)
            with anyio.move_on_after(0.1):
                await pool.execute("SELECT pg_sleep(60)")
            return pid

        pid = run(leave)
        for again in RUNNERS.values():
            assert again(lambda: pool.fetch_val("SELECT 1", timeout=5)) == 1
        observer.wait(lambda: observer.state(pid) != "active", 2, "the statement is cancelled")
        assert pool.status() == (1, 1, 1, 0)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_numbers_after_a_loop_that_ended_before_a_cancelled_statement(dsn: str, name: str) -> None:
    """Nobody reads the rest: its connection isn't one that the pool has, with no further call either."""
    with relay_to(dsn) as relay, ConnectionPool(**login(dsn), host="127.0.0.1", port=relay.port) as pool:

        async def leave() -> None:
            await pool.fetch_val("SELECT 1")
            relay.open.clear()
            with anyio.move_on_after(0.05):
                await pool.execute("SELECT pg_sleep(60)")

        RUNNERS[name](leave)
        assert pool.status() == (10, 0, 0, 0)
        relay.open.set()
        assert RUNNERS[name](lambda: pool.fetch_val("SELECT 2", timeout=5)) == 2
        assert pool.status() == (10, 1, 1, 0)
