"""Waiting through anyio, which means trio: one waiting task reads for all.

A task that waits for its request and finds nobody reading becomes the reader. When its own request is done and others
are pending, it wakes one of them to read on. Nobody reads while nobody waits: what arrives then is read at the next
acquire.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from psqlpy._io.cancel import DRAIN_BUDGET, PATIENCE, Cancellation, break_off
from psqlpy._io.running import running_loop
from psqlpy._io.system_task import can_spawn, spawn_system_task
from psqlpy._io.timeouts import query_timeout
from psqlpy._protocol.connect import Wait
from psqlpy._protocol.request import Displaced, Request
from psqlpy._protocol.session import Session

if TYPE_CHECKING:
    from psqlpy._protocol.pausing import PausingDialogue

_READ = 1
_WRITE = 2


class AnyioDriver:
    """One session's waiting tasks."""

    __slots__ = (
        "__weakref__",
        "_reader",
        "_waiting",
        "_writer",
        "cancellations",
        "is_writing_rest",
        "loop",
        "on_settled",
        "session",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        # No loop to register with: waiting is all there is.
        self.loop = None
        self.cancellations: list[Cancellation] = []
        self.on_settled: Callable[[], None] | None = None
        # Whose wait is for the socket, in either direction: a request, the cancellation of one, or `_write_rest`.
        self._reader: Request | Cancellation | AnyioDriver | None = None
        self._writer: Request | Cancellation | AnyioDriver | None = None
        # Whether a task of its own reads and writes, for nobody: until it ends nobody else may use the connection, who
        # may be in another thread.
        self.is_writing_rest = False
        # Those who wait while another one reads.
        self._waiting: dict[Request, anyio.Event] = {}

    @property
    def is_alive(self) -> bool:
        return True

    # As AsyncioDriver's.
    running = staticmethod(running_loop)

    async def run(self, request: Request, deadline: float | None, its_turn: bool = False) -> None:
        """Submit a request and wait until it has ended; raises its error, QueryTimeoutError, or the cancellation."""
        self.session.submit(request, its_turn)
        if request.done:
            # With it a stream may have ended, for which the others had stopped reading.
            self.pass_on()
            await anyio.lowlevel.checkpoint()
        elif deadline is None:
            await self._wait(request)
        else:
            began = time.monotonic()
            with anyio.move_on_after(max(0.0, deadline - began)) as scope:
                await self._wait(request)
            if scope.cancelled_caught and (request.abandoned or not request.done):
                raise query_timeout(began, request)
        if self.session.is_closed:
            self.end()
        if request.error is not None:
            raise request.take_error()

    async def go_on(self, dialogue: PausingDialogue, deadline: float | None) -> None:
        """Run a dialogue that has paused for its caller, until it pauses again or ends; raises as `run` does."""
        dialogue.resume(self.session)
        try:
            await self.run(dialogue, deadline, its_turn=True)
        finally:
            # If it has ended at once, those behind it wait, and nobody reads.
            self.pass_on()

    async def _wait(self, request: Request) -> None:
        try:
            while not request.done:
                if request.displaced:
                    raise Displaced
                await self._turn(request, request)
        except BaseException:
            self._stop_waiting(request)
            self.leave(request)
            raise
        finally:
            self._waiting.pop(request, None)
            self.pass_on()

    async def _turn(self, waiter: Request | Cancellation | AnyioDriver, request: Request | None) -> None:
        """One wait, for the socket if nobody else waits for it, otherwise for the one who does."""
        session = self.session
        writes = session.wants_write and self._writer is None
        held = session.is_paused
        if session.has_more and not held:
            await anyio.lowlevel.checkpoint()
            self._pump(0)
        elif (self._reader is None or writes) and not held:
            wanted = (_READ if self._reader is None else 0) | (_WRITE if writes else 0)
            # Should a KeyboardInterrupt strike between here and the wait, `_wait` finds these.
            if wanted & _READ:
                self._reader = waiter
            if wanted & _WRITE:
                self._writer = waiter
            try:
                ready = await self._wait_for_socket(request, wanted)
            finally:
                self._stop_waiting(waiter)
            self._pump(ready)
        elif request is not None:
            event = self._waiting[request] = anyio.Event()
            request.wake = lambda _: event.set()
            await event.wait()
            request.wake = None
        else:
            await anyio.sleep(PATIENCE)

    def _stop_waiting(self, waiter: Request | Cancellation | AnyioDriver) -> None:
        if self._reader is waiter:
            self._reader = None
        if self._writer is waiter:
            self._writer = None

    async def _wait_for_socket(self, request: Request | None, wanted: int) -> int:
        """Wait, but not longer than for the request: another task's call may complete it, or close the session."""
        with anyio.CancelScope() as scope:
            if request is not None:
                request.wake = lambda _: scope.cancel()
            try:
                if wanted == _READ:
                    await anyio.wait_readable(self.session.fd)
                elif wanted == _WRITE:
                    await anyio.wait_writable(self.session.fd)
                else:
                    wanted = await self._wait_both()
                return wanted
            finally:
                if request is not None:
                    request.wake = None
        return 0

    async def _wait_both(self) -> int:
        ready = 0
        fd = self.session.fd

        async def wait(direction: Callable[[int], Any], bit: int) -> None:
            nonlocal ready
            await direction(fd)
            ready |= bit
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(wait, anyio.wait_readable, _READ)
            group.start_soon(wait, anyio.wait_writable, _WRITE)
        return ready

    def _pump(self, ready: int) -> None:
        if (ready or self.session.has_more) and not self.session.is_closed:
            self.session.pump(ready)

    def pass_on(self) -> None:
        """Wake one of the waiting to read for the others, and to write for them; never waits."""
        if self.on_settled is not None:
            self._tell_settled()
        if self._reader is not None:
            if self.session.wants_write and self._writer is None and isinstance(self._reader, Request):
                # It waits for input only, since another one was to write, who has come away.
                self._reader.stir()
            return
        for request, event in self._waiting.items():
            if not request.done:
                event.set()
                return

    # Cancelling

    def leave(self, request: Request) -> None:
        """The caller of a request gives up."""
        request.wake = None
        if request.done:
            return
        if not can_spawn():
            # Left behind by an event loop that has ended: nobody will read the rest.
            break_off(self.session)
            self.session.lost("the event loop ended while a statement was running")
            self.end()
            return
        cancellation = Cancellation(self.session, request)
        self.cancellations.append(cancellation)
        cancellation.step(_return_quietly)
        if cancellation.over:
            self._end_cancellation(cancellation)
        else:
            spawn_system_task(self._drain, cancellation)

    async def _drain(self, cancellation: Cancellation) -> None:
        """Read what is left of an abandoned request; bounded by the cancellation's budget."""
        try:
            while not cancellation.over:
                with anyio.move_on_after(min(PATIENCE, cancellation.step(_return_quietly))):
                    if not cancellation.over:
                        await self._turn(cancellation, None)
                self.pass_on()
        except Exception as error:
            # trio ends when a system task fails.
            self.session.lost(f"reading failed: {error!r}")
        finally:
            if not cancellation.over:
                # The run ends: nobody will read the rest.
                break_off(self.session)
                self.session.lost("the event loop ended while a cancelled statement was running")
            self._end_cancellation(cancellation)

    def write_rest(self) -> None:
        """Read until nothing waits any more to be written behind an answer that nobody waits for; returns at once."""
        if not self.is_writing_rest and can_spawn():
            self.is_writing_rest = True
            spawn_system_task(self._write_rest)

    async def _write_rest(self) -> None:
        session = self.session
        deadline = time.monotonic() + DRAIN_BUDGET
        try:
            while session.queue and not session.is_closed and time.monotonic() < deadline:
                with anyio.move_on_after(PATIENCE):
                    await self._turn(self, None)
                self.pass_on()
        except Exception as error:
            # trio ends when a system task fails.
            session.lost(f"reading failed: {error!r}")
        finally:
            if session.queue and session.is_settled:
                # The server is silent, or the run ends: what its last user did would stay as it is.
                session.lost("what comes before a ROLLBACK or a reset was not answered")
            if session.is_closed:
                self.end()
            self.is_writing_rest = False
            self._tell_settled()

    def _end_cancellation(self, cancellation: Cancellation) -> None:
        self.cancellations.remove(cancellation)
        if self.session.is_closed:
            self.end()
        else:
            self._tell_settled()

    def _tell_settled(self) -> None:
        if self.is_writing_rest or self.on_settled is None:
            return
        if self.session.is_closed or self.session.is_settled:
            callback, self.on_settled = self.on_settled, None
            callback()

    def end(self) -> None:
        """The session is closed: give the socket back, unless somebody still waits on it, who does it then."""
        if self._reader is None and self._writer is None:
            self.session.pgconn.finish()
        self._tell_settled()

    def let_go(self) -> None:
        """Nothing is registered anywhere."""


def _return_quietly() -> None:
    """The cancellation looks at its own state at the next step."""


async def wait_any(wanted: Wait) -> set[int]:
    """Wait until one of several sockets is ready or the time is over; returns the ready ones."""
    ready: set[int] = set()

    async def wait_one(direction: Callable[[int], Any], fd: int) -> None:
        await direction(fd)
        ready.add(fd)
        group.cancel_scope.cancel()

    timeout = None if wanted.until is None else max(0.0, wanted.until - time.monotonic())
    with anyio.move_on_after(timeout):
        async with anyio.create_task_group() as group:
            for fd, events in wanted.fds.items():
                if events & _READ:
                    group.start_soon(wait_one, anyio.wait_readable, fd)
                if events & _WRITE:
                    group.start_soon(wait_one, anyio.wait_writable, fd)
            if not wanted.fds:
                await anyio.sleep_forever()
    return ready
