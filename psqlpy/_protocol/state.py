"""What a session may do when: one table, state × event.

Two rules for whoever changes it. Nothing outside this file decides from a state whether an event is legal. And an
illegal event raises and changes nothing: the connection stays what it was.
"""

from __future__ import annotations

from enum import Enum


class _Word(Enum):
    # Enum's own is written in Python, and every request asks for it several times.
    __hash__ = object.__hash__


class State(_Word):
    READY = "ready"  # nothing in flight, the transaction status is known
    FLYING = "flying"  # flights are out: more may follow, in order
    DIALOGUE = "dialogue"  # outside the pipeline: one simple query or COPY, alone
    DRAINING = "draining"  # cancelled: nothing is sent until the answers are read and the cancel request has returned
    CLOSED = "closed"


class Event(_Word):
    FLIGHT_SENT = "a flight is sent"
    ALL_LANDED = "the last flight's Sync is read"
    DIALOGUE_STARTED = "a dialogue outside the pipeline starts"
    DIALOGUE_ENDED = "a dialogue outside the pipeline ends"
    CANCEL_SENT = "the server is asked to cancel"
    DRAINED = "a cancelled session is quiet again"
    CLOSED = "the connection is closed or lost"


class IllegalEvent(RuntimeError):
    """An event that its state doesn't allow: a mistake in psqlpy, not in its caller."""


class Row(dict[Event, State]):
    """What each event leads to from one state; any other event is an IllegalEvent."""

    def __missing__(self, event: Event) -> State:
        state = next(state for state, row in TRANSITIONS.items() if row is self)
        raise IllegalEvent(f"{event.value} while the session is {state.value}")


TRANSITIONS: dict[State, Row] = {
    State.READY: Row(
        {
            Event.FLIGHT_SENT: State.FLYING,
            Event.DIALOGUE_STARTED: State.DIALOGUE,
            Event.CLOSED: State.CLOSED,
        }
    ),
    State.FLYING: Row(
        {
            Event.FLIGHT_SENT: State.FLYING,
            Event.ALL_LANDED: State.READY,
            Event.CANCEL_SENT: State.DRAINING,
            Event.CLOSED: State.CLOSED,
        }
    ),
    State.DIALOGUE: Row(
        {
            Event.DIALOGUE_ENDED: State.READY,
            Event.CANCEL_SENT: State.DRAINING,
            Event.CLOSED: State.CLOSED,
        }
    ),
    State.DRAINING: Row(
        {
            Event.CANCEL_SENT: State.DRAINING,
            # Answers go on arriving; only both together, the last one and the cancel request's return, end it.
            Event.DRAINED: State.READY,
            Event.CLOSED: State.CLOSED,
        }
    ),
    State.CLOSED: Row(
        {
            Event.CLOSED: State.CLOSED,
        }
    ),
}


def advance(state: State, event: Event) -> State:
    """The state after an event; raises IllegalEvent where the table has none."""
    return TRANSITIONS[state][event]


class Column(dict[State, State]):
    """What one event leads to: a part of the table, for whoever asks at every query."""

    def __init__(self, event: Event) -> None:
        super().__init__((state, row[event]) for state, row in TRANSITIONS.items() if event in row)
        self.event = event

    def __missing__(self, state: State) -> State:
        raise IllegalEvent(f"{self.event.value} while the session is {state.value}")
