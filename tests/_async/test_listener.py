"""Listeners: callbacks, iteration, channels that change, connections that break, and the ends of all that.

Long, since all of it needs the same few fixtures.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from psqlpy import ConnectionPool, Listener, ListenerNotificationMsg, exceptions
from tests.concurrency import AsyncEvent, AsyncGroup, async_fail_after, async_wait_until, password_of


@pytest.fixture
def channel() -> str:
    """A name that has to be quoted, and is nobody else's."""
    return f'Channel "{uuid4().hex}" é; '


@pytest.fixture
async def listener(pool: ConnectionPool) -> AsyncIterator[Listener]:
    async with pool.listener() as listener:
        yield listener


class Recorder:
    """A callback that notes what it gets, and may fail."""

    def __init__(self, wanted: int = 1) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.failing: Exception | None = None
        self.enough = AsyncEvent()
        self.wanted = wanted

    async def call(self, *arguments: object) -> None:
        self.calls.append(arguments)
        if len(self.calls) == self.wanted:
            self.enough.set()
        if self.failing is not None:
            raise self.failing

    @property
    def payloads(self) -> list[object]:
        return [call[1] for call in self.calls]


async def listened(listener: Listener) -> list[str]:
    """What the server says that the listener listens to."""
    rows = await listener.connection.fetch("SELECT pg_listening_channels() AS name")
    return sorted(row["name"] for row in rows.result())


async def kill(pool: ConnectionPool, listener: Listener) -> None:
    """End the listener's backend."""
    pid = listener.connection.backend_pid
    assert await pool.fetch_val("SELECT pg_terminate_backend($1)", [pid])

    async def is_gone() -> bool:
        left = await pool.fetch_val("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", [pid])
        return bool(left == 0)

    await async_wait_until(is_gone)


async def test_a_callback_gets_connection_payload_channel_and_process(
    pool: ConnectionPool, listener: Listener, channel: str
) -> None:
    recorder = Recorder(wanted=4)
    await listener.add_callback(channel, recorder.call)
    await listener.add_callback(channel, recorder.call)
    async with AsyncGroup() as group:
        group.start(listener.run_callbacks)
        async with pool.acquire() as sender:
            sender_pid = sender.backend_pid
            for payload in ("one", ""):
                await sender.execute("SELECT pg_notify($1, $2)", [channel, payload])
        await recorder.enough.wait()
        listener.abort_listen()
    # Added twice, called twice; one message after the other.
    assert recorder.payloads == ["one", "one", "", ""]
    for connection, _, name, process in recorder.calls:
        assert connection is listener.connection
        assert (name, process) == (channel, sender_pid)


async def test_a_channel_added_late_is_listened_to_at_once(
    pool: ConnectionPool, listener: Listener, channel: str
) -> None:
    recorder = Recorder()
    async with AsyncGroup() as group:
        group.start(listener.run_callbacks)
        await async_wait_until(lambda: "listening" in repr(listener))
        await listener.add_callback(channel, recorder.call)
        await pool.notify(channel, "late")
        await recorder.enough.wait()
        listener.abort_listen()
    assert recorder.payloads == ["late"]


