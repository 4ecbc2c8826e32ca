"""Sharing: which calls may use one connection together, decided without waiting, on top of the pool's policy.

A *lane* is a connection that carries statements of several callers; for the policy it is in use. A *seat* is one call
that wants to ride in a lane. The contract is the policy's: every call under the pool's lock, what it returns is to be
done after leaving it. All calls that wait for a seat have one ticket of the policy's between them, so they are one in
the line of those who want a connection of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, TypeVar
from weakref import WeakMethod

from psqlpy._pooling.policy import EMPTY, Outcome, Policy, Ticket, TicketState

C = TypeVar("C")

# How many statements may be in flight on one connection.
SEATS_PER_LANE: Final = 32


def _wake_nobody() -> bool:
    return True


def weakly(method: Callable[[Ticket[C]], bool]) -> Callable[[Ticket[C]], bool]:
    """Call a method of an object that this doesn't keep: a pool that nobody refers to goes at once, without a cycle.

    Whoever waits for a seat refers to it, so while it is gone there is nobody to be found.
    """
    reference = WeakMethod(method)

    def call(ticket: Ticket[C]) -> bool:
        found = reference()
        return found is not None and found(ticket)

    return call


class Lane(Generic[C]):
    """A connection with its users. Closed: nobody joins any more, and when the last one has left it is given back."""

    __slots__ = ("answered_at", "blocked_by", "closed", "connection", "home", "users", "watched")

    def __init__(self, connection: C, home: object) -> None:
        self.connection = connection
        self.home = home
        self.users = 0
        # The shell's: when the last answer was taken, what those behind had to be sent away from, and whether somebody
        # looks after them.
        self.answered_at = 0.0
        self.blocked_by: object = None
        self.watched = False
        self.closed = False

    def __repr__(self) -> str:
        return f"<Lane {'closed' if self.closed else 'open'} users={self.users}>"


class Seat(Generic[C]):
    """One call: `lane` once it may ride, `ticket` once it is to get a connection and make a lane of it, or neither."""

    __slots__ = ("home", "lane", "ticket", "wake")

    def __init__(self, home: object) -> None:
        self.home = home
        self.lane: Lane[C] | None = None
        self.ticket: Ticket[C] | None = None
        self.wake: Callable[[], object] = _wake_nobody


Seats = list[Seat[C]]


class Sharing(Generic[C]):
    """The lanes of one pool and those who wait for a seat.

    What always holds: a lane has users, SEATS_PER_LANE at most; while somebody waits for a seat no connection is idle,
    and no open lane of the same home has room. `home`: only calls from the same one may use a connection together.
    """

    __slots__ = ("_lanes", "_on_ticket", "_policy", "_seats_per_lane", "_ticket", "_waiting")

    def __init__(
        self,
        policy: Policy[C],
        on_ticket: Callable[[Ticket[C]], object],
        seats_per_lane: int = SEATS_PER_LANE,
    ) -> None:
        self._policy = policy
        # Called when the common ticket is woken: to call `granted`, and to return whether that found somebody.
        self._on_ticket = on_ticket
        self._seats_per_lane = seats_per_lane
        self._lanes: dict[Lane[C], None] = {}
        self._waiting: OrderedDict[Seat[C], None] = OrderedDict()
        self._ticket: Ticket[C] | None = None

    @property
    def lanes(self) -> list[Lane[C]]:
        """The connections that are shared now."""
        return list(self._lanes)

    @property
    def uncounted(self) -> int:
        """How many calls wait that the policy doesn't know of."""
        return len(self._waiting) - self._in_line

    @property
    def _in_line(self) -> bool:
        """Whether the common ticket is one of those that wait, as the policy counts them."""
        return self._ticket is not None and self._ticket.state is TicketState.WAITING

    def ask(self, home: object, rank: Callable[[C], int] | None = None) -> Seat[C]:
        """Ask for a seat: a connection that is idle or may be opened is better than one with others on it."""
        seat: Seat[C] = Seat(home)
        if not self._waiting or not any(other.home == home for other in self._waiting):
            if not self._policy.is_full:
                seat.ticket = self._policy.acquire(rank=rank)
                return seat
            lane = self._least_loaded(home)
            if lane is not None:
                lane.users += 1
                seat.lane = lane
                return seat
        self._waiting[seat] = None
        if self._ticket is None:
            self._stand()
        return seat

    def join(self, home: object) -> Lane[C] | None:
        """What `ask` comes to where that needs no seat: nobody waits for one, and there is a lane with room."""
        if self._waiting or not self._policy.is_full:
            return None
        lane = self._least_loaded(home)
        if lane is not None:
            lane.users += 1
        return lane

    def granted(self, ticket: Ticket[C]) -> Seats[C]:
        """The common ticket's time has come; returns whom to wake, nobody if it isn't wanted any more."""
        if ticket is not self._ticket:
            return []
        self._ticket = None
        if ticket.state is TicketState.FAILED:
            woken = list(self._waiting)
            self._waiting.clear()
            for seat in woken:
                seat.ticket = ticket
            return woken
        if not self._waiting:
            # Everybody has left, and this ticket with them.
            return []
        return [self._hand_over(ticket), *self._stand_again()]

    def found(self, connection: C, home: object) -> tuple[Lane[C], Seats[C], Outcome[C]]:
        """Make a lane of a connection that the caller has, who is its first user; whom to wake, what to do."""
        lane: Lane[C] = Lane(connection, home)
        lane.users = 1
        self._lanes[lane] = None
        woken = self._fill(lane)
        self.make_way()
        return lane, woken, self._leave_line()

    def leave(self, lane: Lane[C], *, sound: bool) -> tuple[bool, Seats[C], Outcome[C]]:
        """End one use of a lane; not sound: something of it is left on the connection, which nobody is to join.

        Returns whether it was the last, and the connection is to be given back, whom to wake, and what else to do.
        """
        lane.users -= 1
        if not sound:
            lane.closed = True
        if not lane.users:
            self._lanes.pop(lane, None)
            return True, [], EMPTY
        if self._waiting and not lane.closed:
            woken = self._fill(lane)
            return False, woken, self._leave_line()
        return False, [], EMPTY

    def withdraw(self, seat: Seat[C]) -> Outcome[C]:
        """Take back the wish of a seat that has got neither lane nor ticket; any number of times."""
        if self._waiting.pop(seat, self) is self:
            return EMPTY
        return self._leave_line()

    def make_way(self) -> None:
        """Close lanes for those who wait for a connection of their own: one each."""
        wanted = self._policy.waiting - self._in_line
        if wanted <= 0:
            return
        wanted -= sum(lane.closed for lane in self._lanes)
        for _ in range(wanted):
            lane = self._least_loaded(None)
            if lane is None:
                return
            lane.closed = True

    def close_lanes(self) -> None:
        """Let nobody join the lanes that there are now, so that their connections come back."""
        for lane in self._lanes:
            lane.closed = True

    def inherit(self) -> None:
        """In a forked child, with the policy's: nobody rides, and nobody waits."""
        self.close_lanes()
        self._lanes.clear()
        self._waiting.clear()
        self._ticket = None

    def age(self, now: float) -> Outcome[C]:
        """Do what the policy's `age` does, and let nobody join lanes whose connection has reached its age."""
        outcome: Outcome[C] = self._policy.age(now)
        for lane in self._lanes:
            if self._policy.is_expired(lane.connection):
                lane.closed = True
        return outcome

    def _least_loaded(self, home: object) -> Lane[C] | None:
        """The open lane with the fewest users; with a home, one of that home with room."""
        best: Lane[C] | None = None
        fewest = self._seats_per_lane if home is not None else self._seats_per_lane + 1
        for lane in self._lanes:
            if lane.users < fewest and not lane.closed and (home is None or lane.home == home):
                best, fewest = lane, lane.users
        return best

    def _fill(self, lane: Lane[C]) -> Seats[C]:
        woken: Seats[C] = []
        for seat in self._waiting:
            if lane.users >= self._seats_per_lane:
                break
            if seat.home == lane.home:
                lane.users += 1
                seat.lane = lane
                woken.append(seat)
        for seat in woken:
            del self._waiting[seat]
        return woken

    def _hand_over(self, ticket: Ticket[C]) -> Seat[C]:
        seat, _ = self._waiting.popitem(last=False)
        seat.ticket = ticket
        return seat

    def _stand_again(self) -> Seats[C]:
        """Get in line for those who are left, each of whom gets what is free by now."""
        woken: Seats[C] = []
        while self._waiting and not self._policy.is_full:
            woken.append(self._hand_over(self._policy.acquire()))
        if self._waiting:
            self._stand()
        return woken

    def _stand(self) -> None:
        ticket = self._ticket = self._policy.acquire()
        ticket.wake = partial(self._on_ticket, ticket)

    def _leave_line(self) -> Outcome[C]:
        if self._waiting or self._ticket is None:
            return EMPTY
        ticket, self._ticket = self._ticket, None
        outcome: Outcome[Any] = self._policy.withdraw(ticket)
        return outcome
