"""What the policy counts, and connections that are expired."""

from __future__ import annotations

from psqlpy._pooling.ages import Ages
from psqlpy._pooling.counts import REASONS
from psqlpy._pooling.policy import EMPTY, Policy, TicketState


def test_expire_closes_everything_that_exists_and_nothing_newer() -> None:
    policy: Policy[str] = Policy(5)
    tickets = [policy.acquire() for _ in range(4)]
    for ticket, name in zip(tickets[:3], ("used", "cleaning", "idle"), strict=True):
        policy.opened(ticket, name)
    policy.start_cleaning("cleaning")
    policy.release("idle")
    assert policy.expire().close == ("idle",)
    newer = policy.acquire()
    policy.opened(newer, "newer")
    # Its attempt began before.
    policy.opened(tickets[3], "late")
    assert policy.release("newer") is EMPTY
    assert policy.release("used").close == ("used",)
    assert policy.cleaned("cleaning").close == ("cleaning",)
    assert policy.release("late").close == ("late",)
    assert policy.counts.closed == dict.fromkeys(REASONS, 0) | {"expired": 4}
    assert (policy.counts.opened, policy.counts.acquired) == (5, 5)


def test_what_an_expired_connection_leaves_is_its_waiters() -> None:
    policy: Policy[str] = Policy(1)
    policy.opened(policy.acquire(), "old")
    waiting = policy.acquire()
    assert policy.expire() is EMPTY
    outcome = policy.release("old")
    assert (outcome.wake, outcome.close) == ((waiting,), ("old",))
    assert waiting.state is TicketState.OPENING
    policy.open_failed(waiting)
    assert policy.counts.waited == 1


def test_a_grant_that_is_not_wanted_any_more_does_not_count() -> None:
    policy: Policy[str] = Policy(1)
    ticket = policy.acquire()
    policy.opened(ticket, "one")
    policy.release("one")
    policy.withdraw(policy.acquire())
    assert policy.counts.acquired == 1
    dead = policy.acquire()
    policy.replace(dead)
    policy.opened(dead, "two")
    assert (policy.counts.acquired, policy.counts.opened, policy.counts.closed["lost"]) == (2, 2, 1)


def _opened(policy: Policy[str], *names: str) -> None:
    for name in names:
        policy.opened(policy.acquire(), name)


def test_a_life_is_up_to_a_tenth_shorter_than_max_lifetime() -> None:
    draws = iter([0.0, 0.5, 1.0])
    policy: Policy[str] = Policy(3, Ages(100.0, None, lambda: next(draws)))
    policy.age(1000.0)
    _opened(policy, "full", "middle", "short")
    for name in ("full", "middle", "short"):
        policy.release(name)
    assert policy.age(1089.9) is EMPTY
    assert policy.age(1090.0).close == ("short",)
    assert policy.age(1095.0).close == ("middle",)
    assert policy.age(1099.9) is EMPTY
    assert policy.age(1100.0).close == ("full",)
    assert policy.counts.closed == dict.fromkeys(REASONS, 0) | {"max_lifetime": 3}


def test_who_uses_a_connection_that_has_reached_its_age_is_not_disturbed() -> None:
    policy: Policy[str] = Policy(2, Ages(10.0, None, lambda: 0.0))
    _opened(policy, "used", "cleaning")
    policy.start_cleaning("cleaning")
    waiting = policy.acquire()
    assert policy.age(10.0) is EMPTY
    assert (policy.is_expired("used"), policy.size) == (True, 2)
    outcome = policy.release("used")
    # Its place is the waiter's, who opens another.
    assert (outcome.wake, outcome.close, waiting.state) == ((waiting,), ("used",), TicketState.OPENING)
    assert policy.cleaned("cleaning").close == ("cleaning",)
    assert policy.counts.closed["max_lifetime"] == 2


def test_max_idle_counts_from_the_last_use() -> None:
    policy: Policy[str] = Policy(3, Ages(None, 5.0))
    _opened(policy, "one", "two", "three")
    policy.release("one")
    policy.age(2.0)
    policy.release("two")
    policy.age(3.0)
    policy.release("three")
    assert policy.age(4.9) is EMPTY
    assert policy.age(5.0).close == ("one",)
    assert policy.acquire().connection == "three"
    policy.age(7.5)
    assert policy.release("three") is EMPTY
    assert policy.status() == (3, 1, 1, 0)
    assert policy.counts.closed == dict.fromkeys(REASONS, 0) | {"max_idle": 2}


def test_without_limits_nothing_gets_old() -> None:
    policy: Policy[str] = Policy(1)
    _opened(policy, "one")
    policy.release("one")
    assert policy.age(1e12) is EMPTY
