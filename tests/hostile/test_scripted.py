"""A server that says what none says: an error in time that says what is wrong, and a closed connection."""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from psqlpy import Connection, ConnectionPool, exceptions, sync
from tests.fake_server import complete, copy_response, data_row, error, message, notice, notification, ready
from tests.fake_server import row_description as described
from tests.hostile.scripted import (
    AUTHENTICATION_OK,
    Backend,
    Script,
    ScriptedServer,
    greeting,
    obeying,
    parameter_status,
    serve,
)

# What a call here gets for itself, and what it may take on a busy machine where it needn't wait.
PATIENCE, AT_ONCE = 5.0, 2.0
HUGE, NEGATIVE = 0x7FFFFFFF, -(1 << 31)
ROW = data_row(b"x")

# By what they stand for, a part of what is said of them. D a row, Z ReadyForQuery, T a description, C a tag.
Wrong = dict[str, tuple[bytes, bytes, str]]
UNREADABLE: Wrong = {
    "a row of 2 GB": (b"D", message(b"D", b"\0\1\0\0\0\1a", HUGE), "cannot allocate|invalid socket"),
    "a row of length 3": (b"D", message(b"D", b"", 3), "lost synchronization"),
    "a row of length -1": (b"D", message(b"D", b"", -1), "lost synchronization"),
    "a row of length -2 GB": (b"D", message(b"D", b"", NEGATIVE), "lost synchronization"),
    "a value of 2 GB": (b"D", message(b"D", b"\0\1" + struct.pack("!i", HUGE) + b"a"), "insufficient data"),
    "a value of length -2": (b"D", message(b"D", b"\0\1" + struct.pack("!i", -2) + b"a"), "agree with length"),
    "a row with more than it has": (b"D", message(b"D", b"\0\1\0\0\0\1abc"), "agree with length"),
    "a row of two columns": (b"D", data_row(b"1", b"2"), "unexpected field count"),
    "a row of none": (b"D", data_row(), "unexpected field count"),
    "text": (b"D", b"HTTP/1.1 400 Bad Request\r\n\r\n", "lost synchronization"),
    "zeros": (b"D", bytes(64), "lost synchronization"),
    "an unknown type": (b"D", message(b"~", b"abc"), "unexpected response"),
    "a suspended portal": (b"C", message(b"s"), "unexpected response"),
    "a function's result": (b"D", message(b"V", b"\xff\xff\xff\xff"), "unexpected response"),
    "a request to log in": (b"D", AUTHENTICATION_OK, "unexpected response"),
    "a negotiation of the protocol": (b"D", message(b"v", struct.pack("!ii", 3 << 16, 0)), "unexpected response"),
    "a tag without its end": (b"C", message(b"C", b"SELECT 1"), "agree with length"),
    "a tag of 2 GB": (b"C", message(b"C", b"SELECT 1\0", HUGE), "lost synchronization"),
    "ready, 2 GB": (b"Z", message(b"Z", b"I", HUGE), "lost synchronization"),
    "ready, too long": (b"Z", message(b"Z", b"III"), "agree with length"),
    "a description of 2 GB": (b"T", message(b"T", b"\0\1", HUGE), "cannot allocate"),
    "an error without fields": (b"D", message(b"E", b"\0"), "no error message|lost"),
    "an error without anything": (b"D", message(b"E"), "agree with length"),
    "an error without its end": (b"D", message(b"E", b"SERROR"), "ERROR"),
    "an error of 2 GB": (b"D", message(b"E", b"SERROR\0", HUGE), "cannot allocate"),
    "a notice of 2 GB": (b"D", message(b"N", b"\0", HUGE), "cannot allocate"),
    "half a notification": (b"D", message(b"A", b"\0\0"), "agree with length"),
    "half a setting": (b"D", message(b"S", b"abc"), "agree with length"),
    "an encoding": (b"D", parameter_status("client_encoding", "LATIN1"), "LATIN1"),
    "a last word": (b"D", error("57P01", "bye", "FATAL"), "bye"),
}  # fmt: skip
OUT_OF_ORDER: Wrong = {
    "COPY FROM STDIN": (b"D", copy_response(b"G"), "COPY|answers"),
    "COPY TO STDOUT": (b"D", copy_response(b"H"), "COPY|answers"),
    "COPY in both directions": (b"D", copy_response(b"W"), "COPY|answers"),
    "COPY before the description": (b"T", copy_response(b"W"), "COPY|answers"),
    "a row before its description": (b"T", ROW + described("x"), "answers|prior row description"),
    "a row instead of its description": (b"T", ROW, "answers|prior row description"),
    "no tag": (b"C", b"", "answers"),
    "two tags": (b"C", 2 * complete(), "answers"),
    "a description of 32,767 columns": (b"T", message(b"T", b"\x7f\xff"), "answers|insufficient data"),
    "parameters without their types": (b"t", message(b"t", b"\0\1"), "answers|agree with length"),
}
CALLS: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "prepared": lambda conn: conn.fetch_val("SELECT $1::text", ["first"]),
    "unprepared": lambda conn: conn.fetch_val("SELECT $1::text", ["first"], False),
    "batch": lambda conn: conn.execute_batch("SELECT 'first'"),
    "pipeline": lambda conn: conn.pipeline([("SELECT $1::text", ["first"])] * 2),
    "rows": lambda conn: conn.execute_many("SELECT $1::text", [["a"], ["b"]]),
    "cursor": lambda conn: conn.cursor("SELECT 1").start(),
    "stream": lambda conn: conn.stream("SELECT $1::text", ["first"]).__anext__(),
    "COPY out": lambda conn: conn.copy_out(query="SELECT 1").__anext__(),
    "COPY in": lambda conn: conn.copy_in("t", b"1\n"),
}


