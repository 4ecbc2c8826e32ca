"""What the policy counts, and connections that are expired."""

from __future__ import annotations

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
    assert policy.counts.closed == {"lost": 0, "expired": 4, "surplus": 0, "pool closed": 0}
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
