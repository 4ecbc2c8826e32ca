"""SyncLink: a session and the threads that wait for it; and SyncLease, what one user has of a pooled one."""

from __future__ import annotations

from collections.abc import Callable

from psqlpy._io.link import Link, check_cancel, take_in
from psqlpy._io.primitives import both
from psqlpy._io.thread_driver import Lease, ThreadDriver
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session

Run = Callable[..., None]


class SyncLink(Link):
    """A session used by threads."""

    __slots__ = ("driver", "go_on", "run")

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.driver = ThreadDriver(session)
        self.run, self.go_on = self.runners(Lease(self.driver))

    def runners(self, lease: Lease) -> tuple[Run, Run]:
        """What runs requests, and goes on with those that have paused, for as long as a lease lasts."""
        return lease.run, lease.go_on

    def move_here(self) -> None:
        """Threads need no registration."""

    def is_at_home(self) -> bool:
        return True

    def is_held_elsewhere(self) -> bool:
        return False

    def look(self) -> bool:
        """Take in what has arrived while nobody waited, the end of the connection too; False if it is closed."""
        with self.driver.inside() as session:
            take_in(session)
        if session.is_closed:
            self.driver.end()
        return not session.is_closed

    def send(self, request: Request) -> None:
        """Submit a request that nobody waits for; its answer is read with the next one's."""
        with self.driver.inside() as session:
            session.submit_silently(request)

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back once nobody waits for anything on the connection and no cancelled request is left on it."""
        with self.driver.inside() as session:
            settled = session.is_closed or session.is_settled
            if not settled:
                self.driver.on_settled = both(self.driver.on_settled, callback)
        if settled:
            callback()

    def cancel(self) -> None:
        """Ask the server to cancel what runs; returns when it has taken the request."""
        with self.driver.inside() as session:
            if session.is_closed or not session.flights:
                return
            canceller = session.pgconn.canceller()
        check_cancel(canceller.run())

    def forget_callers(self) -> bool:
        return False

    def is_stranded(self) -> bool:
        return False

    def write_together(self) -> None:
        """Threads have no turns: each writes at once."""

    def watch(self, seconds: float, check: Callable[[], bool]) -> None:
        """Have whoever waits call `check` now and then, as long as it returns True."""
        self.driver.check = check

    def close(self) -> None:
        """Close the connection, from any thread; requests in it fail. Waits for nothing."""
        with self.driver.inside() as session:
            # Under the lock: another thread may be giving the socket back.
            self.cut()
            session.close()
        self.driver.end()

    @property
    def is_inside(self) -> bool:
        """Whether a call into the session is under way, perhaps by this very thread."""
        return self.driver.lock.locked()

    def soon(self, callback: Callable[[], None]) -> None:
        callback()


class SyncLease(SyncLink):
    """A pooled connection as one user has it: after `end` it sends nothing any more."""

    __slots__ = ("_lease", "pooled")

    def __init__(self, pooled: SyncLink) -> None:
        # Not the base class's, which makes a driver: session and driver are the pooled connection's.
        self.session = pooled.session
        self.driver = pooled.driver
        self.pooled = pooled
        self._lease = Lease(pooled.driver)
        self.run, self.go_on = pooled.runners(self._lease)

    def send(self, request: Request) -> None:
        """Submit a request that nobody waits for; after the end there is nothing left that it could be about."""
        with self.driver.inside() as session:
            if not self._lease.is_over:
                session.submit_silently(request)

    def cancel(self) -> None:
        """Ask the server to cancel what runs; what runs after the end is somebody else's."""
        if not self._lease.is_over:
            super().cancel()

    def end(self) -> None:
        """Refuse whatever hasn't been submitted yet."""
        self._lease.end()
