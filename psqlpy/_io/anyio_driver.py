"""Waiting through anyio, which means trio: one waiting task reads for all.

A task that waits for its request and finds nobody reading becomes the reader. When its own request is done and others are
pending, it wakes one of them to read on. Nobody reads while nobody waits: what arrives then is read at the next acquire.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import anyio
import anyio.lowlevel

from psqlpy._io.cancel import PATIENCE, Cancellation
from psqlpy._io.system_task import spawn_system_task
from psqlpy._io.timeouts import query_timeout
from psqlpy._protocol.connect import Wait
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session

_READ = 1
_WRITE = 2


class AnyioDriver:
    """One session's waiting tasks."""

    __slots__ = ("__weakref__", "_reading", "_waiting", "_writing", "cancellations", "loop", "on_settled", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        # No loop to register with: waiting is all there is.
        self.loop = None
        self.cancellations: list[Cancellation] = []
        self.on_settled: Callable[[], None] | None = None
        self._reading = False
        self._writing = False
        # Those who wait while another one reads.
        self._waiting: dict[Request, anyio.Event] = {}

    @property
    def is_alive(self) -> bool:
        return True

    async def run(self, request: Request, deadline: float | None) -> None:
        """Submit a request and wait until it has ended; raises its error, QueryTimeoutError, or the cancellation."""
        self.session.submit(request)
        if request.done:
            await anyio.lowlevel.checkpoint()
        elif deadline is None:
            await self._wait(request)
        else:
            began = time.monotonic()
            with anyio.move_on_after(max(0.0, deadline - began)):
                await self._wait(request)
            if not request.done:
                raise query_timeout(began, request)
        if self.session.is_closed:
            self.end()
        if request.error is not None:
            raise request.error

    async def _wait(self, request: Request) -> None:
        try:
            while not request.done:
                await self._turn(request)
        except BaseException:
            self._leave(request)
            raise
        finally:
            self._waiting.pop(request, None)
            self._pass_on()

    async def _turn(self, request: Request | None) -> None:
        """One wait, for the socket if nobody else waits for it, otherwise for the one who does."""
        session = self.session
        writes = session.wants_write and not self._writing
        if session.has_more:
            await anyio.lowlevel.checkpoint()
            self._pump(0)
        elif not self._reading:
            self._reading = True
            self._writing = self._writing or writes
            try:
                ready = await (self._wait_both() if writes else self._wait_readable())
            finally:
                self._reading = False
                if writes:
                    self._writing = False
            self._pump(ready)
        elif writes:
            self._writing = True
            try:
                await anyio.wait_writable(session.fd)
            finally:
                self._writing = False
            self._pump(_WRITE)
        elif request is not None:
            event = self._waiting[request] = anyio.Event()
            request.wake = event.set
            await event.wait()
            request.wake = None
        else:
            await anyio.sleep(PATIENCE)

    async def _wait_readable(self) -> int:
        await anyio.wait_readable(self.session.fd)
        return _READ

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
        if not self.session.is_closed:
            self.session.pump(ready)

    def _pass_on(self) -> None:
        """Wake one of the waiting to read for the others; never waits."""
        if self.on_settled is not None:
            self._tell_settled()
        if self._reading:
            return
        for request, event in self._waiting.items():
            if not request.done:
                event.set()
                return

    # Cancelling

    def _leave(self, request: Request) -> None:
        request.wake = None
        if request.done:
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
                        await self._turn(None)
                self._pass_on()
        except OSError:
            self.session.lost("the socket was closed")
        finally:
            if not cancellation.over:
                # The run ends: nobody will read the rest.
                self.session.lost("the event loop ended while a cancelled statement was running")
            self._end_cancellation(cancellation)

    def _end_cancellation(self, cancellation: Cancellation) -> None:
        self.cancellations.remove(cancellation)
        if self.session.is_closed:
            self.end()
        else:
            self._tell_settled()

    def _tell_settled(self) -> None:
        if self.on_settled is not None and (self.session.is_closed or self.session.is_settled):
            callback, self.on_settled = self.on_settled, None
            callback()

    def end(self) -> None:
        """The session is closed: give the socket back, unless somebody still waits on it, who does it then."""
        if not self._reading and not self._writing:
            self.session.pgconn.finish()
        self._tell_settled()

    def let_go(self) -> None:
        """Nothing is registered anywhere."""


def _return_quietly() -> None:
    """The cancellation looks at its own state at the next step."""


async def wait_any(wait: Wait) -> set[int]:
    """Wait until one of several sockets is ready or the time is over; returns the ready ones."""
    ready: set[int] = set()

    async def wait_one(direction: Callable[[int], Any], fd: int) -> None:
        await direction(fd)
        ready.add(fd)
        group.cancel_scope.cancel()

    timeout = None if wait.until is None else max(0.0, wait.until - time.monotonic())
    with anyio.move_on_after(timeout):
        async with anyio.create_task_group() as group:
            for fd, events in wait.fds.items():
                if events & _READ:
                    group.start_soon(wait_one, anyio.wait_readable, fd)
                if events & _WRITE:
                    group.start_soon(wait_one, anyio.wait_writable, fd)
            if not wait.fds:
                await anyio.sleep_forever()
    return ready


async def drive(dialogue: Generator[Wait, set[int], Any]) -> Any:
    """Run a generator that yields what to wait for; it is closed when the caller is cancelled."""
    try:
        wait = next(dialogue)
        while True:
            wait = dialogue.send(await wait_any(wait))
    except StopIteration as ended:
        return ended.value
    finally:
        dialogue.close()
