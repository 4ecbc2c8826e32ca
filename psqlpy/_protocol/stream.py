"""Stream: the rows of one statement as they arrive, some at a time, read no faster than they are asked for.

Outside the pipeline, in libpq's single-row mode (manual, "Retrieving Query Results in Chunks"). Its chunked mode (17)
is no faster, keeps rows back until a chunk is full, drops those before an error, and counts rows, however large.
The statement is opened by an OpenStream, which waits for the first rows; for more, the stream itself goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._pq.connection import ROWS_BROKEN, ROWS_END, ROWS_WAIT, PGconn
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.cursor import Opening
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.dialogue import Talk
from psqlpy._protocol.failures import OUT_OF_STEP, closed, failed, is_last
from psqlpy._protocol.outage import COPYING
from psqlpy._protocol.pausing import PausingDialogue
from psqlpy._protocol.query import BAD_RESPONSE, FATAL_ERROR
from psqlpy._protocol.simple_query import flush
from psqlpy._protocol.type_lookup import types_ahead
from psqlpy._protocol.want import Want

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Columns, Registry
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session
    from psqlpy._protocol.statements import Statement


class InTransaction(exceptions.InterfaceError):
    """A transaction is open: there a cursor has to do, which can be given up without aborting the transaction."""


class Stream(PausingDialogue):
    """Has the connection for itself until the last row was read or it was let go; after each run there are `rows`."""

    in_the_way = (
        "a stream is being read on this connection: read it to its end or close it first, "
        "use another connection, or stream in a transaction"
    )

    def __init__(self, chunk_size: int, text: str, family: type[exceptions.Error]) -> None:
        super().__init__(text)
        self.chunk_size = chunk_size
        self.family = family
        self.plan: Any = None
        # What is to be sent: parameters, packed, and their types.
        self.packed = b""
        self.types: tuple[int, ...] = ()
        # Those that `plan` was made for.
        self.columns: Columns = ()
        self.rows: PGresult | None = None
        self.registry: Registry | None = None
        # Who waits for the first rows.
        self._opening: OpenStream | None = None

    def start(self, session: Session, opening: OpenStream) -> None:
        """Begin; nothing is in flight, and `opening` ends when there are rows."""
        self._opening = opening
        self.written = self.holds_followers = True
        session.leaves_state = True
        self.going = self.talk(session.pgconn)
        session.start_dialogue(self)
        if session.dialogue is not None:
            session.gate_open = False

    def take_rows(self) -> PGresult | None:
        """The rows of the last run; None at the end."""
        rows, self.rows = self.rows, None
        return rows

    def talk(self, pgconn: PGconn) -> Talk:
        # Whole: behind a pooler what was described may be known to another backend, and there be another's statement.
        sent = pgconn.send_unnamed(self.text.encode(), self.types, self.packed, self.plan.format)
        if not sent or not pgconn.set_single_row_mode():
            raise exceptions.ConnectionLostError(pgconn.error_message)
        self.packed = b""
        yield from flush(pgconn)
        outcome, readable = ROWS_WAIT, False
        is_checked = False
        while outcome != ROWS_END:
            outcome, rows, last = pgconn.take_rows(self.chunk_size, readable)
            readable = False
            if last is not None and last.status in (FATAL_ERROR, BAD_RESPONSE):
                self.failure = last.diagnostics()
            elif last is not None and last.status in COPYING:
                # libpq would say so for ever.
                raise exceptions.ConnectionLostError(OUT_OF_STEP)
            if rows is not None and not self.is_left:
                if not is_checked:
                    is_checked = True
                    self._check_columns(rows)
                self.rows = rows
                if last is None or self.failure is not None:
                    yield Want.CALLER
            if outcome == ROWS_BROKEN:
                raise exceptions.ConnectionLostError(pgconn.error_message)
            if outcome == ROWS_WAIT:
                readable = bool((yield Want.READ) or 0)
            elif self.is_left and outcome != ROWS_END:
                # The others' turn, however much there is to be dropped.
                yield Want.TURN
        if self.failure is not None:
            if is_last(self.failure):
                raise exceptions.ConnectionLostError(self.failure["message_primary"])
            raise failed(self.failure, self.family, self.text)

    def _check_columns(self, rows: PGresult) -> None:
        """A table may have changed since the statement was described: what came decides."""
        columns = rows.columns()
        if columns != self.columns and self.registry is not None:
            self.plan = self.registry.result_plan(columns, self.plan.format)

    def finish(self) -> None:
        super().finish()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.finish()

    def fail(self, error: BaseException) -> None:
        opening, self._opening = self._opening, None
        if opening is None:
            super().fail(error)
        else:
            super().finish()
            opening.fail(error)

    def _end(self, session: Session, error: Exception | None) -> None:
        if not session.is_closed:
            # libpq (15 to 18) forgets the row mode only behind the first command of a pipeline: let that be a Sync.
            sync = Commands((), holds_followers=False)
            sync.silent = True
            session.queue.appendleft(sync)
        super()._end(session, error)


class OpenStream(Opening):
    """Has a statement described, as the unnamed one, and its execution begun; `rows` are the first ones."""

    def __init__(
        self, text: str, parameters: Sequence[object], family: type[exceptions.Error], chunk_size: int
    ) -> None:
        super().__init__(text, parameters, family, (), unnamed=True)
        self.stream = Stream(chunk_size, text, family)

    def _check(self, session: Session, statement: Statement) -> None:
        if session.transaction_status is not TransactionStatus.IDLE:
            raise InTransaction("a transaction is open: stream with a cursor")
        traits = statement.traits
        refused = traits.transaction_control is not None or traits.keyword in ("CALL", "DO")
        if not traits.multiple and (refused or traits.drops_prepared):
            raise exceptions.combine(exceptions.ProgrammingError, self.family)(
                f"{traits.keyword} can't be streamed: use execute"
            )

    def _unknown(self, session: Session, described: PGresult) -> list[int]:
        # While rows come nothing can be asked.
        ahead = types_ahead(session.registry, described.columns())
        return [*session.registry.unknown(described.parameter_oids()), *ahead]

    def _open(self, session: Session, statement: Statement, packed: bytes) -> None:
        stream = self.stream
        if stream.is_left:
            raise closed(None)
        self.executing = self.written = True
        # What was parsed just now, and nothing is in flight that may change a setting.
        self.plan = stream.plan = in_style(session, statement.result_plan, statement.columns)
        if statement.traits.makes_prepared:
            session.statements.has_others = True
        stream.packed, stream.types = packed, statement.parameter_oids
        stream.columns, stream.registry = statement.columns, session.registry
        stream.start(session, self)
