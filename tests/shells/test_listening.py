"""What only the asynchronous listener has: `listen()` in the background, cancelled waits, loops that end."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import pytest

from psqlpy import ConnectionPool, Listener, exceptions, sync
from tests.concurrency import async_wait_until, password_of
from tests.concurrency import sync_wait_until as wait_until
from tests.shells.running import Main, each_runner, join, run_in_thread


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[ConnectionPool]:
    async with ConnectionPool(dsn, max_db_pool_size=2) as pool:
        yield pool


@pytest.fixture
def channel() -> str:
    return f"Shell {uuid4().hex}"


class Payloads:
    """A callback's notes."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def call(self, connection: object, payload: str, channel: str, process_id: int) -> None:
        self.seen.append(payload)

    async def wait_for(self, *payloads: str) -> None:
        await async_wait_until(lambda: len(self.seen) >= len(payloads))
        assert self.seen == list(payloads)


async def test_listen_returns_at_once_and_may_be_awaited(pool: ConnectionPool, channel: str) -> None:
    payloads = Payloads()
    async with pool.listener() as listener:
        await listener.add_callback(channel, payloads.call)
        listener.listen()
        await pool.notify(channel, "1")
        await payloads.wait_for("1")
        # A second time, awaited, changes nothing.
        await listener.listen()
        await pool.notify(channel, "2")
        await payloads.wait_for("1", "2")
        listener.abort_listen()
        assert "listening" not in repr(listener)
        await pool.notify(channel, "3")
        await listener.listen()
        await payloads.wait_for("1", "2", "3")
    assert not listener.is_started


async def test_listen_goes_on_after_the_connection_broke_and_after_a_restart(
    pool: ConnectionPool, channel: str
) -> None:
    payloads = Payloads()
    reconnected: list[Listener] = []
    listener = pool.listener(on_reconnect=reconnected.append)
    await listener.add_callback(channel, payloads.call)
    await listener.startup()
    await listener.listen()
    await pool.execute("SELECT pg_terminate_backend($1)", [listener.connection.backend_pid])
    await async_wait_until(lambda: reconnected == [listener])
    await pool.notify(channel, "reconnected")
    await payloads.wait_for("reconnected")
    await listener.shutdown()
    await listener.startup()
    await listener.listen()
    await pool.notify(channel, "restarted")
    await payloads.wait_for("reconnected", "restarted")
    await listener.shutdown()


