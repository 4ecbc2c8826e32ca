"""Requests of several statements or flights: unprepared ones, batches, dialogues, and BEGIN that travels in front."""

from __future__ import annotations

from typing import Any

import pytest

from psqlpy import exceptions
from psqlpy._codecs import oids
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.batch import FAILING, Batch
from psqlpy._protocol.dialogue import Dialogue
from psqlpy._protocol.simple_query import simple_query
from tests.fake_pgconn import BYTEA, STALE_PLAN, error
from tests.session_rig import Rig, echo


@pytest.fixture
def rig() -> Rig:
    return Rig()


# BEGIN that travels with a statement


def test_begin_travels_with_the_first_flight_under_one_sync(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    query = rig.query("SELECT 1", before=(b"BEGIN",))
    assert rig.conn.texts() == ["unnamed BEGIN", "execute SELECT 1", "sync"]
    rig.run()
    assert query.error is None
    rig.conn.log.clear()
    rig.query("SELECT 2", before=(b"BEGIN",))
    rig.run()
    assert rig.conn.texts() == ["unnamed BEGIN", "prepare SELECT 2", "sync", "execute SELECT 2", "sync"]


def test_a_failed_begin_skips_the_statement(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.fail["BEGIN"] = [error("25001", "there is already a transaction in progress")]
    query = rig.query("SELECT 1", before=(b"BEGIN",))
    rig.run()
    assert isinstance(query.error, exceptions.TransactionBeginError)


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_begin_is_sent_alone_when_its_statement_is_not(rig: Rig, prepared: bool, known: bool) -> None:
    if known:
        rig.prepare("SELECT $1")
        rig.unprepared("SELECT $1", 1)
        rig.run()
        rig.conn.log.clear()
    execute = rig.query if prepared else rig.unprepared
    request = execute("SELECT $1", object(), before=(b"BEGIN",))
    rig.run()
    assert isinstance(request.error, exceptions.ParameterTypeError)
    assert rig.conn.texts()[0] == "unnamed BEGIN"
    assert rig.session.transaction_status.name == "INTRANS"
    refused = execute("SELECT '\ud800'", before=(b"BEGIN",))
    rig.run()
    assert isinstance(refused.error, exceptions.ParameterValueError)
    assert rig.conn.texts()[-2:] == ["unnamed BEGIN", "sync"]


# Unprepared


def test_unprepared_sends_no_sync_before_it_executes(rig: Rig) -> None:
    request = rig.unprepared("SELECT $1", 7)
    assert rig.conn.texts() == ["prepare SELECT $1"]
    behind = rig.query("SELECT 1")
    assert rig.conn.texts() == ["prepare SELECT $1"]
    rig.run()
    assert rig.conn.texts()[:3] == ["prepare SELECT $1", "execute SELECT $1", "sync"]
    assert echo(request).endswith(b"\x07\x00")
    assert behind.error is None
    rig.conn.log.clear()
    again = rig.unprepared("SELECT $1", 8)
    assert rig.conn.texts() == ["unnamed SELECT $1", "sync"]
    rig.run()
    assert echo(again).endswith(b"\x08\x00")


@pytest.mark.parametrize("before", [(), (b"BEGIN",)])
def test_unprepared_that_cannot_be_parsed(rig: Rig, before: tuple[bytes, ...]) -> None:
    rig.conn.fail_parse["SELECT x"] = [error("42P01")]
    request, behind = rig.unprepared("SELECT x", before=before), rig.query("ROLLBACK")
    rig.run()
    assert isinstance(request.error, exceptions.UndefinedTable)
    assert behind.error is None and rig.session.is_quiet
    assert rig.descriptions == {}


def test_unprepared_that_fails_is_described_again(rig: Rig) -> None:
    rig.unprepared("SELECT $1", 1)
    rig.run()
    rig.conn.fail["SELECT $1"] = [error("22012")]
    failing = rig.unprepared("SELECT $1", 1)
    rig.run()
    assert failing.error is not None and rig.descriptions == {}


@pytest.mark.parametrize("in_flight", [False, True])
def test_unprepared_whose_types_may_be_others_is_described_and_executed_again(
    rig: Rig, in_flight: bool
) -> None:
    rig.unprepared("SELECT $1", 1)
    rig.run()
    rig.conn.fail["SELECT $1"] = [error("42804")]
    request = rig.unprepared("SELECT $1", 1)
    behind = [rig.unprepared("SELECT $1", 1) for _ in range(3 * in_flight)]
    rig.run()
    assert request.error is None and "SELECT $1" in rig.descriptions
    assert rig.ended[1:] == [*behind, request]
    rig.conn.fail["SELECT $1"] = [error("42804"), error("42804")]
    failing = rig.unprepared("SELECT $1", 1)
    rig.run()
    assert isinstance(failing.error, exceptions.DatatypeMismatch)
    assert rig.descriptions == {}


def test_unprepared_whose_types_may_be_others_is_not_executed_out_of_order(rig: Rig) -> None:
    for text in ("INSERT $1", "SELECT 1"):
        rig.unprepared(text, *[1] * text.count("$"))
        rig.run()
    rig.conn.fail["INSERT $1"] = [error("42804")]
    request, behind = rig.unprepared("INSERT $1", 1), rig.unprepared("SELECT 1")
    rig.run()
    assert isinstance(request.error, exceptions.DatatypeMismatch) and behind.error is None


def test_unprepared_whose_types_may_be_others_is_not_executed_again_in_a_transaction(rig: Rig) -> None:
    rig.unprepared("SELECT $1", 1)
    rig.query("BEGIN")
    rig.run()
    rig.conn.fail["SELECT $1"] = [error("42804")]
    request = rig.unprepared("SELECT $1", 1)
    rig.run()
    assert isinstance(request.error, exceptions.DatatypeMismatch)
    assert rig.session.transaction_status is TransactionStatus.INERROR


# Parameters that don't fit what was prepared


@pytest.mark.parametrize("before", [(), (b"BEGIN",)])
def test_a_parameter_that_does_not_fit_is_asked_about_and_not_executed(
    rig: Rig, before: tuple[bytes, ...]
) -> None:
    rig.prepare("SELECT $1")
    request, behind = rig.query("SELECT $1", object(), before=before), rig.query("SELECT $1", 1)
    rig.run()
    assert isinstance(request.error, exceptions.ParameterTypeError)
    assert request.written is bool(before)
    sent = [*(f"unnamed {command.decode()}" for command in before), "prepare SELECT $1", "sync"]
    assert rig.conn.texts() == [*sent, "execute SELECT $1", "sync"]
    assert echo(behind)


def test_a_parameter_fits_again_when_its_type_is_another(rig: Rig) -> None:
    rig.prepare("SELECT $1")
    rig.conn.parameter_oid = BYTEA
    # Bytes are no int4.
    request = rig.query("SELECT $1", b"x")
    unfit = rig.query("SELECT $1", object())
    rig.run()
    assert echo(request).endswith(b"x\0")
    assert isinstance(unfit.error, exceptions.ParameterTypeError)


def test_a_failing_question_is_not_the_error(rig: Rig) -> None:
    rig.prepare("SELECT $1")
    rig.conn.fail_parse["SELECT $1"] = [error("42P01")]
    request = rig.query("SELECT $1", object())
    rig.run()
    assert isinstance(request.error, exceptions.ParameterTypeError)
    assert "SELECT $1" in rig.session.statements


def test_unprepared_abandoned_while_it_is_described_is_not_executed(rig: Rig) -> None:
    executed: list[str] = []
    rig.conn.on_execute = executed.append
    request, behind = rig.unprepared("DELETE FROM t"), rig.query("SELECT 1")
    rig.session.abandon(request)
    rig.run()
    assert request.done and behind.error is None and executed == ["SELECT 1"]


# Batches


def test_a_batch_is_one_flight(rig: Rig) -> None:
    batch = rig.submit(Batch("INSERT $1", [[number] for number in range(5)]))
    behind = rig.query("SELECT 1")
    rig.run()
    assert rig.conn.texts()[:8] == ["prepare INSERT $1", "sync", *["execute INSERT $1"] * 5, "sync"]
    assert batch.error is None and batch.landed == 5 and behind.error is None


def test_a_batch_is_written_in_pieces_as_the_socket_takes_them(rig: Rig) -> None:
    rig.prepare("INSERT $1", "SELECT 1")
    rig.conn.blocked_flushes = 1
    batch = rig.submit(Batch("INSERT $1", ([number] for number in range(25_000))))
    behind = rig.query("SELECT 1")
    assert rig.session.wants_write
    written = len(rig.conn.log)
    assert 1 <= written < 25_000
    rig.conn.blocked_flushes = 1
    rig.session.pump(2)
    assert rig.session.wants_write and len(rig.conn.log) == written
    rig.run()
    assert batch.error is None and batch.landed == 25_000
    assert rig.ended == [batch, behind]


def test_a_failing_row_is_named_and_the_rest_skipped(rig: Rig) -> None:
    rig.prepare("INSERT $1")
    rig.conn.fail["INSERT $1"] = [None, None, error("23505", "duplicate key")]
    batch = rig.submit(Batch("INSERT $1", [[number] for number in range(5)]))
    behind = rig.query("SELECT 1")
    rig.run()
    assert isinstance(batch.error, exceptions.UniqueViolation)
    assert "row 3: " in str(batch.error)
    assert behind.error is None


def test_of_rows_with_one_that_does_not_fit_none_is_sent(rig: Rig) -> None:
    rig.prepare("INSERT $1")
    batch = rig.submit(Batch("INSERT $1", [[1], [object()]]))
    rig.run()
    assert isinstance(batch.error, exceptions.ParameterTypeError)
    # Only whether the types are the same as ever.
    assert rig.conn.texts() == ["prepare INSERT $1", "sync"]


def rows_with_a_misfit(number: int) -> list[list[object]]:
    return [[object() if row == number else row] for row in range(1, 1001)]


def test_rows_that_were_sent_before_one_that_does_not_fit_are_taken_back(rig: Rig) -> None:
    rig.prepare("INSERT $1", "SELECT 1")
    undo = FAILING.decode()
    rig.conn.fail_parse[undo] = [error("42601", "syntax error")]
    batch = rig.submit(Batch("INSERT $1", rows_with_a_misfit(900)))
    behind = rig.query("SELECT 1")
    rig.run()
    assert isinstance(batch.error, exceptions.ParameterTypeError)
    assert str(batch.error).startswith("row 900: ")
    texts = rig.conn.texts()
    sent = texts.count("execute INSERT $1")
    assert 1 < sent < 900
    # What fails has the same Sync. Then, under no name either: are the types the same as ever?
    assert rig.conn.fail_parse[undo] == []
    unnamed = ["prepare INSERT $1", "sync"]
    assert texts[sent:] == [*unnamed, *unnamed, "execute SELECT 1", "sync"]
    assert behind.error is None


def test_a_row_that_has_failed_comes_before_one_that_does_not_fit(rig: Rig) -> None:
    rig.prepare("INSERT $1")
    rig.conn.fail["INSERT $1"] = [None, None, error("23505", "duplicate key")]
    batch = rig.submit(Batch("INSERT $1", rows_with_a_misfit(900)))
    rig.run()
    assert isinstance(batch.error, exceptions.UniqueViolation)
    assert "row 3: " in str(batch.error)


def test_rows_that_were_taken_back_are_sent_again_if_they_fit_other_types(rig: Rig) -> None:
    rig.prepare("INSERT $1")
    rig.conn.fail_parse[FAILING.decode()] = [error("42601", "syntax error")]
    rig.conn.parameter_oid = oids.TEXT
    batch = rig.submit(Batch("INSERT $1", [["a" if row == 900 else "5"] for row in range(1, 1001)]))
    rig.run()
    assert batch.error is None and batch.landed == 1000
    assert rig.conn.texts()[-1001:] == ["execute INSERT $1"] * 1000 + ["sync"]


@pytest.mark.parametrize("text", ["INSERT $1", "CALL $1"])
def test_what_can_not_be_taken_back_is_sent_when_all_rows_fit(rig: Rig, text: str) -> None:
    rig.prepare(text)
    if text == "INSERT $1":
        rig.conn.status = TransactionStatus.INTRANS
    batch = rig.submit(Batch(text, rows_with_a_misfit(900)))
    rig.run()
    assert isinstance(batch.error, exceptions.ParameterTypeError)
    assert rig.conn.texts() == [f"prepare {text}", "sync"]


# Dialogues


def dialogue(rig: Rig, text: str) -> Dialogue:
    request: Dialogue = rig.submit(Dialogue(lambda pgconn: simple_query(pgconn, text.encode())))
    return request


def test_a_dialogue_waits_for_flights_and_holds_followers(rig: Rig) -> None:
    rig.prepare("SELECT 1", "SELECT 2")
    before = [rig.query("SELECT 1"), rig.query("SELECT 2")]
    alone, second, behind = (
        dialogue(rig, "SELECT 3; SELECT 4"),
        dialogue(rig, "SELECT 5"),
        rig.query("SELECT 1"),
    )
    assert "query" not in " ".join(rig.conn.texts())
    rig.conn.serve_flight()
    rig.session.pump(1)
    assert rig.ended == before[:1]
    rig.run()
    assert rig.ended == [*before, alone, second, behind]
    assert len(alone.value) == 2 and rig.conn.in_pipeline
    texts = rig.conn.texts()
    assert texts.index("query SELECT 3; SELECT 4") < texts.index("query SELECT 5")


def test_a_dialogue_behind_a_statement_that_has_to_be_retried(rig: Rig) -> None:
    rig.prepare("SELECT 1")
    rig.conn.fail["SELECT 1"] = [STALE_PLAN]
    stale, alone, behind = rig.query("SELECT 1"), dialogue(rig, "SELECT 3"), rig.query("SELECT 1")
    rig.run()
    assert rig.ended == [stale, alone, behind]
    assert stale.error is None


def test_a_dialogue_that_fails_inside_is_its_own_error(rig: Rig) -> None:
    def talk(pgconn: Any) -> Any:
        yield 1
        raise ValueError("no")

    failing, behind = rig.submit(Dialogue(talk)), rig.query("SELECT 1")
    rig.run()
    assert isinstance(failing.error, ValueError) and behind.error is None


def test_a_dialogue_on_a_connection_that_breaks(rig: Rig) -> None:
    alone, behind = dialogue(rig, "SELECT 3"), rig.query("SELECT 1")
    rig.conn.is_broken = True
    rig.session.pump(1)
    assert rig.session.is_closed
    assert alone.done and isinstance(behind.error, exceptions.ConnectionLostError)
    assert behind.error.safe_to_retry
