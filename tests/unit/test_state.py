"""The session's table of states and events."""

from __future__ import annotations

import pytest

from psqlpy._protocol.session import Session
from psqlpy._protocol.state import TRANSITIONS, Event, IllegalEvent, State, advance
from tests.fake_pgconn import FakePGconn

# Written out a second time, and read the other way round: what leads from where to where.
LEGAL = {
    (State.READY, Event.FLIGHT_SENT): State.FLYING,
    (State.FLYING, Event.FLIGHT_SENT): State.FLYING,
    (State.FLYING, Event.ALL_LANDED): State.READY,
    (State.READY, Event.DIALOGUE_STARTED): State.DIALOGUE,
    (State.DIALOGUE, Event.DIALOGUE_ENDED): State.READY,
    (State.FLYING, Event.CANCEL_SENT): State.DRAINING,
    (State.DIALOGUE, Event.CANCEL_SENT): State.DRAINING,
    (State.DRAINING, Event.CANCEL_SENT): State.DRAINING,
    (State.DRAINING, Event.DRAINED): State.READY,
    **{(state, Event.CLOSED): State.CLOSED for state in State},
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_every_event_in_every_state(state: State, event: Event) -> None:
    expected = LEGAL.get((state, event))
    if expected is not None:
        assert advance(state, event) is expected
        return
    with pytest.raises(IllegalEvent) as caught:
        advance(state, event)
    assert event.value in str(caught.value) and state.value in str(caught.value)


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {after for events in TRANSITIONS.values() for after in events.values()}
    assert reached == set(State)
    assert sum(len(events) for events in TRANSITIONS.values()) == len(LEGAL)


def test_nothing_leaves_the_closed_state() -> None:
    assert set(TRANSITIONS[State.CLOSED].values()) == {State.CLOSED}


def test_an_illegal_event_changes_nothing() -> None:
    session = Session(FakePGconn().as_pgconn())
    with pytest.raises(IllegalEvent, match="asked to cancel while the session is ready"):
        session.start_cancel(None)
    assert session.state is State.READY
    assert session.gate_open and not session.cancel_outstanding
