"""Draining: what a session does for callers who have left, until it is quiet again.

Not here: when the server is asked to cancel, which is _io/cancel.py's.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from psqlpy._protocol.commands import unsent_begin
from psqlpy._protocol.request import Request
from psqlpy._protocol.state import Event, State, advance

if TYPE_CHECKING:
    from psqlpy._protocol.dialogue import Dialogue


class Draining:
    """The part of a session that knows of cancelling, and what it works on."""

    __slots__ = (
        "cancel_outstanding",
        "cancelled_by",
        "dialogue",
        "flights",
        "gate_open",
        "queue",
        "retries",
        "state",
    )

    state: State
    flights: deque[Request]
    queue: deque[Request]
    retries: deque[Request]
    dialogue: Dialogue | None
    gate_open: bool
    cancel_outstanding: bool
    cancelled_by: object

    if TYPE_CHECKING:

        def _open_gate(self) -> None: ...

        def _go_on(self) -> None: ...

    def abandon(self, request: Request) -> None:
        """Nobody waits for `request` any more: its answer will be dropped.

        If it wasn't written it is forgotten. Otherwise nothing new is written before it has landed, so that its
        neighbours get out of a cancel request's way.
        """
        request.abandoned = True
        for waiting in (self.queue, self.retries):
            if request in waiting:
                place = waiting.index(request)
                waiting.remove(request)
                for begin in unsent_begin(request):
                    waiting.insert(place, begin)
                request.finish()
                self._open_gate()
                self._go_on()
                return
        if request in self.flights:
            self.gate_open = False
            request.holds_followers = True

    def displace(self) -> None:
        """Send everybody elsewhere who waits behind the oldest flight; they leave when they notice."""
        for request in (*islice(self.flights, 1, None), *self.retries, *self.queue):
            if not (request.done or request.abandoned or request.silent or request.serves is not None):
                request.displaced = True
                request.stir()

    def start_cancel(self, by: object) -> None:
        """The server is being asked to cancel; `cancel_returned` follows in any case, with the same argument."""
        self.state = advance(self.state, Event.CANCEL_SENT)
        self.gate_open = False
        self.cancel_outstanding = True
        self.cancelled_by = by

    def cancel_returned(self, by: object) -> None:
        """The cancel request was taken by the server, or has failed: it can't hit anything any more."""
        if self.cancelled_by is by and self.state is State.DRAINING:
            self.cancel_outstanding = False
            self._end_draining()

    def _end_draining(self) -> None:
        if self.flights or self.cancel_outstanding or self.dialogue is not None:
            return
        self.state = advance(self.state, Event.DRAINED)
        self.cancelled_by = None
        self._go_on()