def saying(kind: bytes, instead: bytes) -> Script:
    """A server that says `instead` for its first message of a kind."""

    def script(backend: Backend) -> None:
        backend.send(greeting())
        serve(backend, {kind: instead})

    return script


async def assert_ended(
    server: ScriptedServer, call: Callable[[Connection], Awaitable[object]], said: str
) -> None:
    """The call fails in time, its connection is closed, and the pool's next one works."""
    async with ConnectionPool(server.dsn, max_db_pool_size=1, timeout=PATIENCE) as pool:
        async with pool.acquire() as connection:
            begun = time.monotonic()
            with pytest.raises(exceptions.ConnectionLostError, match=said):
                await call(connection)
            assert time.monotonic() - begun < AT_ONCE
            assert connection.is_closed()
            with pytest.raises(exceptions.ConnectionClosedError):
                await connection.fetch_val("SELECT 1")
        assert await pool.fetch_val("SELECT $1::text", ["another"]) == "another"
        assert pool.status() == (1, 1, 1, 0)


@pytest.mark.loops(1)
@pytest.mark.parametrize("what", UNREADABLE)
async def test_what_cannot_be_read(what: str) -> None:
    kind, instead, said = UNREADABLE[what]
    with ScriptedServer(saying(kind, instead), obeying) as server:
        await assert_ended(server, CALLS["prepared"], said)


@pytest.mark.loops(1)
@pytest.mark.parametrize("what", OUT_OF_ORDER)
async def test_what_was_not_asked_for(what: str) -> None:
    kind, instead, said = OUT_OF_ORDER[what]
    with ScriptedServer(saying(kind, instead), obeying) as server:
        await assert_ended(server, CALLS["prepared"], said)


@pytest.mark.loops(1)
@pytest.mark.parametrize("call", ["batch", "stream", "COPY out", "COPY in"])
async def test_copy_in_both_directions_does_not_hold_the_loop(call: str) -> None:
    """libpq says it again each time it is asked."""
    kind, instead, said = OUT_OF_ORDER["COPY in both directions"]
    with ScriptedServer(saying(kind, instead), obeying) as server:
        await assert_ended(server, CALLS[call], said)


@pytest.mark.loops(1)
async def test_rows_of_a_statement_that_was_described_without_columns() -> None:
    with ScriptedServer(saying(b"T", message(b"n"))) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool:
            with pytest.raises(exceptions.InternalError, match="than it was announced with"):
                await pool.fetch_val("SELECT 1")
            assert await pool.fetch_val("SELECT 2") == "SELECT 2"


