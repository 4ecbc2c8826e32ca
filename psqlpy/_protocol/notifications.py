"""Notifications of one session, from the pump that reads them to whoever waits for them (manual, "NOTIFY").

`Inbox` collects them, in order; an `Attention` is a request for which nothing is written: it ends when there is
something in the inbox, or when the session is closed. So whoever waits for it reads, as for any other request, and
leaving it costs the connection nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from psqlpy._protocol.request import Request
from psqlpy._protocol.transaction import check_name, quote_identifier

if TYPE_CHECKING:
    from psqlpy._protocol.session import Notification, Session


class Inbox:
    """What has arrived and wasn't taken. Its session calls `take_in`, under whatever lock guards that."""

    __slots__ = ("arrived", "is_over", "waiting")

    def __init__(self, session: Session, arrived: Iterable[Notification] = ()) -> None:
        self.arrived: deque[Notification] = deque(arrived)
        # The session was closed: nothing will arrive any more.
        self.is_over = session.is_closed
        self.waiting: set[Attention] = set()
        session.on_notification = self.take_in

    def take_in(self, notification: Notification | None) -> None:
        """One more; None: it was the last, as the connection is closed."""
        if notification is None:
            self.is_over = True
        else:
            self.arrived.append(notification)
        self.wake()

    def wake(self) -> None:
        """Let those who wait look around."""
        waiting, self.waiting = self.waiting, set()
        for attention in waiting:
            attention.finish()


class Attention(Request):
    """Ends when the inbox has something, or never will."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    def write(self, session: Session) -> None:
        if self.inbox.arrived or self.inbox.is_over:
            self.finish()
        else:
            self.inbox.waiting.add(self)


def check_channel(channel: object) -> str:
    """A channel's name as NOTIFY can have it; ParameterTypeError, ParameterValueError."""
    return check_name(channel, "a channel")


def listen(channels: Iterable[str]) -> tuple[bytes, ...]:
    """The commands that subscribe to channels, whose names mean exactly what they say."""
    return tuple(b"LISTEN " + quote_identifier(channel) for channel in channels)


def unlisten(channels: Iterable[str]) -> tuple[bytes, ...]:
    """The commands that end that."""
    return tuple(b"UNLISTEN " + quote_identifier(channel) for channel in channels)
