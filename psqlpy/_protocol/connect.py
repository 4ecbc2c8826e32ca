"""connect: one connection from a plan, as a generator that never waits itself.

It yields a Wait, what to wait for, and is sent the set of descriptors that are ready, an empty one when the time is
over. A descriptor in error or hung up is ready. Nothing may stay registered from one Wait to the next: libpq closes and
reopens its socket while connecting, under the same number too. Closing the generator closes all that it opened.
Names are resolved by a Resolver, since getaddrinfo blocks; when which address is tried says psqlpy._protocol.attempts.
Where it must not hold an event loop, a step that takes libpq milliseconds is a Work, made elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Protocol

from psqlpy._plan import ConnectPlan
from psqlpy._pq.connection import PGconn
from psqlpy._pq.enums import ConnStatus, PollingStatus
from psqlpy._protocol.attempts import Attempt, Attempts, Phase
from psqlpy._protocol.connect_failure import Failure, connect_error, timeout_error
from psqlpy._protocol.want import Want

if TYPE_CHECKING:
    import random

# What libpq's state says about how far it is; all that isn't here comes after the TCP connection.
_BEFORE_TCP = frozenset((ConnStatus.STARTED, ConnStatus.NEEDED, ConnStatus.BAD, ConnStatus.ALLOCATED))
_AFTER_AUTHENTICATION = frozenset(
    (
        ConnStatus.OK,
        ConnStatus.AUTH_OK,
        ConnStatus.CHECK_WRITABLE,
        ConnStatus.CONSUME,
        ConnStatus.CHECK_TARGET,
        ConnStatus.CHECK_STANDBY,
    )
)

# When libpq has to do with keys: milliseconds. GSS may even ask a server of its own, and wait for it.
_HANDSHAKES = frozenset((ConnStatus.SSL_STARTUP, ConnStatus.GSS_STARTUP))
# SCRAM hashes the password, thousands of times, for the server's second answer.
_HASHED_ANSWER = 2

_WAITING_FOR = {
    Phase.RESOLVING: "its name to be resolved",
    Phase.CONNECTING: "a TCP connection",
    Phase.CONNECTED: "the server's first answer",
    Phase.ANSWERED: "the server's answer to the login",
    Phase.AUTHENTICATED: "the session to begin",
}


class Resolution(Protocol):
    """A name that is being resolved; `fd` becomes readable when that is done."""

    @property
    def fd(self) -> int: ...

    def result(self) -> Sequence[str]:
        """Numeric addresses in the system's order; raises OSError."""

    def close(self) -> None:
        """Give it up, or release what a finished one holds."""


class Resolver(Protocol):
    """Resolves names without blocking."""

    def start(self, host: str, port: str) -> Resolution: ...


class Work(Protocol):
    """One PQconnectPoll that is made elsewhere; until it is done nobody else touches the connection."""

    @property
    def is_done(self) -> bool: ...

    def start(self, announce: Callable[[], object]) -> None:
        """Have it made, if it isn't yet; `announce` is called when it is done, from any thread."""

    def result(self) -> PollingStatus: ...

    def close(self) -> None:
        """Close the connection; while the call is being made, as soon as it has returned."""


class Wait:
    """What to wait for: descriptors with their directions (bits of Want), and a time of the clock or None.

    Or, instead of descriptors, for a work, which is to be started.
    """

    __slots__ = ("fds", "until", "work")

    def __init__(self, fds: dict[int, int], until: float | None, work: Work | None = None) -> None:
        self.fds = fds
        self.until = until
        self.work = work

    def __repr__(self) -> str:
        return f"Wait({self.fds!r}, until={self.until!r})"


