"""Session: one connection in pipeline mode and the requests in flight on it. It never waits; whoever holds it pumps.

The contract:
- `submit` takes requests in order and writes those that may be written; the rest stand in `queue`.
- When the socket is readable, or writable while `wants_write`, call `pump`. It completes requests, in order, and calls
  their `wake`.
- Nothing here is thread-safe: a driver whose callers are threads holds its lock around every call.
- A lost connection fails everything in it once, through `lost`; afterwards `state` is CLOSED and stays so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy._pq.connection import BROKEN, COPY, ENCODING, GATHER, MORE, NOTIFY, WANT_WRITE, PGconn
from psqlpy._pq.enums import ExecStatus, TransactionStatus
from psqlpy._protocol.client_encoding import end_if_encoding_changed
from psqlpy._protocol.commands import CloseStatement, unsent_begin
from psqlpy._protocol.deliver import deliver
from psqlpy._protocol.draining import Draining
from psqlpy._protocol.failures import Fields, closed, hung_up
from psqlpy._protocol.outage import is_outage
from psqlpy._protocol.request import Request
from psqlpy._protocol.state import Column, Event, State, advance
from psqlpy._protocol.statements import StatementCache
from psqlpy._protocol.transaction import finished, is_stranded

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.dialogue import Dialogue

Notification = tuple[str, str, int]

# A pump delivers 64 results or makes 32 reads; after so many of them the event loop has its turn.
PUMPS_PER_TURN = 8

# A look-up on an Enum class isn't free, and every query takes several.
READY, FLYING, DRAINING, CLOSED = State.READY, State.FLYING, State.DRAINING, State.CLOSED
AFTER_SENDING = Column(Event.FLIGHT_SENT)
LANDED = Column(Event.ALL_LANDED)[FLYING]


class Session(Draining):
    """What is said to one backend, in which order."""

    __slots__ = (
        "__weakref__",
        "close_reason",
        "fd",
        "has_more",
        "in_doubt",
        "leaves_state",
        "on_notification",
        "outage",
        "pgconn",
        "registry",
        "statements",
        "wants_write",
    )

    def __init__(self, pgconn: PGconn, registry: Registry = default_registry) -> None:
        self.pgconn = pgconn
        self.fd = pgconn.fd
        self.registry = registry
        self.statements = StatementCache()
        self.state = READY
        # Written, in order: a request stands here once for each flight whose Sync wasn't read.
        self.flights: deque[Request] = deque()
        self.queue: deque[Request] = deque()  # not written yet
        self.retries: deque[Request] = deque()  # to be written again once the transaction status is known
        self.gate_open = True  # whether the next request may be written at once
        self.wants_write = False
        self.has_more = False  # a pump stopped before it was done, to let others have their turn: pump again
        self.dialogue: Dialogue | None = None  # simple query or COPY, which has the connection for itself
        # A cancel request is on its way: until it has returned it may hit whatever runs.
        self.cancel_outstanding = False
        self.cancelled_by: object = None  # who had it sent, until the session is quiet again
        self.close_reason: exceptions.ConnectionLostError | None = None
        self.outage = False  # what befell it has likely befallen the pool's other connections
        self.leaves_state = False  # something was executed that may have left traces for the next user
        # A text was executed that may have ended the transaction: COMMIT, ROLLBACK, or several statements.
        self.in_doubt = False
        self.on_notification: Callable[[Notification | None], None] | None = None  # told None at the end
        if not pgconn.begin_pipeline():
            self.lost(pgconn.error_message)

    # Questions

    @property
    def is_closed(self) -> bool:
        return self.state is CLOSED

    @property
    def is_quiet(self) -> bool:
        """Nothing in flight, nothing queued, not draining: the transaction status can be trusted."""
        return self.state is READY and not self.queue

    @property
    def is_paused(self) -> bool:
        """Whether nobody is to read from the socket, since a dialogue waits for its caller."""
        return self.dialogue is not None and self.dialogue.paused

    @property
    def is_settled(self) -> bool:
        """Nobody waits for anything here: only housekeeping may be on its way. Asked without a lock, too."""
        if self.retries or self.state not in (READY, FLYING):
            return False
        # One copy: what is iterated mustn't change, and another thread may begin a statement meanwhile.
        requests = (*self.flights, *self.queue)
        return not requests or all(request.silent for request in requests)

    @property
    def transaction_status(self) -> TransactionStatus:
        return TransactionStatus.UNKNOWN if self.is_closed else self.pgconn.transaction_status

    # Requests

    def submit_silently(self, request: Request) -> None:
        """Take a request that nobody waits for."""
        request.silent = True
        self.submit(request)

    def submit(self, request: Request, its_turn: bool = False) -> None:
        """Take a request: write it now or when its turn comes. A request that can't be written has failed on return."""
        if not its_turn and (self.queue or not self.gate_open):
            if self.state is CLOSED:
                request.fail(closed(self.close_reason, request.family))
            elif self.dialogue is None or not self.dialogue.meets(self, request):
                self.queue.append(request)
            return
        try:
            request.write(self)
        except Exception as error:
            self._fail_unwritten(request, error)
            return
        except BaseException as error:
            self._interrupted(error)
            request.fail(closed(self.close_reason, request.family, written=request.written))
            raise
        if request.holds_followers and not request.done:
            self.gate_open = False

    def _write(self, request: Request) -> None:
        """It is the request's turn."""
        if self.in_doubt and not self.flights and is_stranded(request, self.transaction_status):
            request.fail(finished())
            return
        self.submit(request, its_turn=True)

    def _fail_unwritten(self, request: Request, error: Exception) -> None:
        # Nothing was sent: requests encode before they write, and a failing write closes the session.
        request.fail(error)
        for begin in unsent_begin(request):
            self._write(begin)

    def fly(self, request: Request, flushed: int) -> None:
        """Note a flight that was written; `flushed` is what sending it returned: 0 all, 1 some is left, -1 failed."""
        self.state = AFTER_SENDING[self.state]
        self.flights.append(request)
        if flushed:
            self.wants_write = True
            if flushed < 0:
                self.lost(self.pgconn.error_message)

    def start_dialogue(self, dialogue: Dialogue) -> None:
        """Leave the pipeline for a dialogue, which ends with `end_dialogue`. Only when nothing is in flight."""
        self.state = advance(self.state, Event.DIALOGUE_STARTED)
        self.dialogue = dialogue
        self.flights.append(dialogue)
        if not self.pgconn.end_pipeline():
            self.lost(self.pgconn.error_message)
            return
        dialogue.advance(self, 0)

    def end_dialogue(self, error: Exception | None) -> None:
        """Go back to the pipeline."""
        self.dialogue = None
        self.wants_write = False
        request = self.flights.popleft()
        if not self.pgconn.begin_pipeline():
            self.lost(self.pgconn.error_message)
        elif end_if_encoding_changed(self):
            error = closed(self.close_reason, request.family, written=True)
        if error is not None:
            request.fail(error)
        elif not request.done:
            request.finish()
        if self.state is DRAINING:
            self._end_draining()
        elif self.state is State.DIALOGUE:
            self.state = advance(self.state, Event.DIALOGUE_ENDED)
            self._go_on()

    def _go_on(self) -> None:
        """Write what may go now: what has to be written again, one by one, then the queue up to what holds it back."""
        while self.retries and self.state is READY:
            self._write_again(self.retries.popleft())
        if self.state is READY:
            # Nothing is in flight, so nothing holds anything back.
            self.gate_open = True
        while self.queue and self.gate_open:
            self._write(self.queue.popleft())

    def close_evicted(self) -> None:
        """Queue the closing of the statements that left the cache."""
        if self.flights or self.transaction_status is TransactionStatus.INERROR:
            # Closing would fail in an aborted transaction; there will be another occasion.
            return
        for statement in self.statements.evicted():
            closing = CloseStatement(statement)
            closing.silent = True
            self.queue.append(closing)

    # Answers

    def pump(self, ready: int) -> bool:
        """Go on with what the socket allows: `ready` has bit 1 if it is readable, bit 2 if writable.

        Returns False when all is quiet: nothing is in flight, to be written or to be read.
        """
        self.has_more = False
        try:
            for _ in range(PUMPS_PER_TURN):
                if self.dialogue is not None:
                    self.dialogue.advance(self, ready)
                    return True
                if self.state is CLOSED:
                    return True
                flights = self.flights
                gather = GATHER if flights and flights[0].gathers else 0
                result = self.pgconn.pump_one(count := len(flights), ready & 1 | gather)
                if result is not None:
                    had_to_write, self.wants_write = self.wants_write, False
                    for _ in range(self.pgconn.silent if count > 1 else 0):
                        self.land()
                    if flights:
                        self.land(result)
                    if not flights:
                        return had_to_write or self.state is not READY
                    if not self.wants_write:
                        flights[-1].more(self)
                    return True
                flags, results = self.pgconn.pumped()
                self.wants_write = bool(flags & WANT_WRITE)
                deliver(self, results)
                if flags & ~WANT_WRITE:
                    self._attend(flags)
                if self.flights and not self.wants_write:
                    self.flights[-1].more(self)
                if not flags & MORE:
                    return True
                if results and results[-1][0] == ExecStatus.TUPLES_CHUNK:
                    break  # rows were decoded: that was enough for a turn
                ready = 0
            self.has_more = True
            return True
        except BaseException as error:
            self._interrupted(error)
            raise

    def flush(self) -> None:
        """Send what the socket takes, and read nothing: another reads, and wouldn't know what that makes us write."""
        if self.dialogue is not None:
            self.pump(2)
            return
        flushed = self.pgconn.flush()
        self.wants_write = flushed > 0
        if flushed < 0:
            self.lost(self.pgconn.error_message)
        elif self.flights and not flushed:
            self.flights[-1].more(self)

    def _attend(self, flags: int) -> None:
        """What a pump flags besides results."""
        if flags & NOTIFY:
            for notification in self.pgconn.take_notifications():
                if self.on_notification is not None:
                    self.on_notification(notification)
        if flags & ENCODING:
            end_if_encoding_changed(self)
        if flags & COPY:
            self.lost("COPY has begun where it can't be carried out")
        elif flags & BROKEN and not flags & MORE:
            # With MORE there are results left that had arrived before the end.
            self.lost(self.pgconn.error_message)

    def land(self, rows: PGresult | None = None) -> None:
        """The Sync of the oldest flight was read, and with it, where they are given, all that came before it."""
        flights = self.flights
        request = flights.popleft()
        if not flights and self.state is FLYING:
            self.state = LANDED
        try:
            ended = request.land(self) if rows is None else request.take(self, rows)
        except Exception as error:
            # What can't be made of an answer is its caller's error, never its neighbours'.
            request.fail(error)
            ended = True
        except BaseException as error:
            self._interrupted(error)
            request.fail(closed(self.close_reason, request.family, written=request.written))
            raise
        if ended or request.abandoned:
            if not request.done:
                request.done = True  # what `finish` does: every query comes by here
                wake = request.wake
                if wake is not None:
                    try:
                        wake(None)
                    except request.TOO_LATE:
                        pass
            if request.holds_followers:
                self._open_gate()
        elif request in self.retries:
            pass
        elif self.state is DRAINING:
            # It goes on when the cancel request, meant for another, can't hit it any more.
            self.retries.append(request)
        else:
            # Its next flight goes before everything queued: the gate is still shut for the others.
            self._write_again(request)
        if self.state is DRAINING:
            self._end_draining()
        elif self.queue or self.retries:
            self._go_on()

    def _write_again(self, request: Request) -> None:
        request.holds_followers = False
        self._write(request)
        if not request.holds_followers or request.done:
            self._open_gate()

    def _open_gate(self) -> None:
        self.gate_open = (
            self.state in (READY, FLYING)
            and not self.retries
            and not any(flight.holds_followers for flight in self.flights)
        )

    def retry_when_quiet(self, request: Request) -> None:
        """Write `request`, which has flown, again once nothing is in flight, before everything queued."""
        self.retries.append(request)
        self.gate_open = False

    def wait_until_quiet(self, request: Request) -> None:
        """Write `request`, whose turn it is, once nothing is in flight."""
        self.queue.appendleft(request)
        self.gate_open = False

    # The end

    def closed_error(self) -> exceptions.Error:
        """Why nothing can be sent; nothing was."""
        return closed(self.close_reason)

    def lost(self, reason: str, said: Fields | None = None) -> None:
        """The connection is of no use any more: fail everything in it. `said`: an error that tells why."""
        if self.state is CLOSED:
            return
        # The server says why before it hangs up: in a notice, or in the answer to what runs.
        failures = [request.failure for request in self.flights if request.failure is not None]
        if said is not None:
            failures.append(said)
        self.close_reason = hung_up(reason, [*self.pgconn.take_notices(), *failures])
        self.outage |= is_outage(self.pgconn, self.close_reason)
        self._close()

    def _interrupted(self, error: BaseException) -> None:
        """Something came between (KeyboardInterrupt, a mistake of ours): nobody knows how far the call had come."""
        ours = isinstance(error, Exception)
        self.lost(f"internal error: {error!r}" if ours else "interrupted in the middle of a message")

    def close(self) -> None:
        """Close the connection; what is in it fails."""
        if self.state is not CLOSED:
            self._close()

    def _close(self) -> None:
        self.state = advance(self.state, Event.CLOSED)
        self.gate_open = self.wants_write = self.cancel_outstanding = False
        self.cancelled_by = self.dialogue = None
        failed = [*self.flights, *self.retries, *self.queue]
        self.retries.clear()
        self.flights.clear()
        self.queue.clear()
        for request in failed:
            request.fail(closed(self.close_reason, request.family, written=request.written))
        if self.on_notification is not None:
            self.on_notification(None)
