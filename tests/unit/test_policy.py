"""What each method of the pool's policy does. Sequences of calls are in test_policy_sequences.py."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import pytest

from psqlpy._pooling.policy import EMPTY, Outcome, Policy, Ticket


class Link:
    """Stands in for a pooled connection."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"Link({self.number})"


def state_of(ticket: Ticket[Link]) -> str:
    return ticket.state.value


def link_of(ticket: Ticket[Link]) -> Link:
    assert ticket.connection is not None
    return ticket.connection


def pool_with_idle(*links: Link, max_size: int) -> Policy[Link]:
    """Make a pool whose idle connections are `links`, the last one used most recently."""
    policy: Policy[Link] = Policy(max_size)
    for ticket, link in [(policy.acquire(), link) for link in links]:
        assert policy.opened(ticket, link) is EMPTY
    for link in links:
        assert policy.release(link) is EMPTY
    return policy


def full_pool(max_size: int = 1) -> tuple[Policy[Link], list[Link]]:
    """Make a pool that can't grow and whose connections are all in use."""
    policy: Policy[Link] = Policy(max_size)
    links = [Link(number) for number in range(max_size)]
    for link in links:
        policy.opened(policy.acquire(), link)
    return policy, links


def assert_does(
    outcome: Outcome[Link], *, wake: list[Ticket[Link]] | None = None, close: Sequence[Link] = ()
) -> None:
    assert list(outcome.wake) == (wake or [])
    assert list(outcome.close) == list(close)


def test_connections_are_opened_on_demand_up_to_max_size() -> None:
    policy: Policy[Link] = Policy(2)
    assert policy.status() == (2, 0, 0, 0)
    first, second, third = policy.acquire(), policy.acquire(), policy.acquire()
    assert [state_of(ticket) for ticket in (first, second, third)] == ["opening", "opening", "waiting"]
    assert policy.status() == (2, 2, 0, 3)
    link = Link()
    assert policy.opened(first, link) is EMPTY
    assert state_of(first) == "granted"
    assert first.connection is link
    assert policy.status() == (2, 2, 0, 2)


def test_a_released_connection_is_available_at_once_and_used_again() -> None:
    policy, (link,) = full_pool()
    assert policy.status() == (1, 1, 0, 0)
    assert policy.release(link) is EMPTY
    assert policy.status() == (1, 1, 1, 0)
    assert policy.acquire().connection is link
    assert policy.status() == (1, 1, 0, 0)


def test_the_last_used_idle_connection_comes_first() -> None:
    one, two, three = Link(1), Link(2), Link(3)
    policy = pool_with_idle(one, two, three, max_size=3)
    assert [link_of(policy.acquire()) for _ in range(3)] == [three, two, one]


def test_rank_decides_before_recency() -> None:
    one, two, three, four = (Link(number) for number in range(1, 5))
    ranks = {one: 1, two: 1, three: 2, four: 3}
    policy = pool_with_idle(one, two, three, four, max_size=4)
    assert [link_of(policy.acquire(rank=ranks.__getitem__)) for _ in range(4)] == [two, one, three, four]


def test_rank_stops_looking_at_the_first_zero() -> None:
    policy = pool_with_idle(*(Link(number) for number in range(5)), max_size=5)
    seen: list[int] = []

    def rank(link: Link) -> int:
        seen.append(link.number)
        return 0 if link.number == 3 else 1

    assert link_of(policy.acquire(rank=rank)).number == 3
    assert seen == [4, 3]


def test_a_rank_that_raises_changes_nothing() -> None:
    policy = pool_with_idle(Link(1), max_size=1)

    def rank(link: Link) -> int:
        raise LookupError(link)

    with pytest.raises(LookupError):
        policy.acquire(rank=rank)
    assert policy.status() == (1, 1, 1, 0)


def test_waiters_are_served_first_come_first_served() -> None:
    policy, (link,) = full_pool()
    waiters = [policy.acquire() for _ in range(3)]
    for waiter in waiters:
        assert_does(policy.release(link), wake=[waiter])
        assert waiter.connection is link
        assert policy.status()[:3] == (1, 1, 0)  # in use from the moment it is granted
    assert policy.release(link) is EMPTY