def connect(
    plan: ConnectPlan,
    clock: Callable[[], float],
    resolver: Resolver,
    deadline: float | None = None,
    *,
    start: Callable[[dict[str, str]], PGconn] = PGconn.start,
    aside: Callable[[PGconn], Work] | None = None,
    rng: random.Random | None = None,
) -> Generator[Wait, AbstractSet[int], PGconn]:
    """Return an idle connection, in libpq's blocking mode and not in pipeline mode.

    Raises BaseConnectionPoolError, one of the server's SQLSTATE where it gave one, and ConnectTimeoutError at
    `deadline`, a time of `clock`, or when every address took longer than the plan's connect_timeout. `aside` makes a
    work of a long step; without it none is.
    """
    race = _Race(plan, clock, resolver, deadline, start, aside, rng)
    try:
        return (yield from race.run())
    finally:
        race.close()


class _Link:
    """What is open for a running attempt: a connection, or the resolution of its name."""

    __slots__ = ("answers", "conn", "level", "resolution", "want", "work")

    def __init__(self) -> None:
        self.conn: PGconn | None = None
        self.resolution: Resolution | None = None
        self.want = Want.READ
        self.level = 0
        # How often the server has answered on this socket.
        self.answers = 0
        self.work: Work | None = None

    @property
    def fd(self) -> int:
        if self.conn is not None:
            return self.conn.fd
        return -1 if self.resolution is None else self.resolution.fd

    def close(self) -> None:
        if self.work is not None:
            self.work.close()
        elif self.conn is not None:
            self.conn.finish()
        if self.resolution is not None:
            self.resolution.close()


