"""What a pool's policy and its lanes make of a fork, in the child: whoever used or awaited a connection isn't there."""

from __future__ import annotations

from psqlpy._pooling.policy import EMPTY, Policy, Ticket, TicketState
from psqlpy._pooling.sharing import Sharing
from tests.unit.policy_model import Link


def opened(policy: Policy[Link], link: Link) -> Ticket[Link]:
    ticket = policy.acquire()
    assert policy.opened(ticket, link) is EMPTY
    return ticket


def test_what_others_use_takes_no_place() -> None:
    policy: Policy[Link] = Policy(4)
    in_use, cleaned, idle = Link(1), Link(2), Link(3)
    ticket = opened(policy, in_use)
    for link in (cleaned, idle):
        opened(policy, link)
    opening = policy.acquire()
    waiting = policy.acquire()
    policy.start_cleaning(cleaned)
    policy.release(idle)
    assert waiting.connection is idle
    awaiting = policy.acquire()
    policy.inherit()
    assert policy.status() == (4, 0, 0, 0) and not policy.is_full
    assert policy.held() == []
    assert policy.leases() == []
    # Whoever is thrown out of what it waited for takes back a wish that is none any more.
    assert policy.withdraw(awaiting) is policy.withdraw(opening) is EMPTY
    assert [policy.acquire().state for _ in range(5)] == [TicketState.OPENING] * 4 + [TicketState.WAITING]
    # What comes back of the parent's is closed, once, and nobody waits for its place.
    outcome = policy.release(in_use, usable=False)
    assert (outcome.wake, outcome.close) == ((), (in_use,))
    assert ticket.state is TicketState.DONE
    assert policy.withdraw(ticket) is EMPTY
    assert policy.size == 4


def test_nobody_joins_others_lanes() -> None:
    policy: Policy[Link] = Policy(1)
    sharing: Sharing[Link] = Sharing(policy, lambda ticket: True, 2)
    link = Link(1)
    opened(policy, link)
    lane, _, _ = sharing.found(link, "home")
    assert sharing.join("home") is lane
    left = sharing.ask("home")
    assert left.lane is None and left.ticket is None
    policy.inherit()
    sharing.inherit()
    assert sharing.uncounted == 0 and sharing.lanes == []
    own = sharing.ask("home")
    assert own.ticket is not None and own.ticket.state is TicketState.OPENING
    other = sharing.ask("home")
    # Leaving what was the parent's, in which the place is free, seats nobody.
    assert sharing.leave(lane, sound=False) == (False, [], EMPTY)
    assert sharing.leave(lane, sound=False) == (True, [], EMPTY)
    assert sharing.withdraw(left) is EMPTY
    assert other.lane is None and other.ticket is None
    assert policy.release(link, usable=False).close == (link,)
    assert policy.size == 1
