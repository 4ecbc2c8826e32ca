"""The session, against a backend in memory: order, gating, healing, the end. Cancelling is in test_draining.py."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import exceptions
from psqlpy._pq.enums import ExecStatus
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.reset import Reset
from psqlpy._protocol.session import Session
from psqlpy._protocol.state import State
from tests.fake_pgconn import STALE_PLAN, FakePGconn, FakeResult, error
from tests.session_rig import Rig, echo


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_first_use_prepares_and_later_ones_execute_alone(rig: Rig) -> None:
    first = rig.query("SELECT $1", 1)
    rig.run()
    second = rig.query("SELECT $1", 2)
    rig.run()
    assert rig.conn.texts() == [
        "prepare SELECT $1",
        "sync",
        "execute SELECT $1",
        "sync",
        "execute SELECT $1",
        "sync",
    ]
    assert rig.ended == [first, second]
    assert echo(first) != echo(second)
    assert rig.session.is_quiet


def test_two_that_use_a_new_statement_prepare_it_once(rig: Rig) -> None:
    queries = [rig.query("SELECT $1", number) for number in range(3)]
    rig.run()
    assert rig.conn.texts().count("prepare SELECT $1") == 1
    assert rig.ended == queries
    assert len({echo(query) for query in queries}) == 3


def test_known_statements_fly_together_and_land_in_order(rig: Rig) -> None:
    rig.prepare("SELECT $1", "SELECT $1 + 1")
    queries = [rig.query(text, number) for number in range(4) for text in ("SELECT $1", "SELECT $1 + 1")]
    assert len(rig.session.flights) == 8
    assert rig.conn.texts().count("sync") == 8
    rig.conn.serve_flight()
    rig.session.pump(1)
    assert rig.ended == queries[:1]
    assert len(rig.session.flights) == 7
    rig.run()
    assert rig.ended == queries


@pytest.mark.parametrize("control", ["BEGIN", "COMMIT", "SAVEPOINT a", "CALL p()", "DO $$$$"])
def test_transaction_control_holds_followers_until_it_has_landed(rig: Rig, control: str) -> None:
    rig.prepare(control, "SELECT 1")
    first, second, third = rig.query("SELECT 1"), rig.query(control), rig.query("SELECT 1")
    assert rig.conn.texts() == ["execute SELECT 1", "sync", f"execute {control}", "sync"]
    rig.conn.serve_flight()
    rig.session.pump(1)
    assert rig.ended == [first]
    assert rig.session.queue[0] is third
    rig.run()
    assert rig.ended == [first, second, third]


def test_a_failed_parse_is_not_remembered(rig: Rig) -> None:
    rig.conn.fail_parse["SELECT x"] = [error("42P01", "relation does not exist")]
    failing, behind = rig.query("SELECT x"), rig.query("SELECT 1")
    rig.run()
    assert isinstance(failing.error, exceptions.UndefinedTable)
    assert behind.error is None
    assert "SELECT x" not in rig.session.statements
    again = rig.query("SELECT x")
    rig.run()
    assert again.error is None


@pytest.mark.parametrize("first", [True, False], ids=["first use", "prepared"])
def test_parameters_that_do_not_fit_fail_alone(rig: Rig, first: bool) -> None:
    if not first:
        rig.prepare("SELECT $1")
    good, bad, behind = rig.query("SELECT 1"), rig.query("SELECT $1", object()), rig.query("SELECT 1")
    rig.run()
    assert isinstance(bad.error, exceptions.ParameterTypeError)
    assert good.error is None and behind.error is None
    assert not bad.written
    assert rig.session.is_quiet


@pytest.mark.parametrize(
    "text", ["COPY t FROM STDIN", "SELECT 1; SELECT 2", "SELECT '\0'", "SELECT '\ud800'"]
)
def test_what_cannot_be_sent_sends_nothing(rig: Rig, text: str) -> None:
    requests = [rig.unprepared(text), rig.query(text)]
    assert all(isinstance(request.error, exceptions.Error) and not request.written for request in requests)
    assert rig.ended == requests
    assert rig.conn.log == []


# Healing


def test_a_dropped_plan_is_prepared_anew_and_retried_unseen(rig: Rig) -> None:
    rig.prepare("SELECT $1", "SELECT 2")
    rig.conn.fail["SELECT $1"] = [STALE_PLAN]
    stale, behind = rig.query("SELECT $1", 5), rig.query("SELECT 2")
    rig.run()
    assert stale.error is None and behind.error is None
    assert echo(stale).endswith(b"\x05\x00")
    # Behind its neighbour: only then it is known whether a transaction is open.
    assert rig.ended == [behind, stale]
    assert rig.session.is_quiet


def test_a_name_that_the_server_lost_is_healed(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.prepared.clear()
    query = rig.query("SELECT 1")
    rig.run()
    assert query.error is None
    assert rig.conn.texts()[:4] == ["execute SELECT 1", "sync", "prepare SELECT 1", "sync"]
    assert len(rig.conn.prepared) == 1


def test_it_is_retried_once(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.fail["SELECT 1"] = [STALE_PLAN, STALE_PLAN]
    query = rig.query("SELECT 1")
    rig.run()
    assert isinstance(query.error, exceptions.FeatureNotSupported)
    assert rig.session.is_quiet


@pytest.mark.parametrize(
    "failure",
    [
        {**STALE_PLAN, "context": "SQL function f"},
        {**STALE_PLAN, "source_function": "another"},
        error("26000", 'prepared statement "theirs" does not exist'),
        error("42703"),
    ],
    ids=["in a function", "another 0A000", "another name", "another error"],
)
def test_what_is_not_our_statement_is_not_retried(rig: Rig, failure: dict[str, str | None]) -> None:
    rig.prepare("SELECT 1")
    rig.conn.fail["SELECT 1"] = [failure]
    query = rig.query("SELECT 1")
    rig.run()
    assert query.error is not None
    assert rig.conn.texts() == ["execute SELECT 1", "sync"]


@pytest.mark.parametrize("text", ["CALL p()", "DO $$$$"])
def test_what_may_have_committed_is_not_retried(rig: Rig, text: str) -> None:
    rig.prepare(text)
    rig.conn.fail[text] = [STALE_PLAN]
    query = rig.query(text)
    rig.run()
    assert query.error is not None


def test_in_a_transaction_it_is_an_error_that_says_what_to_do(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.submit(Commands((b"BEGIN",)))
    rig.run()
    rig.conn.fail["SELECT 1"] = [STALE_PLAN]
    query = rig.query("SELECT 1")
    rig.run()
    assert isinstance(query.error, exceptions.FeatureNotSupported)
    assert query.error.hint is not None and "run the transaction again" in query.error.hint
    behind = rig.submit(Commands((b"ROLLBACK",)))
    rig.run()
    assert behind.error is None and rig.session.is_quiet


def test_a_retry_that_cannot_be_written_lets_the_others_go_on(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT 2", "BEGIN")
    rig.conn.fail["SELECT 1"] = [STALE_PLAN, STALE_PLAN]
    # Both must wait for BEGIN to land, and then there is a transaction.
    stale = [rig.query("SELECT 1"), rig.query("SELECT 1")]
    begin, behind = rig.query("BEGIN"), rig.query("SELECT 2")
    rig.run()
    assert all(isinstance(query.error, exceptions.FeatureNotSupported) for query in stale)
    assert begin.done and behind.error is None and behind.done


def test_a_statement_that_leaves_state_is_not_executed_out_of_order(rig: Rig) -> None:
    rig.prepare("SET a = 1", "SELECT 1")
    rig.conn.fail["SET a = 1"] = [STALE_PLAN]
    setting, behind = rig.query("SET a = 1"), rig.query("SELECT 1")
    rig.run()
    assert setting.error is not None and behind.error is None


# The statement cache


@pytest.mark.parametrize("can_close", [True, False], ids=["libpq 17", "libpq 15"])
def test_evicted_statements_are_closed(rig: Rig, can_close: bool) -> None:
    rig.conn.can_close_prepared = can_close
    rig.session.statements.capacity = 2
    for text in ("SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"):
        rig.query(text)
        rig.run()
    assert sorted(rig.conn.prepared.values()) == ["SELECT 3", "SELECT 4"]
    assert rig.session.is_quiet and len(rig.ended) == 4


def test_a_statement_that_drops_the_prepared_ones_empties_the_cache(rig: Rig) -> None:
    rig.prepare("SELECT 1", "DISCARD ALL")
    rig.query("DISCARD ALL")
    rig.run()
    assert "SELECT 1" not in rig.session.statements


# More than one pump takes


def test_hundreds_of_results_at_once(rig: Rig) -> None:
    rig.prepare("SELECT $1")
    queries = [rig.query("SELECT $1", number) for number in range(600)]
    rig.conn.serve()
    rig.session.pump(1)
    assert rig.session.has_more
    while rig.session.has_more:
        rig.session.pump(0)
    assert rig.ended == queries
    assert [int.from_bytes(echo(query)[-5:-1], "big") for query in queries] == list(range(600))


def test_results_that_arrived_before_the_end_are_delivered(rig: Rig) -> None:
    rig.prepare("SELECT $1")
    queries = [rig.query("SELECT $1", number) for number in range(100)]
    last = rig.query("SELECT $1", 100)
    for _ in range(100):
        rig.conn.serve_flight()
    rig.conn.is_broken = True
    rig.session.pump(1)
    assert all(query.error is None and query.result is not None for query in queries)
    assert isinstance(last.error, exceptions.ConnectionLostError)


# The end


def test_a_lost_connection_fails_everything_once(rig: Rig) -> None:
    rig.prepare("SELECT 1", "BEGIN")
    flying, held, queued = rig.query("SELECT 1"), rig.query("BEGIN"), rig.query("SELECT 1")
    rig.conn.notices.append({"severity": "FATAL", "sqlstate": "57P01", "message_primary": "terminating"})
    rig.conn.is_broken = True
    rig.session.pump(1)
    rig.session.pump(1)
    assert rig.ended == [flying, held, queued]
    for request, sent in ((flying, True), (held, True), (queued, False)):
        failure = request.error
        assert isinstance(failure, exceptions.ConnectionLostError)
        assert (failure.safe_to_retry, failure.may_have_committed) == (not sent, sent)
        assert failure.sqlstate == "57P01" and "terminating" in str(failure)
    late = rig.query("SELECT 1")
    assert isinstance(late.error, exceptions.ConnectionLostError) and late.error.safe_to_retry


def test_what_is_under_way_fails_as_what_its_caller_asked_for(rig: Rig) -> None:
    kinds = [exceptions.TransactionCommitError, exceptions.CursorFetchError]
    requests = [rig.submit(Commands((b"COMMIT",), kind)) for kind in kinds]
    rig.session.lost("gone")
    for request, kind in zip(requests, kinds, strict=True):
        assert isinstance(request.error, kind)
        assert isinstance(request.error, exceptions.ConnectionLostError)


def test_a_statement_that_was_only_being_prepared_is_safe_to_retry(rig: Rig) -> None:
    query = rig.query("SELECT 1")
    rig.session.lost("gone")
    assert isinstance(query.error, exceptions.ConnectionLostError)
    assert query.error.safe_to_retry and not query.error.may_have_committed


def test_fatal_as_an_answer_is_the_reason(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.fail["SELECT 1"] = [{**error("57P01", "terminating"), "severity": "FATAL"}]
    query = rig.query("SELECT 1")
    rig.conn.serve(1)
    rig.conn.is_broken = True
    rig.session.pump(1)
    assert isinstance(query.error, exceptions.ConnectionLostError)
    assert query.error.sqlstate == "57P01"


def test_a_write_that_fails_loses_the_connection(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.refuses = True
    query = rig.query("SELECT 1")
    assert rig.session.is_closed
    assert isinstance(query.error, exceptions.ConnectionLostError)


def test_close(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    query = rig.query("SELECT 1")
    rig.session.close()
    rig.session.close()
    assert rig.ended == [query]
    assert type(query.error) is exceptions.ConnectionClosedError
    late = rig.query("SELECT 1")
    assert type(late.error) is exceptions.ConnectionClosedError and late.error.safe_to_retry


def test_a_connection_that_is_broken_from_the_start() -> None:
    conn = FakePGconn()
    conn.is_broken = True
    assert Session(conn.as_pgconn()).is_closed


def test_a_reset_that_fails_closes_the_session_also_for_those_behind(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.fail["DISCARD ALL"] = [error("XX000")]
    rig.session.submit_silently(Reset((b"DISCARD ALL",)))
    queries = [rig.query("SELECT 1"), rig.query("SELECT 1")]
    assert not rig.session.is_settled
    rig.turn()
    assert rig.session.is_closed
    assert all(isinstance(query.error, exceptions.ConnectionLostError) for query in queries)


@pytest.mark.parametrize("strike", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("at", ["write", "receive", "land"])
def test_an_interrupt_in_the_middle_fails_everything(rig: Rig, strike: type[BaseException], at: str) -> None:
    class Struck(Commands):
        pass

    def struck(*_: object) -> Any:
        raise strike

    setattr(Struck, at, struck)
    rig.prepare("SELECT 1")
    ahead, request = rig.query("SELECT 1"), Struck((b"SELECT 2",))
    harmless = strike is ZeroDivisionError and at != "receive"
    if harmless:
        rig.submit(request)
        behind = rig.query("SELECT 1")
        rig.run()
        assert isinstance(request.error, strike)
        assert ahead.error is None and behind.error is None
        return
    with pytest.raises(strike):
        rig.submit(request)
        rig.query("SELECT 1")
        rig.run()
    assert rig.session.is_closed
    assert request.done and isinstance(request.error, exceptions.ConnectionLostError)
    assert ahead.done


def test_what_is_left_for_the_next_user_is_known(rig: Rig) -> None:
    rig.query("SELECT 1")
    rig.run()
    assert not rig.session.leaves_state
    rig.query("SET a = 1")
    rig.run()
    assert rig.session.leaves_state
    assert rig.session.is_settled and rig.session.state is State.READY


def test_a_result_that_is_one_too_many_is_the_end(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    query = rig.query("SELECT 1")
    rig.conn.answers.append((int(ExecStatus.BAD_RESPONSE), FakeResult(ExecStatus.BAD_RESPONSE)))
    rig.run()
    assert query.done and rig.session.is_closed
    assert isinstance(query.error, exceptions.ConnectionLostError) and query.error.may_have_committed


def test_whether_it_is_settled_may_be_asked_while_another_thread_begins_a_statement(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    asked: list[Any] = []

    class Housekeeping:
        """What is in flight, and while it is looked at somebody submits another."""

        @property
        def silent(self) -> bool:
            asked.append(rig.query("SELECT 1"))
            return True

    rig.session.flights.append(Housekeeping())
    rig.session.state = State.FLYING
    assert rig.session.is_settled
    assert len(asked) == 1
    assert not rig.session.is_settled
