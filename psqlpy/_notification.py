"""ListenerNotificationMsg: one notification, as a listener hands it out."""

from __future__ import annotations

from typing import Any

from psqlpy._naming import public


@public
class ListenerNotificationMsg:
    """One notification: `channel`, `payload` (empty if it has none), `process_id` of the backend that sent it.

    `connection` is the listener's own connection.
    """

    __slots__ = ("channel", "connection", "payload", "process_id")

    def __init__(self, channel: str, payload: str, process_id: int, connection: Any) -> None:
        self.channel: str = channel
        self.payload: str = payload
        self.process_id: int = process_id
        self.connection: Any = connection

    def __repr__(self) -> str:
        return f"<ListenerNotificationMsg {self.channel!r}: {self.payload!r} from {self.process_id}>"