def test_wake_may_be_given_at_once_or_before_the_lock_is_left() -> None:
    policy, (link,) = full_pool()
    woken: list[str] = []
    first = policy.acquire(lambda: woken.append("first"))
    second = policy.acquire()
    second.wake = lambda: woken.append("second")
    for _ in (first, second):
        for ticket in policy.release(link).wake:
            ticket.wake()
    assert woken == ["first", "second"]


def test_an_unusable_connection_is_closed_and_the_next_waiter_opens_one() -> None:
    policy, (link,) = full_pool()
    waiter = policy.acquire()
    assert_does(policy.release(link, usable=False), wake=[waiter], close=[link])
    assert state_of(waiter) == "opening"
    assert policy.status() == (1, 1, 0, 1)


def test_a_failed_attempt_lets_the_next_waiter_try() -> None:
    policy: Policy[Link] = Policy(1)
    first, second = policy.acquire(), policy.acquire()
    assert_does(policy.open_failed(first), wake=[second])
    assert (state_of(first), state_of(second)) == ("done", "opening")
    assert policy.open_failed(second) is EMPTY
    assert policy.status() == (1, 0, 0, 0)


def test_a_dead_connection_is_replaced_in_its_place_in_the_pool() -> None:
    policy = pool_with_idle(Link(1), max_size=1)
    ticket, waiter = policy.acquire(), policy.acquire()
    dead = link_of(ticket)
    assert_does(policy.replace(ticket), close=[dead])
    assert (state_of(ticket), ticket.connection, state_of(waiter)) == ("opening", None, "waiting")
    assert policy.status() == (1, 1, 0, 2)
    policy.opened(ticket, Link(2))
    assert link_of(ticket).number == 2


def test_withdrawing_a_waiter_takes_it_out_of_the_queue_at_once() -> None:
    policy, (link,) = full_pool()
    first, second, third = policy.acquire(), policy.acquire(), policy.acquire()
    assert policy.withdraw(second) is EMPTY
    assert policy.status() == (1, 1, 0, 2)
    assert_does(policy.release(link), wake=[first])
    assert_does(policy.release(link), wake=[third])


def test_withdrawing_a_granted_ticket_passes_the_connection_on() -> None:
    policy, (link,) = full_pool()
    first, second = policy.acquire(), policy.acquire()
    assert_does(policy.release(link), wake=[first])
    assert_does(policy.withdraw(first), wake=[second])
    assert (state_of(first), first.connection, second.connection) == ("done", None, link)
    assert policy.withdraw(first) is EMPTY
    assert second.connection is link


def test_withdrawing_an_opening_ticket_passes_the_permission_on() -> None:
    policy: Policy[Link] = Policy(1)
    first, second = policy.acquire(), policy.acquire()
    assert_does(policy.withdraw(first), wake=[second])
    assert (state_of(first), state_of(second)) == ("done", "opening")
    assert policy.withdraw(second) is EMPTY
    assert policy.status() == (1, 0, 0, 0)


def test_withdrawing_after_release_leaves_the_next_user_alone() -> None:
    policy, (link,) = full_pool()
    policy.release(link)
    ticket = policy.acquire()
    policy.release(link)
    assert policy.acquire().connection is link
    assert policy.withdraw(ticket) is EMPTY
    assert policy.status() == (1, 1, 0, 0)


def test_a_connection_being_cleaned_counts_but_is_not_available() -> None:
    policy, (link,) = full_pool()
    waiter = policy.acquire()
    assert policy.start_cleaning(link) is EMPTY
    assert policy.status() == (1, 1, 0, 1)
    assert policy.held() == [link]
    assert_does(policy.cleaned(link), wake=[waiter])
    assert waiter.connection is link


def test_a_connection_that_could_not_be_cleaned_makes_room() -> None:
    policy, (link,) = full_pool()
    policy.start_cleaning(link)
    waiter = policy.acquire()
    assert_does(policy.cleaned(link, usable=False), wake=[waiter], close=[link])
    assert state_of(waiter) == "opening"


