"""Listener: notifications, by callbacks or by iteration, on a connection of its own that is made again when it breaks.

What is said to the server, and the inbox in which notifications wait, is in psqlpy._protocol.notifications.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import random
from types import TracebackType
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._async.executor import check_timeout, deadline_after
from psqlpy._async.kept import KeptConnection
from psqlpy._checks import configuration_error
from psqlpy._io.invoke import async_invoke
from psqlpy._io.links import AsyncLink
from psqlpy._io.listening import async_check_callback, async_in_background, async_wake
from psqlpy._io.primitives import AsyncWake, Lock, monotonic
from psqlpy._notification import ListenerNotificationMsg
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.notifications import Attention, Inbox, check_channel, listen, unlisten

if TYPE_CHECKING:
    from psqlpy._async.pool import ConnectionPool

_log = logging.getLogger("psqlpy.listener")

# Between two attempts to connect again: the first pause, and the longest of those that follow. Seconds.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
# How long one attempt may take. Seconds.
_ATTEMPT = 30.0
# After so long a silence the server is asked whether it is there, and has so long to answer. Seconds.
_SILENCE = 60.0
_ANSWER = 10.0

_START_ERROR = "Listener start error: "

Callback = Callable[..., Any]


class Listener:
    """Notifications of any number of channels, in the order in which the server sent them.

    Either `listen()` calls the channels' callbacks, one at a time, or the listener is iterated over; both wait without
    end, and neither loses a notification when it is stopped: what has arrived waits for whoever comes next. A
    connection that breaks is made again, as often as need be, after pauses that grow; then `on_reconnect` is called,
    since what was sent meanwhile is missing.
    """

    __slots__ = (
        "__weakref__",
        "_channels",
        "_connection",
        "_consumer",
        "_inbox",
        "_is_listening",
        "_link",
        "_lock",
        "_on_error",
        "_on_reconnect",
        "_pause",
        "_pool",
        "_reconnect_timeout",
        "_starting",
    )

    def __init__(
        self,
        pool: ConnectionPool,
        on_error: Callable[[Exception, ListenerNotificationMsg | None], Any] | None = None,
        on_reconnect: Callable[[Listener], Any] | None = None,
        reconnect_timeout: float | None = None,
    ) -> None:
        for name, value in (("on_error", on_error), ("on_reconnect", on_reconnect)):
            if value is not None and not callable(value):
                raise configuration_error(f"{name} must be a function, not {type(value).__name__}")
        self._pool = pool
        self._on_error = on_error
        self._on_reconnect = on_reconnect
        self._reconnect_timeout = check_timeout("reconnect_timeout", reconnect_timeout)
        # What the server is to be told, and to whom it goes. Changed under the lock, as what follows.
        self._channels: dict[str, list[Callback]] = {}
        self._lock = Lock()
        # None while it isn't started.
        self._link: AsyncLink | None = None
        self._inbox: Inbox | None = None
        self._connection: KeptConnection | None = None
        self._starting = False
        # Who takes the notifications: one at a time. Whoever finds another one here, or none, stops.
        self._consumer: object = None
        self._is_listening = False
        # Set by whoever ends the pause between two attempts to connect.
        self._pause: AsyncWake | None = None

    # Start and end

    async def startup(self, *, timeout: float | None = None) -> None:
        """Connect, and LISTEN to the channels that were added before; `timeout` as for any call of the pool.

        Raises ListenerStartError if it is started already, and what connecting raises.
        """
        if self._link is not None or self._starting:
            raise exceptions.ListenerStartError(f"{_START_ERROR}Listener is already started")
        self._starting = True
        try:
            await self._open(deadline_after(self._pool.timeout if timeout is None else timeout))
        finally:
            self._starting = False

    async def shutdown(self) -> None:
        """Close the connection and stop everything; a second call does nothing. `startup()` starts anew.

        Channels and callbacks stay. A callback that is running goes on to its end. An iteration ends.
        """
        self._stop()

    def _stop(self) -> None:
        with self._lock:
            link, self._link = self._link, None
            inbox, self._inbox = self._inbox, None
            connection, self._connection = self._connection, None
            self._consumer = None
            self._is_listening = False
        if connection is not None:
            connection.let_go()
        if link is not None and inbox is not None:
            self._wake(link, inbox)
            link.close()

    async def __aenter__(self) -> Listener:
        if self._link is None:
            await self.startup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    # Questions

    @property
    def is_started(self) -> bool:
        """Whether it has a connection, or is making it again."""
        return self._link is not None

    @property
    def connection(self) -> KeptConnection:
        """The listener's own connection, for statements beside; closing it does nothing."""
        if self._connection is None:
            raise exceptions.ListenerStartError(f"{_START_ERROR}Listener isn't started up")
        return self._connection

    def __repr__(self) -> str:
        if self._link is None:
            state = "not started"
        else:
            state = (
                "connecting again"
                if self._link.is_closed
                else "listening"
                if self._is_listening
                else "started"
            )
        return f"<Listener {state}, channels {', '.join(map(repr, list(self._channels))) or 'none'}>"

    # Channels

    async def add_callback(self, channel: str, callback: Callback, *, timeout: float | None = None) -> None:
        """Call `callback(connection, payload, channel, process_id)` for every notification of a channel.

        On a started listener the server is told at once. A channel may have several callbacks, called in the order in
        which they were added. The channel's name means exactly what it says, upper case too.
        """
        async_check_callback(callback)
        await self._subscribe(channel, callback, timeout)

    async def add_channel(self, channel: str, *, timeout: float | None = None) -> None:
        """Listen to a channel without a callback, to iterate over its notifications."""
        await self._subscribe(channel, None, timeout)

    async def clear_channel_callbacks(self, channel: str, *, timeout: float | None = None) -> None:
        """Forget a channel with its callbacks; on a started listener the server is told at once."""
        check_channel(channel)
        with self._lock:
            known = self._channels.pop(channel, None)
        if known is not None:
            await self._tell(unlisten((channel,)), timeout)

    async def clear_all_channels(self, *, timeout: float | None = None) -> None:
        """Forget all channels with their callbacks; on a started listener the server is told at once."""
        with self._lock:
            self._channels.clear()
        await self._tell((b"UNLISTEN *",), timeout)

    async def _subscribe(self, channel: str, callback: Callback | None, timeout: float | None) -> None:
        check_channel(channel)
        with self._lock:
            is_new = channel not in self._channels
            callbacks = self._channels.setdefault(channel, [])
            if callback is not None:
                callbacks.append(callback)
        if not is_new:
            return
        try:
            await self._tell(listen((channel,)), timeout)
        except BaseException:
            with self._lock:
                if callback in callbacks:
                    callbacks.remove(callback)
                if not callbacks and self._channels.get(channel) is callbacks:
                    del self._channels[channel]
            raise

    async def _tell(self, commands: tuple[bytes, ...], timeout: float | None) -> None:
        """Tell the server, unless there is no connection: whoever makes it tells it all there is to tell."""
        with self._lock:
            link = self._link
        if link is None:
            return
        deadline = deadline_after(self._pool.timeout if timeout is None else timeout)
        try:
            await link.run(Commands(commands, exceptions.BaseListenerError), deadline)
        except exceptions.ConnectionClosedError:
            if not link.is_closed:
                raise

    # Callbacks

    def listen(self) -> Any:
        """Begin to call the callbacks: under an event loop in the background, in threads until it is stopped.

        Stopped by `abort_listen()` or `shutdown()`. An error in a callback is logged and goes to `on_error`; the next
        callback is called all the same. Does nothing if it listens already. There is no need to wait for it.
        """
        if self._link is None:
            raise exceptions.ListenerStartError(
                f"{_START_ERROR}Cannot start listening, underlying connection doesn't exist"
            )
        if self._is_listening:
            return async_in_background(_nothing)
        consumer = self._begin_listening()

        async def run() -> None:
            try:
                await self._call_callbacks(consumer, None)
            except Exception as error:
                _log.error("listener has stopped: %s", error)
                await self._report(error, None)
                if self._consumer is consumer:
                    self._stop()
            finally:
                self._leave(consumer)

        return async_in_background(run)

    async def run_callbacks(self, *, timeout: float | None = None) -> None:
        """Call the callbacks until `abort_listen()` or `shutdown()`, or for `timeout` seconds; as `listen`, but waits.

        Raises ListenerClosedError when the connection is lost and can't be made again in `reconnect_timeout`.
        """
        if self._link is None:
            raise exceptions.ListenerStartError(
                f"{_START_ERROR}Cannot start listening, underlying connection doesn't exist"
            )
        deadline = deadline_after(timeout)
        consumer = self._begin_listening()
        try:
            await self._call_callbacks(consumer, deadline)
        except exceptions.QueryTimeoutError:
            if deadline is None or monotonic() < deadline:
                raise
        finally:
            self._leave(consumer)

    def abort_listen(self) -> None:
        """Stop calling callbacks, after the one that is running; the connection stays. Waits for nothing."""
        with self._lock:
            if not self._is_listening:
                return
            self._is_listening = False
            self._consumer = None
            link, inbox = self._link, self._inbox
        if link is not None and inbox is not None:
            self._wake(link, inbox)

    def _begin_listening(self) -> object:
        consumer = self._enter()
        self._is_listening = True
        return consumer

    async def _call_callbacks(self, consumer: object, deadline: float | None) -> None:
        while (message := await self._next(consumer, deadline)) is not None:
            for callback in list(self._channels.get(message.channel, ())):
                try:
                    await callback(message.connection, message.payload, message.channel, message.process_id)
                except Exception as error:
                    _log.exception("callback of channel %r failed", message.channel)
                    await self._report(error, message)

    async def _report(self, error: Exception, message: ListenerNotificationMsg | None) -> None:
        if self._on_error is None:
            return
        try:
            await async_invoke(self._on_error, "on_error", None, error, message)
        except Exception:
            _log.exception("on_error failed")

    # Iteration

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> ListenerNotificationMsg:
        message = await self._take(None)
        if message is None:
            raise StopAsyncIteration
        return message

    async def receive(self, *, timeout: float | None = None) -> ListenerNotificationMsg:
        """Wait for the next notification; QueryTimeoutError if none came within `timeout` seconds.

        Raises ListenerClosedError when the listener is shut down meanwhile, or can't connect again.
        """
        message = await self._take(deadline_after(timeout))
        if message is None:
            raise exceptions.ListenerClosedError("listener was shut down: start it with startup()")
        return message

    def messages(self, *, timeout: float | None = None) -> Messages:
        """Iterate over the notifications; ends when none has come for `timeout` seconds."""
        return Messages(self, check_timeout("timeout", timeout))

    async def _take(self, deadline: float | None) -> ListenerNotificationMsg | None:
        if self._link is None:
            raise exceptions.ListenerStartError(
                f"{_START_ERROR}Listener doesn't have underlying client, please call startup"
            )
        consumer = self._enter()
        try:
            return await self._next(consumer, deadline)
        finally:
            self._leave(consumer)

    # Waiting

    def _enter(self) -> object:
        with self._lock:
            if self._consumer is not None:
                who = "listen() calls callbacks" if self._is_listening else "another call waits"
                raise exceptions.BaseListenerError(f"listener is in use: {who} for its notifications")
            consumer = self._consumer = object()
        return consumer

    def _leave(self, consumer: object) -> None:
        with self._lock:
            if self._consumer is consumer:
                self._consumer = None
                self._is_listening = False

    async def _next(self, consumer: object, deadline: float | None) -> ListenerNotificationMsg | None:
        """The oldest notification that there is or will be; None when the consumer is to stop."""
        while True:
            with self._lock:
                link, inbox, connection = self._link, self._inbox, self._connection
                if self._consumer is not consumer or link is None or inbox is None:
                    return None
            if inbox.arrived:
                channel, payload, process_id = inbox.arrived.popleft()
                if channel in self._channels:
                    return ListenerNotificationMsg(channel, payload, process_id, connection)
            elif inbox.is_over:
                await self._restore(consumer, link, deadline)
            else:
                await self._attend(link, inbox, deadline)

    async def _attend(self, link: AsyncLink, inbox: Inbox, deadline: float | None) -> None:
        """Wait until the inbox has something; a server that is silent for long is asked whether it is there."""
        attention = Attention(inbox)
        try:
            await link.run(attention, _earlier(monotonic() + _SILENCE, deadline))
        except exceptions.QueryTimeoutError:
            _check_deadline(deadline)
            try:
                await link.run(Commands(()), monotonic() + _ANSWER)
            except exceptions.Error:
                link.close()
                inbox.is_over = True
        except exceptions.ConnectionClosedError:
            inbox.is_over = True
        finally:
            inbox.waiting.discard(attention)

    # Connecting

    async def _open(self, deadline: float | None, replaced: AsyncLink | None = None) -> None:
        """Connect and LISTEN; `replaced` is the lost connection, which may have been shut down meanwhile."""
        link = await self._pool.open_link(deadline)
        try:
            inbox = Inbox(link.session)
            told: set[str] = set()
            while not self._install(link, inbox, told, replaced):
                with self._lock:
                    commands = listen(self._channels.keys() - told) + unlisten(told - self._channels.keys())
                    told = set(self._channels)
                if self._link is not replaced:
                    link.close()
                    return
                await link.run(Commands(commands, exceptions.ListenerStartError), deadline)
        except BaseException:
            link.close()
            raise

    def _install(self, link: AsyncLink, inbox: Inbox, told: set[str], replaced: AsyncLink | None) -> bool:
        """Take a connection into use if the server was told of all channels, those that were added meanwhile too."""
        with self._lock:
            if told != self._channels.keys() or self._link is not replaced:
                return False
            earlier = self._connection
            if self._inbox is not None:
                inbox.arrived.extendleft(reversed(self._inbox.arrived))
            self._link, self._inbox = link, inbox
            self._connection = KeptConnection(self._pool, link)
        if earlier is not None:
            earlier.let_go()
        return True

    async def _restore(self, consumer: object, lost: AsyncLink, deadline: float | None) -> None:
        """Connect again, after pauses that grow."""
        lost.close()
        _log.warning("listener's connection is lost and will be made again: %s", lost.session.closed_error())
        began = monotonic()
        pause = _FIRST_PAUSE
        while True:
            _check_deadline(deadline)
            try:
                await self._open(_earlier(monotonic() + _ATTEMPT, deadline), lost)
                break
            except Exception as error:
                _check_deadline(deadline)
                patience = self._reconnect_timeout
                if patience is not None and monotonic() - began + pause > patience:
                    raise exceptions.ListenerClosedError(
                        f"listener can't connect again, tried for {patience:.3g} s: {error}"
                    ) from error
                _log.warning("listener can't connect again yet: %s", error)
            self._pause = AsyncWake()
            if self._consumer is not consumer:
                return
            await self._pause.wait(_earlier(monotonic() + pause * (0.5 + random() / 2), deadline))
            if self._consumer is not consumer:
                return
            pause = min(2 * pause, _LONGEST_PAUSE)
        if self._link is not lost and self._link is not None:
            await self._announce()

    async def _announce(self) -> None:
        _log.warning("listener is connected again: notifications that were sent meanwhile are missing")
        if self._on_reconnect is not None:
            try:
                await async_invoke(self._on_reconnect, "on_reconnect", None, self)
            except Exception as error:
                _log.exception("on_reconnect failed")
                await self._report(error, None)

    def _wake(self, link: AsyncLink, inbox: Inbox) -> None:
        pause = self._pause
        if pause is not None:
            pause.set()
        async_wake(link, inbox)


class Messages:
    """An iteration over a listener's notifications that ends after a silence."""

    __slots__ = ("_listener", "_timeout")

    def __init__(self, listener: Listener, timeout: float | None) -> None:
        self._listener = listener
        self._timeout = timeout

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> ListenerNotificationMsg:
        deadline = deadline_after(self._timeout)
        try:
            message = await self._listener._take(deadline)
        except exceptions.QueryTimeoutError:
            if deadline is None or monotonic() < deadline:
                raise
            message = None
        if message is None:
            raise StopAsyncIteration
        return message


async def _nothing() -> None:
    """It listens already."""


def _earlier(moment: float, deadline: float | None) -> float:
    return moment if deadline is None else min(moment, deadline)


def _check_deadline(deadline: float | None) -> None:
    if deadline is not None and monotonic() >= deadline:
        error = exceptions.QueryTimeoutError("timeout: no notification came in time")
        error.safe_to_retry = True
        raise error
