"""Unprepared: one statement that leaves nothing prepared on the server, for `prepared=False` and transaction poolers.

First use of a text, when nothing else is in flight: unnamed Parse, Describe and Flush, then, when the answer is read,
Bind, Execute and Sync. No Sync in between, so that a pooler can't change the backend; only where types have to be
looked up the flight ends there, and the execution is another one, complete in itself. Later uses, the types being
known, are one flight. A statement that libpq can't describe, since it has too many parameters, is prepared under a name
for a moment, and the server asked which types it has given them.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._codecs.codec import TEXT
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.classify import StatementTraits
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.failures import (
    Fields,
    check_pipelined,
    failed,
    is_wide,
    may_be_outdated,
    out_of_step,
)
from psqlpy._protocol.query import COMMAND_OK, FATAL_ERROR, PIPELINE_ABORTED, TUPLES_OK
from psqlpy._protocol.request import Request
from psqlpy._protocol.type_lookup import can_look_up, look_up, settle, unknown_types

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session
    from psqlpy._protocol.statements import Statement

Descriptions = MutableMapping[str, tuple[tuple[int, ...], tuple[tuple[str, int, int, int], ...]]]
"""Parameter types and columns by text; shared by the sessions of a pool."""

DESCRIPTIONS_KEPT = 1024

# The types of a statement's parameters, as an array in text.
_TYPES = b"SELECT parameter_types::oid[]::text FROM pg_catalog.pg_prepared_statements WHERE name = '%b'"


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
        # Those that `plan` was made for.
        self.columns: tuple[tuple[str, int, int, int], ...] = ()
        # Sent with types that are known from before, and may be others by now.
        self.assumed = False
        # What stands for the text on the server while its types are asked for.
        self.asking: Statement | None = None
        self.asked = False
        # Types to be looked up between description and execution, and whether some couldn't be.
        self.unknown: list[int] = []
        self.incomplete = False
        self.retried = False
        self.plan: Any = None
        self.result: PGresult | None = None

    def write(self, session: Session) -> None:
        if self.failure is not None:
            self._start_over(session, self.failure)
        check_pipelined(self.text, self.traits, self.family)
        if self.traits.leaves_state:
            session.leaves_state = True
            if self.traits.makes_prepared:
                session.statements.has_others = True
        if self.traits.unsettles_session:
            session.in_doubt = True
        pgconn = session.pgconn
        query = self.text.encode()
        known = self.descriptions.get(self.text)
        packed = b""
        if known is not None:
            try:
                packed = session.registry.parameter_plan(known[0]).encode(self.parameters)
            except Exception:
                if self.asked:
                    raise
                # The types may be others by now: ask again.
                self.descriptions.pop(self.text, None)
                known = None
        traits = self.traits
        self.holds_followers = known is None or bool(self.before) or traits.unsettles_session
        self.assumed = known is not None
        if known is not None:
            oids, self.columns = known
            # Of a statement that couldn't be described the columns come with the rows: in text, as any type can.
            self.plan = session.registry.result_plan(self.columns, None if self.columns else TEXT)
            self.encoded = self.written = True
            sent = self._send_before(session)
            sent = sent and pgconn.send_unnamed(query, oids, packed, self.plan.format)
            session.fly(self, pgconn.end_flight() if sent else -1)
            return
        if is_wide(self.text):
            self._write_question(session, query)
            return
        if session.flights:
            # PgBouncer counts Syncs only, and would give the backend to another client at the one before.
            session.wait_until_quiet(self)
            return
        self.written = bool(self.before)
        sent = self._send_before(session) and pgconn.send_prepare(b"", query)
        sent = sent and pgconn.send_flush_request()
        session.fly(self, pgconn.flush() if sent else -1)

    def _write_question(self, session: Session, query: bytes) -> None:
        self.asking = session.statements.passing(self.text)
        name = self.asking.name
        self.written = bool(self.before)
        pgconn = session.pgconn
        sent = self._send_before(session) and pgconn.send_parse(name, query)
        sent = sent and pgconn.send_commands((_TYPES % name, b'DEALLOCATE "%b"' % name))
        # What was to travel in front has gone.
        self.before = ()
        session.fly(self, pgconn.end_flight() if sent else -1)

    def _land_question(self, session: Session, asking: Statement) -> bool:
        self.asking, self.asked = None, True
        answer, self.described = self.described, None
        if self.failure is not None:
            # If it was parsed all the same, it is still there.
            asking.state = "ready"
            session.statements.close_later(asking)
            self.fail(
                failed(
                    self.failure, exceptions.TransactionBeginError if self.skip else self.family, self.text
                )
            )
            return True
        array = answer.value_bytes(0, 0) if answer is not None and answer.row_count else None
        if array is None:
            return out_of_step(session, self)
        self._remember(tuple(map(int, array[1:-1].split(b","))), ())
        self.unknown = session.registry.unknown(self.descriptions[self.text][0])
        return self._look_up(session) if self.unknown else False

    def _look_up(self, session: Session) -> bool:
        """Ask about types; the text, being known, is executed in a flight of its own afterwards."""
        unknown, self.unknown = self.unknown, []
        # What was to travel in front has gone.
        self.before = ()
        self.described = None
        self.encoded = False
        described = self.descriptions.pop(self.text)
        if not can_look_up(session, self):
            return False

        def go_on(complete: bool) -> None:
            self.asked = True
            self.incomplete = not complete
            if not self.abandoned:
                self.descriptions[self.text] = described

        return look_up(session, self, unknown, go_on)

    def _send_before(self, session: Session) -> bool:
        return session.pgconn.send_commands(self.before)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status == PIPELINE_ABORTED:
            pass
        elif self.skip:
            self.skip -= 1
            return
        elif self.asking is not None:
            if status == TUPLES_OK:
                self.described = result
            return
        elif self.encoded:
            if self.result is not None:
                out_of_step(session, self)
            self.result = result
        elif self.described is None and status in (COMMAND_OK, TUPLES_OK):
            self.described = result
            return
        else:
            self.described = result
            self._write_execution(session, result)
            return
        if not self.encoded and self.asking is None:
            # Parse failed: the Sync brings the session back.
            self._close_flight(session)

    def _write_execution(self, session: Session, described: PGresult) -> None:
        if self.abandoned:
            self._close_flight(session)
            return
        oids, self.columns = described.parameter_oids(), described.columns()
        self.unknown = unknown_types(session, described)
        if self.unknown:
            # After this flight: no other statement can stand between this one's Parse and its Bind.
            self._remember(oids, self.columns)
            self._close_flight(session)
            return
        try:
            self.plan = session.registry.result_plan(self.columns)
            packed = session.registry.parameter_plan(oids).encode(self.parameters)
        except Exception as error:
            if not self.asked and session.registry.forget_composites(oids):
                # They may have other attributes by now.
                self.unknown = unknown_types(session, described)
                self._remember(oids, self.columns)
                self._close_flight(session)
                return
            # Not before the Sync is read: with its caller gone, nobody might.
            self.refusal = error
            self._close_flight(session)
            return
        self._remember(oids, self.columns)
        self.written = True
        if session.pgconn.send_execute(b"", len(oids), packed, self.plan.format):
            self._close_flight(session)
        else:
            session.lost(session.pgconn.error_message)

    def _remember(self, oids: tuple[int, ...], columns: tuple[tuple[str, int, int, int], ...]) -> None:
        if len(self.descriptions) >= DESCRIPTIONS_KEPT:
            self.descriptions.clear()
        self.descriptions[self.text] = (oids, columns)

    def _close_flight(self, session: Session) -> None:
        self.encoded = True
        flushed = session.pgconn.end_flight()
        if flushed < 0:
            session.lost(session.pgconn.error_message)
        elif flushed:
            session.wants_write = True

    def land(self, session: Session) -> bool:
        if self.asking is not None:
            return self._land_question(session, self.asking)
        if self.unknown and self.failure is None:
            return self._look_up(session)
        unread = False
        if self.incomplete:
            # Asked about again the next time.
            self.descriptions.pop(self.text, None)
        if self.refusal is not None:
            # Not to be kept: its traceback refers to frames that have this request.
            refusal, self.refusal = self.refusal, None
            self.fail(refusal)
        elif self.failure is not None:
            # What was known of the text may be what is wrong.
            self.descriptions.pop(self.text, None)
            if self._may_start_over(session, self.failure):
                self.retried = True
                if session.flights:
                    # Only when these have landed is it known whether a transaction is open.
                    session.retry_when_quiet(self)
                return False
            family = exceptions.TransactionBeginError if self.skip else self.family
            self.fail(failed(self.failure, family, None if self.skip else self.text))
        elif self.result is None and not self.abandoned:
            return out_of_step(session, self)
        elif self.result is not None and self.plan is not None:
            unread = self._check_columns(session, self.result)
            if unread and self.traits.only_reads and not (self.retried or self.abandoned):
                # Once more, described anew.
                self.descriptions.pop(self.text, None)
                self.before, self.retried, self.encoded = (), True, False
                self.described = self.result = None
                if session.flights:
                    session.retry_when_quiet(self)
                return False
            if self.plan.has_dates:
                self.plan = in_style(session, self.plan, self.columns)
        if self.traits.drops_prepared and self.failure is None:
            session.statements.clear()
        if self.done or self.plan is None or self.result is None:
            return True
        new = session.registry.unknown(column[1] for column in self.columns) if unread else []
        if not (new or self.plan.self_described):
            return True
        return settle(session, self, [(self.plan, self.result)], lambda: self._learn(session), new)

    def _learn(self, session: Session) -> None:
        self.plan = session.registry.result_plan(self.columns, self.plan.format)

    def _may_start_over(self, session: Session, failure: Fields) -> bool:
        """Whether to ask for the types, which were only assumed, and to execute the statement once more."""
        return (
            self.assumed
            and not (self.retried or self.abandoned or self.before)
            and self.traits.can_retry_after_heal
            and may_be_outdated(failure)
            # It would be executed behind statements that were submitted after it.
            and (self.traits.only_reads or not session.flights)
        )

    def _start_over(self, session: Session, failure: Fields) -> None:
        if session.transaction_status is not TransactionStatus.IDLE:
            raise failed(failure, self.family, self.text)
        self.failure = self.described = self.result = None
        self.encoded = False

    def _check_columns(self, session: Session, result: PGresult) -> bool:
        """A table may have changed since the text was described: what came decides. True if it can't all be read."""
        columns = result.columns()
        if [column[:2] for column in self.columns] == [column[:2] for column in columns]:
            return False
        registry = session.registry
        is_known = not registry.unknown(column[1] for column in columns)
        # Of a statement that couldn't be described nothing was known: its rows are text, as any type can be.
        was_described, self.columns = bool(self.columns), columns
        described = self.descriptions.pop(self.text, None)
        if described is not None and (is_known or not was_described):
            self.descriptions[self.text] = (described[0], columns)
        sent = self.plan.format
        self.plan = registry.result_plan(columns, sent)
        return was_described and not (is_known and sent in (TEXT, registry.result_plan(columns).format))
