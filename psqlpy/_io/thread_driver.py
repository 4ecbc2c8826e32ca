"""Waiting in threads: the caller polls the socket itself; of several callers one reads for all.

Every call into the session holds its lock, no wait does. A KeyboardInterrupt in a wait takes the cancellation's way;
one that strikes inside a call into the session closes the connection: the session sees to that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from psqlpy._io.cancel import THREAD_DRAIN_BUDGET, Cancellation
from psqlpy._io.primitives import Lock
from psqlpy._io.timeouts import query_timeout
from psqlpy._pq.connection import wait
from psqlpy._protocol.connect import Wait
from psqlpy._protocol.failures import closed, returned
from psqlpy._protocol.request import Displaced, Request
from psqlpy._protocol.session import CLOSED, Session

if TYPE_CHECKING:
    from psqlpy._protocol.pausing import PausingDialogue

_READ = 1
_WRITE = 2
_READ_WRITE = 3

# A signal that comes just before poll() doesn't interrupt it: this is how late its handler may run. Milliseconds.
_LONGEST_POLL = 200
# While the server is asked to cancel: its answer and the cancel request's return come by different ways. Milliseconds.
_CANCEL_POLL = 5
# While a cancelled statement of another caller is in the connection. Milliseconds.
_LEFT_POLL = 50
# While somebody wants to know whether what is oldest in the connection ends. Milliseconds.
_CHECK_POLL = 25


class _Returned(Exception):
    """The lease has ended, in another thread, just before a request was submitted."""


class Lease:
    """The time that one user has a connection for; the pool has a lease without end.

    `is_over` is looked at, and set, under the driver's lock: what hasn't been submitted by then never is.
    """

    __slots__ = ("driver", "is_over")

    def __init__(self, driver: ThreadDriver) -> None:
        self.driver = driver
        self.is_over = False

    def end(self) -> None:
        """Refuse whatever comes from now on."""
        with self.driver.lock:
            self.is_over = True

    def run(self, request: Request, deadline: float | None = None, its_turn: bool = False) -> None:
        """Submit a request and wait until it has ended; raises its error or QueryTimeoutError.

        After the end of the lease it is not submitted: ConnectionClosedError.
        """
        driver = self.driver
        session = driver.session
        began = 0.0 if deadline is None else time.monotonic()
        try:
            with driver.lock:
                if self.is_over:
                    raise _Returned
                session.submit(request, its_turn)
                if driver.reader is None and not request.done:
                    driver.reader = request
            while not request.done:
                if request.displaced:
                    raise Displaced
                if deadline is not None and time.monotonic() >= deadline:
                    raise query_timeout(began, request)
                if driver.reader is request:
                    driver.lead(request, deadline)
                else:
                    driver.follow(request, deadline)
        except _Returned:
            raise returned() from None
        except BaseException:
            driver.leave(request)
            raise
        if driver.left:
            driver.drain_left()
        if driver.waiting:
            driver.pass_on()
        if session.state is CLOSED:
            driver.end()
        elif driver.on_settled is not None:
            driver.tell_settled()
        if request.error is not None:
            raise request.take_error()

    def go_on(self, dialogue: PausingDialogue, deadline: float | None) -> None:
        """Run a dialogue that has paused for its caller, until it pauses again or ends; raises as `run` does."""
        with self.driver.lock:
            if self.is_over:
                raise returned()
            dialogue.resume(self.driver.session)
        self.run(dialogue, deadline, its_turn=True)


class ThreadDriver:
    """One session's waiting threads."""

    __slots__ = ("check", "left", "lock", "on_settled", "reader", "session", "waiting")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.lock = Lock()
        self.on_settled: Callable[[], None] | None = None
        # Called now and then by the one who reads, under the lock, as long as it returns True.
        self.check: Callable[[], bool] | None = None
        # The request whose caller reads for all.
        self.reader: Request | None = None
        # Those who wait while another one reads; each has a lock that is released to wake it.
        self.waiting: dict[Request, threading.Lock] = {}
        # Cancelled statements that their callers have left to those who still wait.
        self.left: list[Cancellation] = []

    def lead(self, request: Request, deadline: float | None) -> None:
        """Read for all, until the request is done or its time is over; the caller has become the reader."""
        session = self.session
        # Should an interrupt strike before the wait, `_leave` finds that we are the reader.
        try:
            while not (request.done or request.displaced or session.is_paused):
                longest = 0 if session.has_more else _milliseconds(deadline)
                if self.left:
                    longest = min(longest, _LEFT_POLL)
                    self._step_left()
                if self.check is not None:
                    longest = min(longest, _CHECK_POLL)
                ready = wait(session.fd, _READ_WRITE if session.wants_write else _READ, longest)
                if ready or session.has_more:
                    with self.lock:
                        if session.state is not CLOSED:
                            session.pump(ready)
                check = self.check
                if check is not None:
                    with self.lock:
                        if not check() and self.check is check:
                            self.check = None
                if session.state is CLOSED:
                    # An interrupt may have kept it from failing what was in it.
                    request.fail(closed(session.close_reason, request.family, written=request.written))
                if deadline is not None and time.monotonic() >= deadline:
                    return
        finally:
            self.reader = None

    def follow(self, request: Request, deadline: float | None) -> None:
        """Wait once for the one who reads."""
        session = self.session
        woken = None
        with self.lock:
            if self.reader is None and not session.is_paused:
                if not request.done:
                    self.reader = request
                return
            if not request.done and not session.wants_write:
                woken = self.waiting[request] = threading.Lock()
                woken.acquire()
                request.wake = partial(_release, woken)
        if woken is not None:
            woken.acquire(timeout=_milliseconds(deadline) / 1000)
            with self.lock:
                self.waiting.pop(request, None)
                request.wake = None
        elif session.wants_write:
            # The one who reads doesn't know that there is something to write.
            ready = wait(session.fd, _WRITE, _milliseconds(deadline))
            with self.lock:
                if ready and session.state is not CLOSED:
                    session.flush()

    def _pump(self, ready: int) -> None:
        session = self.session
        if not ready and not session.has_more:
            return
        with self.lock:
            if session.state is not CLOSED:
                session.pump(ready)

    def pass_on(self) -> None:
        """Wake one of the waiting to read for the others."""
        with self.lock:
            if self.reader is not None:
                return
            for request, woken in self.waiting.items():
                if not request.done and woken.locked():
                    _release(woken)
                    return

    @contextmanager
    def inside(self) -> Generator[Session, None, None]:
        """The session, for a call that doesn't wait."""
        with self.lock:
            yield self.session

    # Cancelling

    def leave(self, request: Request, budget: float = THREAD_DRAIN_BUDGET) -> None:
        """The caller gives up: cancel, read what is left for `budget` seconds at most, and close if that fails."""
        try:
            self._give_up(request, budget)
        except BaseException:
            # Interrupted once more: unless others wait here, nobody would read what is left.
            with self.lock:
                self._stop_reading(request)
                if not any(left.caller is request for left in self.left):
                    self.session.lost("interrupted while a statement was being cancelled")
                closed = self.session.is_closed
            if closed:
                self.end()
            self.pass_on()
            raise

    def _stop_reading(self, request: Request) -> None:
        if self.reader is request:
            self.reader = None

    def _give_up(self, request: Request, budget: float) -> None:
        session = self.session
        with self.lock:
            self._stop_reading(request)
            self.waiting.pop(request, None)
            request.wake = None
            if request.done or session.is_closed:
                closed = session.is_closed
                cancellation = None
            else:
                cancellation = Cancellation(session, request, budget)
        if cancellation is not None:
            self._drain(cancellation, budget)
            closed = session.is_closed
        if closed:
            self.end()
        self.pass_on()
        if not closed:
            self.tell_settled()

    def _drain(self, cancellation: Cancellation, budget: float = THREAD_DRAIN_BUDGET) -> None:
        session = self.session
        deadline = time.monotonic() + budget
        while True:
            with self.lock:
                cancellation.step(self._on_return(cancellation))
                if cancellation.over:
                    return
                if time.monotonic() >= deadline:
                    if cancellation.others_wait():
                        # They read on, and see to what is left of this request.
                        self.left.append(cancellation)
                        return
                    session.lost("a cancelled statement did not end")
                    return
                leads = self.reader is None
                if leads:
                    self.reader = cancellation.request
            try:
                if leads:
                    self._pump(wait(session.fd, _READ_WRITE if session.wants_write else _READ, _CANCEL_POLL))
                else:
                    time.sleep(_CANCEL_POLL / 1000)
            except BaseException:
                with self.lock:
                    if cancellation.others_wait():
                        self.left.append(cancellation)
                raise
            finally:
                if leads:
                    self.reader = None

    def write_rest(self) -> None:
        """Read until nothing waits any more to be written behind an answer that nobody waits for; else close."""
        session = self.session
        deadline = time.monotonic() + THREAD_DRAIN_BUDGET
        while True:
            with self.lock:
                if self.reader is not None or not (session.queue and session.is_settled):
                    # Somebody reads for all, or nothing is left.
                    break
                if time.monotonic() >= deadline:
                    session.lost("what comes before a ROLLBACK or a reset was not answered")
                    break
                self.reader = session.queue[0]
            try:
                self._pump(wait(session.fd, _READ_WRITE if session.wants_write else _READ, _CANCEL_POLL))
            finally:
                self.reader = None
        if session.is_closed:
            self.end()
        self.pass_on()

    def _on_return(self, cancellation: Cancellation) -> Callable[[], None]:
        def on_return() -> None:
            # Whoever drained may have left the rest to the others by now.
            with self.lock:
                self.session.cancel_returned(cancellation)

        return on_return

    def _step_left(self) -> None:
        """Go on with what others have left, while reading for oneself."""
        with self.lock:
            for cancellation in self.left[:]:
                cancellation.step(self._on_return(cancellation))
                if cancellation.over:
                    self.left.remove(cancellation)

    def drain_left(self) -> None:
        """Having one's own answer: drain what others have left, if nobody is there any more who waits and reads."""
        while True:
            with self.lock:
                if not self.left or self.left[0].others_wait():
                    return
                cancellation = self.left.pop(0)
            self._drain(cancellation)

    def tell_settled(self) -> None:
        with self.lock:
            callback = self.on_settled
            if callback is None or not (self.session.is_closed or self.session.is_settled):
                return
            self.on_settled = None
        callback()

    def end(self) -> None:
        """The session is closed: wake everybody; who reads last gives the socket back."""
        with self.lock:
            if self.reader is None:
                self.session.pgconn.finish()
        self.tell_settled()


