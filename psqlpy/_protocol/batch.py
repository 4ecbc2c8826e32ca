"""Batch: one statement executed for many rows of parameters under one Sync, so that all of them are stored or none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._codecs.parameter_rows import encode_rows
from psqlpy._protocol.failures import failed, is_stale, may_be_outdated
from psqlpy._protocol.query import FATAL_ERROR, PIPELINE_ABORTED, Query
from psqlpy._protocol.type_lookup import settle

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session


class Batch(Query):
    """Executions of one statement; all rows are encoded before the first is sent.

    Written in pieces, the next when the socket has taken the one before, so that libpq's buffer stays small.
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
        # Rows whose answer has come.
        self.landed = 0

    def write(self, session: Session) -> None:
        if self.failure is not None:
            self._renew(session, self.failure)
        statement = self.statement = self.statement or self._take_statement(session)
        if statement.state != "ready":
            self._write_prepare(session, statement)
            return
        if not self.pieces:
            try:
                self.pieces.extend(encode_rows(statement.parameter_plan, self.rows))
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
            self.more(session)

    def more(self, session: Session) -> None:
        pgconn = session.pgconn
        statement = self.statement
        while self.executing and self.pieces and statement is not None:
            count, packed = self.pieces.popleft()
            width = statement.parameter_plan.count
            if not pgconn.send_execute_rows(statement.name, count, width, packed, self.plan.format):
                session.lost(pgconn.error_message)
                return
            flushed = pgconn.flush() if self.pieces else pgconn.end_flight()
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

    def receive_count(self, count: int) -> None:
        before = min(count, self.skip)
        self.skip -= before
        self.landed += count - before

    def land(self, session: Session) -> bool:
        if self.failure is not None and self.executing and not self.skip:
            outdated = not self.described and may_be_outdated(self.failure)
            if self.statement is not None and (outdated or is_stale(self.failure, self.statement)):
                session.statements.invalidate(self.statement)
            prefix = f"row {self.landed + 1}: "
            self.fail(failed(self.failure, self.family, self.text, prefix=prefix))
            return True
        return super().land(session)


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
