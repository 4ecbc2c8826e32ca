"""Answers that C doesn't hand over one by one: rows of a batch that are counted, a reset that has succeeded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from psqlpy._pq.enums import ExecStatus
from tests.fake_server import (
    BIND_COMPLETE,
    NO_DATA,
    SYNC,
    FakeServer,
    complete,
    error,
    execute,
    ready,
    rows,
    statuses,
    take,
    value,
)

TUPLES_OK = int(ExecStatus.TUPLES_OK)
FATAL_ERROR = int(ExecStatus.FATAL_ERROR)
DONE = BIND_COMPLETE + NO_DATA + complete("INSERT 0 1")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def begin_counted(server: FakeServer, count: int, behind: int = 0) -> None:
    """Flights of rows, and behind them one whose results are only counted."""
    execute(server, behind)
    assert server.conn.send_execute_rows(b"s", count, 0, b"", 0)
    server.conn.count_results()
    assert server.conn.end_flight() == 0
    server.receive_flight()


def test_results_that_are_counted(server: FakeServer) -> None:
    begin_counted(server, 201, behind=2)
    server.send(rows(b"1"), ready(), rows(b"2"), ready(), *[DONE] * 200, rows(b"3"), ready())
    _, taken = take(server, 3)
    found = statuses(taken)
    assert found[:4] == [TUPLES_OK, SYNC] * 2 and value(taken, 2) == b"2"
    assert found.pop() == SYNC
    assert sum(found[4:]) == -201 and all(count < 0 for count in found[4:])
    # That ends with its Sync.
    execute(server)
    server.send(rows(b"4"), ready())
    _, taken = take(server, 1)
    assert statuses(taken) == [TUPLES_OK, SYNC]


def test_an_error_among_results_that_are_counted(server: FakeServer) -> None:
    begin_counted(server, 5_000)
    server.send(*[DONE] * 3, error(), ready())
    _, taken = take(server, 1)
    assert statuses(taken) == [-3, FATAL_ERROR, SYNC]
    assert taken[1][1] is not None and taken[1][1].diagnostics()["sqlstate"] == "22012"


def test_so_many_are_counted_in_one_call(server: FakeServer) -> None:
    begin_counted(server, 5_000)
    server.send(*[DONE] * 5_000, ready())
    _, taken = take(server, 1)
    found = statuses(taken)
    assert found.pop() == SYNC
    assert sum(found) == -5_000 and min(found) >= -4_096


def test_the_everyday_answer_behind_flights_with_nothing_to_tell(server: FakeServer) -> None:
    """What a connection's reset and its next user's first query come to."""
    conn = server.conn
    execute(server, 3)
    conn.drop_successes()
    server.send(BIND_COMPLETE, NO_DATA, complete("RESET"), ready(), rows(b"1"), ready(), rows(b"2"), ready())
    server.wait()
    result = conn.pump_one(2, 1)
    assert result is not None and result.value_bytes(0, 0) == b"1" and conn.silent == 1
    result = conn.pump_one(1, 1)
    assert result is not None and result.value_bytes(0, 0) == b"2" and conn.silent == 0
    # A failure is told as ever.
    execute(server, 2)
    conn.drop_successes()
    server.send(error(), ready(), rows(b"3"), ready())
    server.wait()
    assert conn.pump_one(2, 1) is None
    assert statuses(list(conn.pumped()[1])) == [FATAL_ERROR, SYNC, TUPLES_OK, SYNC]
