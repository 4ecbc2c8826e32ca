"""Reception: a listener's connection, which is made again when it breaks, and the one who takes what arrives on it.

What is said to the server, and the inbox in which notifications wait, is in psqlpy._protocol.notifications.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._async.executor import check_timeout, deadline_after
from psqlpy._async.kept import KeptConnection
from psqlpy._checks import configuration_error
from psqlpy._io.blocks import Unique
from psqlpy._io.invoke import async_invoke
from psqlpy._io.links import AsyncLink
from psqlpy._io.listening import async_wake
from psqlpy._io.logs import logger
from psqlpy._io.primitives import AsyncWake, Lock, monotonic
from psqlpy._notification import ListenerNotificationMsg
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.notifications import Attention, Inbox, listen, unlisten

if TYPE_CHECKING:
    from psqlpy._async.pool import ConnectionPool

_LOG = "psqlpy.listener"

# Between two attempts to connect again: the first pause, and the longest of those that follow. Seconds.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
# How long one attempt may take. Seconds.
_ATTEMPT = 30.0
# After so long a silence the server is asked whether it is there, and has so long to answer. Seconds.
_SILENCE = 60.0
_ANSWER = 10.0

Callback = Callable[..., Any]


class Reception(Unique):
    """What a listener stands on: every method is its own."""

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
        on_reconnect: Callable[[Any], Any] | None = None,
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

    # Telling the server, and the user

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

    async def _report(self, error: Exception, message: ListenerNotificationMsg | None) -> None:
        if self._on_error is None:
            return
        try:
            await async_invoke(self._on_error, "on_error", None, error, message)
        except Exception:
            logger(_LOG).exception("on_error failed")

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

    async def _open(self, deadline: float | None, replaced: AsyncLink | None = None) -> bool:
        """Connect and LISTEN; `replaced` is the lost connection. False if the listener was shut down meanwhile."""
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
                    return False
                await link.run(Commands(commands, exceptions.ListenerStartError), deadline)
        except BaseException:
            link.close()
            raise
        return True

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
        logger(_LOG).warning(
            "listener's connection is lost and will be made again: %s", lost.session.closed_error()
        )
        began = monotonic()
        pause = _FIRST_PAUSE
        while True:
            _check_deadline(deadline)
            try:
                if await self._open(_earlier(monotonic() + _ATTEMPT, deadline), lost):
                    await self._announce()
                return
            except Exception as error:
                _check_deadline(deadline)
                patience = self._reconnect_timeout
                if patience is not None and monotonic() - began + pause > patience:
                    raise exceptions.ListenerClosedError(
                        f"listener can't connect again, tried for {patience:.3g} s: {error}"
                    ) from error
                logger(_LOG).warning("listener can't connect again yet: %s", error)
            self._pause = AsyncWake()
            if self._consumer is not consumer:
                return
            await self._pause.wait(_earlier(monotonic() + pause * (0.5 + random() / 2), deadline))
            if self._consumer is not consumer:
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _announce(self) -> None:
        logger(_LOG).warning(
            "listener is connected again: notifications that were sent meanwhile are missing"
        )
        if self._on_reconnect is not None:
            try:
                await async_invoke(self._on_reconnect, "on_reconnect", None, self)
            except Exception as error:
                logger(_LOG).exception("on_reconnect failed")
                await self._report(error, None)

    def _wake(self, link: AsyncLink, inbox: Inbox) -> None:
        pause = self._pause
        if pause is not None:
            pause.set()
        async_wake(link, inbox)


def _earlier(moment: float, deadline: float | None) -> float:
    return moment if deadline is None else min(moment, deadline)


def _check_deadline(deadline: float | None) -> None:
    if deadline is not None and monotonic() >= deadline:
        error = exceptions.QueryTimeoutError("timeout: no notification came in time")
        error.safe_to_retry = True
        raise error
