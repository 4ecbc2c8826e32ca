"""Connections in use that nobody has.

A KeyboardInterrupt may strike between two bytecodes: when a connection has been taken and its handle doesn't have it
yet, or when the handle has let go of it and it isn't given back. Nothing refers to it then but the policy. Whoever is
about to take one, uses it or gives it back has it, or its ticket, in a variable.
"""

from __future__ import annotations

import sys
from typing import TypeVar

from psqlpy._pooling.policy import Ticket

C = TypeVar("C")
# The interpreter's.
_HAS_LOCK: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
# The smallest counts of a stand-in so far: who looks at all the process's objects, as profilers do, may refer to one
# for a moment, and a connection that somebody has would seem to be nobody's.
_least: list[int] = [sys.maxsize, sys.maxsize]


class _Nobodys:
    """Stands for a connection to which nothing refers: how many references that are, differs between Pythons."""


def _nobody() -> None:
    pass


def find_lost(leases: list[Ticket[C]]) -> list[C]:
    """Those of all that are leased which only the policy refers to; to be called under the pool's lock.

    Empties the list. Without the interpreter's lock, where a count says little, none is found.
    """
    if not _HAS_LOCK:
        return []
    compared: list[Ticket[C] | Ticket[_Nobodys]] = [*leases]
    leases.clear()
    ticket: Ticket[_Nobodys] = Ticket(_nobody)
    ticket.connection = _Nobodys()
    # As the policy does.
    _leased = {ticket.connection: ticket}
    compared.append(ticket)
    del ticket
    counts = [(sys.getrefcount(each), sys.getrefcount(each.connection)) for each in compared]
    least_of_ticket, least = map(min, _least, counts.pop())
    _least[:] = least_of_ticket, least
    compared.pop()
    return [
        each.connection  # type: ignore[misc]  # not the stand-in, which was popped
        for each, (of_ticket, of_connection) in zip(compared, counts, strict=True)
        if of_ticket <= least_of_ticket and of_connection <= least
    ]


# Before anybody has any.
find_lost([])
