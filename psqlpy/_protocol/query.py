"""Query: one statement with parameters, under a name that the session's cache keeps.

First use: Parse and Describe, then Bind and Execute; afterwards Bind and Execute alone. A statement whose plan the server
has dropped is prepared again and retried once, where that can't be seen. Unprepared statements are in unprepared.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._pq.enums import ExecStatus, TransactionStatus
from psqlpy._protocol.failures import Fields, check_pipelined, failed, is_stale
from psqlpy._protocol.request import Request
from psqlpy._protocol.state import State
from psqlpy._protocol.statements import Statement

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

COMMAND_OK = int(ExecStatus.COMMAND_OK)
TUPLES_OK = int(ExecStatus.TUPLES_OK)
FATAL_ERROR = int(ExecStatus.FATAL_ERROR)
PIPELINE_ABORTED = int(ExecStatus.PIPELINE_ABORTED)

QUERY_CANCELED = "57014"


class Query(Request):
    """One execution of a statement; `before` are commands that travel under the same Sync (BEGIN)."""

    # From the session's cache, when it is this request's turn.
    statement: Statement | None = None
    executing = False
    plan: Any = None
    result: PGresult | None = None
    retried = False
    # How many results of `before` are still to come.
    skip = 0

    def __init__(
        self,
        text: str,
        parameters: Sequence[object],
        family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
        before: tuple[bytes, ...] = (),
    ) -> None:
        self.text = text
        self.parameters = parameters
        self.family = family
        if before:
            self.before = before

    def write(self, session: Session) -> None:
        if self.failure is not None:
            self._renew(session, self.failure)
        statement = self.statement or self._find_statement(session)
        if statement.state != "ready":
            self._write_prepare(session, statement)
            return
        encoder = statement.parameter_plan
        packed = encoder.encode(self.parameters)
        self.plan = statement.result_plan
        self.executing = self.written = True
        traits = statement.traits
        if traits.leaves_state and traits.transaction_control is None:
            session.leaves_state = True
        if traits.may_control_transaction:
            # Until its Sync is read nobody knows whether a transaction is open.
            self.holds_followers = True
        pgconn = session.pgconn
        if self.before:
            sent = self._send_before(session)
            sent = sent and pgconn.send_execute(statement.name, encoder.count, packed, self.plan.format)
            session.fly(self, pgconn.end_flight() if sent else -1)
        else:
            session.fly(self, pgconn.execute_flight(statement.name, encoder.count, packed, self.plan.format))

    def _find_statement(self, session: Session) -> Statement:
        statement = self.statement
        if statement is None:
            statement = self.statement = session.statements.get(self.text)
            if statement.state != "ready":
                check_pipelined(self.text, statement.traits)
        return statement

    def _write_prepare(self, session: Session, statement: Statement) -> None:
        self.executing = False
        self.holds_followers = True
        pgconn = session.pgconn
        query = statement.text.encode()
        sent = self._send_before(session) and pgconn.send_prepare(statement.name, query)
        session.fly(self, pgconn.end_flight() if sent else -1)

    def _send_before(self, session: Session) -> bool:
        """Write the commands that travel in front, with the first flight and no other.

        A failing BEGIN then skips the statement, and a failing statement, also one that can't be parsed, aborts the
        transaction, as it would if they had come one by one.
        """
        before, self.before = self.before, ()
        if before:
            self.written = self.holds_followers = True
            self.skip = len(before)
        return all(session.pgconn.send_unnamed(command, (), b"", 0) for command in before)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status == PIPELINE_ABORTED:
            pass
        elif self.skip:
            self.skip -= 1
        else:
            # Of a prepare flight Describe's answer comes second and stays.
            self.result = result

    def land(self, session: Session) -> bool:
        if self.failure is not None:
            return self._land_failed(session, self.failure)
        assert self.statement is not None
        if self.executing:
            if self.statement.traits.drops_prepared:
                session.statements.clear()
            return True
        described, self.result = self.result, None
        assert described is not None
        _describe(session, self.statement, described)
        return False

    def _land_failed(self, session: Session, failure: Fields) -> bool:
        statement = self.statement
        assert statement is not None
        stale = is_stale(failure, statement)
        if stale or not self.executing:
            # 26000: the server hasn't got it, so there is nothing to close.
            known = self.executing and failure.get("sqlstate") != "26000"
            session.statements.invalidate(statement, still_on_server=known)
        # A cancel request that was meant for a neighbour has hit this one.
        stray = failure.get("sqlstate") == QUERY_CANCELED and session.state is State.DRAINING
        if self.skip:
            self.fail(failed(failure, exceptions.TransactionBeginError))
            return True
        if (
            not (stale or stray)
            or self.retried
            or self.abandoned
            or not statement.traits.can_retry_after_heal
        ):
            self.fail(failed(failure, self.family, self.text, stale=stale))
            return True
        self.retried = True
        if stray:
            session.retry_when_quiet(self)
            return False
        if session.flights:
            if statement.traits.leaves_state:
                # It would be executed behind statements that were submitted after it.
                self.fail(failed(failure, self.family, self.text, stale=True))
                return True
            # Only when these have landed is it known whether a transaction is open.
            session.retry_when_quiet(self)
        return False

    def _renew(self, session: Session, failure: Fields) -> None:
        """Prepare anew a statement whose plan was dropped, unless that has aborted a transaction."""
        if session.transaction_status is not TransactionStatus.IDLE:
            stale = failure.get("sqlstate") != QUERY_CANCELED
            raise failed(failure, self.family, self.text, stale=stale)
        self.failure = None
        self.result = None
        self.statement = None


def _describe(session: Session, statement: Statement, described: PGresult) -> None:
    """Take the server's description of a statement that it has parsed: from now on it can be executed."""
    statement.parameter_oids = described.parameter_oids()
    statement.columns = described.columns()
    statement.parameter_plan = session.registry.parameter_plan(statement.parameter_oids)
    statement.result_plan = session.registry.result_plan(statement.columns)
    statement.state = "ready"
    session.close_evicted()