@pytest.mark.long
@pytest.mark.parametrize("call", [name for name in CALLS if name != "prepared"])
async def test_each_call(call: str) -> None:
    """Any of these: an error, no effect or, as libpq waits for more, the timeout; never a hang or another's answer."""
    for what, (kind, instead, _) in {**UNREADABLE, **OUT_OF_ORDER}.items():
        with ScriptedServer(saying(kind, instead), obeying) as server:
            async with (
                ConnectionPool(server.dsn, max_db_pool_size=1, timeout=0.5) as pool,
                pool.acquire() as connection,
            ):
                begun = time.monotonic()
                raised = None
                try:
                    await CALLS[call](connection)
                except StopAsyncIteration:
                    pass  # the data of a COPY that has none
                except exceptions.Error as error:
                    raised = error
                assert time.monotonic() - begun < AT_ONCE, what
                if isinstance(raised, exceptions.ConnectionLostError):
                    assert connection.is_closed(), what
                elif not isinstance(raised, exceptions.QueryTimeoutError):
                    try:
                        assert await connection.fetch_val("SELECT $1::text", [what]) == what
                    except exceptions.Error:
                        # What was to be wrong was in this answer.
                        assert connection.is_closed(), what


HARMLESS = {
    "a setting": parameter_status("application_name", "x"),
    "a setting that isn't UTF-8": message(b"S", b"\xff\0\xfe\0"),
    "a version": parameter_status("server_version", "xyz"),
    "a notice": notice("x"),
    "a notice without fields": message(b"N", b"\0"),
    "a notice that isn't UTF-8": message(b"N", b"SNOTICE\0C00000\0M\xff\0\0"),
    "a notification": notification("channel", "payload"),
    "a notification that isn't UTF-8": message(b"A", b"\0\0\0\7\xff\0\xfe\0"),
}


@pytest.mark.loops(1)
@pytest.mark.parametrize("what", HARMLESS)
async def test_what_may_come_at_any_time(what: str) -> None:
    """Before each message of the server."""

    def script(backend: Backend) -> None:
        backend.send(greeting(more=HARMLESS[what]))
        serve(backend, before_each=HARMLESS[what])

    with ScriptedServer(script) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
            for name in ("prepared", "unprepared"):
                assert await CALLS[name](connection) == "first"
            await connection.execute_batch("SELECT 1; SELECT 2")
            results = await connection.pipeline([("SELECT $1::text", [str(n)]) for n in range(5)])
            assert [result.result() for result in results] == [[{"x": str(n)}] for n in range(5)]


ERRORS = {
    "unknown fields": (b"SERROR\0VERROR\0C22012\0Mdiv\0\x01abc\0zzz\0\0", "22012"),
    "not UTF-8": (b"SERROR\0VERROR\0C22012\0Md\xff\xfe\0\0", "22012"),
    "an SQLSTATE of 5,000 characters": (b"SERROR\0VERROR\0C" + b"2" * 5000 + b"\0Md\0\0", "2" * 5000),
    "an SQLSTATE of none": (b"SERROR\0VERROR\0C\0Md\0\0", ""),
    "odd positions": (b"SERROR\0VERROR\0C42601\0Md\0Pabc\0p-1\0qx\0\0", "42601"),
    "a huge position": (b"SERROR\0VERROR\0C42601\0Md\0P" + b"9" * 30 + b"\0\0", "42601"),
    "a long text": (b"SERROR\0VERROR\0C42601\0M" + b"x" * 100_000 + b"\0\0", "42601"),
}


@pytest.mark.loops(1)
@pytest.mark.parametrize("what", ERRORS)
async def test_errors_of_any_kind(what: str) -> None:
    body, sqlstate = ERRORS[what]
    with ScriptedServer(saying(b"D", message(b"E", body))) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
            with pytest.raises(exceptions.DatabaseError) as caught:
                await CALLS["prepared"](connection)
            assert caught.value.sqlstate == sqlstate
            assert not isinstance(caught.value, exceptions.ConnectionLostError)
            assert await connection.fetch_val("SELECT $1::text", ["usable"]) == "usable"


@pytest.mark.parametrize("times", [2, 3])
async def test_a_sync_too_many_gives_nobody_anothers_answer(times: int) -> None:
    """With 20 calls in flight: whoever gets a value gets their own, the others hear that the connection is lost."""
    with ScriptedServer(saying(b"Z", times * ready())) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool:
            async with pool.acquire() as connection:
                seen: list[object] = []

                async def call(number: int) -> None:
                    try:
                        value = await connection.fetch_val(
                            "SELECT $1::text", [f"nonce {number}"], timeout=PATIENCE
                        )
                    except exceptions.ConnectionLostError:
                        value = None
                    assert value in (None, f"nonce {number}")
                    seen.append(value)

                for _ in range(3):
                    async with anyio.create_task_group() as group:
                        for number in range(20):
                            group.start_soon(call, number)
                assert len(seen) == 60
            assert await pool.fetch_val("SELECT $1::text", ["x"], timeout=PATIENCE) == "x"


