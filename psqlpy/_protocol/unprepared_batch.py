"""Batches that leave nothing prepared on the server: all from Parse to the last row is one flight, with one Sync.

So a pooler in transaction mode can't change the backend in between. The server is asked about the statement each time;
where types have to be looked up, the flight ends there, and the next one begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy._codecs.parameter_rows import encode_rows
from psqlpy._protocol.batch import Batch, ReturningBatch
from psqlpy._protocol.query import FATAL_ERROR, PIPELINE_ABORTED, describe
from psqlpy._protocol.statements import Statement
from psqlpy._protocol.type_lookup import unknown_types

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session


class UnpreparedBatch(Batch):
    """As Batch, with the unnamed statement, which is parsed for it."""

    # Parse and Describe are written, and no Sync yet.
    is_asking = False
    # Why the rows can't be sent.
    unfit: Exception | None = None

    def _take_statement(self, session: Session) -> Statement:
        return Statement(self.text, b"")

    def _write_prepare(self, session: Session, statement: Statement) -> None:
        self._check_text(statement)
        self.executing = False
        self.holds_followers = True
        if session.flights:
            # As Unprepared: what ends with Flush stands alone.
            session.wait_until_quiet(self)
            return
        self.is_asking = True
        self.result = None
        self.heard = 0
        pgconn = session.pgconn
        sent = self._send_before(session) and pgconn.send_prepare(b"", statement.text.encode())
        sent = sent and pgconn.send_flush_request()
        session.fly(self, pgconn.flush() if sent else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        before, described = self.skip, self.result
        super().receive(session, status, result)
        if not self.is_asking or before != self.skip:
            return
        if status in (FATAL_ERROR, PIPELINE_ABORTED):
            self._close_flight(session)
        elif described is not None:
            # Parse's answer came first, and this is Describe's.
            self.is_asking = False
            self._go_on(session, result)

    def _go_on(self, session: Session, described: PGresult) -> None:
        statement = self.statement
        assert statement is not None
        if self.abandoned or (unknown_types(session, described) and not self.looked_up):
            self._close_flight(session)
            return
        self.result = None
        try:
            describe(session, statement, described)
            self.pieces.extend(encode_rows(statement.parameter_plan, self.rows))
        except Exception as error:
            # Not before the Sync is read: with its caller gone, nobody might.
            self.unfit, self.result = error, described
            self.pieces.clear()
            self._close_flight(session)
            return
        self.plan = statement.result_plan
        self.executing = self.written = True
        if statement.traits.leaves_state:
            session.leaves_state = True
            if statement.traits.makes_prepared:
                session.statements.has_others = True
        self.more(session)

    def _close_flight(self, session: Session) -> None:
        self.is_asking = False
        flushed = session.pgconn.end_flight()
        if flushed < 0:
            session.lost(session.pgconn.error_message)
        elif flushed:
            session.wants_write = True

    def land(self, session: Session) -> bool:
        unfit, self.unfit = self.unfit, None
        if unfit is not None:
            statement, described = self.statement, self.result
            assert statement is not None and described is not None
            if not self.looked_up and session.registry.forget_composites(statement.parameter_oids):
                # They may have other attributes by now.
                self.result = None
                return self._look_up(session, described, unknown_types(session, described))
            self.fail(unfit)
            return True
        if self.abandoned and not self.executing:
            return True
        return super().land(session)


class UnpreparedReturningBatch(UnpreparedBatch, ReturningBatch):
    """As ReturningBatch, with the unnamed statement."""
