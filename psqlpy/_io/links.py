"""Links: a session and whoever waits for it, `AsyncLink` or `SyncLink`. It follows its user from loop to loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from sys import modules
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._io import background
from psqlpy._io.cancel import cancel_what_runs
from psqlpy._io.drive import make_driver
from psqlpy._io.link import Link, check_cancel, take_in
from psqlpy._io.primitives import AsyncWake, async_sleep, both
from psqlpy._io.running import enclosing_loop, running_loop
from psqlpy._io.system_task import call_soon, spawn_system_task
from psqlpy._io.thread_link import SyncLink
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import CLOSED, Session

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from typing_extensions import TypeIs

    from psqlpy._io.anyio_driver import AnyioDriver
    from psqlpy._io.asyncio_driver import AsyncioDriver
    from psqlpy._protocol.pausing import PausingDialogue

# How long another thread's event loop may take to let go of a connection. Seconds.
_HANDOVER = 0.1


def is_asyncio(driver: AsyncioDriver | AnyioDriver | None) -> TypeIs[AsyncioDriver]:
    """Whether there is a driver and it is asyncio's, without importing it to know."""
    return driver is not None and driver.loop is not None


__all__ = ["AsyncLink", "SyncLink"]


class AsyncLink(Link):
    """A session used by tasks, under asyncio, uvloop or trio, in turn if need be."""

    __slots__ = ("driver",)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.driver: AsyncioDriver | AnyioDriver | None = None

    def run(self, request: Request, deadline: float | None = None) -> Coroutine[Any, Any, None]:
        """Submit a request and wait until it has ended; raises its error, QueryTimeoutError, or the cancellation."""
        driver = self.driver
        # Only where there is trio may asyncio's own answer be wrong.
        if driver is not None and driver.loop is (running_loop() if "trio" in modules else driver.running()):
            return driver.run(request, deadline)
        return self._run_here(request, deadline)

    async def _run_here(self, request: Request, deadline: float | None) -> None:
        await self.move_here()
        assert self.driver is not None
        await self.driver.run(request, deadline)

    async def go_on(self, dialogue: PausingDialogue, deadline: float | None) -> None:
        """Run a dialogue that has paused for its caller, until it pauses again or ends; raises as `run` does."""
        await self.move_here()
        assert self.driver is not None
        await self.driver.go_on(dialogue, deadline)

    async def move_here(self) -> None:
        """Leave the event loop the link was used under, and follow its user to the running one."""
        loop = running_loop()
        driver = self.driver
        if driver is not None and driver.loop is loop:
            return
        if self.is_closed:
            if driver is None:
                self.driver = make_driver(self.session, loop)
            return
        if driver is not None:
            await self._leave_loop(driver)
        self.driver = make_driver(self.session, loop)

    async def _leave_loop(self, driver: AsyncioDriver | AnyioDriver) -> None:
        if driver.loop is None or not driver.is_alive or driver.loop is enclosing_loop():
            # The last: trio runs inside it.
            driver.let_go()
            return
        # It runs in another thread and may be in the middle of a callback of this very connection.
        gone = AsyncWake()
        home: AbstractEventLoop = driver.loop
        wanted = True

        def let_go() -> None:
            if wanted:
                driver.let_go()
                if self.driver is driver:
                    # Whoever asked for it may have given up: the next one, here too, begins anew.
                    self.driver = None
                gone.set()

        try:
            home.call_soon_threadsafe(let_go)
        except RuntimeError:
            # Closed this moment.
            driver.let_go()
            return
        try:
            left = await gone.wait(time.monotonic() + _HANDOVER)
        except BaseException:
            wanted = False
            raise
        if not left:
            self.cut()
            raise exceptions.ConnectionLostError(
                "the event loop that used this connection does not let go of it"
            )

    def write_together(self) -> None:
        """Let what is written in this turn of the event loop travel as one, where asyncio and the system can."""
        if is_asyncio(self.driver):
            self.driver.cork()

    def is_at_home(self) -> bool:
        """Whether the running event loop is the one the link was used under last."""
        return self.driver is not None and self.driver.loop is running_loop()

    def is_held_elsewhere(self) -> bool:
        """Whether another running event loop has it registered."""
        driver = self.driver
        return (
            driver is not None
            and driver.loop is not None
            and driver.loop is not running_loop()
            and (driver.is_alive)
        )

    def look(self) -> bool:
        """Take in what has arrived while nobody waited, the end of the connection too; False if it is closed."""
        session = self.session
        take_in(session)
        if session.state is CLOSED:
            self.close()
            return False
        return True

    def send(self, request: Request) -> None:
        """Submit a request that nobody waits for; its answer is read with the next one's, or by the loop."""
        self.session.submit_silently(request)
        driver = self.driver
        if is_asyncio(driver) and self.session.wants_write:
            driver.on_ready(0)

    @property
    def is_writing_rest(self) -> bool:
        """Under trio; with asyncio's loops the loop itself reads on, and lets another one have the connection."""
        driver = self.driver
        return driver is not None and driver.loop is None and driver.is_writing_rest

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back once nobody waits for anything on the connection and no cancelled request is left on it."""
        driver = self.driver
        earlier = None if driver is None else driver.on_settled
        if driver is not None:
            # Before the question: a garbage collection may have brought us here in another thread than the loop's.
            driver.on_settled = both(earlier, callback)
        if driver is None or (not self.is_writing_rest and (self.is_closed or self.session.is_settled)):
            if driver is not None:
                driver.on_settled = earlier
            callback()

    async def cancel(self) -> None:
        """Ask the server to cancel what runs; returns when it has taken the request."""
        if self.is_closed or not self.session.flights:
            return
        canceller = self.session.pgconn.canceller()
        returned = AsyncWake()
        failures: list[str | None] = []

        def run() -> None:
            failures.append(canceller.run())
            returned.set()

        background.start_cancel(run)
        await returned.wait(None)
        check_cancel(failures[0])

    def forget_callers(self) -> bool:
        """Let go of those who wait under an event loop that was closed: nobody will resume them. True: there were some.

        They refer to the pool, and the pool, through their requests, to them: without this they would never go.
        """
        driver = self.driver
        if not is_asyncio(driver) or not driver.loop.is_closed():
            return False
        session = self.session
        waiting = [
            request for request in (*session.flights, *session.retries, *session.queue) if request.wake
        ]
        for request in waiting:
            request.wake = None
        return bool(waiting)

    def is_stranded(self) -> bool:
        """Whether it waits for a cancelled request under an event loop that doesn't run any more."""
        return self.driver is not None and not self.driver.is_alive

    def watch(self, seconds: float, check: Callable[[], bool]) -> None:
        """Call `check`, which must not raise, every so many seconds, as long as it returns True."""
        driver = self.driver
        if is_asyncio(driver):
            driver.loop.call_later(seconds, self._watch, seconds, check)
        else:
            spawn_system_task(_watch_in_task, seconds, check)

    def _watch(self, seconds: float, check: Callable[[], bool]) -> None:
        if check():
            self.watch(seconds, check)

    def close(self) -> None:
        """Close the connection, from any thread; requests in it fail. Waits for nothing."""
        driver = self.driver
        if is_asyncio(driver) and driver.is_alive and driver.loop is not enclosing_loop():
            try:
                driver.loop.call_soon_threadsafe(self._close_here)
            except RuntimeError:
                self._close_here()
        else:
            self._close_here()

    def _close_here(self) -> None:
        cancel_what_runs(self.session)
        self.session.close()
        if self.driver is None:
            self.session.pgconn.finish()
        else:
            if not is_asyncio(self.driver):
                self.cut()
            self.driver.end()

    @property
    def is_inside(self) -> bool:
        """Whether a call into the session is under way that another one must not interrupt: `soon` sees to that."""
        return False

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back from the link's event loop, when it gets to it; now where there is none."""
        driver = self.driver
        try:
            if not is_asyncio(driver):
                call_soon(callback)
            elif driver.is_alive:
                driver.loop.call_soon_threadsafe(callback)
            else:
                callback()
        except RuntimeError:
            # Closed this moment.
            callback()


async def _watch_in_task(seconds: float, check: Callable[[], bool]) -> None:
    while True:
        await async_sleep(seconds)
        if not check():
            return
