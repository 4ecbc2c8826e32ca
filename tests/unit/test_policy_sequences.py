"""Random sequences of calls on the pool's policy, compared with a model that is too simple to be wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

import pytest
from hypothesis import settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from psqlpy._pooling.ages import JITTER, Ages
from psqlpy._pooling.policy import EMPTY, Outcome, Policy, Ticket, TicketState
from tests.unit.policy_model import Link, Model, link_of


def one_of(pick: Callable[[PolicyMachine], Iterable[Any]]) -> st.SearchStrategy[Any]:
    """Draw one of the things that `pick` finds in the machine at that moment."""
    return st.runner().flatmap(lambda machine: st.sampled_from(list(pick(machine))))


a_ticket = one_of(lambda machine: machine.tickets)
a_link = one_of(lambda machine: machine.links)
an_opening_ticket = one_of(lambda machine: machine.model.opening)
a_granted_ticket = one_of(lambda machine: machine.model.leased)
a_link_being_cleaned = one_of(lambda machine: machine.model.cleaning)

has_tickets = precondition(lambda machine: machine.tickets)
has_links = precondition(lambda machine: machine.links)
has_opening = precondition(lambda machine: machine.model.opening)
has_leased = precondition(lambda machine: machine.model.leased)
has_cleaning = precondition(lambda machine: machine.model.cleaning)


class PolicyMachine(RuleBasedStateMachine):
    """Calls in any order, legal and illegal; after each one the policy and the model must agree in full."""

    model: Model
    tickets: list[Ticket[Link]]
    links: list[Link]

    def __init__(self) -> None:
        super().__init__()
        self.policy: Policy[Link] = Policy(1)
        self.model = Model(1)
        # What the policy draws for the next connection.
        self.drawn = 0.0
        self.tickets = []
        self.links = []
        self.closed_links: list[Link] = []
        self.queued: set[Ticket[Link]] = set()  # had to wait when they asked
        self.left_queue: set[Ticket[Link]] = set()  # and were withdrawn while they did
        self.woken: list[Ticket[Link]] = []
        self.shrunk = False

    def check(self, outcome: Outcome[Link], *, close: tuple[Link, ...] = ()) -> None:
        """Compare an outcome with what the model makes of its change; `close` is closed in any case."""
        expected_wake, expected_close = self.model.settle()
        assert list(outcome.wake) == expected_wake
        assert list(outcome.close) == [*close, *expected_close]
        assert (outcome is EMPTY) == (not outcome.wake and not outcome.close)
        self.woken += outcome.wake
        self.closed_links += outcome.close

    @initialize(
        max_size=st.integers(1, 4),
        idle_count=st.integers(0, 4),
        max_lifetime=st.none() | st.integers(1, 20),
        max_idle=st.none() | st.integers(1, 10),
    )
    def start_with_idle_connections(
        self, max_size: int, idle_count: int, max_lifetime: int | None = None, max_idle: int | None = None
    ) -> None:
        self.limit(max_lifetime, max_idle)
        self.resize(max_size)
        self.acquire_several(min(idle_count, max_size), None)
        for ticket in tuple(self.model.opening):
            self.opened(ticket)
        for ticket in tuple(self.model.leased):
            self.release(ticket, usable=True)

    def limit(self, max_lifetime: float | None, max_idle: float | None) -> None:
        """Give the policy its limits, before anything else."""
        self.policy = Policy(1, Ages(max_lifetime, max_idle, lambda: self.drawn))
        self.model.max_lifetime, self.model.max_idle = max_lifetime, max_idle

    # Several at once, so that queues build up: without them few sequences get to where it is interesting.
    @rule(count=st.integers(1, 4), ranks=st.none() | st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def acquire_several(self, count: int, ranks: list[int] | None) -> None:
        for _ in range(count):
            self.acquire(ranks)

    def acquire(self, ranks: list[int] | None) -> None:
        model = self.model

        def rank(link: Link) -> int:
            assert ranks is not None
            return ranks[link.number % len(ranks)]

        ticket = self.policy.acquire(rank=None if ranks is None else rank)
        self.tickets.append(ticket)
        if model.closed:
            model.failed.append(ticket)
        elif model.idle and not model.waiting:
            best = model.idle[-1] if ranks is None else min(reversed(model.idle), key=rank)
            model.idle.remove(best)
            model.leased[ticket] = best
        elif model.size < model.max_size and not model.waiting:
            model.opening.append(ticket)
        else:
            model.waiting.append(ticket)
            self.queued.add(ticket)

    @has_tickets
    @rule(ticket=a_ticket)
    def withdraw_any(self, ticket: Ticket[Link]) -> None:
        self.withdraw(ticket)

    @has_leased
    @rule(ticket=a_granted_ticket)
    def withdraw_granted(self, ticket: Ticket[Link]) -> None:
        self.withdraw(ticket)

    def withdraw(self, ticket: Ticket[Link]) -> None:
        outcome = self.policy.withdraw(ticket)
        model = self.model
        if ticket in model.waiting:
            model.waiting.remove(ticket)
            self.left_queue.add(ticket)
        elif ticket in model.opening:
            model.opening.remove(ticket)
        elif ticket in model.leased:
            self.give_back(model.leased.pop(ticket), True, outcome)
            return
        self.check(outcome)

    def give_back(self, link: Link, usable: bool, outcome: Outcome[Link]) -> None:
        model = self.model
        if usable and model.size < model.max_size and model.now < model.ends[link]:
            model.idle.append(link)
            model.idle_since[link] = model.now
            self.check(outcome)
        else:
            self.check(outcome, close=(link,))

    @has_opening
    @rule(ticket=an_opening_ticket)
    def opened(self, ticket: Ticket[Link]) -> None:
        link = Link(len(self.links))
        self.links.append(link)
        self.drawn = link.number * 0.37 % 1
        outcome = self.policy.opened(ticket, link)
        lifetime = self.model.max_lifetime
        self.model.ends[link] = (
            inf if lifetime is None else self.model.now + lifetime * (1 - JITTER * self.drawn)
        )
        self.model.opening.remove(ticket)
        self.model.leased[ticket] = link
        self.check(outcome)

    @has_opening
    @rule(ticket=an_opening_ticket)
    def open_failed(self, ticket: Ticket[Link]) -> None:
        outcome = self.policy.open_failed(ticket)
        self.model.opening.remove(ticket)
        self.check(outcome)

    @has_leased
    @rule(ticket=a_granted_ticket)
    def replace(self, ticket: Ticket[Link]) -> None:
        outcome = self.policy.replace(ticket)
        dead = self.model.leased.pop(ticket)
        self.model.opening.append(ticket)
        self.check(outcome, close=(dead,))

    @has_leased
    @rule(ticket=a_granted_ticket, usable=st.sampled_from([True, True, True, False]))
    def release(self, ticket: Ticket[Link], usable: bool) -> None:
        outcome = self.policy.release(link_of(ticket), usable)
        self.give_back(self.model.leased.pop(ticket), usable, outcome)

    @has_leased
    @rule(ticket=a_granted_ticket)
    def start_cleaning(self, ticket: Ticket[Link]) -> None:
        outcome = self.policy.start_cleaning(link_of(ticket))
        self.model.cleaning.append(self.model.leased.pop(ticket))
        self.check(outcome)

    @has_cleaning
    @rule(link=a_link_being_cleaned, usable=st.booleans())
    def cleaned(self, link: Link, usable: bool) -> None:
        outcome = self.policy.cleaned(link, usable)
        self.model.cleaning.remove(link)
        self.give_back(link, usable, outcome)

    # One rule for all that needs no caller: as rules of their own they would be most of every sequence.
    @rule(data=st.data(), kind=st.sampled_from(["discard", "discard", "retire", "resize", "resize", "close"]))
    def change_the_pool(self, data: st.DataObject, kind: str) -> None:
        if kind == "discard" and self.links:
            self.discard_idle(data.draw(st.sampled_from(self.model.idle or self.links)))
        elif kind == "retire":
            self.retire_idle()
        elif kind == "resize":
            self.resize(data.draw(st.integers(1, 6)))
        elif kind == "close" and len(self.tickets) > 20:  # it ends most of what can happen
            self.close()

    @rule(seconds=st.sampled_from([-1.0, 0.5, 1.0, 3.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        """Backwards, too: two threads may have asked the clock in one order and come here in the other."""
        model = self.model
        over = model.get_older(max(seconds, 0.0))
        self.check(self.policy.age(model.now + min(seconds, 0.0)), close=tuple(over))
        for user in model.leased.values():
            assert self.policy.is_expired(user) == (model.ends[user] <= model.now)

    def discard_idle(self, link: Link) -> None:
        outcome = self.policy.discard_idle(link)
        if link in self.model.idle:
            self.model.idle.remove(link)
            self.check(outcome, close=(link,))
        else:
            self.check(outcome)

    def retire_idle(self) -> None:
        outcome = self.policy.retire_idle()
        idle, self.model.idle = tuple(self.model.idle), []
        self.check(outcome, close=idle)

    def resize(self, max_size: int) -> None:
        outcome = self.policy.resize(max_size)
        if not self.model.closed:
            self.shrunk = self.shrunk or max_size < self.model.max_size
            self.model.max_size = max_size
        self.check(outcome)

    def close(self) -> None:
        outcome = self.policy.close()
        self.model.closed = True
        self.model.max_size = 0
        self.check(outcome)

    @has_links
    @has_tickets
    @rule(ticket=a_ticket, link=a_link)
    def illegal_calls(self, ticket: Ticket[Link], link: Link) -> None:
        """Try all that isn't legal for these two; the invariants see that nothing changed."""
        model, policy = self.model, self.policy
        illegal: list[Callable[[], object]] = []
        if ticket not in model.opening:
            illegal += [lambda: policy.opened(ticket, Link(-1)), lambda: policy.open_failed(ticket)]
        elif link in (*model.idle, *model.leased.values(), *model.cleaning):
            illegal += [lambda: policy.opened(ticket, link)]
        if ticket not in model.leased:
            illegal += [lambda: policy.replace(ticket)]
        if link not in model.leased.values():
            illegal += [lambda: policy.release(link), lambda: policy.start_cleaning(link)]
        if link not in model.cleaning:
            illegal += [lambda: policy.cleaned(link)]
        for call in illegal:
            with pytest.raises(RuntimeError):
                call()

    def walk(self, rng: random.Random) -> None:
        """Make one step as a busy pool would, by weights; hypothesis tries the odd sequences."""
        model = self.model
        opening, leased, cleaning = model.opening, list(model.leased), model.cleaning
        links = model.idle or self.links
        steps: list[tuple[int, Iterable[Any], Callable[[Any], None]]] = [
            (60, [None, [0], [1, 0, 2]], self.acquire),
            (20, [*model.waiting, *opening, *leased], self.withdraw),
            (50, opening, self.opened),
            (8, opening, self.open_failed),
            (50, leased, lambda ticket: self.release(ticket, usable=rng.random() < 0.9)),
            (10, leased, self.start_cleaning),
            (15, cleaning, lambda link: self.cleaned(link, usable=rng.random() < 0.7)),
            (5, leased, self.replace),
            (4, links, self.discard_idle),
            (1, [None], lambda _: self.retire_idle()),
            (10, range(1, 7), self.resize),
            (20, [-1.0, 0.1, 0.1, 0.5, 2.0], self.time_passes),
            (1, [None] * (len(self.tickets) > 50), lambda _: self.close()),
        ]
        possible = [(weight, list(things), step) for weight, things, step in steps if things]
        ((_, things, step),) = rng.choices(possible, weights=[weight for weight, _, _ in possible])
        step(rng.choice(things))

    @invariant()
    def numbers_agree(self) -> None:
        model = self.model
        waiting = len(model.waiting) + len(model.opening)
        assert self.policy.status() == (model.max_size, model.size, len(model.idle), waiting)
        assert self.policy.closed == model.closed
        assert {id(link) for link in self.policy.held()} == {
            id(link) for link in (*model.leased.values(), *model.cleaning)
        }

    @invariant()
    def tickets_agree(self) -> None:
        for ticket in self.tickets:
            assert ticket.state is self.model.expected_state(ticket)
            assert ticket.connection is self.model.leased.get(ticket)

    @invariant()
    def ages_are_forgotten_with_their_connections(self) -> None:
        gone = set(self.closed_links)
        assert gone.isdisjoint(self.policy._ages._ends)
        assert gone.isdisjoint(self.policy._expired)

    @invariant()
    def never_too_many(self) -> None:
        max_size, size, available, _ = self.policy.status()
        assert size <= max_size or self.shrunk or self.policy.closed
        assert size <= max_size or available == 0

    @invariant()
    def nobody_starves(self) -> None:
        if any(ticket.state is TicketState.WAITING for ticket in self.tickets):
            max_size, size, available, _ = self.policy.status()
            assert not self.policy.closed
            assert size >= max_size
            assert available == 0

    @invariant()
    def who_waited_is_woken_once(self) -> None:
        still = {ticket for ticket in self.tickets if ticket.state is TicketState.WAITING}
        assert len(self.woken) == len(set(self.woken))
        assert set(self.woken) == self.queued - still - self.left_queue

    @invariant()
    def no_connection_is_lost_or_closed_twice(self) -> None:
        model = self.model
        inside = [*model.idle, *model.leased.values(), *model.cleaning]
        assert sorted(link.number for link in (*inside, *self.closed_links)) == list(range(len(self.links)))

    def teardown(self) -> None:
        """Let everybody finish: at the end each connection is idle, or closed when the pool is."""
        policy = self.policy
        while any((self.model.opening, self.model.leased, self.model.cleaning)):
            for ticket in tuple(self.model.opening):
                self.opened(ticket)
            for link in tuple(self.model.cleaning):
                self.cleaned(link, usable=True)
            for ticket in tuple(self.model.leased):
                self.release(ticket, usable=True)
        max_size, size, available, waiting = policy.status()
        assert (size, waiting) == (available, 0)
        assert size <= max_size
        assert all(ticket.state in (TicketState.DONE, TicketState.FAILED) for ticket in self.tickets)


@pytest.mark.parametrize(
    "examples", [50, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_any_sequence_of_calls(examples: int) -> None:
    stateful.run_state_machine_as_test(
        PolicyMachine, settings=settings(max_examples=examples, stateful_step_count=60, deadline=None)
    )


@pytest.mark.parametrize("seed", range(20))
def test_long_walks(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(5):
        machine = PolicyMachine()
        machine.limit(*rng.choice([(None, None), (20, None), (None, 3), (20, 3)]))
        for _ in range(200):
            machine.walk(rng)
            machine.numbers_agree()
            machine.tickets_agree()
            machine.never_too_many()
            machine.nobody_starves()
            machine.who_waited_is_woken_once()
            machine.no_connection_is_lost_or_closed_twice()
            machine.ages_are_forgotten_with_their_connections()
        machine.teardown()