def test_discarding_a_dead_idle_connection_frees_its_place() -> None:
    one, two = Link(1), Link(2)
    policy = pool_with_idle(one, two, max_size=2)
    assert_does(policy.discard_idle(one), close=[one])
    assert policy.discard_idle(one) is EMPTY
    assert policy.status() == (2, 1, 1, 0)
    assert policy.acquire().connection is two
    assert policy.discard_idle(two) is EMPTY  # in use by now: not ours to close
    assert policy.status() == (2, 1, 0, 0)


def test_retiring_closes_the_idle_connections_only() -> None:
    one, two, three = Link(1), Link(2), Link(3)
    policy = pool_with_idle(one, two, three, max_size=3)
    policy.acquire()
    assert_does(policy.retire_idle(), close=[one, two])
    assert policy.retire_idle() is EMPTY
    assert policy.status() == (3, 1, 0, 0)


def test_growing_serves_waiters_at_once() -> None:
    policy, _ = full_pool()
    first, second, third = policy.acquire(), policy.acquire(), policy.acquire()
    assert_does(policy.resize(3), wake=[first, second])
    assert [state_of(ticket) for ticket in (first, second, third)] == ["opening", "opening", "waiting"]
    assert policy.status() == (3, 3, 0, 3)


def test_shrinking_closes_idle_connections_at_once_the_oldest_first() -> None:
    one, two, three = Link(1), Link(2), Link(3)
    policy = pool_with_idle(one, two, three, max_size=5)
    assert policy.resize(3) is EMPTY
    assert_does(policy.resize(1), close=[one, two])
    assert policy.status() == (1, 1, 1, 0)


def test_shrinking_closes_used_connections_on_return_and_not_before() -> None:
    policy, links = full_pool(4)
    waiter = policy.acquire()
    policy.start_cleaning(links[3])
    assert policy.resize(2) is EMPTY
    assert policy.status() == (2, 4, 0, 1)
    assert_does(policy.release(links[0]), close=[links[0]])
    assert_does(policy.cleaned(links[3]), close=[links[3]])
    assert state_of(waiter) == "waiting"
    assert_does(policy.release(links[1]), wake=[waiter])
    assert policy.status() == (2, 2, 0, 0)


def test_shrinking_while_opening_lets_the_attempt_finish() -> None:
    policy: Policy[Link] = Policy(2)
    tickets = [policy.acquire(), policy.acquire()]
    policy.resize(1)
    for ticket in tickets:
        policy.opened(ticket, Link())
    assert policy.status() == (1, 2, 0, 0)
    assert_does(policy.release(surplus := link_of(tickets[0])), close=[surplus])
    assert policy.release(link_of(tickets[1])) is EMPTY


def test_close_fails_waiters_closes_idle_connections_and_leaves_users_alone() -> None:
    one, two = Link(1), Link(2)
    policy = pool_with_idle(one, two, max_size=3)
    user = policy.acquire()
    assert_does(policy.close(), close=[one])
    assert policy.closed
    assert policy.status() == (0, 1, 0, 0)
    assert policy.held() == [two]
    assert state_of(user) == "granted"
    assert_does(policy.release(two), close=[two])
    assert policy.status() == (0, 0, 0, 0)


def test_close_wakes_all_waiters_and_later_calls_fail_at_once() -> None:
    policy, (link,) = full_pool()
    waiters = [policy.acquire(), policy.acquire()]
    assert_does(policy.close(), wake=waiters)
    assert [state_of(ticket) for ticket in (*waiters, policy.acquire())] == ["failed"] * 3
    assert policy.close() is EMPTY
    assert policy.withdraw(waiters[0]) is EMPTY
    assert policy.resize(5) is EMPTY
    assert policy.status() == (0, 1, 0, 0)
    assert_does(policy.release(link), close=[link])


