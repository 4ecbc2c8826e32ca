"""Shared statements: reads of several callers, pipelined onto connections that they use together.

Which calls ride together is decided in _pooling; here is who may at all, who waits, and what happens when a statement
in front doesn't end.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._async.lending import closed, rank
from psqlpy._async.outages import Outages, is_worth_another
from psqlpy._config import ConnRecyclingMethod
from psqlpy._io.links import AsyncLink
from psqlpy._io.primitives import AsyncWake, async_home, monotonic
from psqlpy._pooling.policy import EMPTY, Ticket
from psqlpy._pooling.sharing import Lane, Seat, Seats
from psqlpy._pooling.standing import Standing, Usual
from psqlpy._protocol.classify import is_shareable
from psqlpy._protocol.failures import DESCRIBABLE_PARAMETERS
from psqlpy._protocol.named_parameters import resolve_parameters
from psqlpy._protocol.query import Query
from psqlpy._protocol.reach import AskReach, names_in
from psqlpy._protocol.request import Displaced
from psqlpy._protocol.reset import Reset

if TYPE_CHECKING:
    from collections.abc import Sequence

# Second line: what writes after all, by a view made a moment ago for example, is refused and run elsewhere.
_READ_ONLY = (b"SET default_transaction_read_only TO on",)
# How long the oldest statement on a connection may run, besides what the fastest one takes, before those behind it are
# sent elsewhere, and how often somebody looks. Seconds.
PATIENCE = 0.05
_TICK = 0.025
_STANDINGS_KEPT = 2048
_LONGEST_TEXT = 16_384


class Watch:
    """Whoever looks whether the oldest statement in a lane ends."""

    __slots__ = ("_head", "_put_off", "_since", "_usual", "lane")

    def __init__(self, lane: Lane[AsyncLink], usual: Usual) -> None:
        self.lane = lane
        self._usual = usual
        self._head: object = self
        self._since = 0.0
        self._put_off = False

    def check(self) -> bool:
        """Send those behind it elsewhere if it doesn't; False when there is nobody to look after any more."""
        lane = self.lane
        session = lane.connection.session
        if not lane.users or session.is_closed:
            return False
        # Nothing in flight, and somebody waits: behind a cancel request that hasn't returned.
        head = session.flights[0] if session.flights else None
        now = monotonic()
        if head is not self._head or (head is None and not session.queue):
            self._head, self._since, self._put_off = head, now, False
        elif now - self._since < PATIENCE + self._usual.floor:
            # What the network takes is nobody's fault.
            pass
        elif not self._put_off and lane.connection.has_input:
            # Perhaps its end, for which this process had no time yet. By the next look some of it was read.
            self._put_off = True
        else:
            lane.closed = True
            lane.blocked_by = head
            if lane.users > 1:
                session.displace()
        return True


