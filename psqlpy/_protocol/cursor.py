"""Cursors: DECLARE, FETCH and CLOSE, as requests. A cursor is a portal with a name (manual, "DECLARE").

In a transaction the cursor is a part of it. Outside it is WITH HOLD: the server computes the whole result when it is
opened, and no transaction stays open that other statements on the connection would fall into. The statement itself is
prepared as any other, for its parameters' types; then it is declared, and its columns are asked for, in one flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.failures import failed, out_of_step
from psqlpy._protocol.query import FATAL_ERROR, PIPELINE_ABORTED, Query
from psqlpy._protocol.request import Request
from psqlpy._protocol.statements import Statement
from psqlpy._protocol.type_lookup import settle

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Columns
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

_DECLARABLE = ("SELECT", "TABLE", "VALUES", "WITH")
_NO_SUCH_CURSOR = "34000"
_ABORTED = "25P02"


class Opening(Query):
    """A statement that is prepared as a Query is, and then opened instead of executed: `_open` says how.

    Whether a transaction is open has to be known for that, so it is written when everything before it has landed.
    """

    def __init__(
        self,
        text: str,
        parameters: Sequence[object],
        family: type[exceptions.Error],
        before: tuple[bytes, ...],
        *,
        unnamed: bool,
    ) -> None:
        super().__init__(text, parameters, family, before)
        self.unnamed = unnamed

    def write(self, session: Session) -> None:
        self.holds_followers = True
        if session.flights:
            session.wait_until_quiet(self)
            return
        if self.failure is not None:
            self._renew(session, self.failure)
        statement = self.statement
        if statement is None:
            statement = self.statement = self._take_statement(session)
        self._check(session, statement)
        if self.refusal is not None:
            self._write_question(session, statement)
        elif statement.state != "ready":
            self._write_prepare(session, statement)
        else:
            try:
                packed = statement.parameter_plan.encode(self.parameters)
            except Exception as error:
                self._write_refused(session, statement, error)
            else:
                self._open(session, statement, packed)

    def _take_statement(self, session: Session) -> Statement:
        # An unnamed one is parsed each time, and kept nowhere.
        return Statement(self.text, b"") if self.unnamed else super()._take_statement(session)

    def _check(self, session: Session, statement: Statement) -> None:
        """Refuse what can't be opened. Called before the statement is prepared, and again when it is."""

    def _open(self, session: Session, statement: Statement, packed: bytes) -> None:
        raise NotImplementedError


class OpenCursor(Opening):
    """DECLARE. Afterwards `plan` and `columns` are those of its rows; `held`: whether it outlives transactions."""

    def __init__(
        self,
        name: bytes,
        text: str,
        parameters: Sequence[object],
        before: tuple[bytes, ...],
        *,
        scroll: bool | None,
        unnamed: bool,
    ) -> None:
        super().__init__(text, parameters, exceptions.CursorStartError, before, unnamed=unnamed)
        self.name = name
        self.scroll = scroll
        self.held = False
        self.columns: Columns = ()
        self._prefix = b""

    def _check(self, session: Session, statement: Statement) -> None:
        keyword = statement.traits.keyword
        # Not before the server has parsed it: what is wrong with the statement itself is the better answer.
        if keyword not in _DECLARABLE and (statement.state == "ready" or not keyword):
            raise exceptions.combine(exceptions.ProgrammingError, self.family)(
                f"a cursor can't be opened for {keyword or 'an empty statement'}: for anything but SELECT, VALUES, "
                "TABLE and WITH use execute"
            )

    def _open(self, session: Session, statement: Statement, packed: bytes) -> None:
        self.executing = self.written = True
        session.leaves_state = True
        self.held = not self.before and session.transaction_status is TransactionStatus.IDLE
        scroll = b"" if self.scroll is None else b" SCROLL" if self.scroll else b" NO SCROLL"
        hold = b" WITH HOLD" if self.held else b""
        self._prefix = b'DECLARE "%b"%b CURSOR%b FOR ' % (self.name, scroll, hold)
        pgconn = session.pgconn
        sent = (
            self._send_before(session)
            and pgconn.send_unnamed(
                self._prefix + statement.text.encode(), statement.parameter_oids, packed, 0
            )
            and pgconn.send_describe_portal(self.name)
        )
        session.fly(self, pgconn.end_flight() if sent else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        super().receive(session, status, result)
        if status == FATAL_ERROR and self.executing and self.failure is not None:
            # The server counts from the beginning of what it was sent.
            position = self.failure.get("position") or ""
            if position.isdecimal():
                shown = int(position) - len(self._prefix)
                self.failure["position"] = str(shown) if shown > 0 else None

    def land(self, session: Session) -> bool:
        if not self.executing or self.failure is not None or self.refusal is not None or self.result is None:
            return super().land(session)
        if self.heard != 2:
            return out_of_step(session, self)
        # What was declared decides: the table may have changed since the statement was prepared.
        columns = self.columns = self.result.columns()
        registry = session.registry

        def learn() -> None:
            self.plan = registry.result_plan(columns)

        return settle(session, self, (), learn, registry.unknown(column[1] for column in columns))


class Fetch(Request):
    """One FETCH; `result` and `plan` as in Query."""

    def __init__(self, command: bytes, columns: Columns, plan: Any) -> None:
        self.command = command
        self.columns = columns
        self.plan = plan
        self.result: PGresult | None = None

    def write(self, session: Session) -> None:
        self.written = True
        pgconn = session.pgconn
        sent = pgconn.send_unnamed(self.command, (), b"", self.plan.format)
        session.fly(self, pgconn.end_flight() if sent else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status != PIPELINE_ABORTED:
            self.result = result

    def land(self, session: Session) -> bool:
        if self.failure is not None:
            gone = self.failure.get("sqlstate") == _NO_SUCH_CURSOR
            self.fail(
                failed(self.failure, exceptions.CursorNotOpenError if gone else exceptions.CursorFetchError)
            )
            return True
        if self.result is None:
            return out_of_step(session, self)
        if self.plan.has_dates:
            self.plan = in_style(session, self.plan, self.columns)
        if not self.plan.self_described:
            return True

        def learn() -> None:
            self.plan = session.registry.result_plan(self.columns, self.plan.format)

        return settle(session, self, [(self.plan, self.result)], learn)


class CloseCursor(Request):
    """CLOSE, where there is something to close: otherwise it would fail, and abort the transaction that is open.

    A cursor goes with its transaction, with a savepoint, and with CLOSE ALL. One that can't be closed, since another
    transaction was aborted meanwhile, is left to the reset of the connection.
    """

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.asking = False
        self.there = False

    def write(self, session: Session) -> None:
        self.holds_followers = True
        self.written = True
        pgconn = session.pgconn
        status = None if session.flights else session.transaction_status
        self.asking = not self.there and status is not TransactionStatus.IDLE
        command = b"SELECT FROM pg_catalog.pg_cursors WHERE name = '%b'" if self.asking else b'CLOSE "%b"'
        sent = pgconn.send_unnamed(command % self.name, (), b"", 0)
        session.fly(self, pgconn.end_flight() if sent else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif self.asking and status != PIPELINE_ABORTED:
            self.there = result.row_count > 0

    def land(self, session: Session) -> bool:
        if self.failure is not None:
            if self.failure.get("sqlstate") not in (_NO_SUCH_CURSOR, _ABORTED):
                self.fail(failed(self.failure, exceptions.CursorCloseError))
            return True
        return not (self.asking and self.there)
