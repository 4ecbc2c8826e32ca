"""Unprepared: one statement that leaves nothing prepared on the server, for `prepared=False` and transaction poolers.

First use of a text: unnamed Parse, Describe and Flush, then, when the answer is read, Bind, Execute and Sync. No Sync in
between, so that a pooler can't change the backend. Later uses, the types being known, are one flight.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._protocol.classify import StatementTraits
from psqlpy._protocol.failures import Fields, check_pipelined, failed
from psqlpy._protocol.query import COMMAND_OK, FATAL_ERROR, PIPELINE_ABORTED, TUPLES_OK
from psqlpy._protocol.request import Request

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

Descriptions = MutableMapping[str, tuple[tuple[int, ...], tuple[tuple[str, int, int, int], ...]]]
"""Parameter types and columns by text; shared by the sessions of a pool."""

DESCRIPTIONS_KEPT = 1024


class Unprepared(Request):
    """One execution; `result` and `plan` as in Query."""

    def __init__(
        self,
        text: str,
        traits: StatementTraits,
        parameters: Sequence[object],
        descriptions: Descriptions,
        family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
        before: tuple[bytes, ...] = (),
    ) -> None:
        self.text = text
        self.traits = traits
        self.parameters = parameters
        self.descriptions = descriptions
        self.family = family
        if before:
            self.before = before
        # How many results of `before` are still to come.
        self.skip = len(before)
        self.described: PGresult | None = None
        # Whether Bind and Execute are written: the flight is open until then.
        self.encoded = False
        self.failure: Fields | None = None
        # Why the parameters can't be sent.
        self.refusal: Exception | None = None
        self.plan: Any = None
        self.result: PGresult | None = None

    def write(self, session: Session) -> None:
        check_pipelined(self.text, self.traits)
        if self.traits.leaves_state:
            session.leaves_state = True
        pgconn = session.pgconn
        query = self.text.encode()
        known = self.descriptions.get(self.text)
        packed = b""
        if known is not None:
            try:
                packed = session.registry.parameter_plan(known[0]).encode(self.parameters)
            except Exception:
                # The types may be others by now: ask again.
                self.descriptions.pop(self.text, None)
                known = None
        self.holds_followers = known is None or bool(self.before) or self.traits.may_control_transaction
        if known is not None:
            oids, columns = known
            self.plan = session.registry.result_plan(columns)
            self.encoded = self.written = True
            sent = self._send_before(session)
            sent = sent and pgconn.send_unnamed(query, oids, packed, self.plan.format)
            session.fly(self, pgconn.end_flight() if sent else -1)
            return
        self.written = bool(self.before)
        sent = self._send_before(session) and pgconn.send_prepare(b"", query)
        sent = sent and pgconn.send_flush_request()
        session.fly(self, pgconn.flush() if sent else -1)

    def _send_before(self, session: Session) -> bool:
        return all(session.pgconn.send_unnamed(command, (), b"", 0) for command in self.before)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status == PIPELINE_ABORTED:
            pass
        elif self.skip:
            self.skip -= 1
            return
        elif self.encoded:
            self.result = result
        elif self.described is None and status in (COMMAND_OK, TUPLES_OK):
            self.described = result
            return
        else:
            self.described = result
            self._write_execution(session, result)
            return
        if not self.encoded:
            # Parse failed: the Sync brings the session back.
            self._close_flight(session)

    def _write_execution(self, session: Session, described: PGresult) -> None:
        if self.abandoned:
            self._close_flight(session)
            return
        oids, columns = described.parameter_oids(), described.columns()
        try:
            self.plan = session.registry.result_plan(columns)
            packed = session.registry.parameter_plan(oids).encode(self.parameters)
        except Exception as error:
            # Not before the Sync is read: with its caller gone, nobody might.
            self.refusal = error
            self._close_flight(session)
            return
        if len(self.descriptions) >= DESCRIPTIONS_KEPT:
            self.descriptions.clear()
        self.descriptions[self.text] = (oids, columns)
        self.written = True
        if session.pgconn.send_execute(b"", len(oids), packed, self.plan.format):
            self._close_flight(session)
        else:
            session.lost(session.pgconn.error_message)

    def _close_flight(self, session: Session) -> None:
        self.encoded = True
        flushed = session.pgconn.end_flight()
        if flushed < 0:
            session.lost(session.pgconn.error_message)
        elif flushed:
            session.wants_write = True

    def land(self, session: Session) -> bool:
        if self.refusal is not None:
            self.fail(self.refusal)
        elif self.failure is not None:
            # What was known of the text may be what is wrong.
            self.descriptions.pop(self.text, None)
            family = exceptions.TransactionBeginError if self.skip else self.family
            self.fail(failed(self.failure, family, None if self.skip else self.text))
        elif self.result is not None and self.plan is not None:
            self._check_columns(session, self.result)
        if self.traits.drops_prepared:
            session.statements.clear()
        return True

    def _check_columns(self, session: Session, result: PGresult) -> None:
        """A table may have changed since the text was described: what came decides."""
        columns = result.columns()
        described = self.descriptions.get(self.text)
        if described is not None and [c[:2] for c in described[1]] != [c[:2] for c in columns]:
            self.descriptions[self.text] = (described[0], columns)
            self.plan = session.registry.result_plan(columns, self.plan.format)
