"""Waiting under asyncio and uvloop: one persistent reader per connection, whose callback pumps and resolves futures.

A driver serves one session on one event loop. The loop refers to it weakly: a connection that nobody else refers to
closes, though its reader is registered.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from asyncio import AbstractEventLoop, Future
from asyncio.events import _get_running_loop
from collections.abc import Callable
from sys import modules
from typing import TYPE_CHECKING

from psqlpy._io.cancel import Cancellation, cancel_what_runs
from psqlpy._io.notebook import keep_interruptible
from psqlpy._io.timeouts import query_timeout
from psqlpy._pq.connection import wait
from psqlpy._protocol.connect import Wait
from psqlpy._protocol.request import Displaced, Request
from psqlpy._protocol.session import CLOSED, Session

if TYPE_CHECKING:
    from psqlpy._protocol.pausing import PausingDialogue

_READ = 1
_WRITE = 2

# uvloop forgets a socket without a word when the other end has reset the connection: libuv stops a poll handle at
# POLLERR, and uvloop calls nobody. Under it whoever waits looks for himself, this often. Seconds.
_LOOK_INTERVAL = 0.1


# A request's `wake` is its future's set_result itself, as a function of ours around it would be called by every query:
# the future is done (cancelled this moment, or out of time), or its loop is closed.
Request.TOO_LATE = (asyncio.InvalidStateError, RuntimeError)


def _forgets_reset_sockets(loop: AbstractEventLoop) -> bool:
    return type(loop).__module__.partition(".")[0] == "uvloop"


def _look(reference: weakref.ref[AsyncioDriver]) -> None:
    driver = reference()
    if driver is not None:
        driver.look()


def _wake(future: Future[None]) -> None:
    if not future.done():
        try:
            future.set_result(None)
        except RuntimeError:
            # Its loop is closed: nobody waits any more.
            pass


def _on_ready(reference: weakref.ref[AsyncioDriver], ready: int) -> None:
    """The reader's and the writer's callback. A function, not a method: the loop must not keep the driver alive."""
    driver = reference()
    if driver is None:
        return
    if driver.goes_on:
        if ready == _READ:
            # It will have its turn, and then reads too.
            return
        driver.goes_on = bool(ready)
    session = driver.session
    try:
        busy = session.pump(ready)
    except BaseException:
        # The session has failed everything in it.
        driver.end()
        raise
    if busy or driver.cancellations:
        if session.wants_write != driver.is_writing or session.has_more or driver.cancellations:
            driver.follow()
        if session.state is CLOSED:
            driver.end()
            return
    if driver.on_settled is not None:
        driver.tell_settled()


def _uncork(reference: weakref.ref[AsyncioDriver]) -> None:
    driver = reference()
    if driver is not None:
        driver.uncork()


class AsyncioDriver:
    """One session's reader, writer and timers on one loop."""

    __slots__ = (
        "__weakref__",
        "_fd",
        "_looked_after",
        "_reference",
        "can_cork",
        "cancellations",
        "goes_on",
        "is_corked",
        "is_reading",
        "is_writing",
        "loop",
        "on_settled",
        "session",
    )

    def __init__(self, session: Session, loop: AbstractEventLoop) -> None:
        self.session = session
        self.loop = loop
        self.cancellations: list[Cancellation] = []
        # Called once, when nobody waits for anything here any more, or the session is closed.
        self.on_settled: Callable[[], None] | None = None
        # -1 when nothing is registered any more; libpq may have closed the socket, with rows left that were read.
        self._fd = session.pgconn.fd
        self.is_writing = False
        self.is_reading = self._fd >= 0
        # Whether somebody will look for a reset connection; where the loop tells, nobody need.
        self._looked_after = not _forgets_reset_sockets(loop)
        # The loop has been asked to call again, though the socket may be silent.
        self.goes_on = False
        # Whether the kernel keeps what is sent until the loop's next turn.
        self.is_corked = False
        self.can_cork = True
        self._reference = weakref.ref(self)
        if self.is_reading:
            loop.add_reader(self._fd, _on_ready, self._reference, _READ)

    def __del__(self) -> None:
        if self._fd < 0:
            return
        if not self.is_alive or self.loop is _get_running_loop():
            self.let_go()
            return
        # The loop runs in another thread: it lets go itself. The descriptor is the session's, which lives until then.
        try:
            self.loop.call_soon_threadsafe(_let_go, self.loop, self._fd, self.is_writing, self.session)
        except RuntimeError:
            # Closed this moment, and everything registered with it gone.
            pass

    @property
    def is_alive(self) -> bool:
        """Whether the loop still runs callbacks; a forked child's copy of its parent's loop does not."""
        return self.loop.is_running() and not self.session.pgconn.is_inherited

    # Which loop runs here, if there is no trio: asyncio's own function, since every query asks.
    running = staticmethod(_get_running_loop)

    # Requests

    async def run(self, request: Request, deadline: float | None, its_turn: bool = False) -> None:
        """Submit a request and wait until it has ended; raises its error, QueryTimeoutError, or the cancellation."""
        session = self.session
        session.submit(request, its_turn)
        if not request.done:
            if session.wants_write and not self.is_writing:
                self.follow()
            future: Future[None] = self.loop.create_future()
            request.wake = future.set_result
            if "ipykernel" in modules:
                keep_interruptible(self.loop, future)
            if not self._looked_after:
                self._looked_after = True
                self.loop.call_later(_LOOK_INTERVAL, _look, self._reference)
            if deadline is None:
                try:
                    await future
                except BaseException:
                    self.leave(request)
                    raise
                if not request.done:
                    self.leave(request)
                    raise Displaced
            else:
                await self._run_until(request, future, deadline)
        elif session.state is CLOSED:
            self.end()
        if request.error is not None:
            raise request.take_error()

    async def _run_until(self, request: Request, future: Future[None], deadline: float) -> None:
        began = time.monotonic()
        timer = self.loop.call_later(max(0.0, deadline - began), _wake, future)
        try:
            await future
        except BaseException:
            self.leave(request)
            raise
        finally:
            timer.cancel()
        if not request.done:
            self.leave(request)
            if request.displaced:
                raise Displaced
            raise query_timeout(began, request)

    async def go_on(self, dialogue: PausingDialogue, deadline: float | None) -> None:
        """Run a dialogue that has paused for its caller, until it pauses again or ends; raises as `run` does."""
        session = self.session
        dialogue.resume(session)
        if not self.is_reading:
            self.follow()
        await self.run(dialogue, deadline, its_turn=True)
        if session.has_more and self.is_reading:
            self.follow()

    def look(self) -> None:
        """Pump if the socket has anything to say, an error too, and look again later if somebody still waits."""
        self._looked_after = False
        if self._fd < 0:
            return
        ready = wait(self._fd, _READ, 0)
        if ready:
            self.on_ready(ready)
        if self._fd >= 0 and self.session.flights:
            self._looked_after = True
            self.loop.call_later(_LOOK_INTERVAL, _look, self._reference)

    def on_ready(self, ready: int) -> None:
        """What the loop does when the socket is ready."""
        _on_ready(self._reference, ready)

    def follow(self) -> None:
        """Wait for what the session wants now, besides input."""
        session = self.session
        if session.pgconn.fd < 0:
            # libpq closes the socket of a broken connection by itself, maybe with something left to be taken: the next
            # one that is opened gets the number, and mustn't be taken off the loop in our stead.
            self.let_go()
        if session.wants_write != self.is_writing and self._fd >= 0 and not session.is_closed:
            self.is_writing = session.wants_write
            if self.is_writing:
                self.loop.add_writer(self._fd, _on_ready, self._reference, _WRITE)
            else:
                self.loop.remove_writer(self._fd)
        if session.is_paused:
            if session.has_more and self.is_reading:
                # The loop would call us over and over about what is to stay where it is.
                self.is_reading = False
                self.loop.remove_reader(self._fd)
        else:
            if not self.is_reading and not session.is_closed:
                if session.pgconn.fd < 0:
                    session.has_more = True
                elif self._fd >= 0:
                    self.is_reading = True
                    self.loop.add_reader(self._fd, _on_ready, self._reference, _READ)
            if session.has_more and not self.goes_on:
                self.goes_on = True
                self.loop.call_soon(_on_ready, self._reference, 0)
        for cancellation in self.cancellations[:]:
            self._step(cancellation, timed=False)

    def cork(self) -> None:
        """Let what is written until the loop's next turn travel as one: each part alone would wake the server."""
        if self.is_corked or not self.can_cork:
            return
        self.is_corked = self.can_cork = self.session.pgconn.cork(True)
        if self.is_corked:
            self.loop.call_soon(_uncork, self._reference)

    def uncork(self) -> None:
        """Let it travel."""
        if self.is_corked:
            self.is_corked = False
            if not self.session.is_closed:
                self.session.pgconn.cork(False)

    # Cancelling

    def leave(self, request: Request) -> None:
        """The caller of a request gives up."""
        request.wake = None
        if request.done:
            return
        if self.loop.is_closed():
            # Its task is destroyed with the loop's remains: nobody will ever read the answer.
            cancel_what_runs(self.session)
            self.session.lost("the event loop was closed while a statement was running")
            self.end()
            return
        cancellation = Cancellation(self.session, request)
        self.cancellations.append(cancellation)
        self._step(cancellation, timed=True)

    def _step(self, cancellation: Cancellation, *, timed: bool) -> None:
        if cancellation not in self.cancellations:
            # Over, or another one's step has ended everything.
            return
        delay = cancellation.step(self._call_soon_threadsafe(cancellation))
        if self.session.wants_write != self.is_writing and not self.session.is_closed:
            self.follow()
        if cancellation.over:
            if cancellation in self.cancellations:
                self.cancellations.remove(cancellation)
            if cancellation.timer is not None:
                # It would keep the connection, with all that belongs to it, for as long as the budget.
                cancellation.timer.cancel()
            if self.session.is_closed:
                self.end()
            else:
                self.tell_settled()
        elif timed:
            cancellation.timer = self.loop.call_later(delay, lambda: self._step(cancellation, timed=True))

    def _call_soon_threadsafe(self, cancellation: Cancellation) -> Callable[[], None]:
        def on_return() -> None:
            try:
                self.loop.call_soon_threadsafe(lambda: self._step(cancellation, timed=False))
            except RuntimeError:
                # The loop was closed meanwhile; the pool finds the connection draining and replaces it.
                pass

        return on_return

    def tell_settled(self) -> None:
        if self.on_settled is not None and (self.session.is_closed or self.session.is_settled):
            callback, self.on_settled = self.on_settled, None
            callback()

    # Leaving the loop

    def end(self) -> None:
        """The session is closed: take it off the loop and give the socket back."""
        self.let_go()
        self.session.pgconn.finish()
        self.cancellations.clear()
        self.tell_settled()

    def let_go(self) -> None:
        """Take the session off the loop, from its thread or when it doesn't run. Nothing happens a second time."""
        self.uncork()
        fd, self._fd = self._fd, -1
        if fd < 0 or self.loop.is_closed() or self.session.pgconn.is_inherited:
            # A forked child shares the selector with its parent, who would wait for ever.
            return
        writing, self.is_writing, self.is_reading = self.is_writing, False, False
        _let_go(self.loop, fd, writing, self.session)


