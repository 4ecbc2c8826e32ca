"""Stream: the rows of one statement as they arrive, some at a time, read no faster than they are asked for.

Outside the pipeline, in libpq's single-row mode (manual, "Retrieving Query Results in Chunks"). Its chunked mode (17)
is no faster, keeps rows back until a chunk is full, drops those before an error, and counts rows, however large.
The statement is opened by an OpenStream, which waits for the first rows; each further rows are asked for by a Chunk. In
between the dialogue is paused: nobody reads, libpq's buffer and the socket's fill up, and the server waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._pq.connection import ROWS_BROKEN, ROWS_END, ROWS_WAIT, PGconn
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.cursor import Opening
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.dialogue import Dialogue, Talk
from psqlpy._protocol.failures import failed
from psqlpy._protocol.query import BAD_RESPONSE, FATAL_ERROR
from psqlpy._protocol.request import Request
from psqlpy._protocol.simple_query import flush
from psqlpy._protocol.want import Want

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session
    from psqlpy._protocol.statements import Statement


class InTransaction(exceptions.InterfaceError):
    """A transaction is open: there a cursor has to do, which can be given up without aborting the transaction."""


class Stream(Dialogue):
    """Has the connection for itself until the last row was read, or `let_go` was called.

    `set_reading` switches the driver's look-out for input, `is_own_caller` tells whether who calls now is the one who
    reads the rows, or that one has ended: waiting for the stream's end would take for ever. Whoever brings it to its
    event loop sets both.
    """

    # Who reads the rows is gone: what is left is dropped by whoever comes next.
    orphaned = False

    def __init__(self, chunk_size: int, text: str, family: type[exceptions.Error]) -> None:
        super().__init__(self._talk)
        self.chunk_size = chunk_size
        self.text = text
        self.family = family
        self.plan: Any = None
        self.set_reading: Callable[[bool], None] = _nothing
        self.is_own_caller: Callable[[], bool] = bool
        # What is to be sent: parameters, packed, and their number.
        self.packed = b""
        self.count = 0
        # What the next rows go to.
        self._waiting: Request | None = None
        self._session: Session | None = None

    # From its caller's side

    def start(self, session: Session, first: OpenStream) -> None:
        self._session = session
        self._waiting = first
        self.written = self.holds_followers = True
        session.leaves_state = True
        self.going = self._talk(session.pgconn)
        session.start_dialogue(self)
        if session.dialogue is not None:
            session.gate_open = False

    def resume(self, session: Session, chunk: Chunk) -> None:
        """Go on reading, for `chunk`."""
        if self.done:
            if self.error is not None:
                chunk.fail(self.take_error())
            else:
                chunk.finish()
            return
        self._waiting = chunk
        self._go_on(session)

    def let_go(self) -> bool:
        """Drop the rows that come from now on; True if there may be some: its request is to be cancelled then."""
        if self.done:
            return False
        self.abandoned = True
        taker, self._waiting = self._waiting, None
        if taker is not None:
            # It was closed by another than who waits for rows.
            taker.finish()
        if self._session is None:
            # Not begun, and it won't be.
            return False
        self._go_on(self._session)
        return not self.done

    def meets(self, session: Session, request: Request) -> bool:
        if isinstance(request, Chunk) and request.stream is self:
            self._write(session, request)
            return True
        if request.silent or not self.paused:
            return False
        if self.orphaned:
            if not self.let_go():
                session.submit(request)
                return True
        elif self.is_own_caller():
            error = exceptions.InterfaceError(
                "a stream is being read on this connection: read it to its end or close it first, "
                "use another connection, or stream in a transaction"
            )
            error.safe_to_retry = True
            request.fail(error)
            return True
        return False

    def _write(self, session: Session, chunk: Chunk) -> None:
        try:
            chunk.write(session)
        except BaseException:
            session.lost("interrupted in the middle of a stream")
            raise

    def _go_on(self, session: Session) -> None:
        self.paused = False
        self.advance(session, 0)
        if not self.paused:
            self.set_reading(True)

    # From the session's side

    def advance(self, session: Session, ready: int) -> None:
        if self.paused:
            # The driver didn't know yet.
            self.set_reading(False)
            return
        super().advance(session, ready)

    def pause(self, session: Session) -> None:
        """Nothing more: `paused` was set when its rows were delivered."""

    def _talk(self, pgconn: PGconn) -> Talk:
        sent = pgconn.send_execute(b"", self.count, self.packed, self.plan.format)
        if not sent or not pgconn.set_single_row_mode():
            raise exceptions.ConnectionLostError(pgconn.error_message)
        self.packed = b""
        yield from flush(pgconn)
        readable = False
        while True:
            outcome, rows, last = pgconn.take_rows(self.chunk_size, readable)
            readable = False
            if last is not None and last.status in (FATAL_ERROR, BAD_RESPONSE):
                self.failure = last.diagnostics()
            taker, self._waiting = (self._waiting, None) if rows is not None else (None, self._waiting)
            if taker is not None:
                _deliver(taker, rows)
            if outcome == ROWS_END:
                if self.failure is not None:
                    raise failed(self.failure, self.family, self.text)
                return
            if outcome == ROWS_BROKEN:
                raise exceptions.ConnectionLostError(pgconn.error_message)
            if self.abandoned and outcome != ROWS_WAIT:
                # The others' turn, however much there is to be dropped.
                if self._session is not None:
                    self._session.has_more = True
                yield Want.READ
            elif taker is not None and last is None:
                self.paused = True
                self.set_reading(False)
                yield Want.CALLER
            elif outcome == ROWS_WAIT:
                readable = bool((yield Want.READ) or 0)

    def finish(self) -> None:
        self._stop(None)

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self._stop(error)

    def _stop(self, error: BaseException | None) -> None:
        self.done = True
        self.paused = False
        taker, self._waiting = self._waiting, None
        if taker is None:
            # For the next who asks.
            self.error = error
        elif error is not None:
            taker.fail(error)
        else:
            taker.finish()
        self.set_reading(True)
        self.set_reading, self.is_own_caller = _nothing, bool
        session, self._session = self._session, None
        if session is not None and not session.is_closed:
            # libpq (15 to 18) forgets the row mode only behind the first command of a pipeline: let that be a Sync.
            sync = Commands((), holds_followers=False)
            sync.silent = True
            session.queue.appendleft(sync)


class Chunk(Request):
    """The next rows of a stream; None at its end."""

    # The rows were asked for long ago.
    written = True

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.rows: PGresult | None = None

    def write(self, session: Session) -> None:
        self.stream.resume(session, self)


class OpenStream(Opening):
    """Has a statement prepared, as the unnamed one, and its execution begun; `rows` are the first ones."""

    def __init__(
        self, text: str, parameters: Sequence[object], family: type[exceptions.Error], chunk_size: int
    ) -> None:
        super().__init__(text, parameters, family, (), unnamed=True)
        self.stream = Stream(chunk_size, text, family)
        self.rows: PGresult | None = None

    def _check(self, session: Session, statement: Statement) -> None:
        if session.transaction_status is not TransactionStatus.IDLE:
            raise InTransaction("a transaction is open: stream with a cursor")
        traits = statement.traits
        refused = traits.transaction_control is not None or traits.keyword in ("CALL", "DO")
        if not traits.multiple and (refused or traits.drops_prepared):
            raise exceptions.combine(exceptions.ProgrammingError, self.family)(
                f"{traits.keyword} can't be streamed: use execute"
            )

    def _open(self, session: Session, statement: Statement, packed: bytes) -> None:
        stream = self.stream
        if stream.abandoned:
            # Closed while the statement was being prepared.
            self.finish()
            return
        self.executing = self.written = True
        # What was parsed just now, and nothing is in flight that may change a setting.
        self.plan = stream.plan = in_style(session, statement.result_plan, statement.columns)
        stream.packed, stream.count = packed, statement.parameter_plan.count
        stream.start(session, self)


def _deliver(taker: Request, rows: PGresult | None) -> None:
    if isinstance(taker, Chunk | OpenStream):
        taker.rows = rows
        taker.finish()


def _nothing(_on: bool) -> None:
    """Switch nothing: there is no driver that looks out for input."""