class _Race:
    def __init__(
        self,
        plan: ConnectPlan,
        clock: Callable[[], float],
        resolver: Resolver,
        deadline: float | None,
        start: Callable[[dict[str, str]], PGconn],
        aside: Callable[[PGconn], Work] | None,
        rng: random.Random | None,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._resolver = resolver
        self._deadline = deadline
        self._start = start
        self._aside = aside
        self._began_at = clock()
        self._links: dict[Attempt, _Link] = {}
        self._failures: list[Failure] = []
        self._attempts = Attempts(
            plan.endpoints,
            target=plan.target_session_attrs,
            load_balance=plan.load_balance,
            connect_timeout=plan.connect_timeout,
            rng=rng,
        )

    def run(self) -> Generator[Wait, AbstractSet[int], PGconn]:
        attempts = self._attempts
        while True:
            while (attempt := attempts.start(self._clock())) is not None:
                self._begin(attempt)
            if attempts.is_over:
                raise connect_error(self._plan, self._failures)
            ready = yield self._wait()
            for attempt in [running for running in attempts.running if self._links[running].fd in ready]:
                # An earlier one of this list may have had it closed.
                if attempt in self._links and (yield from self._advance(attempt)):
                    return self._win(attempt)
            now = self._clock()
            for attempt in attempts.expired(now):
                seconds = self._plan.connect_timeout
                message = f"timed out after {seconds:.3g} s, waiting for {_WAITING_FOR[attempt.phase]}"
                self._fail(Failure(attempt, message, is_timeout=True))
            if self._deadline is not None and now >= self._deadline and not attempts.is_over:
                running = ", ".join(
                    f"{_WAITING_FOR[one.phase]} ({one.describe()})" for one in attempts.running
                )
                raise timeout_error(
                    self._plan, self._failures, running or "the next address", self._deadline - self._began_at
                )

    def close(self) -> None:
        while self._links:
            self._links.popitem()[1].close()

    def _wait(self) -> Wait:
        until = self._attempts.wake_at()
        if self._deadline is not None:
            until = min(until, self._deadline)
        fds = {link.fd: int(link.want) for link in self._links.values()}
        return Wait(fds, None if until == float("inf") else until)

    def _begin(self, attempt: Attempt) -> None:
        link = self._links[attempt] = _Link()
        if attempt.phase is Phase.RESOLVING:
            try:
                link.resolution = self._resolver.start(attempt.endpoint.host, str(attempt.endpoint.port))
            except OSError as error:
                self._fail(Failure(attempt, _resolving_failed(error)))
            return
        link.level = self._plan.level(attempt.endpoint)
        link.conn = self._start(self._plan.startup(attempt.endpoint, attempt.address, attempt.target))
        # The first poll is due when the socket is writable (manual, PQconnectStartParams).
        link.want = Want.WRITE
        if link.conn.status is ConnStatus.BAD:
            self._fail(Failure.from_libpq(attempt, link.conn.error_message))
            return
        link.conn.set_verbose_errors(True)
        self._note_phase(attempt, link.conn)

    def _advance(self, attempt: Attempt) -> Generator[Wait, AbstractSet[int], bool]:
        """Go on with an attempt whose descriptor is ready; True when it is connected."""
        link = self._links[attempt]
        if link.conn is None:
            self._take_addresses(attempt, link)
            return False
        status = link.conn.status
        if status is ConnStatus.MADE:
            # libpq may have tried with TLS before.
            link.answers = 0
        if link.want is Want.READ and status is ConnStatus.AWAITING_RESPONSE:
            link.answers += 1
            # The server's answer to the startup message is there: what poll does with it may be to send the password.
            for loser in self._attempts.reached(attempt, Phase.ANSWERED):
                self._links.pop(loser).close()
        if self._aside is None or not (status in _HANDSHAKES or link.answers == _HASHED_ANSWER):
            polled = link.conn.poll()
        else:
            link.work = self._aside(link.conn)
            if not (yield from self._wait_for_work(attempt, link.work)):
                return False
            polled, link.work = link.work.result(), None
        if polled is PollingStatus.OK:
            return True
        if polled is PollingStatus.FAILED:
            self._refused(attempt, link)
            return False
        link.want = Want.READ if polled is PollingStatus.READING else Want.WRITE
        self._note_phase(attempt, link.conn)
        return False

    def _wait_for_work(self, attempt: Attempt, work: Work) -> Generator[Wait, AbstractSet[int], bool]:
        """False when the time is over first: what has expired is closed then, and the work with it."""
        until = attempt.expires_at if self._deadline is None else min(attempt.expires_at, self._deadline)
        while not work.is_done:
            if self._clock() >= until:
                return False
            yield Wait({}, None if until == float("inf") else until, work)
        return True

    def _note_phase(self, attempt: Attempt, conn: PGconn) -> None:
        status = conn.status
        if status in _AFTER_AUTHENTICATION:
            phase = Phase.AUTHENTICATED
        else:
            phase = Phase.CONNECTING if status in _BEFORE_TCP else Phase.CONNECTED
        for loser in self._attempts.reached(attempt, phase):
            self._links.pop(loser).close()

    def _take_addresses(self, attempt: Attempt, link: _Link) -> None:
        assert link.resolution is not None
        try:
            addresses = link.resolution.result()
        except OSError as error:
            self._fail(Failure(attempt, _resolving_failed(error)))
            return
        if not addresses:
            self._fail(Failure(attempt, "its name has no address"))
            return
        self._links.pop(attempt).close()
        self._attempts.resolved(attempt, addresses)

    def _refused(self, attempt: Attempt, link: _Link) -> None:
        assert link.conn is not None
        failure = Failure.from_libpq(attempt, link.conn.error_message)
        if link.conn.needs_password:
            failure.message = "the server asks for a password and none was given"
        if self._plan.step_down(attempt.endpoint, link.level, failure.sqlstate):
            # The same attempt once more, with fewer settings: see psqlpy._plan.
            self._links.pop(attempt).close()
            self._begin(attempt)
            return
        self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        self._links.pop(failure.attempt).close()
        self._failures.append(failure)
        self._attempts.failed(failure.attempt, is_final=failure.is_refused_password)

    def _win(self, attempt: Attempt) -> PGconn:
        conn = self._links.pop(attempt).conn
        assert conn is not None
        conn.set_verbose_errors(False)
        return conn


def _resolving_failed(error: OSError) -> str:
    return f"its name can't be resolved: {error.strerror or error}"