class SharedStatements(Outages):
    """The part of a pool that shares connections among statements."""

    __slots__ = ("_shared", "_standings", "_usual")

    _family = exceptions.ConnectionExecuteError

    def _start_sharing(self, shared: bool) -> None:
        self._shared = shared
        self._standings: dict[str, Standing] = {}
        self._usual = Usual()

    def _retire(self, era: int, *, in_use_too: bool) -> None:
        super()._retire(era, in_use_too=in_use_too)
        # The next server may be farther away.
        self._usual.floor = inf

    def _standing(self, text: object, shared: bool | None) -> Standing | None:
        """What is known of a statement that may be shared; None for all others."""
        if not (self._shared if shared is None else shared) or not isinstance(text, str):
            return None
        standing = self._standings.get(text)
        if standing is None:
            if len(text) > _LONGEST_TEXT:
                return None
            # A connection that was reset in full after each user is what `Clean` promises.
            may = self._config.recycling is not ConnRecyclingMethod.Clean and is_shareable(text)
            if len(self._standings) >= _STANDINGS_KEPT:
                self._standings.clear()
            standing = self._standings[text] = Standing(self._usual, may)
        return standing if standing.is_shareable else None

    async def _share(
        self, standing: Standing, querystring: str, parameters: object, deadline: float | None
    ) -> Any:
        """Execute a statement in company if that is known to be light, else by itself; None: it is to be run again.

        Otherwise it returns the Query, with `result` and `plan`.
        """
        text, values = resolve_parameters(querystring, parameters)
        if len(values) > DESCRIBABLE_PARAMETERS:
            return None
        now = monotonic()
        if now >= standing.ask_at or not standing.may_ride(now):
            return await self._run_alone(standing, text, values, deadline, standing.is_to_ask(now))
        lane = self._join_lane() or await self._take_seat(deadline)
        query = None
        began = sent = monotonic()
        try:
            query = Query(text, values, self._family)
            if lane.users > 1:
                lane.connection.write_together()
            await lane.connection.run(query, deadline)
            now = monotonic()
            began = max(began, lane.answered_at)
            lane.answered_at = now
            assert query.result is not None
            standing.ran_shared(now - began, query.result.memory_size)
        except Displaced:
            return None
        except exceptions.ReadOnlySqlTransaction:
            standing.refuse()
            # It was our doing that it is.
            lane.connection.session.outage = False
            return None
        except exceptions.ConnectionLostError as error:
            if not is_worth_another(error, sent, repeatable=True):
                raise
            return None
        finally:
            if query is not None and lane.blocked_by is query:
                standing.was_slow()
            self._leave_lane(lane, sound=query is None or query.done)
        return query

    async def _run_alone(
        self, standing: Standing, text: str, values: Sequence[object], deadline: float | None, asks: bool
    ) -> Query | None:
        link = await self.take_link(deadline)
        began = monotonic()
        try:
            query = Query(text, values, self._family)
            await link.run(query, deadline)
            now = monotonic()
            if not query.described and query.result is not None:
                standing.ran_alone(now - began, query.result.memory_size)
            if asks or standing.is_to_ask(now):
                _ask_catalogs(link, standing, text, now)
            return query
        except exceptions.ConnectionLostError as error:
            if not is_worth_another(error, began, standing.may_repeat(began)):
                raise
            return None
        finally:
            self.give_back(link)

    def _join_lane(self) -> Lane[AsyncLink] | None:
        """The usual case of `_take_seat`: all connections are in use, one of them by others with whom to share it."""
        if self._dropped or self._cleaning or self._limited:
            return None
        with self._lock:
            lane = self._sharing.join(async_home())
        if lane is not None and not lane.watched:
            self._watch(lane)
        return lane

    async def _take_seat(self, deadline: float | None) -> Lane[AsyncLink]:
        """A connection that others may use too, of which this is one use: `_leave_lane` ends it."""
        if self._dropped or self._cleaning:
            self._collect()
        if self._limited:
            self._age()
        seat = None
        try:
            with self._lock:
                if self._policy.closed:
                    raise closed()
                seat = self._sharing.ask(async_home(), _rank_shared)
                wake = None
                if seat.lane is None and seat.ticket is None:
                    wake = AsyncWake()
                    seat.wake = wake.set
            if wake is not None:
                await self._wait(wake, deadline)
        except BaseException:
            if seat is not None:
                self._give_up_seat(seat)
            raise
        lane = seat.lane
        if lane is None:
            assert seat.ticket is not None
            return self._make_lane(await self._redeem(seat.ticket, deadline, shared=True))
        if not lane.watched:
            self._watch(lane)
        return lane

    def _watch(self, lane: Lane[AsyncLink]) -> None:
        lane.watched = True
        lane.connection.watch(_TICK, Watch(lane, self._usual).check)

    def _make_lane(self, link: AsyncLink) -> Lane[AsyncLink]:
        lane = None
        try:
            session = link.session
            if not link.serves_shared:
                link.send(Reset(_READ_ONLY))
                link.serves_shared = session.leaves_state = True
            with self._lock:
                lane, seats, outcome = self._sharing.found(link, async_home())
        finally:
            if lane is None:
                self.give_back(link)
        self._wake_seats(seats)
        self._act(outcome)
        return lane

    def _seat_first(self, ticket: Ticket[AsyncLink]) -> bool:
        """The ticket of those who wait for a seat was granted: wake the first, or all if the pool was closed."""
        with self._lock:
            seats = self._sharing.granted(ticket)
        self._wake_seats(seats)
        return bool(seats)

    def _wake_seats(self, seats: Seats[AsyncLink]) -> None:
        for seat in seats:
            if not seat.wake():
                # Its event loop has ended.
                self._give_up_seat(seat)

    def _give_up_seat(self, seat: Seat[AsyncLink]) -> None:
        """Pass on what a call was granted that doesn't want it any more."""
        if seat.lane is not None:
            self._leave_lane(seat.lane, sound=True)
        elif seat.ticket is not None:
            self._forgo(seat.ticket, touched=False)
        else:
            with self._lock:
                outcome = self._sharing.withdraw(seat)
            self._act(outcome)

    def _leave_lane(self, lane: Lane[AsyncLink], *, sound: bool) -> None:
        """End one use of a shared connection. The last one gives it back; as it is, if there is nothing left on it."""
        with self._lock:
            empty, seats, outcome = self._sharing.leave(lane, sound=sound)
        if seats:
            self._wake_seats(seats)
        if outcome is not EMPTY:
            self._act(outcome)
        if not empty:
            return
        link = lane.connection
        if not sound or link.is_closed or not link.session.is_settled:
            self.give_back(link)
            return
        if self._limited:
            self._age()
        with self._lock:
            outcome = self._policy.release(link)
        self._act(outcome)
        if self._dropped:
            self._collect()


def _ask_catalogs(link: AsyncLink, standing: Standing, text: str, now: float) -> None:
    """Write the question whether a statement reaches a user's code; nobody waits for the answer."""
    names = names_in(text)
    if names is None:
        standing.refuse()
    else:
        link.send(AskReach(names, partial(standing.learn, now)))


def _rank_shared(link: AsyncLink) -> int:
    """Which idle connection is the best: one that is set up for sharing here."""
    if link.serves_shared and link.is_at_home():
        return 0
    return 1 + rank(link)
