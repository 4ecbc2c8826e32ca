"""Batch: one statement executed for many rows of parameters under one Sync, so that all of them are stored or none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._codecs.parameter_rows import encode_rows
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.failures import failed, is_stale, may_be_outdated
from psqlpy._protocol.query import FATAL_ERROR, PIPELINE_ABORTED, Query
from psqlpy._protocol.type_lookup import settle

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session
    from psqlpy._protocol.statements import Statement

# Statements whose rows leave nothing behind when they are taken back.
UNDONE_BY_FAILING = ("INSERT", "UPDATE", "DELETE", "MERGE")
# What the server fails at then. Its log shows it.
FAILING = b"psqlpy: a row that follows does not fit: those before it are taken back"


class Batch(Query):
    """Executions of one statement, all rows of which are encoded by the time the first `write` returns.

    Written in pieces, the next when the socket has taken the one before, so that libpq's buffer stays small. Where a
    failing statement takes all rows back the first are sent while the others are encoded: the server works already.
    """

    # C drops the rows' answers; an object for each of them would be most of a batch's work.
    only_counts = True

    def __init__(
        self,
        text: str,
        rows: Iterable[Sequence[object]],
        family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
        before: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(text, (), family, before)
        self.rows = rows
        self.pieces: deque[tuple[int, bytes]] = deque()
        # There will be more of them.
        self.encoding = False
        # Why a row can't be sent, where others were.
        self.misfit: Exception | None = None
        # Rows that were sent, and those whose answer has come.
        self.sent = 0
        self.landed = 0

    def write(self, session: Session) -> None:
        if self.failure is not None:
            self._renew(session, self.failure)
        statement = self.statement = self.statement or self._take_statement(session)
        if statement.state != "ready":
            self._write_prepare(session, statement)
            return
        misfit, self.misfit = self.misfit, None
        if misfit is not None:
            self._write_refused(session, statement, misfit)
            return
        rest: Iterator[tuple[int, bytes]] = iter(())
        if not self.pieces:
            rest = encode_rows(statement.parameter_plan, self.rows)
            try:
                self.pieces.extend(islice(rest, 2) if self._can_undo(session, statement) else rest)
            except Exception as error:
                self.pieces.clear()
                self._write_refused(session, statement, error)
                return
        self.plan = statement.result_plan
        self.executing = True
        self.written = True
        if statement.traits.leaves_state:
            session.leaves_state = True
        # The flight stays open until the last piece is written.
        self.holds_followers = True
        sent = self._send_before(session)
        session.fly(self, 0 if sent else -1)
        if sent:
            if self.only_counts:
                session.pgconn.count_results()
            self._write_rest(session, rest)

    def _can_undo(self, session: Session, statement: Statement) -> bool:
        """Whether rows can be sent and taken back as if they hadn't been; a value mustn't abort a transaction."""
        return (
            self.only_counts
            and not self.before
            and statement.traits.keyword in UNDONE_BY_FAILING
            and not session.flights
            and session.transaction_status is TransactionStatus.IDLE
        )

    def _write_rest(self, session: Session, rest: Iterator[tuple[int, bytes]]) -> None:
        """Encode what is left, and meanwhile send what the socket takes."""
        self.encoding = True
        try:
            for piece in rest:
                if not session.wants_write:
                    self.more(session)
                if session.is_closed:
                    return
                self.pieces.append(piece)
        except Exception as error:
            self._undo(session, error)
            return
        finally:
            self.encoding = False
        if not session.wants_write:
            self.more(session)

    def _undo(self, session: Session, error: Exception) -> None:
        """Have the server fail behind the rows that were sent."""
        self.misfit = error
        self.pieces.clear()
        pgconn = session.pgconn
        flushed = pgconn.end_flight() if pgconn.send_prepare(b"", FAILING) else -1
        if flushed < 0:
            session.lost(pgconn.error_message)
        elif flushed:
            session.wants_write = True

    def more(self, session: Session) -> None:
        pgconn = session.pgconn
        statement = self.statement
        while self.executing and self.pieces and statement is not None:
            count, packed = self.pieces.popleft()
            width = statement.parameter_plan.count
            if not pgconn.send_execute_rows(statement.name, count, width, packed, self.plan.format):
                session.lost(pgconn.error_message)
                return
            self.sent += count
            flushed = pgconn.flush() if self.pieces or self.encoding else pgconn.end_flight()
            if flushed < 0:
                session.lost(pgconn.error_message)
                return
            if flushed:
                session.wants_write = True
                return

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status == PIPELINE_ABORTED:
            pass
        elif self.skip:
            self.skip -= 1
        elif self.executing:
            self.landed += 1
        else:
            self.result = result
            self.heard += 1

    def _is_answered(self, heard: int) -> bool:
        return self.landed == self.sent if self.executing else super()._is_answered(heard)

    def receive_count(self, count: int) -> None:
        before = min(count, self.skip)
        self.skip -= before
        self.landed += count - before

    def land(self, session: Session) -> bool:
        if self.misfit is not None and self.landed == self.sent:
            # All that was executed is undone. If its types are other ones by now, the row may fit.
            self.failure = None
            self.executing = False
            self.landed = self.sent = 0
            return False
        if self.failure is not None and self.executing and not self.skip:
            statement = self.statement
            outdated = not self.described and may_be_outdated(self.failure)
            stale = statement is not None and is_stale(self.failure, statement)
            if statement is not None and (outdated or stale):
                session.statements.invalidate(statement)
                if stale and not (self.retried or self.abandoned) and statement.traits.can_retry_after_heal:
                    self._start_again()
                    return False
            prefix = f"row {self.landed + 1}: "
            self.fail(failed(self.failure, self.family, self.text, prefix=prefix))
            return True
        return super().land(session)

    def _start_again(self) -> None:
        """Be written once more: the server has executed none of the rows, since what it had prepared is of no use."""
        self.retried = True
        self.executing = False
        self.pieces.clear()
        self.landed = self.sent = 0


class ReturningBatch(Batch):
    """A batch whose `results`, one for each row of parameters, are wanted."""

    only_counts = False

    def __init__(
        self,
        text: str,
        rows: Iterable[Sequence[object]],
        family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
        before: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(text, rows, family, before)
        self.results: list[PGresult] = []

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        landed = self.landed
        super().receive(session, status, result)
        if self.landed > landed:
            self.results.append(result)

    def land(self, session: Session) -> bool:
        ended = super().land(session)
        plan: Any = self.plan
        if not ended or self.done or not self.results or not plan.self_described:
            return ended

        def learn() -> None:
            self.plan = session.registry.result_plan(self.results[0].columns(), plan.format)

        return settle(session, self, [(plan, result) for result in self.results], learn)
