"""Commands: fixed statements without parameters that travel together under one Sync: BEGIN, COMMIT, a reset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.failures import Fields, failed, out_of_step
from psqlpy._protocol.query import FATAL_ERROR, PIPELINE_ABORTED
from psqlpy._protocol.request import Request
from psqlpy._protocol.statements import Statement

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session


class Commands(Request):
    """Unnamed statements in one flight; the first failure skips the rest and is the error."""

    def __init__(
        self,
        commands: Sequence[bytes],
        family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
        *,
        holds_followers: bool = True,
    ) -> None:
        self.commands = commands
        self.family = family
        # Whatever ends or begins a transaction lets nothing be written behind it before its outcome is known.
        self.holds_followers = holds_followers
        self.failure: Fields | None = None
        self._results: list[PGresult] = []

    @property
    def tags(self) -> list[str]:
        """Of those that succeeded."""
        return [result.command_tag for result in self._results]

    def write(self, session: Session) -> None:
        self.written = True
        pgconn = session.pgconn
        session.fly(self, pgconn.end_flight() if pgconn.send_commands(self.commands) else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status != PIPELINE_ABORTED:
            self._results.append(result)

    def land(self, session: Session) -> bool:
        if self.failure is not None:
            self.fail(failed(self.failure, self.family))
        elif not self.silent and len(self._results) != len(self.commands):
            return out_of_step(session, self)
        return True


class AskTransaction(Commands):
    """Nothing but a Sync. `status`: whether a transaction is open between the requests before and behind it."""

    def __init__(self) -> None:
        super().__init__(())
        self.status = TransactionStatus.UNKNOWN

    def land(self, session: Session) -> bool:
        # Now, while the followers are held: with another flight out the answer would be ACTIVE.
        self.status = session.transaction_status
        return super().land(session)


def unsent_begin(request: Request) -> list[Commands]:
    """What was to travel in front of a request that will not be sent: others, behind it, count on a transaction."""
    if not request.before or request.written:
        return []
    begin = Commands(request.before)
    begin.silent = True
    return [begin]


class CloseStatement(Commands):
    """Close a prepared statement that left the cache. Nobody waits for it."""

    def __init__(self, statement: Statement) -> None:
        super().__init__((b'DEALLOCATE "%b"' % statement.name,), holds_followers=False)
        self.statement = statement

    def write(self, session: Session) -> None:
        pgconn = session.pgconn
        if pgconn.send_close_prepared(self.statement.name):
            session.fly(self, pgconn.end_flight())
        else:
            # libpq before 17 can't send Close.
            super().write(session)

    def land(self, session: Session) -> bool:
        if self.failure is not None and self.failure.get("sqlstate") != "26000":
            # In an aborted transaction; that one had begun wasn't known when this was written.
            session.statements.close_later(self.statement)
        return super().land(session)
