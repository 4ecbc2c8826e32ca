"""Cancelling: what happens to a request whose caller has left. One rule for all drivers.

The caller leaves at once; then
- a request that wasn't written yet is forgotten;
- one that runs alone: the server is asked to cancel, and the session takes no request until the cancel request has
  returned and everything in flight was answered; otherwise the cancellation hits a neighbour;
- one with neighbours: its answer is dropped. When it has run for `PATIENCE` as the oldest in flight, the server is
  asked, neighbours or not: one that is hit instead is executed again, if no transaction is open;
- of several whose callers have left, the server is asked about one after the other;
- if such a statement hasn't ended `DRAIN_BUDGET` after the server was asked about it, the connection is closed; so it
  is if that long only housekeeping was in front of it, about which nobody is asked.
"""

from __future__ import annotations

import _socket
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from psqlpy._io import background
from psqlpy._pq.canceller import Canceller
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from psqlpy._protocol.state import State

if TYPE_CHECKING:
    from asyncio import TimerHandle

# Seconds.
PATIENCE = 0.05
DRAIN_BUDGET = 2.0
# A thread has nobody to leave the draining to: it does it itself, and has left within a tenth of a second, all told.
THREAD_DRAIN_BUDGET = 0.085
# What the end of the process waits for its last cancel requests.
EXIT_BUDGET = 0.5


class Cancellation:
    """One abandoned request, from its caller's leaving until the session is quiet or given up.

    The driver calls `step` at once, then whenever something was read or `next_step` seconds have passed, until `over`.
    """

    __slots__ = (
        "_asked_at",
        "_budget",
        "_head",
        "_is_asked_about",
        "_left_at",
        "_returned",
        "_since",
        "caller",
        "over",
        "request",
        "session",
        "timer",
    )

    def __init__(self, session: Session, request: Request, budget: float = DRAIN_BUDGET) -> None:
        self.session = session
        # What was abandoned, and below what flies for it.
        self.caller = request
        session.abandon(request)
        for flight in session.flights:
            if flight.serves is request:
                session.abandon(flight)
                request = flight
        self.request = request
        self.over = False
        # The driver's, for its next step.
        self.timer: TimerHandle | None = None
        self._budget = budget
        self._left_at = time.monotonic()
        self._asked_at: float | None = None
        self._returned = False
        # The oldest in flight, since when it is that or was asked about, and whether it was.
        self._head: Request | None = None
        self._since = 0.0
        self._is_asked_about = False

    def step(self, on_return: Callable[[], None]) -> float:
        """Do what is due; returns the seconds until the next step. `on_return` is called by another thread."""
        session = self.session
        now = time.monotonic()
        if self._returned:
            self._returned = False
            self._since = now
            session.cancel_returned(self)
        if self._asked_at is not None:
            return self._follow_up(now, on_return)
        if session.state is State.CLOSED or self.request not in session.flights:
            self.over = True
        elif session.state is State.DRAINING:
            # Another cancellation is under way; this request goes with it, or is asked about afterwards.
            return PATIENCE
        elif self._runs_alone() or (session.flights[0] is self.request and now - self._left_at >= PATIENCE):
            self._ask(on_return)
        elif now - self._left_at >= self._budget and not self.others_wait():
            # Behind housekeeping, which the server doesn't answer either, and which isn't to be cancelled.
            session.outage = True
            session.lost("what was sent before did not end")
            self.over = True
        return PATIENCE

    def _runs_alone(self) -> bool:
        """Whether a cancel request can only hit this request, or nothing."""
        return all(flight is self.request or flight.abandoned for flight in self.session.flights)

    def others_wait(self) -> bool:
        """Whether somebody else still waits for an answer on this connection."""
        session = self.session
        requests = (*session.flights, *session.retries, *session.queue)
        return any(not request.abandoned and not request.silent for request in requests)

    def _follow_up(self, now: float, on_return: Callable[[], None]) -> float:
        """After the server was asked: it is asked again while something abandoned goes on running.

        Several may have been abandoned, and a request that comes between two statements has no effect.
        """
        session = self.session
        if session.cancelled_by is not self:
            self.over = True
            return 0.0
        head = session.flights[0] if session.flights else None
        if head is not self._head:
            self._head, self._since, self._asked_at = head, now, now
            self._is_asked_about = False
        assert self._asked_at is not None
        if now - self._asked_at >= (DRAIN_BUDGET if self.others_wait() else self._budget):
            # Most likely nobody is there any more.
            session.outage = True
            session.lost("a cancelled statement did not end")
            self.over = True
        elif head is not None and head.abandoned and not session.cancel_outstanding:
            at_once = not self._is_asked_about and all(flight.abandoned for flight in session.flights)
            if at_once or now - self._since >= PATIENCE:
                asked_at = self._asked_at
                self._ask(on_return)
                # The budget is each statement's, not each cancel request's.
                self._asked_at = asked_at
        return min(PATIENCE, self._budget)

    def _ask(self, on_return: Callable[[], None]) -> None:
        self._asked_at = time.monotonic()
        self._head = self.session.flights[0] if self.session.flights else None
        self._is_asked_about = True
        self.session.start_cancel(self)
        canceller = self.session.pgconn.canceller()

        def run() -> None:
            # That it failed changes nothing: the budget decides.
            canceller.run()
            self._returned = True
            on_return()

        background.start_cancel(run)


def cancel_what_runs(session: Session) -> None:
    """Ask the server to end what somebody's statement does on a connection that is about to be closed; doesn't wait.

    The server doesn't notice by itself that nobody will read the answer.
    """
    if _runs_something(session) and not session.cancel_outstanding:
        canceller = session.pgconn.canceller()
        background.start_cancel(lambda: _run_quietly(canceller))


def break_off(session: Session) -> None:
    """End all that somebody's statements do on a connection whose answers nobody will read; doesn't wait.

    Of several statements a cancel request ends one, and the next begins. So the socket is shut down before: the server
    stops when it finds nobody to tell that the first was cancelled.
    """
    if _runs_something(session):
        canceller = session.pgconn.canceller()
        shut_down(session.pgconn.fd)
        background.start_cancel(lambda: _run_quietly(canceller))


def end_with_process(sessions: Iterable[Session]) -> None:
    """At the end of the process: break off what still runs for it, and wait `EXIT_BUDGET` at most for the requests."""
    for session in list(sessions):
        break_off(session)
    background.wait_for_cancels(EXIT_BUDGET)


def shut_down(fd: int) -> None:
    """Break a connection without closing it: the copy keeps the number from being another socket's meanwhile."""
    try:
        copy = _socket.socket(fileno=_socket.dup(fd))
    except OSError:
        # libpq has closed the socket.
        return
    try:
        copy.shutdown(_socket.SHUT_RDWR)
    except OSError:
        # Nobody is at the other end.
        pass
    finally:
        copy.close()


def _runs_something(session: Session) -> bool:
    if session.state is State.CLOSED or session.pgconn.is_inherited:
        return False
    return any(not request.silent for request in tuple(session.flights))


def _run_quietly(canceller: Canceller) -> None:
    canceller.run()