def _let_go(loop: AbstractEventLoop, fd: int, writing: bool, _session: Session) -> None:
    """`_session` keeps the descriptor open until this was called."""
    try:
        if writing:
            loop.remove_writer(fd)
        loop.remove_reader(fd)
    except OSError:
        # libpq closes the socket of a broken connection by itself; with this error the selector has forgotten it.
        pass


async def wait_any(wanted: Wait) -> set[int]:
    """Wait until one of several sockets is ready or the time is over; returns the ready ones."""
    looks = _forgets_reset_sockets(asyncio.get_running_loop())
    while True:
        now = time.monotonic()
        until = wanted.until
        if looks:
            until = now + _LOOK_INTERVAL if until is None else min(until, now + _LOOK_INTERVAL)
        ready = await _wait_once(wanted, None if until is None else max(0.0, until - now))
        if looks and not ready:
            ready = {fd for fd, events in wanted.fds.items() if wait(fd, events, 0)}
        if ready or (wanted.until is not None and time.monotonic() >= wanted.until):
            return ready


async def _wait_once(wanted: Wait, timeout: float | None) -> set[int]:
    loop = asyncio.get_running_loop()
    ready: set[int] = set()
    future: Future[None] = loop.create_future()

    def on_ready(fd: int) -> None:
        ready.add(fd)
        _wake(future)

    for fd, events in wanted.fds.items():
        if events & _READ:
            loop.add_reader(fd, on_ready, fd)
        if events & _WRITE:
            loop.add_writer(fd, on_ready, fd)
    timer = None if timeout is None else loop.call_later(timeout, _wake, future)
    if "ipykernel" in modules:
        keep_interruptible(loop, future)
    try:
        await future
    finally:
        if timer is not None:
            timer.cancel()
        for fd, events in wanted.fds.items():
            if events & _READ:
                loop.remove_reader(fd)
            if events & _WRITE:
                loop.remove_writer(fd)
    return ready
