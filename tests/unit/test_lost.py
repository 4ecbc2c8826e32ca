"""Looking for lost connections: who looks at all objects meanwhile, and a signal that strikes, do no harm."""

from __future__ import annotations

import random
import signal
from types import FrameType
from typing import Any

import pytest

from psqlpy._pooling import lost
from psqlpy._pooling.policy import Policy, Ticket
from psqlpy.sync import ConnectionPool

# Before one in ten left the lock taken.
STRIKES = 500


class Link:
    """A connection."""


def lend(policy: Policy[Link]) -> tuple[Ticket[Link], Link]:
    ticket, link = policy.acquire(), Link()
    policy.opened(ticket, link)
    return ticket, link


def test_what_only_the_policy_refers_to_is_lost() -> None:
    policy: Policy[Link] = Policy(3)
    lend(policy)
    _, link = lend(policy)
    ticket = lend(policy)[0]
    found = lost.find_lost(policy.leases())
    assert len(found) == 1
    assert link not in found and ticket.connection not in found


def test_a_profiler_that_refers_to_the_stand_in_makes_nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a loop over `gc.get_objects()` in another thread does for a moment."""
    seen: list[object] = []

    class Seen(lost._Nobodys):
        def __init__(self) -> None:
            seen.append(self)

    class SeenTicket(Ticket[Any]):
        def __init__(self, wake: Any) -> None:
            super().__init__(wake)
            seen.append(self)

    policy: Policy[Link] = Policy(2)
    _, link = lend(policy)
    # As one who waited and was granted it has it.
    ticket = lend(policy)[0]
    monkeypatch.setattr(lost, "_Nobodys", Seen)
    monkeypatch.setattr(lost, "Ticket", SeenTicket)
    assert lost.find_lost(policy.leases()) == []
    assert len(seen) == 2
    assert link is not ticket.connection


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer that sends a signal")
@pytest.mark.parametrize("method", ["status", "_collect"])
def test_an_interrupt_does_not_leave_the_lock_taken(method: str) -> None:
    pool = ConnectionPool()
    call = getattr(pool, method)
    for _ in range(10):
        # What it imports is there.
        call()

    def strike(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGALRM, strike)
    try:
        for _ in range(STRIKES):
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-6, 60e-6))
                while True:
                    call()
            except KeyboardInterrupt:
                pass
            assert not pool._lock.locked()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
