"""Random sequences of calls on the decisions about shared connections: what always holds, and that nobody starves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from psqlpy._pooling.ages import Ages
from psqlpy._pooling.policy import Outcome, Policy, Ticket, TicketState
from psqlpy._pooling.sharing import Lane, Seat, Sharing

ROOM = 3


def one_of(pick: Callable[[SharingMachine], Iterable[Any]]) -> st.SearchStrategy[Any]:
    """Draw one of the things that `pick` finds in the machine at that moment."""
    return st.runner().flatmap(lambda machine: st.sampled_from(list(pick(machine))))


class SharingMachine(RuleBasedStateMachine):
    """A shell around both: what they want done is done at once, or, woken tickets, when their turn comes."""

    def __init__(self) -> None:
        super().__init__()
        self.policy: Policy[int] = Policy(1, Ages(10, 4, lambda: 0.0))
        self.sharing: Sharing[int] = Sharing(self.policy, self.on_ticket, ROOM)
        self.now = 0.0
        self.born: dict[int, float] = {}
        self.connections = 0
        self.closed: list[int] = []
        self.waiting: list[Seat[int]] = []  # for a seat
        self.founding: list[Seat[int]] = []  # with a ticket, not yet a lane
        self.riding: list[Seat[int]] = []
        self.alone: list[Ticket[int]] = []  # who wanted a connection of their own, waiting or not
        self.pending: list[Ticket[int]] = []  # granted, not woken yet

    # The shell

    def on_ticket(self, ticket: Ticket[int]) -> bool:
        woken = self.sharing.granted(ticket)
        self.take(woken)
        return bool(woken)

    def take(self, woken: list[Seat[int]]) -> None:
        for seat in woken:
            assert seat in self.waiting
            self.waiting.remove(seat)
            self.file(seat)

    def file(self, seat: Seat[int]) -> None:
        assert (seat.lane is None) or (seat.ticket is None)
        if seat.lane is not None:
            self.riding.append(seat)
        elif seat.ticket is None:
            self.waiting.append(seat)
        elif seat.ticket.state is not TicketState.FAILED:
            self.founding.append(seat)

    def act(self, outcome: Outcome[int]) -> None:
        self.pending += outcome.wake
        self.closed += outcome.close

    def wake_one(self, ticket: Ticket[int]) -> None:
        self.pending.remove(ticket)
        if not ticket.wake():
            self.act(self.policy.withdraw(ticket))

    def wake_all(self) -> None:
        while self.pending:
            self.wake_one(self.pending[0])

    def connect(self, ticket: Ticket[int]) -> int:
        if ticket.state is TicketState.OPENING:
            self.connections += 1
            self.born[self.connections] = self.now
            self.act(self.policy.opened(ticket, self.connections))
        assert ticket.connection is not None
        return ticket.connection

    # The calls

    @initialize(max_size=st.integers(1, 3))
    def start(self, max_size: int) -> None:
        self.act(self.policy.resize(max_size))

    @rule(count=st.integers(1, 5), home=st.sampled_from("aab"))
    def ask(self, count: int, home: str) -> None:
        for _ in range(count):
            self.file(self.sharing.ask(home))

    @rule(home=st.sampled_from("aab"))
    def join(self, home: str) -> None:
        """It is what `ask` comes to, without a seat."""
        lane = self.sharing.join(home)
        seat = Seat(home) if lane is not None else self.sharing.ask(home)
        if lane is not None:
            assert not self.waiting
            seat.lane = lane
        else:
            assert seat.lane is None or self.waiting
        self.file(seat)

    @rule()
    def acquire(self) -> None:
        ticket = self.policy.acquire(lambda: True)
        if ticket.state is TicketState.WAITING:
            self.sharing.make_way()
        if ticket.state is not TicketState.FAILED:
            self.alone.append(ticket)

    @precondition(lambda machine: machine.pending)
    @rule(ticket=one_of(lambda machine: machine.pending))
    def wake(self, ticket: Ticket[int]) -> None:
        self.wake_one(ticket)

    @precondition(lambda machine: machine.founding)
    @rule(seat=one_of(lambda machine: machine.founding))
    def found(self, seat: Seat[int]) -> None:
        assert seat.ticket is not None
        connection = self.connect(seat.ticket)
        self.founding.remove(seat)
        seat.ticket = None
        seat.lane, woken, outcome = self.sharing.found(connection, seat.home)
        self.riding.append(seat)
        self.take(woken)
        self.act(outcome)

    @precondition(lambda machine: machine.riding)
    @rule(seat=one_of(lambda machine: machine.riding), sound=st.booleans())
    def leave(self, seat: Seat[int], sound: bool) -> None:
        self.riding.remove(seat)
        assert seat.lane is not None
        empty, woken, outcome = self.sharing.leave(seat.lane, sound=sound)
        self.take(woken)
        self.act(outcome)
        if empty:
            self.act(self.policy.release(seat.lane.connection, sound))

    @precondition(lambda machine: machine.waiting or machine.founding)
    @rule(seat=one_of(lambda machine: [*machine.waiting, *machine.founding]))
    def give_up(self, seat: Seat[int]) -> None:
        if seat in self.waiting:
            self.waiting.remove(seat)
            self.act(self.sharing.withdraw(seat))
        else:
            self.founding.remove(seat)
            assert seat.ticket is not None
            self.act(self.policy.withdraw(seat.ticket))

    @precondition(lambda machine: machine.alone)
    @rule(ticket=one_of(lambda machine: machine.alone))
    def end_alone(self, ticket: Ticket[int]) -> None:
        self.alone.remove(ticket)
        self.act(self.policy.withdraw(ticket))

    @rule(max_size=st.integers(1, 3))
    def resize(self, max_size: int) -> None:
        self.act(self.policy.resize(max_size))
        self.sharing.close_lanes()

    @rule(seconds=st.sampled_from([1.0, 3.0, 9.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.act(self.sharing.age(self.now))
        for lane in self.sharing.lanes:
            assert lane.closed or self.now < self.born[lane.connection] + 10

    @precondition(lambda machine: machine.alone or machine.riding)
    @rule()
    def close(self) -> None:
        self.act(self.policy.close())

    # What always holds

    @invariant()
    def users_are_counted(self) -> None:
        lanes = self.sharing.lanes
        assert sum(lane.users for lane in lanes) == len(self.riding)
        assert all(1 <= lane.users <= ROOM for lane in lanes)
        assert {id(seat.lane) for seat in self.riding} == {id(lane) for lane in lanes}
        assert all(seat.lane is not None and seat.lane.home == seat.home for seat in self.riding)

    @invariant()
    def lanes_are_leases(self) -> None:
        held = self.policy.held()
        connections = [lane.connection for lane in self.sharing.lanes]
        assert len(set(connections)) == len(connections)
        assert set(connections) <= set(held)
        assert not set(connections) & set(self.closed)

    @invariant()
    def who_waits_has_to(self) -> None:
        if not self.pending:
            alone = sum(ticket.state is TicketState.WAITING for ticket in self.alone)
            assert self.policy.waiting + self.sharing.uncounted == len(self.waiting) + alone
        for seat in self.waiting:
            if self.policy.closed or self.pending:
                continue
            assert self.policy.is_full
            assert not any(
                lane.home == seat.home and lane.users < ROOM and not lane.closed
                for lane in self.sharing.lanes
            )

    @invariant()
    def somebody_makes_way(self) -> None:
        """Those who wait for a connection of their own have a lane each that nobody joins, or all are closed."""
        if self.pending:
            return
        alone = sum(ticket.state is TicketState.WAITING for ticket in self.alone)
        lanes = self.sharing.lanes
        assert sum(lane.closed for lane in lanes) >= min(alone, len(lanes)) or not alone

    def teardown(self) -> None:
        """Everybody who is served ends; then all who wait are served in turn, whatever came before."""
        for _ in range(10_000):
            self.wake_all()
            if self.founding:
                self.found(self.founding[0])
            elif self.riding:
                self.leave(self.riding[0], True)
            elif served := [t for t in self.alone if t.state is not TicketState.WAITING]:
                self.end_alone(served[0])
            elif self.alone or self.waiting:
                assert self.policy.closed or self.pending, "somebody waits for ever"
                break
            else:
                break
        assert not self.sharing.lanes
        assert not self.waiting
        assert self.sharing.uncounted == 0
        assert self.policy.waiting == 0


SharingMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_sequences() -> None:
    stateful.run_state_machine_as_test(SharingMachine, settings=SharingMachine.TestCase.settings)


@pytest.mark.long
def test_long_sequences() -> None:
    stateful.run_state_machine_as_test(
        SharingMachine, settings=settings(max_examples=700, stateful_step_count=80, deadline=None)
    )


def riders(sharing: Sharing[int], count: int) -> list[Lane[int]]:
    seats = [sharing.ask("home") for _ in range(count)]
    return [seat.lane for seat in seats if seat.lane is not None]


def one_lane(policy: Policy[int]) -> tuple[Sharing[int], Lane[int]]:
    sharing: Sharing[int] = Sharing(policy, lambda ticket: bool(sharing.granted(ticket)), ROOM)
    seat = sharing.ask("home")
    assert seat.ticket is not None
    policy.opened(seat.ticket, 1)
    return sharing, sharing.found(1, "home")[0]


def test_who_wants_a_connection_of_his_own_gets_it_though_others_keep_coming() -> None:
    policy: Policy[int] = Policy(1)
    sharing, lane = one_lane(policy)
    assert riders(sharing, 1) == [lane]
    ticket = policy.acquire(lambda: True)
    sharing.make_way()
    assert riders(sharing, 1) == []
    assert sharing.leave(lane, sound=True)[0] is False
    assert sharing.leave(lane, sound=True)[0] is True
    policy.release(1)
    assert ticket.state is TicketState.GRANTED


def test_those_who_wait_for_a_seat_are_one_in_the_line() -> None:
    policy: Policy[int] = Policy(1)
    sharing, lane = one_lane(policy)
    lane.closed = True
    seats = [sharing.ask("home") for _ in range(3)]
    ticket = policy.acquire(lambda: True)
    assert (policy.waiting, sharing.uncounted) == (2, 2)
    sharing.leave(lane, sound=True)
    outcome = policy.release(1)
    assert [ticket.wake() for ticket in outcome.wake] == [True]
    assert seats[0].ticket is not None and seats[0].ticket.connection == 1
    lane, woken, _ = sharing.found(1, "home")
    assert woken == seats[1:]
    # Its turn is next: nobody joins any more.
    assert lane.closed and ticket.state is TicketState.WAITING


def test_the_least_loaded_connection_comes_first_and_none_takes_more_than_it_has_room_for() -> None:
    policy: Policy[int] = Policy(2)
    sharing, first = one_lane(policy)
    seat = sharing.ask("home")
    assert seat.ticket is not None
    policy.opened(seat.ticket, 2)
    second = sharing.found(2, "home")[0]
    assert riders(sharing, 1) == [first]
    assert riders(sharing, 5) == [second, first, second]
    assert (first.users, second.users) == (ROOM, ROOM)
    # Those of another event loop ride on none of them.
    sharing.leave(first, sound=True)
    assert sharing.ask("elsewhere").lane is None


def test_nobody_joins_a_connection_on_which_something_is_left() -> None:
    policy: Policy[int] = Policy(1)
    sharing, lane = one_lane(policy)
    assert riders(sharing, 1) == [lane]
    sharing.leave(lane, sound=False)
    assert riders(sharing, 1) == []
