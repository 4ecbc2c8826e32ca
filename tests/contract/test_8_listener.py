"""Listeners as programs for psqlpy 0.9 to 0.13 know them: messages, arguments, the order of things."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from psqlpy import ConnectionPool, Listener, ListenerNotificationMsg, exceptions
from tests.concurrency import async_wait_until


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[ConnectionPool]:
    async with ConnectionPool(dsn, max_db_pool_size=1) as pool:
        yield pool


@pytest.fixture
def channel() -> str:
    return f"contract_{uuid4().hex}"


class Callbacks:
    """Kinds of callables."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def method(self, *arguments: Any) -> None:
        self.calls.append(arguments)

    async def partial(self, mark: str, *arguments: Any) -> None:
        self.calls.append((mark, *arguments))

    async def __call__(self, *arguments: Any) -> None:
        raise AssertionError("not an async function")


async def test_names_and_parameters(pool: ConnectionPool) -> None:
    listener = pool.listener()
    assert isinstance(listener, Listener)
    assert list(inspect.signature(listener.add_callback).parameters)[:2] == ["channel", "callback"]
    assert next(iter(inspect.signature(listener.clear_channel_callbacks).parameters)) == "channel"
    for name in ("startup", "shutdown", "add_callback", "clear_channel_callbacks", "clear_all_channels"):
        assert inspect.iscoroutinefunction(getattr(listener, name))
    assert {"listen", "abort_listen", "is_started", "connection", "__aiter__", "__anext__"} <= set(
        dir(Listener)
    )
    assert {"channel", "payload", "process_id", "connection"} <= set(dir(ListenerNotificationMsg))


async def test_before_startup(pool: ConnectionPool) -> None:
    listener = pool.listener()
    assert not listener.is_started
    with pytest.raises(exceptions.ListenerStartError) as caught:
        _ = listener.connection
    assert str(caught.value) == "Listener start error: Listener isn't started up"
    with pytest.raises(exceptions.ListenerStartError) as caught:
        listener.listen()
    assert (
        str(caught.value)
        == "Listener start error: Cannot start listening, underlying connection doesn't exist"
    )
    with pytest.raises(exceptions.ListenerStartError) as caught:
        await listener.__anext__()
    assert (
        str(caught.value)
        == "Listener start error: Listener doesn't have underlying client, please call startup"
    )
    listener.abort_listen()
    await listener.shutdown()
    await listener.shutdown()


async def test_startup_twice(pool: ConnectionPool) -> None:
    listener = pool.listener()
    await listener.startup()
    assert listener.is_started
    with pytest.raises(exceptions.ListenerStartError) as caught:
        await listener.startup()
    assert str(caught.value) == "Listener start error: Listener is already started"
    await listener.shutdown()
    await listener.shutdown()
    assert not listener.is_started


async def test_its_connection_is_outside_the_pool_and_works_when_that_is_full(
    pool: ConnectionPool, channel: str
) -> None:
    listener = pool.listener()
    async with pool.acquire() as connection:
        before = pool.status()
        await listener.startup()
        assert pool.status() == before
        await listener.add_callback(channel, Callbacks().method)
        await connection.execute("SELECT pg_notify($1, 'x')", [channel])
        assert (await listener.__anext__()).payload == "x"
    pool.close()
    assert await listener.connection.fetch_val("SELECT 1") == 1
    await listener.shutdown()


async def test_which_callbacks_are_taken(pool: ConnectionPool, channel: str) -> None:
    callbacks = Callbacks()

    async def function(*arguments: Any) -> None:
        callbacks.calls.append(arguments)

    async with pool.listener() as listener:
        for bad in (callbacks, callbacks.calls.append, print, 7, None, functools.partial(print)):
            with pytest.raises(exceptions.ListenerCallbackError) as caught:
                await listener.add_callback(channel, bad)  # type: ignore[arg-type]
            assert str(caught.value) == "Callback must be an async callable"
        for good in (function, callbacks.method, functools.partial(callbacks.partial, "mark"), function):
            await listener.add_callback(channel=channel, callback=good)
        listener.listen()
        await pool.execute("SELECT pg_notify($1, 'p')", [channel])
        await async_wait_until(lambda: len(callbacks.calls) == 4)
        connection = listener.connection
        plain = callbacks.calls[0]
        assert plain[:3] == (connection, "p", channel) and isinstance(plain[3], int)
        assert callbacks.calls == [plain, plain, ("mark", *plain), plain]


