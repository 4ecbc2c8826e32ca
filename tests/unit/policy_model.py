"""The pool's policy once more, too simple to be wrong and too slow to be used."""

from __future__ import annotations

from math import inf

from psqlpy._pooling.policy import Ticket, TicketState


class Link:
    """Stands in for a pooled connection."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"Link({self.number})"


def link_of(ticket: Ticket[Link]) -> Link:
    assert ticket.connection is not None
    return ticket.connection


class Model:
    """The same rules without a thought for speed: change something, then `settle`."""

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.closed = False
        self.idle: list[Link] = []
        self.leased: dict[Ticket[Link], Link] = {}
        self.cleaning: list[Link] = []
        self.opening: list[Ticket[Link]] = []
        self.waiting: list[Ticket[Link]] = []
        self.failed: list[Ticket[Link]] = []
        # The time, the limits, when each life ends, and since when who is idle has been so.
        self.now = 0.0
        self.max_lifetime: float | None = None
        self.max_idle: float | None = None
        self.ends: dict[Link, float] = {}
        self.idle_since: dict[Link, float] = {}

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.leased) + len(self.opening) + len(self.cleaning)

    def settle(self) -> tuple[list[Ticket[Link]], list[Link]]:
        wake: list[Ticket[Link]] = []
        close: list[Link] = []
        while self.idle and self.size > self.max_size:
            close.append(self.idle.pop(0))
        while self.waiting and self.closed:
            self.failed.append(self.waiting[0])
            wake.append(self.waiting.pop(0))
        while self.waiting and (self.idle or self.size < self.max_size):
            ticket = self.waiting.pop(0)
            if self.idle:
                self.leased[ticket] = self.idle.pop()
            else:
                self.opening.append(ticket)
            wake.append(ticket)
        return wake, close

    def expected_state(self, ticket: Ticket[Link]) -> TicketState:
        if ticket in self.leased:
            return TicketState.GRANTED
        for tickets, state in (
            (self.opening, TicketState.OPENING),
            (self.waiting, TicketState.WAITING),
            (self.failed, TicketState.FAILED),
        ):
            if ticket in tickets:
                return state
        return TicketState.DONE

    def get_older(self, seconds: float) -> list[Link]:
        """Let time pass; the idle connections that are over, the aged before the rested."""
        self.now += seconds
        old = [link for link in self.ends if link in self.idle and self.ends[link] <= self.now]
        limit = -inf if self.max_idle is None else self.now - self.max_idle
        rested = [link for link in self.idle if link not in old and self.idle_since[link] <= limit]
        self.idle = [link for link in self.idle if link not in (*old, *rested)]
        return old + rested
