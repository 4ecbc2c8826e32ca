"""What is said to a connection that comes back to its pool, so that its next user finds nothing of the one before.

Written at release; nobody waits for the answer. If any of it fails the connection is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.request import Request

if TYPE_CHECKING:
    from psqlpy._protocol.session import Session

_IDLE = TransactionStatus.IDLE
# DISCARD ALL (manual, "DISCARD") without what would cost the next user its prepared statements. RESET ROLE comes back
# to the role that the connection started with, which SET SESSION AUTHORIZATION DEFAULT forgets.
FORGET = (
    b"CLOSE ALL",
    b"UNLISTEN *",
    b"SELECT pg_catalog.pg_advisory_unlock_all()",
    b"SET SESSION AUTHORIZATION DEFAULT",
    b"RESET ROLE",
    b"RESET ALL",
    b"DISCARD TEMP",
    b"DISCARD SEQUENCES",
)
# A statement of its own: it can't run in a transaction block, and several under one Sync are one.
_FORGET_ALL = (b"DISCARD ALL",)


class Reset(Commands):
    """Commands whose failure means that the connection can't be trusted."""

    def __init__(self, commands: tuple[bytes, ...]) -> None:
        super().__init__(commands, holds_followers=False)

    def write(self, session: Session) -> None:
        if not session.flights:
            session.pgconn.drop_successes()
        super().write(session)

    def land(self, session: Session) -> bool:
        super().land(session)
        if self.error is not None:
            session.lost(f"it could not be reset: {self.error}")
        return True


class RollBack(Reset):
    """Ends the transaction that there may be. The server warns where there is none, of which no user is to hear."""

    def __init__(self) -> None:
        super().__init__((b"ROLLBACK",))

    def write(self, session: Session) -> None:
        session.pgconn.notice_box.rolling_back += 1
        super().write(session)

    def land(self, session: Session) -> bool:
        session.pgconn.notice_box.rolling_back -= 1
        return super().land(session)


def reset_requests(session: Session, *, everything: bool) -> list[Request]:
    """The requests, each with a Sync of its own, that bring a settled session back to its beginning.

    With `everything` prepared statements go too. Nothing for a session in which nothing can have been left.
    """
    requests: list[Request] = []
    if session.transaction_status is not _IDLE:
        # Under one Sync with a statement that fails the reset would be undone.
        requests.append(RollBack())
    if everything:
        _forget_statements(session)
        requests.append(Reset(_FORGET_ALL))
    elif session.leaves_state:
        requests.append(Reset(FORGET))
        if session.statements.has_others:
            # One by one they can't be named, so ours go with them.
            _forget_statements(session)
            requests.append(Reset((b"DEALLOCATE ALL",)))
    session.leaves_state = False
    return requests


def _forget_statements(session: Session) -> None:
    session.statements.clear()
    session.statements.has_others = False