async def test_an_error_in_a_callback_is_logged_and_handed_over_and_nothing_else_suffers(
    pool: ConnectionPool, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[tuple[Exception, ListenerNotificationMsg | None]] = []
    failing, good = Recorder(wanted=2), Recorder(wanted=2)
    failing.failing = ZeroDivisionError("a mistake")

    async def on_error(error: Exception, message: ListenerNotificationMsg | None) -> None:
        errors.append((error, message))
        raise LookupError("another one")

    async with pool.listener(on_error=on_error) as listener:
        await listener.add_callback(channel, failing.call)
        await listener.add_callback(channel, good.call)
        with caplog.at_level(logging.ERROR, "psqlpy.listener"):
            async with AsyncGroup() as group:
                group.start(listener.run_callbacks)
                await pool.notify(channel, "1")
                await pool.notify(channel, "2")
                await good.enough.wait()
                listener.abort_listen()
    assert good.payloads == failing.payloads == ["1", "2"]
    assert [error for error, _ in errors] == [failing.failing] * 2
    assert [message.payload for _, message in errors if message is not None] == ["1", "2"]
    assert "a mistake" in caplog.text and "another one" in caplog.text


async def test_iteration(pool: ConnectionPool, listener: Listener, channel: str) -> None:
    await listener.add_channel(channel)
    for number in range(5):
        await pool.notify(channel, str(number))
    found = []
    async for message in listener:
        found.append(message.payload)
        assert message.channel == channel and message.connection is listener.connection
        assert message.process_id > 0 and "from" in repr(message)
        if len(found) == 5:
            break
    assert found == list("01234")


async def test_iteration_that_ends_after_a_silence(
    pool: ConnectionPool, listener: Listener, channel: str
) -> None:
    await listener.add_channel(channel)
    await pool.notify(channel, "a")
    await pool.notify(channel, "b")
    with async_fail_after(5):
        assert [message.payload async for message in listener.messages(timeout=0.2)] == ["a", "b"]
        assert [message.payload async for message in listener.messages(timeout=0.01)] == []
    await pool.notify(channel, "c")
    assert (await listener.receive(timeout=5)).payload == "c"


async def test_a_wait_that_is_over_loses_nothing(
    pool: ConnectionPool, listener: Listener, channel: str
) -> None:
    await listener.add_channel(channel)
    with pytest.raises(exceptions.QueryTimeoutError, match="no notification"):
        await listener.receive(timeout=0.001)
    found: list[str] = []
    for number in range(50):
        await pool.notify(channel, str(number))
        try:
            # About as long as a notification takes.
            found.append((await listener.receive(timeout=0.0002)).payload)
        except exceptions.QueryTimeoutError:
            pass
    found += [message.payload async for message in listener.messages(timeout=0.2)]
    assert found == [str(number) for number in range(50)]
    assert await listener.connection.fetch_val("SELECT 1") == 1


async def test_statements_on_the_listeners_connection_while_it_waits(
    pool: ConnectionPool, listener: Listener, channel: str
) -> None:
    await listener.add_channel(channel)
    async with AsyncGroup() as group:
        waiting = group.start(listener.receive, timeout=10)
        await async_wait_until(lambda: "another call" in str(in_use(listener)))
        for number in range(20):
            assert await listener.connection.fetch_val("SELECT $1::int4", [number]) == number
        await listener.connection.execute("SELECT pg_notify($1, 'mine')", [channel])
    assert waiting.result().payload == "mine"


async def test_a_notification_that_comes_during_a_batch(
    pool: ConnectionPool, listener: Listener, channel: str
) -> None:
    await listener.add_channel(channel)
    quoted = channel.replace('"', '""')
    for number in range(3):
        await listener.connection.execute_batch(f"NOTIFY \"{quoted}\", '{number}'; SELECT 1")
        assert (await listener.receive(timeout=5)).payload == str(number)
    with pytest.raises(exceptions.DivisionByZero):
        await listener.connection.execute_batch(f'BEGIN; NOTIFY "{quoted}"; COMMIT; SELECT 1 / 0')
    assert (await listener.receive(timeout=5)).payload == ""


def in_use(listener: Listener) -> object:
    """Why the listener can't be taken now, if it can't."""
    try:
        listener._leave(listener._enter())
    except exceptions.BaseListenerError as error:
        return error
    return None


async def test_one_taker_at_a_time(listener: Listener, channel: str) -> None:
    async with AsyncGroup() as group:
        group.start(listener.run_callbacks)
        await async_wait_until(lambda: "listening" in repr(listener))
        with pytest.raises(exceptions.BaseListenerError, match=r"listen\(\) calls callbacks"):
            await listener.receive(timeout=1)
        with pytest.raises(exceptions.BaseListenerError, match="in use"):
            await listener.run_callbacks()
        listener.abort_listen()


async def test_cleared_channels(pool: ConnectionPool, listener: Listener, channel: str) -> None:
    recorder = Recorder()
    names = sorted([channel, f"{channel}2", f"{channel}3"])
    for name in names:
        await listener.add_callback(name, recorder.call)
    assert await listened(listener) == names
    await listener.clear_channel_callbacks(names[0])
    await listener.clear_channel_callbacks("never added")
    assert await listened(listener) == names[1:]
    await pool.notify(names[1], "dropped with its channel")
    await listener.clear_all_channels()
    assert await listened(listener) == []
    await listener.add_channel(names[2])
    await pool.notify(names[2], "kept")
    assert (await listener.receive(timeout=5)).payload == "kept"
    assert recorder.calls == []


async def test_a_broken_connection_is_made_again(
    pool: ConnectionPool, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Listener] = []
    recorder = Recorder()

    async def on_reconnect(listener: Listener) -> None:
        told.append(listener)

    async with pool.listener(on_reconnect=on_reconnect) as listener:
        await listener.add_callback(channel, recorder.call)
        first = listener.connection
        with caplog.at_level(logging.WARNING, "psqlpy.listener"):
            async with AsyncGroup() as group:
                group.start(listener.run_callbacks)
                await kill(pool, listener)
                await async_wait_until(lambda: len(told) == 1)
                assert await listened(listener) == [channel]
                await pool.notify(channel, "again")
                await recorder.enough.wait()
                listener.abort_listen()
        assert told == [listener] and listener.is_started
        assert recorder.payloads == ["again"]
        assert recorder.calls[0][0] is listener.connection is not first
        assert first.is_closed()
    assert "administrator command" in caplog.text and "are missing" in caplog.text


async def test_what_had_arrived_before_the_connection_broke_is_there(
    pool: ConnectionPool, listener: Listener, channel: str
) -> None:
    await listener.add_channel(channel)
    await pool.notify(channel, "before")
    # Read, and not taken.
    assert await listened(listener) == [channel]
    await kill(pool, listener)
    with pytest.raises(exceptions.ConnectionLostError):
        await listener.connection.execute("SELECT 1")
    await listener.add_channel(f"{channel}2")
    assert (await listener.receive(timeout=5)).payload == "before"
    assert [message.payload async for message in listener.messages(timeout=0.3)] == []
    assert await listened(listener) == sorted([channel, f"{channel}2"])


async def test_it_gives_up_in_time(dsn: str, pool: ConnectionPool, channel: str) -> None:
    passwords: list[str] = [password_of(dsn)]

    def password() -> str:
        return passwords[0]

    own = ConnectionPool(dsn, max_db_pool_size=1, password=password)
    async with own, own.listener(reconnect_timeout=0.15) as listener:
        await listener.add_channel(channel)
        passwords.clear()
        await kill(pool, listener)
        with async_fail_after(5), pytest.raises(exceptions.ListenerClosedError, match="can't connect again"):
            await listener.receive()
        # Asked again, it tries again.
        passwords.append(password_of(dsn))
        with pytest.raises(exceptions.QueryTimeoutError):
            await listener.receive(timeout=0.2)
        assert await listened(listener) == [channel]


async def test_a_wait_ends_in_time_while_the_connection_is_made_again(
    dsn: str, pool: ConnectionPool, channel: str
) -> None:
    passwords: list[str] = [password_of(dsn)]
    own = ConnectionPool(dsn, max_db_pool_size=1, password=lambda: passwords[0])
    async with own, own.listener() as listener:
        passwords.clear()
        await kill(pool, listener)
        with async_fail_after(2), pytest.raises(exceptions.QueryTimeoutError):
            await listener.receive(timeout=0.3)
        async with AsyncGroup() as group:
            running = group.start(listener.run_callbacks)
            await async_wait_until(lambda: in_use(listener) is not None)
            assert "connecting again" in repr(listener)
            listener.abort_listen()
            await async_wait_until(lambda: running.done, timeout=2)


async def test_it_starts_again_after_its_end(pool: ConnectionPool, channel: str) -> None:
    listener = pool.listener()
    recorder = Recorder(wanted=3)
    await listener.add_callback(channel, recorder.call)
    for number in range(3):
        if number != 1:
            await listener.startup()
        async with AsyncGroup() as group:
            group.start(listener.run_callbacks)
            await pool.notify(channel, str(number))
            await async_wait_until(lambda: len(recorder.calls) == number + 1)  # noqa: B023
            if number == 0:
                listener.abort_listen()
            else:
                await listener.shutdown()
        assert listener.is_started is (number == 0)
    await listener.shutdown()
    assert recorder.payloads == ["0", "1", "2"]


async def test_a_shutdown_ends_what_waits(pool: ConnectionPool, listener: Listener, channel: str) -> None:
    await listener.add_channel(channel)
    pid = listener.connection.backend_pid
    found: list[object] = []

    async def iterate() -> None:
        async for message in listener:
            found.append(message)
        found.append("end")

    async with AsyncGroup() as group:
        group.start(iterate)
        await async_wait_until(lambda: in_use(listener) is not None)
        await listener.shutdown()
    assert found == ["end"]

    async def is_gone() -> bool:
        left = await pool.fetch_val("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", [pid])
        return bool(left == 0)

    await async_wait_until(is_gone)
    assert not listener.is_started
    with pytest.raises(exceptions.ListenerStartError):
        await listener.receive()


async def test_it_is_outside_the_pool(dsn: str, channel: str) -> None:
    pool = ConnectionPool(dsn, max_db_pool_size=1)
    async with pool.acquire() as connection, pool.listener() as listener:
        assert (pool.status().size, pool.stats().opened) == (1, 1)
        await listener.add_channel(channel)
        pool.close()
        await connection.execute("SELECT pg_notify($1, 'still here')", [channel])
        assert (await listener.receive(timeout=5)).payload == "still here"
        # Closing the handle is none of its user's business.
        listener.connection.close()
        assert await listened(listener) == [channel]


async def test_a_start_that_fails_leaves_nothing(dsn: str) -> None:
    async with ConnectionPool(dsn, db_name="ignored", password=lambda: 7) as pool:
        listener = pool.listener()
        with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="must return a str"):
            await listener.startup()
        assert not listener.is_started and "not started" in repr(listener)
    async with ConnectionPool(dsn, application_name=uuid4().hex) as pool:
        listener = pool.listener()
        with pytest.raises(exceptions.QueryTimeoutError):
            await listener.startup(timeout=1e-6)
        assert not listener.is_started
        await listener.startup()
        await listener.shutdown()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", ValueError),
        ("a\0b", ValueError),
        ("\ud800", ValueError),
        ("é" * 32, ValueError),
        (7, TypeError),
        (None, TypeError),
        (b"x", TypeError),
    ],
)
async def test_names_that_no_channel_can_have(
    pool: ConnectionPool, listener: Listener, name: str, kind: type[Exception]
) -> None:
    for call in (listener.add_channel, pool.notify, listener.clear_channel_callbacks):
        with pytest.raises(kind) as caught:
            await call(name)
        assert isinstance(caught.value, exceptions.PyToRustValueMappingError)
    assert await listened(listener) == []


async def test_the_longest_names_and_payloads(pool: ConnectionPool, listener: Listener) -> None:
    name = uuid4().hex + "é" * 15 + '"'
    assert len(name.encode()) == 63
    await listener.add_channel(name)
    await pool.notify(name, "x" * 7999)
    assert len((await listener.receive(timeout=5)).payload) == 7999
    with pytest.raises(exceptions.Error, match="payload string too long"):
        await pool.notify(name, "x" * 8000)
    await pool.notify(name)
    assert (await listener.receive(timeout=5)).payload == ""


def test_wrong_arguments_are_refused_at_once(dsn: str) -> None:
    pool = ConnectionPool(dsn)
    for arguments in ({"on_error": 1}, {"on_reconnect": "x"}, {"reconnect_timeout": -1}):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError, match=next(iter(arguments))):
            pool.listener(**arguments)
