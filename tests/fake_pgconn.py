"""A PGconn without libpq and without a server: what a session and its requests call, and a backend that answers.

The backend knows prepared statements, pipelines that are aborted until their Sync, and transactions. It answers when
the test says so (`serve`), so that every order of events can be had.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from psqlpy._pq.callbacks import NoticeBox
from psqlpy._pq.connection import BROKEN, MORE, WANT_WRITE, PGconn
from psqlpy._pq.enums import ExecStatus, TransactionStatus

Fields = dict[str, str | None]
Message = tuple[str, ...]

BYTEA, INT4 = 17, 23
RESULTS_PER_PUMP = 64


class FakeResult:
    """What the requests read of a PGresult; `echo` is what the statement was executed with."""

    def __init__(
        self, status: ExecStatus, tag: str = "", fields: Fields | None = None, echo: bytes = b""
    ) -> None:
        self.status = int(status)
        self.command_tag = tag
        self.fields = fields or {}
        self.echo = echo
        self.parameter_count = 0
        self.parameter_oid = INT4
        self.row_count = 1

    def diagnostics(self) -> Fields:
        return self.fields

    @property
    def sqlstate(self) -> str | None:
        return self.fields.get("sqlstate")

    def parameter_oids(self) -> tuple[int, ...]:
        return (self.parameter_oid,) * self.parameter_count

    def columns(self) -> tuple[tuple[str, int, int, int], ...]:
        return (("x", INT4, -1, 1),)

    def table_oids(self) -> tuple[int, ...]:
        return (0,)


def error(sqlstate: str, message: str = "it failed", **fields: str) -> Fields:
    """The fields of an error that the server sends."""
    return {"severity": "ERROR", "sqlstate": sqlstate, "message_primary": message, **fields}


STALE_PLAN = error(
    "0A000", "cached plan must not change result type", source_function="RevalidateCachedQuery"
)


class FakePGconn:
    """One connection. `fail[text]` are the errors of the next executions of a statement, None for success."""

    fd = -1
    new_encoding = None

    def __init__(self) -> None:
        #: Everything that was sent, in order.
        self.log: list[Message] = []
        #: What the backend has not read yet, and its answers that the client has not read yet.
        self.unserved: deque[tuple[Message, bytes]] = deque()
        self.answers: deque[tuple[int, FakeResult | None]] = deque()
        self.fail: dict[str, list[Fields | None]] = {}
        self.fail_parse: dict[str, list[Fields | None]] = {}
        self.prepared: dict[str, str] = {}
        #: Names that were ever prepared, for `texts`.
        self.names: dict[str, str] = {}
        self.status = TransactionStatus.IDLE
        #: Of every parameter that is described from now on.
        self.parameter_oid = INT4
        self.syncs_pending = 0
        self.aborted = False
        self.in_pipeline = False
        self.is_broken = False
        self.error_message = "server closed the connection unexpectedly"
        self.notices: list[Fields] = []
        self.notice_box = NoticeBox()
        #: How many of the next flushes leave something unsent.
        self.blocked_flushes = 0
        self.silent = 0
        #: A send that fails, as on a broken connection.
        self.refuses = False
        self.can_close_prepared = True
        self.simple: deque[FakeResult] = deque()
        self.on_execute: Callable[[str], None] | None = None
        self.is_counting = False
        self._pumped: tuple[int, list[tuple[int, Any]]] = (0, [])

    def as_pgconn(self) -> PGconn:
        return cast(PGconn, self)

    # What a session calls

    def begin_pipeline(self) -> bool:
        self.in_pipeline = not self.is_broken
        return self.in_pipeline

    def end_pipeline(self) -> bool:
        assert not self.syncs_pending
        self.in_pipeline = False
        return not self.is_broken

    @property
    def transaction_status(self) -> TransactionStatus:
        return TransactionStatus.ACTIVE if self.syncs_pending else self.status

    def parameter_status(self, name: str) -> str | None:
        return "off"

    def take_notices(self) -> list[Fields]:
        notices, self.notices = self.notices, []
        return notices

    def take_notifications(self) -> list[tuple[str, str, int]]:
        return []

    def send_prepare(self, name: bytes, query: bytes) -> bool:
        self.names[name.decode()] = query.decode()
        return self._send("prepare", name.decode(), query.decode()) and self._send("describe", name.decode())

    def send_execute(self, name: bytes, count: int, packed: bytes, result_format: int) -> bool:
        return self._send("execute", name.decode(), payload=packed)

    def send_execute_rows(
        self, name: bytes, rows: int, count: int, packed: bytes, result_format: int
    ) -> bool:
        return all(self._send("execute", name.decode(), payload=packed) for _ in range(rows))

    def count_results(self) -> None:
        self.is_counting = True

    def send_unnamed(self, query: bytes, oids: tuple[int, ...], packed: bytes, result_format: int) -> bool:
        return self._send("unnamed", query.decode(), payload=packed)

    def drop_successes(self) -> None:
        pass

    def send_commands(self, commands: Sequence[bytes]) -> bool:
        return all(self.send_unnamed(command, (), b"", 0) for command in commands)

    def send_close_prepared(self, name: bytes) -> bool:
        return self.can_close_prepared and self._send("close", name.decode())

    def send_flush_request(self) -> bool:
        return True

    def execute_flight(self, name: bytes, count: int, packed: bytes, size: int, result_format: int) -> int:
        return self.end_flight() if self.send_execute(name, count, packed, result_format) else -1

    def end_flight(self) -> int:
        if not self._send("sync"):
            return -1
        self.syncs_pending += 1
        return self.flush()

    def flush(self) -> int:
        if self.refuses:
            return -1
        if self.blocked_flushes:
            self.blocked_flushes -= 1
            return 1
        return 0

    def _send(self, *message: str, payload: bytes = b"") -> bool:
        if self.refuses or self.is_broken:
            return False
        self.log.append(message)
        self.unserved.append((message, payload))
        return True

    def pump_one(self, flights: int, readable: bool) -> Any:
        self._pumped = self._pump(flights)
        flags, results = self._pumped
        statuses = [status for status, _ in results]
        self.silent = len(results) - 2
        if flags or statuses != self.silent * [ExecStatus.PIPELINE_SYNC] + [
            ExecStatus.TUPLES_OK,
            ExecStatus.PIPELINE_SYNC,
        ]:
            return None
        return results[self.silent][1]

    def pumped(self) -> tuple[int, list[tuple[int, Any]]]:
        return self._pumped

    def _pump(self, flights: int) -> tuple[int, list[tuple[int, Any]]]:
        flags = WANT_WRITE if self.flush() else 0
        results: list[tuple[int, Any]] = []
        while flights and self.answers:
            if len(results) == RESULTS_PER_PUMP:
                flags |= MORE
                break
            status, result = self.answers.popleft()
            if result is None:
                flights -= 1
                self.syncs_pending -= 1
                self.is_counting = self.is_counting and flights > 0
            elif self.is_counting and flights == 1 and status != ExecStatus.FATAL_ERROR:
                if status != ExecStatus.PIPELINE_ABORTED:
                    before = results.pop()[0] if results and results[-1][0] < 0 else 0
                    results.append((before - 1, None))
                continue
            results.append((status, result))
        if self.is_broken:
            flags |= BROKEN
        return flags, results

    # The simple query protocol

    def send_query(self, query: bytes) -> bool:
        return self._send("query", query.decode())

    @property
    def is_busy(self) -> bool:
        return any(message[0] == "query" for message, _ in self.unserved) and not self.is_broken

    def consume(self, *, copy_out: bool = False) -> bool:
        return not self.is_broken

    def get_result(self) -> FakeResult | None:
        return self.simple.popleft() if self.simple else None

    # The backend

    def serve(self, count: int = 1_000_000) -> None:
        """Let the backend answer the next `count` messages."""
        while count and self.unserved:
            count -= 1
            message, payload = self.unserved.popleft()
            self._answer(message, payload)

    def serve_flight(self) -> None:
        """Let the backend answer up to and including the next Sync."""
        while self.unserved:
            message, _ = self.unserved[0]
            self.serve(1)
            if message[0] == "sync":
                return

    def _answer(self, message: Message, payload: bytes) -> None:
        kind = message[0]
        if kind == "sync":
            self.aborted = False
            self.answers.append((int(ExecStatus.PIPELINE_SYNC), None))
        elif kind == "query":
            self.simple.extend(self._result(part.strip()) for part in message[1].split(";"))
        elif self.aborted:
            self._reply(FakeResult(ExecStatus.PIPELINE_ABORTED))
        elif kind == "prepare":
            self._parse(message[1], message[2])
        elif kind in ("describe", "execute") and message[1] not in self.prepared:
            missing = error("26000", f'prepared statement "{message[1]}" does not exist')
            self._reply(FakeResult(ExecStatus.FATAL_ERROR, fields=missing))
        elif kind == "describe":
            described = FakeResult(ExecStatus.COMMAND_OK)
            described.parameter_count = len(set(re.findall(r"\$\d+", self.prepared[message[1]])))
            described.parameter_oid = self.parameter_oid
            self._reply(described)
        elif kind == "close":
            self.prepared.pop(message[1], None)
            self._reply(FakeResult(ExecStatus.COMMAND_OK))
        elif kind == "execute":
            self._reply(self._result(self.prepared[message[1]], payload))
        else:
            self._reply(self._result(message[1], payload))

    def _parse(self, name: str, text: str) -> None:
        failure = _next(self.fail_parse, text)
        if failure is None and name and name in self.prepared:
            failure = error("42P05", f'prepared statement "{name}" already exists')
        if failure is None:
            failure = self._refused_in_aborted(text)
        if failure is not None:
            self._reply(FakeResult(ExecStatus.FATAL_ERROR, fields=failure))
            return
        self.prepared[name] = text
        self._reply(FakeResult(ExecStatus.COMMAND_OK))

    def _result(self, text: str, payload: bytes = b"") -> FakeResult:
        failure = _next(self.fail, text) or self._refused_in_aborted(text)
        if failure is not None:
            return FakeResult(ExecStatus.FATAL_ERROR, fields=failure)
        word = text.split(" ")[0].upper()
        if word in ("BEGIN", "START"):
            self.status = TransactionStatus.INTRANS
        elif word in ("COMMIT", "ROLLBACK"):
            self.status = TransactionStatus.IDLE
        elif word == "DEALLOCATE":
            self.prepared.pop(text.partition('"')[2].rstrip('"'), None)
        if self.on_execute is not None:
            self.on_execute(text)
        return FakeResult(
            ExecStatus.TUPLES_OK if word == "SELECT" else ExecStatus.COMMAND_OK, word, echo=payload
        )

    def _refused_in_aborted(self, text: str) -> Fields | None:
        if self.status is TransactionStatus.INERROR and not text.upper().startswith(("COMMIT", "ROLLBACK")):
            return error("25P02", "current transaction is aborted")
        return None

    def _reply(self, result: FakeResult) -> None:
        if result.status == ExecStatus.FATAL_ERROR:
            self.aborted = True
            if self.status is TransactionStatus.INTRANS:
                self.status = TransactionStatus.INERROR
        self.answers.append((result.status, result))

    # What a test asks

    def texts(self) -> list[str]:
        """What was sent, one entry a message: texts of statements instead of their names."""
        return [
            " ".join([message[0], *(self.names.get(part, part) for part in message[1:2])])
            for message in self.log
            if message[0] != "describe"
        ]


def _next(outcomes: dict[str, list[Fields | None]], text: str) -> Fields | None:
    waiting = outcomes.get(text)
    return waiting.pop(0) if waiting else None
