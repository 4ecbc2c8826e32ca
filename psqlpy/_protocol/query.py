"""Query: one statement with parameters, under a name that the session's cache keeps.

First use: Parse and Describe, then Bind and Execute; afterwards Bind and Execute alone. A statement whose plan the
server has dropped is prepared again and retried once, where that can't be seen; so is one whose parameters have got
other types since it was prepared, which is looked into when some don't fit. Unprepared statements: unprepared.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._codecs.gathered import WORTH_GATHERING, Gathered
from psqlpy._pq.enums import ExecStatus, TransactionStatus
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.failures import (
    DESCRIBABLE_PARAMETERS,
    Fields,
    check_pipelined,
    failed,
    is_stale,
    is_wide,
    may_be_outdated,
    out_of_step,
)
from psqlpy._protocol.request import Request
from psqlpy._protocol.state import State
from psqlpy._protocol.statements import Statement
from psqlpy._protocol.type_lookup import can_look_up, look_up, settle, unknown_types

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

COMMAND_OK = int(ExecStatus.COMMAND_OK)
TUPLES_OK = int(ExecStatus.TUPLES_OK)
TUPLES_CHUNK = int(ExecStatus.TUPLES_CHUNK)
BAD_RESPONSE = int(ExecStatus.BAD_RESPONSE)
FATAL_ERROR = int(ExecStatus.FATAL_ERROR)
PIPELINE_ABORTED = int(ExecStatus.PIPELINE_ABORTED)

QUERY_CANCELED = "57014"


class Query(Request):
    """One execution of a statement; `before` are commands that travel under the same Sync (BEGIN)."""

    # From the session's cache, when it is this request's turn.
    statement: Statement | None = None
    executing = False
    plan: Any = None
    # A PGresult, or what stands for one.
    result: Any = None
    retried = False
    # Described for this very execution: nothing about it can be outdated.
    described = False
    # Types that it was described with were looked up.
    looked_up = False
    # Why the parameters don't fit, while the server is asked whether their types are the same as ever.
    refusal: Exception | None = None
    # How many results of `before` are still to come.
    skip = 0
    # How many others have come.
    heard = 0
    # The rows of a long answer, decoded as they came.
    gathered: Gathered | None = None

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
        if self.statement is not None:
            self._write_again(session)
            return
        statement = self.statement = session.statements.get(self.text)
        if not statement.everyday or self.before:
            self._write_carefully(session, statement)
            return
        encoder = statement.parameter_plan
        try:
            packed = encoder.encode(self.parameters)
        except Exception as error:
            self._write_refused(session, statement, error)
            return
        plan = self.plan = statement.result_plan
        self.executing = self.written = self.everyday = True
        self.gathers = statement.gathers
        if statement.traits.leaves_state:
            session.leaves_state = True
        flushed = session.pgconn.execute_flight(
            statement.name, encoder.count, packed, len(packed), plan.format
        )
        session.fly(self, flushed)

    def _write_again(self, session: Session) -> None:
        self.everyday = False
        if self.failure is not None:
            self._renew(session, self.failure)
        statement = self.statement = self.statement or self._take_statement(session)
        if self.refusal is not None:
            self._write_question(session, statement)
        else:
            self._write_carefully(session, statement)

    def _write_carefully(self, session: Session, statement: Statement) -> None:
        """Write a statement that has to be prepared, has something in front, or something about which to be careful."""
        if statement.state != "ready":
            self._write_prepare(session, statement)
            return
        encoder = statement.parameter_plan
        try:
            packed = encoder.encode(self.parameters)
        except Exception as error:
            self._write_refused(session, statement, error)
            return
        plan = self.plan = statement.result_plan
        self.executing = self.written = True
        traits = statement.traits
        if traits.leaves_state:
            session.leaves_state = True
        if traits.unsettles_session:
            self.holds_followers = session.in_doubt = True
        pgconn = session.pgconn
        name, count, format = statement.name, encoder.count, plan.format
        if self.before:
            sent = self._send_before(session) and pgconn.send_execute(name, count, packed, format)
            session.fly(self, pgconn.end_flight() if sent else -1)
        else:
            self.gathers = statement.gathers
            session.fly(self, pgconn.execute_flight(name, count, packed, len(packed), format))

    def _take_statement(self, session: Session) -> Statement:
        return session.statements.get(self.text)

    def _write_refused(self, session: Session, statement: Statement, error: Exception) -> None:
        """Find out whether parameters don't fit because their types have changed."""
        if not self.described:
            self.refusal = error
            self._write_question(session, statement)
            return
        # The types are the server's; but the attributes of composite types may be other ones by now.
        if self.looked_up or not session.registry.forget_composites(statement.parameter_oids):
            raise error
        session.statements.invalidate(statement)
        self.statement = self._take_statement(session)
        self._write_prepare(session, self.statement)

    def _write_prepare(self, session: Session, statement: Statement) -> None:
        self._check_text(statement)
        self.executing = False
        self.heard = 0
        self.holds_followers = True
        pgconn = session.pgconn
        query = statement.text.encode()
        sent = self._send_before(session) and pgconn.send_prepare(statement.name, query)
        session.fly(self, pgconn.end_flight() if sent else -1)

    def _check_text(self, statement: Statement) -> None:
        check_pipelined(self.text, statement.traits, self.family)
        if is_wide(self.text):
            raise exceptions.ParameterValueError(
                f"the statement takes more than {DESCRIBABLE_PARAMETERS} parameters: give a value for each of them, in "
                "execute and not in execute_many"
            )

    def _write_question(self, session: Session, statement: Statement) -> None:
        """Have the text parsed once more, as the unnamed statement: would its parameters be of other types now?"""
        self.executing = False
        self.heard = 0
        self.holds_followers = True
        pgconn = session.pgconn
        sent = self._send_before(session) and pgconn.send_prepare(b"", statement.text.encode())
        session.fly(self, pgconn.end_flight() if sent else -1)

    def _land_question(self, session: Session, statement: Statement) -> bool:
        refusal, self.refusal = self.refusal, None
        assert refusal is not None
        answer, self.result = self.result, None
        if self.failure is not None or answer is None:
            self.fail(refusal)
            return True
        types = answer.parameter_oids()
        # Composite types may have other attributes under the same oid.
        if types == statement.parameter_oids and not session.registry.forget_composites(types):
            self.fail(refusal)
            return True
        session.statements.invalidate(statement)
        self.statement = None
        return False

    def _send_before(self, session: Session) -> bool:
        """Write the commands that travel in front, with the first flight and no other.

        A failing BEGIN then skips the statement, and a failing statement, also one that can't be parsed, aborts the
        transaction, as it would if they had come one by one.
        """
        before, self.before = self.before, ()
        if before:
            self.written = self.holds_followers = True
            self.skip = len(before)
        return not before or session.pgconn.send_commands(before)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status == PIPELINE_ABORTED:
            pass
        elif self.skip:
            self.skip -= 1
        elif status == TUPLES_CHUNK:
            if not self.abandoned and self.failure is None:
                if self.gathered is None:
                    # There is more to it than what comes with its Sync.
                    self.everyday = False
                    self.gathered = Gathered(self.plan)
                self.gathered.add(result)
        else:
            # Of a prepare flight Describe's answer comes second and stays.
            self.result = result
            self.heard += 1
            # What comes now isn't all there is to it.
            self.everyday = False

    def take(self, session: Session, rows: PGresult) -> bool:
        if not self.everyday:
            return super().take(session, rows)
        self.result = rows
        if self.gathers is not (rows.row_count >= WORTH_GATHERING):
            self._expect(rows)
        return True

    def _expect(self, rows: PGresult) -> None:
        """Next time look, or don't, whether the answer is long."""
        assert self.statement is not None
        self.statement.gathers = self.plan.is_atomic and rows.row_count >= WORTH_GATHERING

    def land(self, session: Session) -> bool:
        statement = self.statement
        assert statement is not None
        heard, self.heard = self.heard, 0
        if self.failure is None and not self._is_answered(heard):
            return out_of_step(session, self)
        if self.executing and self.failure is None:
            if self.gathered is not None:
                self._end_gathering(statement, self.gathered)
            if statement.traits.drops_prepared:
                session.statements.clear()
            return not self.plan.unsettled or self._settle(session, statement)
        if self.refusal is not None and not self.skip:
            return self._land_question(session, statement)
        if self.failure is not None:
            return self._land_failed(session, self.failure)
        described, self.result = self.result, None
        assert described is not None
        self.described = True
        unknown = self._unknown(session, described)
        if unknown and not self.looked_up:
            return self._look_up(session, described, unknown)
        describe(session, statement, described)
        return False

    def _is_answered(self, heard: int) -> bool:
        """Whether so many results are all that belongs to the flight that has landed."""
        return not self.skip and heard == (1 if self.executing else 2)

    def _unknown(self, session: Session, described: PGresult) -> list[int]:
        """The types to ask about before it is executed."""
        return unknown_types(session, described)

    def _end_gathering(self, statement: Statement, gathered: Gathered) -> None:
        self.gathered = None
        if self.result is not None:
            statement.gathers = gathered.row_count >= WORTH_GATHERING
            self.result = gathered.ended(self.result)
            self.plan = gathered.plan

    def _settle(self, session: Session, statement: Statement) -> bool:
        """Find out how to read a result that depends on settings, or names types itself."""
        if self.plan.has_dates:
            self.plan = in_style(session, self.plan, statement.columns)
        if not self.plan.self_described or self.result is None:
            return True

        def learn() -> None:
            self.plan = statement.result_plan = session.registry.result_plan(
                statement.columns, self.plan.format
            )

        return settle(session, self, [(self.plan, self.result)], learn)

    def _look_up(self, session: Session, described: PGresult, unknown: list[int]) -> bool:
        """Ask about types before the statement is executed; until then nobody else sees it."""
        statement = self.statement
        assert statement is not None
        if not can_look_up(session, self):
            statement.state = "ready"
            session.statements.invalidate(statement)
            self.statement = None
            return False

        def learn(complete: bool) -> None:
            self.looked_up = True
            if not statement.name:
                # The question has taken its place on the server: it is prepared once more.
                statement.state = "new"
                return
            describe(session, statement, described)
            if not complete:
                # Executed with what is known, and asked about again the next time.
                session.statements.invalidate(statement)

        statement.state = "preparing"
        return look_up(session, self, unknown, learn)

    def _land_failed(self, session: Session, failure: Fields) -> bool:
        statement = self.statement
        assert statement is not None
        stale = is_stale(failure, statement)
        outdated = self.executing and not self.described and may_be_outdated(failure)
        if stale or statement.state != "ready":
            # 26000: the server hasn't got it, so there is nothing to close.
            known = self.executing and failure.get("sqlstate") != "26000"
            session.statements.invalidate(statement, still_on_server=known)
        # A cancel request that was meant for a neighbour has hit this one.
        stray = failure.get("sqlstate") == QUERY_CANCELED and session.state is State.DRAINING
        if self.skip:
            self.fail(failed(failure, exceptions.TransactionBeginError))
            return True
        if (
            not (stale or stray or outdated)
            or self.retried
            or self.abandoned
            or not statement.traits.can_retry_after_heal
        ):
            if outdated and not self.retried:
                session.statements.invalidate(statement)
            self.fail(failed(failure, self.family, self.text, stale=stale))
            return True
        self.retried = True
        if stray:
            session.retry_when_quiet(self)
            return False
        if session.flights:
            if not statement.traits.only_reads:
                # It would be executed behind statements that were submitted after it.
                if outdated:
                    session.statements.invalidate(statement)
                self.fail(failed(failure, self.family, self.text, stale=stale))
                return True
            # Only when these have landed is it known whether a transaction is open.
            session.retry_when_quiet(self)
        return False

    def _renew(self, session: Session, failure: Fields) -> None:
        """Prepare anew a statement whose plan was dropped, unless that has aborted a transaction."""
        outdated = may_be_outdated(failure)
        if session.transaction_status is not TransactionStatus.IDLE:
            if outdated and self.statement is not None:
                # The transaction can't ask the server any more.
                session.statements.invalidate(self.statement)
            stale = failure.get("sqlstate") != QUERY_CANCELED
            raise failed(failure, self.family, self.text, stale=stale)
        self.failure = None
        self.result = self.gathered = None
        if outdated:
            self.refusal = failed(failure, self.family, self.text)
        else:
            self.statement = None


def describe(session: Session, statement: Statement, described: PGresult) -> None:
    """Take the server's description of a statement that it has parsed: from now on it can be executed."""
    statement.parameter_oids = described.parameter_oids()
    statement.columns = described.columns()
    statement.table_oids = described.table_oids()
    statement.parameter_plan = session.registry.parameter_plan(statement.parameter_oids)
    statement.result_plan = session.registry.result_plan(statement.columns)
    statement.state = "ready"
    statement.everyday = not (statement.traits.unsettles_session or statement.result_plan.unsettled)
    statement.gathers = statement.everyday and statement.result_plan.is_atomic
    session.close_evicted()
