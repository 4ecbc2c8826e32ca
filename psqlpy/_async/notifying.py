"""Notifying: NOTIFY and LISTEN from a pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psqlpy._async.listener import Listener
    from psqlpy._notification import ListenerNotificationMsg


class Notifying:
    """What a pool has for notifications."""

    __slots__ = ()

    def listener(
        self: Any,  # the pool
        *,
        on_error: Callable[[Exception, ListenerNotificationMsg | None], Any] | None = None,
        on_reconnect: Callable[[Listener], Any] | None = None,
        reconnect_timeout: float | None = None,
    ) -> Listener:
        """Make a listener with a connection of its own, outside the pool; it connects at `startup()`, or as a block.

        `on_error(error, message)` is called when a callback fails, and with None for the message when the listener
        gives up. `on_reconnect(listener)` is called after a broken connection was made again: notifications that were
        sent meanwhile are missing. `reconnect_timeout`: for how many seconds it tries that; None, for ever.
        """
        from psqlpy._async.listener import Listener

        return Listener(self, on_error, on_reconnect, reconnect_timeout)

    async def notify(
        self: Any,  # the pool
        channel: str,
        payload: str = "",
        *,
        timeout: float | None = None,
    ) -> None:
        """Send a notification to all who listen to a channel; its name means exactly what it says.

        A payload has at most 7,999 bytes (PostgreSQL manual, "NOTIFY"). For one that is sent when a transaction commits
        execute `SELECT pg_notify($1, $2)` in that transaction.
        """
        from psqlpy._protocol.notifications import check_channel

        await self.execute(
            "SELECT pg_catalog.pg_notify($1, $2)", [check_channel(channel), payload], timeout=timeout
        )
