"""The C helpers that send and receive, against a server that sends what it likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from psqlpy._pq.connection import BROKEN, MORE, NOTIFY, WANT_WRITE, look, wait
from psqlpy._pq.enums import ConnStatus, ExecStatus, TransactionStatus
from tests.fake_server import (
    BIND_COMPLETE,
    EMPTY_QUERY,
    NO_DATA,
    PARSE_COMPLETE,
    SYNC,
    FakeServer,
    Taken,
    complete,
    data_row,
    error,
    execute,
    fields,
    message,
    notice,
    notification,
    ready,
    row_description,
    rows,
    statuses,
    take,
    value,
)

TUPLES_OK = int(ExecStatus.TUPLES_OK)
COMMAND_OK = int(ExecStatus.COMMAND_OK)
FATAL_ERROR = int(ExecStatus.FATAL_ERROR)
ABORTED = int(ExecStatus.PIPELINE_ABORTED)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


# Sending


def test_what_is_sent(server: FakeServer) -> None:
    conn = server.conn
    packed = (
        (2).to_bytes(4, "little")
        + bytes(4)
        + b"ab\0"
        + (-1).to_bytes(4, "little", signed=True)
        + bytes(4)
        + b"\0"
    )
    assert conn.send_unnamed(b"SELECT $1, $2", (25, 23), packed, 1)
    assert conn.send_prepare(b"s", b"SELECT 1")
    assert conn.send_execute(b"s", 2, packed, 0)
    assert conn.send_execute_rows(b"s", 2, 2, packed * 2, 0)
    assert conn.end_flight() == 0
    sent = [server.receive() for _ in range(15)]
    kinds = b"".join(kind for kind, _ in sent)
    assert kinds == b"PBDE" + b"PD" + b"BDE" * 3
    assert server.receive()[0] == b"S"
    assert sent[0][1] == b"\0SELECT $1, $2\0\0\2" + (25).to_bytes(4, "big") + (23).to_bytes(4, "big")
    bound = sent[1][1]
    assert b"\0\0\0\2ab\xff\xff\xff\xff" in bound
    assert bound.endswith(b"\0\1\0\1"), "the result's format"


@pytest.mark.parametrize("packed", [b"", b"\1", b"\x10\0\0\0\0\0\0\0abc\0", b"\xff\xff\xff\x7f\0\0\0\0a\0"])
def test_malformed_packing_is_refused(server: FakeServer, packed: bytes) -> None:
    assert not server.conn.send_execute(b"s", 1, packed, 0)
    assert not server.conn.send_unnamed(b"SELECT $1", (25,), packed, 0)
    execute(server)


def test_more_parameters_than_fit_the_stack(server: FakeServer) -> None:
    one = (1).to_bytes(4, "little") + bytes(4) + b"7\0"
    assert server.conn.send_execute(b"s", 1000, one * 1000, 0)
    assert server.conn.end_flight() == 0
    kind, body = server.receive()
    assert kind == b"B" and body.count(b"\0\0\0\x017") == 1000


def test_what_the_socket_does_not_take_is_kept(server: FakeServer) -> None:
    blob = b"x" * 8_000_000
    packed = len(blob).to_bytes(4, "little") + bytes(4) + blob + b"\0"
    assert server.conn.execute_flight(b"s", 1, packed, len(packed), 0) == 1
    flags, results = server.pump(1, False)
    assert flags == WANT_WRITE and not results
    received = 0
    while True:
        received += len(server.peer.recv(1 << 20))
        if server.conn.flush() == 0:
            break
    server.peer.setblocking(False)
    try:
        while True:
            received += len(server.peer.recv(1 << 20))
    except BlockingIOError:
        pass
    server.peer.settimeout(10)
    while received < len(blob):
        received += len(server.peer.recv(1 << 20))
    server.send(rows(b"1"), ready())
    _, taken = take(server, 1)
    assert statuses(taken) == [TUPLES_OK, SYNC]


# Receiving


@pytest.mark.parametrize("size", [1, 3, 7])
def test_in_small_pieces(server: FakeServer, size: int) -> None:
    execute(server)
    taken: Taken = []
    for _ in server.send_in_pieces(rows(b"abc", b"") + ready(), size):
        server.wait()
        flags, results = server.pump(1, True)
        assert flags == 0
        taken.extend(results)
    assert statuses(taken) == [TUPLES_OK, SYNC]
    assert [value(taken, 0, 0), value(taken, 0, 1)] == [b"abc", b""]


def test_nothing_there(server: FakeServer) -> None:
    execute(server)
    assert server.pump(1, True) == (0, [])
    assert server.pump(0, True) == (0, [])
    assert not look(server.conn.fd)


def test_more_results_than_one_call_takes(server: FakeServer) -> None:
    execute(server, 150)
    server.send(*(rows(b"%d" % number) + ready() for number in range(150)))
    server.wait()
    flags, first = server.pump(150, True)
    assert flags & MORE and len(first) == 64
    flags, rest = take(server, 150 - statuses(list(first)).count(SYNC))
    taken = [*first, *rest]
    assert statuses(taken) == [TUPLES_OK, SYNC] * 150
    assert [value(taken, 2 * number) for number in range(150)] == [b"%d" % number for number in range(150)]


def test_no_more_flights_than_asked_for(server: FakeServer) -> None:
    execute(server, 3)
    server.send(*(rows(b"%d" % number) + ready() for number in range(3)))
    flags, taken = take(server, 2)
    assert statuses(taken) == [TUPLES_OK, SYNC] * 2 and not flags
    flags, taken = take(server, 1)
    assert value(taken, 0) == b"2"


def test_many_results_under_one_sync(server: FakeServer) -> None:
    assert server.conn.send_execute_rows(b"s", 200, 0, b"", 0)
    assert server.conn.end_flight() == 0
    assert len(server.receive_flight()) == 601
    server.send(*([BIND_COMPLETE + NO_DATA + complete("INSERT 0 1")] * 200), ready())
    _, taken = take(server, 1)
    assert statuses(taken) == [COMMAND_OK] * 200 + [SYNC]


def test_an_error_skips_the_rest_of_its_flight(server: FakeServer) -> None:
    assert server.conn.send_execute_rows(b"s", 3, 0, b"", 0)
    assert server.conn.end_flight() == 0
    server.receive_flight()
    execute(server)
    server.send(rows(b"1"), error(), ready(), rows(b"2"), ready())
    _, taken = take(server, 2)
    assert statuses(taken) == [TUPLES_OK, FATAL_ERROR, ABORTED, SYNC, TUPLES_OK, SYNC]
    failed = taken[1][1]
    assert failed is not None
    assert failed.diagnostics()["sqlstate"] == "22012"
    assert server.conn.transaction_status is TransactionStatus.IDLE


def test_parse_and_describe(server: FakeServer) -> None:
    assert server.conn.send_prepare(b"s", b"SELECT $1") and server.conn.end_flight() == 0
    assert server.receive_flight() == [b"P", b"D", b"S"]
    parameters = message(b"t", b"\0\1" + (23).to_bytes(4, "big"))
    server.send(PARSE_COMPLETE, parameters, row_description("a", oid=23), ready())
    _, taken = take(server, 1)
    assert statuses(taken) == [COMMAND_OK, COMMAND_OK, SYNC]
    described = taken[1][1]
    assert described is not None
    assert described.parameter_oids() == (23,)
    assert described.columns() == (("a", 23, -1, 0),)


def test_an_empty_query(server: FakeServer) -> None:
    execute(server)
    server.send(BIND_COMPLETE, NO_DATA, EMPTY_QUERY, ready())
    _, taken = take(server, 1)
    assert statuses(taken) == [int(ExecStatus.EMPTY_QUERY), SYNC]


def test_an_open_flight_gives_what_is_there_without_waiting(server: FakeServer) -> None:
    assert server.conn.send_prepare(b"", b"SELECT 1")
    assert server.conn.send_flush_request() and server.conn.flush() == 0
    assert [server.receive()[0] for _ in range(3)] == [b"P", b"D", b"H"]
    server.send(PARSE_COMPLETE, message(b"t", b"\0\0"), row_description("a"))
    server.wait()
    flags, results = server.pump(1, True)
    assert (flags, statuses(list(results))) == (0, [COMMAND_OK, COMMAND_OK])
    assert server.pump(1, True) == (0, [])


# What comes besides


def test_notices_and_notifications(server: FakeServer) -> None:
    execute(server)
    server.send(
        notice("first"), rows(b"1"), notification("a", "x"), notification("b", ""), notice("second"), ready()
    )
    flags, taken = take(server, 1)
    assert flags & NOTIFY and statuses(taken) == [TUPLES_OK, SYNC]
    assert server.conn.take_notifications() == [("a", "x", 7), ("b", "", 7)]
    assert server.conn.take_notifications() == []
    assert [noticed["message_primary"] for noticed in server.conn.take_notices()] == ["first", "second"]


def test_while_idle(server: FakeServer) -> None:
    server.send(notification("a", "x"), message(b"S", b"TimeZone\0Europe/Berlin\0"))
    server.wait()
    flags, results = server.pump(0, True)
    assert flags == NOTIFY and not results
    assert server.conn.take_notifications() == [("a", "x", 7)]
    assert server.conn.parameter_status("TimeZone") == "Europe/Berlin"


def test_a_flood_of_notices_is_cut(server: FakeServer) -> None:
    execute(server)
    server.send(*(notice(str(number)) for number in range(500)), rows(b"1"), ready())
    take(server, 1)
    noticed = [fields["message_primary"] for fields in server.conn.take_notices()]
    assert noticed == [str(number) for number in range(400, 500)]


# The end of the connection


def test_the_end_while_idle_with_a_reason(server: FakeServer) -> None:
    server.send(fields(b"E", "FATAL", "57P01", "terminating connection"))
    server.hang_up()
    flags = 0
    for _ in range(10):
        server.wait()
        flags, _ = server.pump(0, True)
        if flags & BROKEN:
            break
    assert flags & BROKEN
    assert [said["sqlstate"] for said in server.conn.take_notices()] == ["57P01"]
    assert server.conn.status is ConnStatus.BAD


@pytest.mark.parametrize("cut", range(1, len(rows(b"abc") + ready()), 5))
def test_the_end_in_the_middle(server: FakeServer, cut: int) -> None:
    execute(server, 2)
    server.send(rows(b"1"), ready(), (rows(b"abc") + ready())[:cut])
    server.hang_up()
    flags, taken = take(server, 2)
    assert flags & BROKEN
    assert statuses(taken)[:2] == [TUPLES_OK, SYNC] and value(taken, 0) == b"1"
    assert SYNC not in statuses(taken)[2:]


def test_what_arrived_before_the_end_is_delivered(server: FakeServer) -> None:
    execute(server, 100)
    server.send(*(rows(b"%d" % number) + ready() for number in range(100)))
    server.hang_up()
    flags, taken = take(server, 101)
    assert flags & BROKEN
    assert statuses(taken)[:200] == [TUPLES_OK, SYNC] * 100


def test_a_reset_connection(server: FakeServer) -> None:
    execute(server)
    server.peer.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER of 0: RST
    server.peer.close()
    flags, taken = take(server, 1)
    assert flags & BROKEN and SYNC not in statuses(taken)


# Outside a pipeline


def test_consume_reads_until_a_result_is_there(server: FakeServer) -> None:
    conn = server.conn
    assert conn.end_pipeline()
    assert conn.send_query(b"SELECT 1") and conn.flush() == 0
    assert server.receive() == (b"Q", b"SELECT 1\0")
    assert conn.consume()
    answer = row_description("x") + data_row(b"1") * 20_000 + complete("SELECT 20000") + ready()
    sent = 0
    server.peer.setblocking(False)
    while conn.is_busy:
        if sent < len(answer):
            try:
                sent += server.peer.send(answer[sent : sent + 65_536])
            except BlockingIOError:
                pass
        assert conn.consume()
    result = conn.get_result()
    assert result is not None and result.row_count == 20_000
    assert conn.get_result() is None
    assert conn.begin_pipeline()


def test_consume_at_the_end(server: FakeServer) -> None:
    conn = server.conn
    assert conn.end_pipeline() and conn.send_query(b"SELECT 1") and conn.flush() == 0
    server.receive()
    server.hang_up()
    server.wait()
    while conn.consume():
        pass
    result = conn.get_result()
    assert result is not None and result.status == FATAL_ERROR
    assert conn.get_result() is None
    assert not conn.begin_pipeline()


# Sockets


def test_look_and_wait(server: FakeServer) -> None:
    fd = server.conn.fd
    assert not look(fd)
    assert wait(fd, 1, 0) == 0
    assert wait(fd, 3, 1000) == 2
    server.send(notice("x"))
    assert wait(fd, 1, 10_000) == 1
    assert look(fd)
    server.pump(0, True)
    server.hang_up()
    assert wait(fd, 1, 10_000) == 1
    assert look(fd), "an end is something to read"