def _milliseconds(deadline: float | None) -> int:
    """How long one poll may take."""
    if deadline is None:
        return _LONGEST_POLL
    return max(0, min(_LONGEST_POLL, int((deadline - time.monotonic()) * 1000) + 1))


def _release(woken: threading.Lock, _: None = None) -> None:
    """Wake who waits on it, once; only under the driver's lock."""
    if woken.locked():
        woken.release()


def wait_any(wanted: Wait) -> set[int]:
    """Wait until one of several sockets is ready or the time is over; returns the ready ones."""
    import select

    poll = select.poll()
    for fd, events in wanted.fds.items():
        poll.register(
            fd, (select.POLLIN if events & _READ else 0) | (select.POLLOUT if events & _WRITE else 0)
        )
    while True:
        timeout = _LONGEST_POLL
        if wanted.until is not None:
            timeout = max(0, min(timeout, int((wanted.until - time.monotonic()) * 1000) + 1))
        ready = {fd for fd, _ in poll.poll(timeout)}
        if ready or (wanted.until is not None and time.monotonic() >= wanted.until):
            return ready


def drive(dialogue: Generator[Wait, set[int], Any]) -> Any:
    """Run a generator that yields what to wait for; it is closed when the caller is interrupted."""
    try:
        wanted = next(dialogue)
        while True:
            wanted = dialogue.send(wait_any(wanted))
    except StopIteration as ended:
        return ended.value
    finally:
        dialogue.close()
