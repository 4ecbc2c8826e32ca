"""The session when a caller has left: what is forgotten, what is drained, what is executed again."""

from __future__ import annotations

import pytest

from psqlpy import exceptions
from psqlpy._protocol.dialogue import Dialogue
from psqlpy._protocol.simple_query import simple_query
from psqlpy._protocol.state import State
from tests.fake_pgconn import error
from tests.session_rig import Rig, echo

CANCELED = error("57014", "canceling statement due to user request")


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_one_that_waits_for_its_turn_is_forgotten(rig: Rig) -> None:
    rig.prepare("BEGIN", "SELECT 1")
    begin, queued, behind = rig.query("BEGIN"), rig.query("SELECT 2"), rig.query("SELECT 1")
    rig.session.abandon(queued)
    assert queued.done and not queued.written
    rig.run()
    assert "prepare SELECT 2" not in rig.conn.texts()
    assert begin.error is None and behind.error is None
    assert rig.session.state is State.READY


def test_one_that_others_waited_behind_lets_them_go(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    flying = rig.query("SELECT 1")
    alone = rig.submit(Dialogue(lambda pgconn: simple_query(pgconn, b"SELECT 2")))
    behind = rig.query("SELECT 1")
    assert not rig.session.gate_open
    rig.session.abandon(alone)
    assert behind.written
    rig.run()
    assert rig.ended == [alone, flying, behind]
    assert "query SELECT 2" not in rig.conn.texts()


def test_begin_of_one_that_is_forgotten_is_sent_in_its_place(rig: Rig) -> None:
    rig.prepare("CALL p()", "SELECT 1")
    rig.query("CALL p()")
    queued, behind = rig.query("SELECT 1", before=(b"BEGIN",)), rig.query("SELECT 1")
    rig.session.abandon(queued)
    rig.run()
    assert rig.conn.texts() == [
        "execute CALL p()",
        "sync",
        "unnamed BEGIN",
        "sync",
        "execute SELECT 1",
        "sync",
    ]
    assert behind.error is None and rig.session.transaction_status.name == "INTRANS"


def test_in_flight_alone_the_session_takes_nothing_until_both_are_back(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT 2")
    left = rig.query("SELECT 1")
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    behind = rig.query("SELECT 2")
    assert rig.session.state is State.DRAINING and not behind.written
    assert not rig.session.is_settled and not rig.session.is_quiet
    rig.conn.fail["SELECT 1"] = [CANCELED]
    rig.turn()
    # Its answer has come, but the cancel request may still hit whatever runs.
    assert left.done and not behind.written
    rig.session.cancel_returned("somebody else")
    assert not behind.written
    rig.session.cancel_returned("me")
    assert behind.written
    rig.run()
    assert behind.error is None and rig.session.is_quiet


def test_the_cancel_request_may_return_first(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT 2")
    left = rig.query("SELECT 1")
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    rig.session.cancel_returned("me")
    behind = rig.query("SELECT 2")
    assert rig.session.state is State.DRAINING and not behind.written
    rig.run()
    assert left.done and behind.error is None and behind.done


def test_with_neighbours_the_answer_is_dropped_and_nothing_new_is_written(rig: Rig) -> None:
    rig.prepare("SELECT $1")
    ahead, left, after = (rig.query("SELECT $1", number) for number in range(3))
    rig.session.abandon(left)
    late = rig.query("SELECT $1", 3)
    assert not late.written
    rig.conn.serve_flight()
    rig.session.pump(1)
    assert rig.ended == [ahead] and not late.written
    rig.conn.serve_flight()
    rig.session.pump(1)
    assert late.written, "the abandoned one has landed"
    rig.run()
    assert rig.ended == [ahead, left, after, late]
    assert len({echo(request) for request in (ahead, after, late)}) == 3


def test_a_neighbour_that_is_hit_instead_is_executed_again(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT $1")
    left, hit, after = rig.query("SELECT 1"), rig.query("SELECT $1", 7), rig.query("SELECT $1", 8)
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    rig.conn.fail["SELECT $1"] = [CANCELED]
    rig.turn()
    assert not hit.done and after.done
    rig.session.cancel_returned("me")
    rig.run()
    assert hit.error is None and echo(hit) != echo(after)
    assert rig.session.is_quiet


def test_a_neighbour_that_is_hit_in_a_transaction_is_told(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT 2")
    rig.query("BEGIN")
    rig.run()
    left, hit = rig.query("SELECT 1"), rig.query("SELECT 2")
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    rig.conn.fail["SELECT 2"] = [CANCELED]
    rig.turn()
    rig.session.cancel_returned("me")
    rig.run()
    assert isinstance(hit.error, exceptions.QueryCanceled)
    assert hit.error.hint is None


def test_a_cancellation_that_nobody_here_asked_for_is_the_callers(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.fail["SELECT 1"] = [CANCELED]
    query = rig.query("SELECT 1")
    rig.run()
    assert isinstance(query.error, exceptions.QueryCanceled)


def test_several_that_are_executed_again_go_one_after_the_other(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT $1")
    left = rig.query("SELECT 1")
    hit = [rig.query("SELECT $1", number) for number in range(3)]
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    late = rig.query("SELECT 1")
    rig.conn.fail["SELECT $1"] = [CANCELED, CANCELED, CANCELED]
    rig.turn()
    rig.session.cancel_returned("me")
    rig.run()
    assert rig.ended == [left, *hit, late]
    assert len({echo(query) for query in hit}) == 3


def test_one_that_was_being_prepared_is_executed_after_the_draining(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    left, new = rig.query("SELECT 1"), rig.query("SELECT $1", 1)
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    rig.turn()
    assert not new.done and "execute SELECT $1" not in rig.conn.texts()
    rig.session.cancel_returned("me")
    rig.run()
    assert new.error is None and new.done


@pytest.mark.parametrize("in_transaction", [True, False])
def test_what_an_abandoned_one_has_prepared_is_known(rig: Rig, in_transaction: bool) -> None:
    if in_transaction:
        rig.query("BEGIN")
        rig.run()
    left = rig.query("SELECT $1", 1)
    rig.session.abandon(left)
    rig.run()
    assert left.done and "execute SELECT $1" not in rig.conn.texts()
    again = rig.query("SELECT $1", 2)
    rig.run()
    assert again.error is None
    assert rig.conn.texts().count("prepare SELECT $1") == 1


def test_an_abandoned_one_is_not_executed_again(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.prepared.clear()
    left = rig.query("SELECT 1")
    rig.session.abandon(left)
    rig.run()
    assert left.done and rig.conn.texts() == ["execute SELECT 1", "sync"]
    again = rig.query("SELECT 1")
    rig.run()
    assert again.error is None


def test_one_abandoned_while_it_waits_to_be_executed_again(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT 2", "SELECT 3")
    left, hit, ahead = rig.query("SELECT 1"), rig.query("SELECT 2"), rig.query("SELECT 3")
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    rig.conn.fail["SELECT 2"] = [CANCELED]
    rig.turn()
    late = rig.query("SELECT 3")
    rig.session.abandon(hit)
    assert hit.done and ahead.done and not late.written
    rig.session.cancel_returned("me")
    rig.run()
    assert late.error is None and rig.session.is_quiet


def test_a_dialogue_is_drained_too(rig: Rig) -> None:
    alone = rig.submit(Dialogue(lambda pgconn: simple_query(pgconn, b"SELECT 1")))
    behind = rig.query("SELECT 2")
    rig.session.abandon(alone)
    rig.session.start_cancel("me")
    rig.turn()
    assert alone.done and rig.session.state is State.DRAINING and not behind.written
    rig.session.cancel_returned("me")
    rig.run()
    assert behind.error is None and rig.conn.in_pipeline


def test_a_connection_lost_while_it_drains(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    left = rig.query("SELECT 1")
    rig.session.abandon(left)
    rig.session.start_cancel("me")
    queued = rig.query("SELECT 1")
    rig.session.lost("a cancelled statement did not end")
    rig.session.cancel_returned("me")
    assert rig.session.is_closed and left.done
    assert isinstance(queued.error, exceptions.ConnectionLostError) and queued.error.safe_to_retry


def test_abandoning_what_has_ended_changes_nothing(rig: Rig) -> None:
    query = rig.query("SELECT 1")
    rig.run()
    rig.session.abandon(query)
    assert rig.session.is_quiet and rig.session.gate_open
    assert query.error is None
