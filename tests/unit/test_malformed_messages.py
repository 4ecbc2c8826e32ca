"""What no server says: the C helpers that receive neither hang nor crash, and the connection is closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psqlpy._pq.connection import BROKEN, COPY
from psqlpy._pq.enums import ConnStatus
from tests.fake_server import (
    BIND_COMPLETE,
    NO_DATA,
    SYNC,
    FakeServer,
    copy_response,
    data_row,
    error,
    execute,
    message,
    ready,
    row_description,
    rows,
    statuses,
    take,
    value,
)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.mark.parametrize("kind", [b"G", b"H", b"W"])
def test_copy_in_a_pipeline_is_flagged_and_ends(server: FakeServer, kind: bytes) -> None:
    execute(server, 2)
    server.send(BIND_COMPLETE, NO_DATA, copy_response(kind))
    flags, taken = take(server, 2)
    assert flags & COPY and statuses(taken) == []


MALFORMED = {
    "a length below 4": message(b"C", b"", length=3),
    "a length of 0": message(b"Z", b"", length=0),
    "a negative length": message(b"D", b"", length=-1),
    "a huge length": message(b"Z", b"I", length=0x7FFFFFFF),
    "a long message of a short kind": message(b"2", b"x" * 40_000),
    "an unknown type": message(b"~", b"abc"),
    "a zero type": bytes(64),
    "a row without its description": data_row(b"1"),
    "a row with too many columns": row_description("a") + data_row(b"1", b"2"),
    "a row with too few bytes": row_description("a") + message(b"D", b"\0\1\0\0\0\x09a"),
    "a column count without columns": message(b"T", b"\0\x09"),
    "a tag without its end": message(b"C", b"SELECT 1"),
    "an error without its end": message(b"E", b"SERROR"),
    "a notification without payload": message(b"A", b"\0\0\0\7a"),
    "authentication": message(b"R", b"\0\0\0\0"),
    "ready too early": ready(),
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_messages_end(server: FakeServer, what: str) -> None:
    execute(server, 2)
    server.send(BIND_COMPLETE, MALFORMED[what])
    server.hang_up()
    flags, _ = take(server, 2)
    assert flags & BROKEN
    assert server.conn.status is ConnStatus.BAD
    assert server.conn.error_message


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_end(junk: bytes) -> None:
    with FakeServer() as server:
        execute(server, 2)
        server.send(rows(b"1"), ready(), junk)
        server.hang_up()
        flags, taken = take(server, 2)
        assert flags & (BROKEN | COPY) or statuses(taken).count(SYNC) == 2
        # libpq gives up the Sync before bytes that it can't read, but no result.
        assert value(taken, 0) == b"1"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_answer_ends(data: st.DataObject) -> None:
    answer = bytearray(rows(b"abc", b"d") + ready() + error() + ready())
    for _ in range(data.draw(st.integers(1, 3))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    with FakeServer() as server:
        execute(server, 2)
        server.send(bytes(answer))
        server.hang_up()
        flags, taken = take(server, 2)
        assert flags & (BROKEN | COPY) or statuses(taken).count(SYNC) == 2
