"""The pool's decisions: *you have it, open one, wait*. No waiting, no clock, no socket, no lock in here.

The contract with the shell around it: every method is called under one lock, and what an `Outcome` asks for
is done after leaving that lock. Each ticket ends in one of these ways: its connection is given back
(`release`, `start_cleaning`), its attempt fails (`open_failed`), it is withdrawn, or the pool is closed while
it waits. Every connection that leaves the pool is named exactly once in some `Outcome.close`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from itertools import islice, takewhile
from typing import Any, Final, Generic, TypeVar

from psqlpy._pooling.ages import Ages
from psqlpy._pooling.counts import EXPIRED, LOST, MAX_IDLE, MAX_LIFETIME, POOL_CLOSED, SURPLUS, Counts

C = TypeVar("C")


class TicketState(Enum):
    """Where one call that wants a connection stands.

    WAITING -> GRANTED, OPENING, FAILED or DONE; OPENING -> GRANTED or DONE; GRANTED -> DONE, or back to
    OPENING when the connection turned out dead.
    """

    WAITING = "waiting"  # in the queue; the only state that ends with a wake-up
    OPENING = "opening"  # may open one connection; its place in the pool is taken
    GRANTED = "granted"  # `connection` is its own, until given back
    FAILED = "failed"  # the pool was closed before its turn
    DONE = "done"  # withdrawn, or its attempt failed, or its connection was given back


# Before Python 3.11 each look-up of a member on its class costs a call.
_WAITING: Final = TicketState.WAITING
_OPENING: Final = TicketState.OPENING
_GRANTED: Final = TicketState.GRANTED
_FAILED: Final = TicketState.FAILED
_DONE: Final = TicketState.DONE


def _wake_nobody() -> None:
    pass


class Ticket(Generic[C]):
    """One call that wants a connection.

    `wake` is for the shell to call when an `Outcome` names this ticket. It may be set after `acquire`, before
    the lock is left, so that a call that needn't wait needn't make anything to wait with.
    """

    __slots__ = ("connection", "state", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.state = _WAITING
        self.connection: C | None = None  # set while GRANTED

    def __repr__(self) -> str:
        return f"<Ticket {self.state.value}>"


class Outcome(Generic[C]):
    """What the shell does after leaving the lock: wake these tickets, then close these connections.

    A ticket whose `wake` raises, as its loop was closed, must be withdrawn: nobody else gives back what it was granted.
    """

    __slots__ = ("close", "wake")

    def __init__(self, wake: tuple[Ticket[C], ...] = (), close: tuple[C, ...] = ()) -> None:
        self.wake = wake
        self.close = close

    def __repr__(self) -> str:
        return f"<Outcome wake={len(self.wake)} close={len(self.close)}>"


EMPTY: Final[Outcome[Any]] = Outcome()
"""Nothing to do; `outcome is EMPTY` is a cheap test for the usual case."""


class Policy(Generic[C]):
    """Share at most `max_size` connections: first come, first served, and the last used connection first.

    What always holds: while a ticket waits, no connection is idle and no place is free; there are more
    connections than `max_size` only after `resize` or `close` lowered it, and then none is idle. An illegal
    call raises RuntimeError and changes nothing.
    """

    # The sizes of these containers are the only record of how many connections there are: a counter beside
    # them could come to disagree, for example when a KeyboardInterrupt falls between two bytecodes.
    __slots__ = (
        *("_ages", "_cleaning", "_closed", "_expired", "_idle", "_inherited"),
        *("_leased", "_max_size", "_opening", "_waiting", "counts"),
    )

    def __init__(self, max_size: int, ages: Ages[C] | None = None) -> None:
        _check_max_size(max_size)
        self._ages: Ages[C] = Ages() if ages is None else ages
        self._max_size = max_size  # 0 once closed, so that whatever comes back is one too many
        self._closed = False
        self._idle: dict[C, float] = {}  # since when; least recently used first
        self._leased: dict[C, Ticket[C]] = {}
        self._inherited: dict[C, Ticket[C]] = {}  # counts for nothing
        self._cleaning: set[C] = set()
        self._opening: set[Ticket[C]] = set()
        # Not a plain dict: finding its first key passes over all the deleted ones before it, every time.
        self._waiting: OrderedDict[Ticket[C], None] = OrderedDict()
        # What is to be closed when it comes back, and why; of connections that are being opened, their tickets.
        self._expired: dict[C | Ticket[C], str] = {}
        self.counts = Counts()

    def __repr__(self) -> str:
        max_size, size, available, waiting = self.status()
        state = "closed" if self._closed else "open"
        return f"<Policy {state} max_size={max_size} size={size} available={available} waiting={waiting}>"

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def size(self) -> int:
        """How many connections there are: idle, in use, being cleaned, being opened."""
        return len(self._idle) + len(self._leased) + len(self._opening) + len(self._cleaning)

    @property
    def waiting(self) -> int:
        """How many tickets wait for a connection."""
        return len(self._waiting)

    def status(self) -> tuple[int, int, int, int]:
        """Return max_size, size, available, waiting. Calls that are opening a connection count as waiting."""
        return self._max_size, self.size, len(self._idle), len(self._waiting) + len(self._opening)

    @property
    def is_full(self) -> bool:
        """Whether whoever comes now has to wait: nothing is idle, no place is free, and it isn't closed."""
        if self._idle or self._closed:
            return False
        return len(self._leased) + len(self._opening) + len(self._cleaning) >= self._max_size

    def held(self) -> list[C]:
        """Return the connections that are in use or being cleaned: those that `close` leaves alone."""
        return [*self._leased, *self._cleaning]

    def leases(self) -> list[Ticket[C]]:
        """Return the tickets whose connections are in use."""
        return list(self._leased.values())

    def acquire(
        self, wake: Callable[[], object] = _wake_nobody, rank: Callable[[C], int] | None = None
    ) -> Ticket[C]:
        """Ask for a connection; the ticket's state says what came of it.

        `rank` prefers some idle connections over others: the lowest rank wins, 0 is the best there is and
        ends the search, and among equals it is the most recently used one. It is called under the lock, so it
        mustn't wait.
        """
        ticket: Ticket[C] = Ticket(wake)
        if self._idle:  # so nobody waits
            if rank is None:
                connection = self._idle.popitem()[0]
            else:
                connection = self._best_idle(rank)
                del self._idle[connection]
            self._grant(ticket, connection)
        elif self.size < self._max_size:  # so nobody waits
            ticket.state = _OPENING
            self._opening.add(ticket)
        elif self._closed:
            ticket.state = _FAILED
        else:
            self._waiting[ticket] = None
            self.counts.waited += 1
        return ticket

    def withdraw(self, ticket: Ticket[C]) -> Outcome[C]:
        """Take back the wish for a connection, in any state, any number of times: its caller was cancelled.

        What the ticket was granted, a connection or the permission to open one, passes on to the next waiter.
        So this is for a connection that its caller hasn't touched, `release` for the others, and a caller
        that was opening one closes what it has of it.
        """
        if ticket.connection is not None:
            self.counts.acquired -= 1
            return self.release(ticket.connection)
        if ticket.state is _OPENING:
            return self.open_failed(ticket)
        if ticket.state is _WAITING:
            if ticket not in self._waiting:
                raise RuntimeError("cannot withdraw a ticket of another pool")
            del self._waiting[ticket]
            ticket.state = _DONE
        return EMPTY

    def opened(self, ticket: Ticket[C], connection: C) -> Outcome[C]:
        """Give a ticket the connection that it was allowed to open, even if the pool was closed meanwhile."""
        self._check_opening(ticket)
        if connection in self._idle or connection in self._leased or connection in self._cleaning:
            raise RuntimeError("cannot add a connection that the pool already has")
        self._opening.remove(ticket)
        if ticket in self._expired:
            self._expired[connection] = self._expired.pop(ticket)
        self._ages.begin(connection)
        self._grant(ticket, connection)
        self.counts.opened += 1
        return EMPTY

    def open_failed(self, ticket: Ticket[C]) -> Outcome[C]:
        """Give up the place of a ticket that was allowed to open a connection; the next waiter may try."""
        self._check_opening(ticket)
        self._opening.remove(ticket)
        self._expired.pop(ticket, None)
        ticket.state = _DONE
        return self._outcome(self._fill())

    def replace(self, ticket: Ticket[C]) -> Outcome[C]:
        """Let a ticket whose connection turned out dead open another one in its place."""
        connection = ticket.connection
        if connection is None or self._leased.get(connection) is not ticket:
            raise RuntimeError(f"ticket has no connection to replace: it is {ticket.state.value}")
        del self._leased[connection]
        self._expired.pop(connection, None)
        ticket.connection = None
        ticket.state = _OPENING
        self._opening.add(ticket)
        self.counts.acquired -= 1
        return self._outcome((), (connection,), LOST)

    def release(self, connection: C, usable: bool = True) -> Outcome[C]:
        """Give a connection back: to the first waiter, else to the idle ones, else to be closed.

        It is closed if it isn't usable, or if the pool was closed or has shrunk.
        """
        self._end_lease(connection)
        return self._settle(connection, usable)

    def start_cleaning(self, connection: C) -> Outcome[C]:
        """Give back a connection that isn't idle yet, since a cancelled query is still being drained from it.

        It counts in size and isn't available until `cleaned` is called.
        """
        self._end_lease(connection)
        self._cleaning.add(connection)
        return EMPTY

    def cleaned(self, connection: C, usable: bool = True) -> Outcome[C]:
        """Finish what `start_cleaning` began; from here on as `release`."""
        if connection not in self._cleaning:
            raise RuntimeError("cannot finish the cleaning of a connection that is not being cleaned")
        self._cleaning.remove(connection)
        return self._settle(connection, usable)

    def inherit(self) -> None:
        """In a forked child: who used, opened or awaited connections isn't there; what they had may still come back."""
        self._inherited.update(self._leased)
        for ticket in (*self._waiting, *self._opening):
            ticket.state = _FAILED
        for own in (self._leased, self._cleaning, self._opening, self._waiting):
            own.clear()

    def discard_idle(self, connection: C) -> Outcome[C]:
        """Close an idle connection that was found dead; one that is in use again is its user's business."""
        if connection not in self._idle:
            return EMPTY
        del self._idle[connection]
        # The free place is nobody's: while one is idle, nobody waits.
        return self._outcome((), (connection,), LOST)

    def retire_idle(self, reason: str = EXPIRED) -> Outcome[C]:
        """Close all idle connections."""
        idle = tuple(self._idle)
        self._idle.clear()
        return self._outcome((), idle, reason)

    def expire(self) -> Outcome[C]:
        """Close all connections that there are now: idle ones at once, the others when they come back."""
        self._expired.update(dict.fromkeys((*self._leased, *self._cleaning, *self._opening), EXPIRED))
        return self.retire_idle()

    def age(self, now: float) -> Outcome[C]:
        """Take note of the time, in seconds: close what has reached an age limit, what is in use when it comes back."""
        ages = self._ages
        ages.now = max(ages.now, now)
        over: tuple[C, ...] = ()
        for connection in ages.ended():
            if self._idle.pop(connection, None) is not None:
                over += (connection,)
            else:
                self._expired.setdefault(connection, MAX_LIFETIME)
        limit = ages.idle_since
        rested = tuple(takewhile(lambda connection: self._idle[connection] <= limit, self._idle))
        for connection in rested:
            del self._idle[connection]
        # The free places are nobody's: while one is idle, nobody waits.
        self._outcome((), over, MAX_LIFETIME)
        self._outcome((), rested, MAX_IDLE)
        return Outcome((), over + rested) if over or rested else EMPTY

    def is_expired(self, connection: C) -> bool:
        """Whether a connection that is in use is to be closed when it comes back."""
        return connection in self._expired

    def resize(self, max_size: int) -> Outcome[C]:
        """Change how many connections there may be; ignored once the pool is closed.

        Growing serves waiters at once. Shrinking closes the surplus: idle connections at once, the least
        recently used first, those in use when they come back.
        """
        _check_max_size(max_size)
        if self._closed:
            return EMPTY
        self._max_size = max_size
        surplus = tuple(islice(self._idle, max(self.size - max_size, 0)))
        for connection in surplus:
            del self._idle[connection]
        return self._outcome(self._fill(), surplus, SURPLUS)

    def close(self) -> Outcome[C]:
        """Fail all who wait and close what is idle; what is in use or being opened is closed on return."""
        self._closed = True
        self._max_size = 0
        waiting = tuple(self._waiting)
        self._waiting.clear()
        for ticket in waiting:
            ticket.state = _FAILED
        idle = tuple(self._idle)
        self._idle.clear()
        return self._outcome(waiting, idle, POOL_CLOSED)

    def _best_idle(self, rank: Callable[[C], int]) -> C:
        candidates = reversed(self._idle)
        best = next(candidates)
        lowest = rank(best)
        for connection in candidates:
            if lowest <= 0:
                break
            if (current := rank(connection)) < lowest:
                best, lowest = connection, current
        return best

    def _grant(self, ticket: Ticket[C], connection: C) -> None:
        ticket.connection = connection
        ticket.state = _GRANTED
        self._leased[connection] = ticket
        self.counts.acquired += 1

    def _end_lease(self, connection: C) -> None:
        ticket = self._leased.pop(connection, None) or self._inherited.pop(connection, None)
        if ticket is None:
            raise RuntimeError("cannot give back a connection that is not in use: it was given back before")
        ticket.connection = None
        ticket.state = _DONE

    def _settle(self, connection: C, usable: bool) -> Outcome[C]:
        """Find a place for a connection that is in none of the containers."""
        expired = self._expired.pop(connection, None) if self._expired else None
        if expired or not usable or self.size >= self._max_size:
            reason = expired or (POOL_CLOSED if self._closed else SURPLUS)
            return self._outcome(self._fill(), (connection,), reason if usable else LOST)
        if self._waiting:
            ticket = self._waiting.popitem(last=False)[0]
            self._grant(ticket, connection)
            return Outcome((ticket,))
        self._idle[connection] = self._ages.now
        return EMPTY

    def _fill(self) -> tuple[Ticket[C], ...]:
        """Let as many of the first waiters as there are free places open connections."""
        chosen = tuple(islice(self._waiting, max(self._max_size - self.size, 0)))
        for ticket in chosen:
            del self._waiting[ticket]
            ticket.state = _OPENING
            self._opening.add(ticket)
        return chosen

    def _check_opening(self, ticket: Ticket[C]) -> None:
        if ticket not in self._opening:
            raise RuntimeError(f"ticket has no permission to open a connection: it is {ticket.state.value}")

    def _outcome(
        self, wake: tuple[Ticket[C], ...], close: tuple[C, ...] = (), reason: str = LOST
    ) -> Outcome[C]:
        """`reason`: why those are closed."""
        if close:
            self.counts.closed[reason] += len(close)
            self._ages.forget(close)
        return Outcome(wake, close) if wake or close else EMPTY


def _check_max_size(max_size: int) -> None:
    if max_size < 1:
        raise ValueError(f"pool size must be at least 1, not {max_size}")