async def test_one_message_at_a_time_its_callbacks_in_their_order(pool: ConnectionPool, channel: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def slow(connection: Any, payload: str, *arguments: Any) -> None:
        seen.append(f"slow {payload} begins")
        begun.set()
        await go_on.wait()
        # What it does with the connection, or to the listener, is done meanwhile.
        seen.append(f"slow {payload} ends {await connection.fetch_val('SELECT 1')}")

    async def fast(connection: Any, payload: str, *arguments: Any) -> None:
        seen.append(f"fast {payload}")

    async with pool.listener() as listener:
        for callback in (slow, fast):
            await listener.add_callback(channel, callback)
        listener.listen()
        await pool.execute("SELECT pg_notify($1, '1'), pg_notify($1, '2')", [channel])
        await begun.wait()
        assert await listener.connection.fetch_val("SELECT 7") == 7
        assert seen == ["slow 1 begins"]
        go_on.set()
        await async_wait_until(lambda: len(seen) == 6)
    assert seen == [
        *("slow 1 begins", "slow 1 ends 1", "fast 1"),
        *("slow 2 begins", "slow 2 ends 1", "fast 2"),
    ]


async def test_the_block_starts_and_stops_it(pool: ConnectionPool, channel: str) -> None:
    states = []
    async with pool.listener() as listener:
        states.append(listener.is_started)
        await listener.add_callback(channel, Callbacks().method)
        pid = listener.connection.backend_pid
    states.append(listener.is_started)
    assert states == [True, False]

    async def is_gone() -> bool:
        left: int = await pool.fetch_val("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", [pid])
        return left == 0

    await async_wait_until(is_gone)


async def test_iteration_does_not_run_callbacks(pool: ConnectionPool, channel: str) -> None:
    callbacks = Callbacks()
    async with pool.listener() as listener:
        await listener.add_callback(channel, callbacks.method)
        await pool.execute("SELECT pg_notify($1, 'p')", [channel])
        async for message in listener:
            assert (message.channel, message.payload) == (channel, "p")
            assert message.process_id > 0 and message.connection is listener.connection
            break
    assert callbacks.calls == []


async def test_defect_11_channels_of_mixed_case_and_with_spaces(pool: ConnectionPool) -> None:
    callbacks = Callbacks()
    name = f'Mixed Case "; UNLISTEN *; -- {uuid4().hex[:8]}'
    async with pool.listener() as listener:
        await listener.add_callback(name, callbacks.method)
        listener.listen()
        await pool.execute("SELECT pg_notify($1, 'p')", [name])
        await async_wait_until(lambda: len(callbacks.calls) == 1)


async def test_defect_11_late_channels_and_a_failing_callback(
    pool: ConnectionPool, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    callbacks = Callbacks()

    async def fail(*arguments: Any) -> None:
        raise ValueError("a mistake in a callback")

    async with pool.listener() as listener:
        listener.listen()
        await listener.add_callback(channel, fail)
        await listener.add_callback(channel, callbacks.method)
        for payload in ("1", "2"):
            await pool.execute("SELECT pg_notify($1, $2)", [channel, payload])
        await async_wait_until(lambda: len(callbacks.calls) == 2)
    assert caplog.text.count("ValueError: a mistake in a callback") == 2


async def test_defect_11_it_listens_after_abort_and_after_a_restart(
    pool: ConnectionPool, channel: str
) -> None:
    callbacks = Callbacks()
    listener = pool.listener()
    await listener.add_callback(channel, callbacks.method)
    await listener.startup()
    listener.listen()
    listener.abort_listen()
    listener.listen()
    await pool.execute("SELECT pg_notify($1, 'after abort')", [channel])
    await async_wait_until(lambda: len(callbacks.calls) == 1)
    await listener.shutdown()
    await listener.startup()
    listener.listen()
    await pool.execute("SELECT pg_notify($1, 'after restart')", [channel])
    await async_wait_until(lambda: len(callbacks.calls) == 2)
    await listener.shutdown()


async def test_defect_11_a_killed_backend_is_no_end(pool: ConnectionPool, channel: str) -> None:
    async with pool.listener() as listener:
        await listener.add_callback(channel, Callbacks().method)
        first = listener.connection
        await pool.execute("SELECT pg_terminate_backend($1, 5000)", [first.backend_pid])
        messages = listener.messages(timeout=0.3)
        assert [message.payload async for message in messages] == []
        assert listener.connection is not first and listener.is_started
        await pool.execute("SELECT pg_notify($1, 'again')", [channel])
        assert (await listener.__anext__()).payload == "again"