async def test_a_callback_may_stop_its_listener(pool: ConnectionPool, channel: str) -> None:
    done = anyio.Event()
    async with pool.listener() as listener:

        async def stop(connection: Any, payload: str, channel: str, process_id: int) -> None:
            assert await connection.fetch_val("SELECT 1") == 1
            await listener.shutdown()
            done.set()

        await listener.add_callback(channel, stop)
        await listener.listen()
        await pool.notify(channel, "stop")
        with anyio.fail_after(5):
            await done.wait()
        assert not listener.is_started


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task doesn't tell yet whether it was cancelled")
@pytest.mark.parametrize("anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], indirect=True)
async def test_what_a_callback_awaited_was_cancelled(pool: ConnectionPool, channel: str) -> None:
    payloads = Payloads()
    errors: list[Exception] = []

    async def call(connection: object, payload: str, channel: str, process_id: int) -> None:
        if payload == "fails":
            work = asyncio.get_running_loop().create_future()
            work.cancel()
            await work
        await payloads.call(connection, payload, channel, process_id)

    async with pool.listener(on_error=lambda error, message: errors.append(error)) as listener:
        await listener.add_callback(channel, call)
        await listener.listen()
        for payload in ("fails", "1"):
            await pool.notify(channel, payload)
        await payloads.wait_for("1")
        assert [type(error) for error in errors] == [exceptions.ListenerCallbackError]
        listener.abort_listen()

        # Who is cancelled while a callback runs, is.
        async def wait(*arguments: object) -> None:
            task.cancel()
            await asyncio.sleep(60)

        await listener.add_callback(channel, wait)
        task = asyncio.ensure_future(listener.run_callbacks())
        await pool.notify(channel, "2")
        with pytest.raises(asyncio.CancelledError), anyio.fail_after(5):
            await task
    assert len(errors) == 1


async def test_it_says_when_it_gives_up(dsn: str, channel: str) -> None:
    passwords = [password_of(dsn)]
    errors: list[tuple[Exception, object]] = []
    async with ConnectionPool(dsn, password=lambda: passwords[0]) as pool:
        listener = pool.listener(
            reconnect_timeout=0.1, on_error=lambda error, message: errors.append((error, message))
        )
        await listener.startup()
        await listener.listen()
        pid = listener.connection.backend_pid
        async with pool.acquire() as connection:
            passwords.clear()
            await connection.execute("SELECT pg_terminate_backend($1)", [pid])
            await async_wait_until(lambda: len(errors) == 1)
    assert isinstance(errors[0][0], exceptions.ListenerClosedError) and errors[0][1] is None
    await async_wait_until(lambda: not listener.is_started)


async def test_a_cancelled_wait_loses_nothing(pool: ConnectionPool, channel: str) -> None:
    found: list[str] = []
    async with pool.listener() as listener:
        await listener.add_channel(channel)
        async with anyio.create_task_group() as group:

            async def send() -> None:
                async with pool.acquire() as sender:
                    for number in range(100):
                        await sender.execute("SELECT pg_notify($1, $2)", [channel, str(number)])

            group.start_soon(send)
            cancelled = 0
            while len(found) < 100:
                with anyio.move_on_after(0.001) as scope:
                    found.append((await listener.__anext__()).payload)
                cancelled += scope.cancelled_caught
        assert found == [str(number) for number in range(100)]
        assert await listener.connection.fetch_val("SELECT 1") == 1


async def test_a_cancelled_start_and_a_cancelled_channel_leave_nothing(
    dsn: str, pool: ConnectionPool, channel: str
) -> None:
    name = uuid4().hex
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
    async with ConnectionPool(dsn, application_name=name) as own:
        for step in range(8):
            listener = own.listener()
            with anyio.move_on_after(step * 0.002) as scope:
                await listener.startup()
                await listener.add_channel(channel)
                await anyio.sleep_forever()
            assert scope.cancelled_caught
            if listener.is_started:
                # Whatever the server was told, a wait for it works.
                await listener.add_channel(channel)
                await pool.notify(channel, "x")
                assert (await listener.receive(timeout=5)).payload == "x"
            await listener.shutdown()

            async def is_gone() -> bool:
                return bool(await pool.fetch_val(count, [name]) == 0)

            await async_wait_until(is_gone)


@each_runner
def test_a_listener_in_one_loop_after_the_other(
    dsn: str, run: Callable[[Main[Any]], Any], channel: str
) -> None:
    pool = ConnectionPool(dsn, max_db_pool_size=1)
    listener = pool.listener()
    payloads = Payloads()

    async def begin() -> None:
        await listener.add_callback(channel, payloads.call)
        await listener.startup()
        listener.listen()
        await pool.notify(channel, "first")
        await payloads.wait_for("first")

    async def go_on() -> None:
        # The loop's end has ended listen().
        assert "started" in repr(listener)
        await pool.notify(channel, "second")
        assert (await listener.receive(timeout=5)).payload == "second"
        listener.listen()
        await pool.notify(channel, "third")
        await payloads.wait_for("first", "third")
        await listener.shutdown()

    run(begin)
    run(go_on)
    pool.close()


@pytest.mark.backend("asyncio")
def test_a_forgotten_listener_closes_its_connection(dsn: str) -> None:
    async def main() -> None:
        async with ConnectionPool(dsn) as pool:
            listener = pool.listener()
            await listener.startup()
            pid = listener.connection.backend_pid
            del listener
            gc.collect()
            count = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"

            async def is_gone() -> bool:
                return bool(await pool.fetch_val(count, [pid]) == 0)

            await async_wait_until(is_gone)

    asyncio.run(main())


@pytest.mark.backend("sync")
@pytest.mark.parametrize("end", ["abort_listen", "shutdown"])
def test_in_threads_listen_lasts_until_another_thread_ends_it(dsn: str, channel: str, end: str) -> None:
    payloads: list[str] = []
    with sync.ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.listener() as listener:
        listener.add_callback(channel, lambda connection, payload, *_: payloads.append(payload))
        thread, errors = run_in_thread(listener.listen)
        pool.notify(channel, "x")
        wait_until(lambda: payloads == ["x"])
        assert thread.is_alive()
        getattr(listener, end)()
        join(thread, errors, within=2)
        assert listener.is_started is (end == "abort_listen")


@pytest.mark.parametrize("hook", ["setup", "reset"])
async def test_cancelled_in_a_hook(dsn: str, hook: str) -> None:
    entered = anyio.Event()

    async def sleep(connection: Any) -> None:
        entered.set()
        await connection.execute("SELECT pg_sleep(10)")

    hooks: dict[str, Any] = {hook: sleep}
    async with ConnectionPool(dsn, max_db_pool_size=1, **hooks) as pool:
        if hook == "reset":
            await pool.execute("SELECT 1")
        async with anyio.create_task_group() as group:
            group.start_soon(pool.execute, "SELECT 1")
            await entered.wait()
            group.cancel_scope.cancel()
        await async_wait_until(lambda: pool.status().size == pool.status().available)


async def test_a_slow_password_callable_is_bounded(dsn: str) -> None:
    async with ConnectionPool(dsn, password=partial(anyio.sleep, 10)) as pool:
        with anyio.fail_after(2), pytest.raises(exceptions.QueryTimeoutError, match="password callable"):
            await pool.execute("SELECT 1", timeout=0.1)


async def test_notices_of_a_running_statement_are_told_at_once(dsn: str) -> None:
    told = anyio.Event()
    pool = ConnectionPool(dsn, max_db_pool_size=1, on_notice=lambda notice: told.set())
    async with pool, anyio.create_task_group() as group:
        group.start_soon(pool.execute, "DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(30); END $$")
        with anyio.fail_after(5):
            await told.wait()
        group.cancel_scope.cancel()
