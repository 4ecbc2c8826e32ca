"""Listener: notifications, by callbacks or by iteration. How they are received is in reception.py."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from psqlpy import exceptions
from psqlpy._async.executor import check_timeout, deadline_after
from psqlpy._async.kept import KeptConnection
from psqlpy._async.reception import Callback, Reception
from psqlpy._io.listening import async_check_callback, async_failure, async_in_background
from psqlpy._io.logs import logger
from psqlpy._io.primitives import monotonic
from psqlpy._naming import public
from psqlpy._notification import ListenerNotificationMsg
from psqlpy._protocol.notifications import check_channel, listen, unlisten

_LOG = "psqlpy.listener"

_START_ERROR = "Listener start error: "


@public
class Listener(Reception):
    """Notifications of any number of channels, in the order in which the server sent them.

    Either `listen()` calls the channels' callbacks, one at a time, or the listener is iterated over; both wait without
    end, and neither loses a notification when it is stopped: what has arrived waits for whoever comes next. A
    connection that breaks is made again, as often as need be, after pauses that grow; then `on_reconnect` is called,
    since what was sent meanwhile is missing.
    """

    __slots__ = ()

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
                logger(_LOG).error("listener has stopped: %s", error)
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
                except BaseException as error:
                    failure = async_failure(error)
                    if failure is None:
                        raise
                    logger(_LOG).exception("callback of channel %r failed", message.channel)
                    await self._report(failure, message)

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