@pytest.mark.loops(1)
async def test_a_commit_without_its_answer_is_not_reported_as_done() -> None:
    """The Sync alone says nothing of what was asked before it."""

    def script(backend: Backend) -> None:
        backend.send(greeting())
        silent = False
        while True:
            kind, body = backend.receive()
            answers = backend.answer(kind, body)
            silent = silent or (kind == b"P" and b"COMMIT" in body)
            backend.send(*(b"" if silent and answer[:1] != b"Z" else answer for answer in answers))

    with ScriptedServer(script, obeying) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool:
            async with pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.begin()
                await transaction.execute("SELECT 1")
                with pytest.raises(exceptions.ConnectionLostError) as caught:
                    await transaction.commit()
                assert caught.value.may_have_committed and connection.is_closed()
            assert await pool.fetch_val("SELECT 'x'") == "SELECT 'x'"


def silent_at_reset(backend: Backend) -> None:
    """Falls silent for good when a connection is cleaned for its next user."""
    backend.send(greeting())
    silent = False
    while True:
        kind, body = backend.receive()
        silent = silent or (kind == b"P" and b"RESET ALL" in body)
        backend.send(*([] if silent else backend.answer(kind, body)))


LEAVING = "SELECT set_config('a', 'b', false)"


@pytest.mark.loops(1)
async def test_a_reset_without_an_answer_costs_the_pool_no_connection() -> None:
    """Who waits behind it is out of time; two seconds later it has made way for another."""
    with ScriptedServer(silent_at_reset, obeying) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool:
            async with pool.acquire() as connection:
                await connection.execute(LEAVING)
            with pytest.raises(exceptions.QueryTimeoutError):
                await pool.fetch_val("SELECT 1", timeout=0.2)
            assert await pool.fetch_val("SELECT $1::text", ["another"], timeout=3) == "another"
            assert pool.status() == (1, 1, 1, 0)


@pytest.mark.backend("sync")
def test_threads_a_reset_without_an_answer_costs_the_pool_no_connection() -> None:
    with (
        ScriptedServer(silent_at_reset, obeying) as server,
        sync.ConnectionPool(server.dsn, max_db_pool_size=1) as pool,
    ):
        with pool.acquire() as connection:
            connection.execute(LEAVING)
        with pytest.raises(exceptions.QueryTimeoutError):
            pool.fetch_val("SELECT 1", timeout=0.2)
        assert pool.fetch_val("SELECT $1::text", ["another"], timeout=3) == "another"


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.loops(1)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured with /proc")
async def test_what_is_only_announced_takes_no_memory() -> None:
    """A gigabyte that may come after all is waited for, until the timeout."""
    before = resident()
    with ScriptedServer(saying(b"D", message(b"D", b"\0\1\0\0\0\1a", 1 << 29)), obeying) as server:
        async with ConnectionPool(server.dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
            begun = time.monotonic()
            with pytest.raises(exceptions.QueryTimeoutError):
                await connection.fetch_val("SELECT 1", timeout=0.3)
            assert time.monotonic() - begun < 0.3 + 0.5
            assert resident() - before < 64 << 20


# Threads


@pytest.mark.backend("sync")
@pytest.mark.parametrize(
    "what", ["a row of 2 GB", "a value of length -2", "COPY in both directions", "no tag"]
)
def test_threads(what: str) -> None:
    kind, instead, said = {**UNREADABLE, **OUT_OF_ORDER}[what]
    for prepared in (True, False):
        with (
            ScriptedServer(saying(kind, instead), obeying) as server,
            sync.ConnectionPool(server.dsn, max_db_pool_size=1) as pool,
        ):
            with pool.acquire() as connection:
                with pytest.raises(exceptions.ConnectionLostError, match=said):
                    connection.fetch_val("SELECT $1::text", ["first"], prepared, timeout=PATIENCE)
                assert connection.is_closed()
            assert pool.fetch_val("SELECT $1::text", ["another"]) == "another"
