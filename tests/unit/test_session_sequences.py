"""Random mixes of requests with random answers: each result reaches its own request, and nothing waits for ever."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy import exceptions
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.batch import Batch
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.dialogue import Dialogue
from psqlpy._protocol.simple_query import simple_query
from psqlpy._protocol.state import State
from tests.fake_pgconn import STALE_PLAN, error
from tests.session_rig import Rig

TEXTS = ["SELECT $1", "SELECT $1 + 1", "INSERT $1", "SET a = $1", "CALL p($1)"]
KINDS = ["query", "unprepared", "begun", "unfit", "batch", "commands", "dialogue", "rollback"]
FAILURES = [None, None, None, STALE_PLAN, error("23505"), error("57014"), error("42P01")]

events = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(KINDS), st.sampled_from(TEXTS)),
    st.tuples(st.just("fail"), st.sampled_from(TEXTS), st.sampled_from(FAILURES)),
    st.tuples(st.just("fail parse"), st.sampled_from(TEXTS), st.sampled_from(FAILURES)),
    st.tuples(st.just("serve"), st.integers(1, 12), st.none()),
    st.tuples(st.just("pump"), st.integers(0, 3), st.none()),
    st.tuples(st.just("abandon"), st.integers(0, 30), st.none()),
    st.tuples(st.just("cancel"), st.none(), st.none()),
    st.tuples(st.just("returned"), st.none(), st.none()),
    st.tuples(st.just("block"), st.integers(1, 3), st.none()),
    st.tuples(st.just("forget"), st.none(), st.none()),
)


class Mix(Rig):
    """Requests whose parameter is their own number."""

    def __init__(self) -> None:
        super().__init__()
        self.session.statements.capacity = 3
        self.requests: list[Any] = []

    def add(self, kind: str, text: str) -> None:
        number = len(self.requests)
        if kind == "query":
            request: Any = self.query(text, number)
        elif kind == "unprepared":
            request = self.unprepared(text, number)
        elif kind == "begun":
            request = self.query(text, number, before=(b"BEGIN",))
        elif kind == "unfit":
            request = self.query(text, object())
        elif kind == "batch":
            request = self.submit(Batch(text, [[number]] * 3))
        elif kind == "dialogue":
            request = self.submit(Dialogue(lambda pgconn: simple_query(pgconn, b"SELECT 1; SELECT 2")))
        else:
            request = self.submit(Commands((b"ROLLBACK",) if kind == "rollback" else (b"SAVEPOINT a",)))
        request.kind = kind
        self.requests.append(request)

    def apply(self, event: str, first: Any, second: Any) -> None:
        session, conn = self.session, self.conn
        if event == "submit":
            self.add(first, second)
        elif event == "fail":
            conn.fail.setdefault(first, []).append(second)
        elif event == "fail parse":
            conn.fail_parse.setdefault(first, []).append(second)
        elif event == "serve":
            conn.serve(first)
        elif event == "pump":
            session.pump(first)
        elif event == "abandon" and first < len(self.requests) and not self.requests[first].done:
            session.abandon(self.requests[first])
        elif event == "cancel" and session.state in (State.FLYING, State.DIALOGUE):
            if any(flight.abandoned for flight in session.flights):
                session.start_cancel(self)
        elif event == "returned":
            session.cancel_returned(self)
        elif event == "block":
            conn.blocked_flushes = first
        elif event == "forget":
            # As a pooler does that changes the backend.
            conn.prepared.clear()


def check(mix: Mix, number: int, request: Any) -> None:
    """The request has ended, with an error, or with what was executed for it and nobody else."""
    assert request.done, f"{request.kind} {number} waits for ever"
    if request.abandoned:
        return
    if request.kind == "unfit":
        assert isinstance(request.error, exceptions.Error)
    elif request.error is not None:
        assert isinstance(request.error, exceptions.Error), request.error
        assert not isinstance(request.error, exceptions.ConnectionClosedError)
    elif request.kind in ("query", "unprepared", "begun"):
        assert int.from_bytes(request.result.echo[-5:-1], "big") == number
    elif request.kind == "batch":
        assert request.landed == 3
    elif request.kind == "dialogue":
        assert len(request.value) == 2


@settings(max_examples=400, deadline=None)
@given(st.lists(events, max_size=60))
def test_every_result_reaches_its_request(sequence: list[tuple[str, Any, Any]]) -> None:
    mix = Mix()
    for event in sequence:
        mix.apply(*event)
    mix.session.cancel_returned(mix)
    mix.run()
    for number, request in enumerate(mix.requests):
        check(mix, number, request)
    session = mix.session
    assert session.state is State.READY and session.is_quiet and session.is_settled and session.gate_open
    assert not session.retries and not session.wants_write
    assert len(mix.ended) == len(mix.requests) == len(set(mix.ended))
    # It is as good as new.
    mix.conn.status = TransactionStatus.IDLE
    mix.conn.fail.clear()
    mix.conn.fail_parse.clear()
    last = mix.query("SELECT $1", 1)
    mix.run()
    assert last.error is None


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=40))
def test_a_lost_connection_ends_everything(sequence: list[tuple[str, Any, Any]]) -> None:
    mix = Mix()
    for event in sequence:
        mix.apply(*event)
    mix.session.lost("gone")
    for request in mix.requests:
        assert request.done
        if isinstance(request.error, exceptions.ConnectionLostError):
            assert request.error.safe_to_retry is not request.error.may_have_committed
            assert request.error.safe_to_retry is not request.written
    assert len(mix.ended) == len(mix.requests)