def test_a_connection_opened_after_close_still_serves_its_caller() -> None:
    policy: Policy[Link] = Policy(1)
    ticket, link = policy.acquire(), Link()
    assert policy.close() is EMPTY
    assert policy.opened(ticket, link) is EMPTY
    assert ticket.connection is link
    assert_does(policy.withdraw(ticket), close=[link])


@pytest.mark.parametrize("max_size", [0, -1])
def test_there_is_no_pool_without_room(max_size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Policy(max_size)
    policy, _ = full_pool(2)
    with pytest.raises(ValueError, match="at least 1"):
        policy.resize(max_size)
    assert policy.status() == (2, 2, 0, 0)


IllegalCall = Callable[[Policy[Link], Link, Ticket[Link], Ticket[Link]], object]
ILLEGAL_CALLS: dict[str, IllegalCall] = {
    "release an idle connection": lambda policy, idle, user, opening: policy.release(idle),
    "release an unknown connection": lambda policy, idle, user, opening: policy.release(Link()),
    "clean an idle connection": lambda policy, idle, user, opening: policy.start_cleaning(idle),
    "finish a cleaning that never began": lambda policy, idle, user, opening: policy.cleaned(link_of(user)),
    "open for who has a connection": lambda policy, idle, user, opening: policy.opened(user, Link()),
    "open for another pool's ticket": lambda policy, idle, user, opening: policy.opened(stranger(), Link()),
    "open an idle connection again": lambda policy, idle, user, opening: policy.opened(opening, idle),
    "open a used connection again": lambda policy, idle, user, opening: policy.opened(opening, link_of(user)),
    "fail to open for who has a connection": lambda policy, idle, user, opening: policy.open_failed(user),
    "replace for who has no connection": lambda policy, idle, user, opening: policy.replace(opening),
    "withdraw another pool's waiter": lambda policy, idle, user, opening: policy.withdraw(
        full_pool()[0].acquire()
    ),
    "withdraw another pool's ticket": lambda policy, idle, user, opening: policy.withdraw(stranger()),
}


def stranger() -> Ticket[Link]:
    """Make a ticket of another pool, one that may open a connection there."""
    return Policy[Link](1).acquire()


@pytest.mark.parametrize("name", ILLEGAL_CALLS)
def test_an_illegal_call_raises_and_changes_nothing(name: str) -> None:
    policy, (idle, used) = full_pool(2)
    policy.release(used)
    user = policy.acquire()
    policy.resize(3)
    opening = policy.acquire()
    policy.release(idle)
    with pytest.raises(RuntimeError):
        ILLEGAL_CALLS[name](policy, idle, user, opening)
    assert policy.status() == (3, 3, 1, 1)
    assert (state_of(user), user.connection) == ("granted", used)
    assert (state_of(opening), opening.connection) == ("opening", None)
    assert policy.acquire().connection is idle


def test_repr_shows_state_and_nothing_else() -> None:
    policy, _ = full_pool()
    assert repr(policy) == "<Policy open max_size=1 size=1 available=0 waiting=0>"
    waiter = policy.acquire()
    assert repr(waiter) == "<Ticket waiting>"
    assert repr(policy.close()) == "<Outcome wake=1 close=0>"
    assert repr(policy) == "<Policy closed max_size=0 size=1 available=0 waiting=0>"


@pytest.mark.parametrize("order", ["first", "last", "random"])
def test_the_cost_of_a_waiter_does_not_grow_with_the_queue(order: str) -> None:
    def seconds(queue_length: int) -> float:
        policy, (link,) = full_pool()
        waiters = [policy.acquire() for _ in range(queue_length)]
        leaving = waiters[: queue_length * 3 // 4]
        if order == "last":
            leaving.reverse()
        elif order == "random":
            random.Random(1).shuffle(leaving)
        started = time.process_time()
        for ticket in leaving:
            policy.withdraw(ticket)
        for _ in range(queue_length - len(leaving)):
            policy.release(link)
        assert policy.status() == (1, 1, 0, 0)
        return time.process_time() - started

    short = min(seconds(1_000) for _ in range(5))
    long = min(seconds(20_000) for _ in range(5))
    assert long / short < 120  # 20 when linear, 400 when quadratic
