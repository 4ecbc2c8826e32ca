"""PGconn: one connection of libpq. Every method returns at once; none waits and none retries.

Not thread-safe: whoever owns the connection holds its lock around each call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from psqlpy._pq.callbacks import NoticeBox
from psqlpy._pq.canceller import Canceller
from psqlpy._pq.enums import ConnStatus, PollingStatus, TransactionStatus
from psqlpy._pq.module import ffi, lib
from psqlpy._pq.result import TUPLES_OK, PGresult, delivered, text

BROKEN: int = lib.PSQ_BROKEN
WANT_WRITE: int = lib.PSQ_WANT_WRITE
MORE: int = lib.PSQ_MORE
COPY: int = lib.PSQ_COPY
NOTIFY: int = lib.PSQ_NOTIFY
ENCODING: int = lib.PSQ_ENCODING
GATHER: int = lib.PSQ_GATHER
ROWS_WAIT: int = lib.PSQ_ROWS_WAIT
ROWS_END: int = lib.PSQ_ROWS_END
ROWS_BROKEN: int = lib.PSQ_ROWS_BROKEN

# By their numbers: an enum's class takes ten times as long to find its member.
_TRANSACTION_STATUSES = tuple(TransactionStatus)
_LAST_WORDS = ("FATAL", "PANIC")

# Counts forks: a connection made by an ancestor process isn't ours to end, its socket is shared with the parent.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)

_pump_one = lib.psq_pump_one
_execute_flight = lib.psq_execute_flight
_on_nothing = partial(_execute_flight, ffi.NULL)


class PGconn:
    """A libpq connection; finished with its Python object at the latest."""

    __slots__ = (
        "__weakref__",
        "_cell",
        "_forks",
        "_notice_handle",
        "_pump",
        "execute_flight",
        "notice_box",
        "pointer",
    )

    def __init__(self) -> None:
        # Who the connection belongs to from its first moment to its last, whatever signals do to Python in between.
        self._cell = ffi.new("PGconn **")
        self.pointer = ffi.NULL
        #: (name, parameter count, packed, its length, result format): Bind, Execute, Sync, and send what the socket
        #: takes: 0 all sent, 1 some left, -1 failed. Not a method, as every query would pay for its frame.
        self.execute_flight: Callable[[bytes, int, bytes, int, int], int] = _on_nothing
        self._forks = _forks
        self.notice_box = NoticeBox()
        self._notice_handle = self.notice_box.handle()
        self._pump = ffi.new("psq_pump_state *", {"encoding": -1})

    @classmethod
    def start(cls, parameters: Mapping[str, str]) -> PGconn:
        """Begin a connection attempt with libpq's keywords; go on with `poll` when the socket is ready."""
        keywords = [ffi.new("char[]", name.encode()) for name in parameters]
        values = [ffi.new("char[]", value.encode()) for value in parameters.values()]
        connection = cls()
        lib.psq_connect_start(connection._cell, [*keywords, ffi.NULL], [*values, ffi.NULL])
        pointer = connection.pointer = connection._cell[0]
        if pointer == ffi.NULL:
            raise MemoryError("libpq could not allocate a connection")
        connection.execute_flight = partial(_execute_flight, pointer)
        lib.PQsetNoticeReceiver(pointer, lib.psq_on_notice, connection._notice_handle)
        return connection

    def poll(self) -> PollingStatus:
        """PQconnectPoll. The socket may be another one afterwards, even under the same number."""
        return PollingStatus(lib.PQconnectPoll(self.pointer))

    def set_verbose_errors(self, verbose: bool) -> None:
        """Whether `error_message` has SQLSTATE and LOCATION: while connecting there is no other way to the SQLSTATE."""
        lib.PQsetErrorVerbosity(self.pointer, 2 if verbose else 1)

    def begin_pipeline(self) -> bool:
        """Non-blocking, pipelined: how a session uses the connection, once connected or after `end_pipeline`."""
        if self._pump.encoding < 0:
            self._pump.encoding = lib.PQclientEncoding(self.pointer)
        return lib.PQsetnonblocking(self.pointer, 1) == 0 and bool(lib.PQenterPipelineMode(self.pointer))

    def end_pipeline(self) -> bool:
        """Leave pipeline mode for a dialogue that can't be pipelined; possible when nothing is in flight."""
        return bool(lib.PQexitPipelineMode(self.pointer))

    def finish(self) -> None:
        """Close the connection; a second call does nothing. In a forked child only the descriptor is closed."""
        pointer = self._cell[0]
        if pointer == ffi.NULL:
            return
        self.pointer = ffi.NULL
        self.execute_flight = _on_nothing
        lib.psq_pump_clear(self._pump)
        if self._forks == _forks:
            lib.psq_finish(self._cell)
            return
        # PQfinish would say Terminate on the parent's connection. Its memory is left to the child's exit.
        self._cell[0] = ffi.NULL
        fd = lib.PQsocket(pointer)
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # Nobody refers to the connection, so no call of it is running. An interrupt may have struck in the constructor.
        if hasattr(self, "_pump"):
            self.finish()

    @property
    def is_finished(self) -> bool:
        return bool(self.pointer == ffi.NULL)

    @property
    def is_inherited(self) -> bool:
        """Whether another process, our parent, owns the connection."""
        return self._forks != _forks

    # Status

    @property
    def status(self) -> ConnStatus:
        return ConnStatus(lib.PQstatus(self.pointer))

    @property
    def fd(self) -> int:
        return int(lib.PQsocket(self.pointer))

    @property
    def transaction_status(self) -> TransactionStatus:
        """Meaningful only when nothing is in flight: otherwise ACTIVE."""
        number: int = lib.PQtransactionStatus(self.pointer)
        return _TRANSACTION_STATUSES[number]

    @property
    def error_message(self) -> str:
        return (text(lib.PQerrorMessage(self.pointer)) or "").strip()

    @property
    def server_version(self) -> int:
        """PQserverVersion: 180006 is 18.6."""
        return int(lib.PQserverVersion(self.pointer))

    @property
    def backend_pid(self) -> int:
        return int(lib.PQbackendPID(self.pointer))

    @property
    def in_tls(self) -> bool:
        return bool(lib.PQsslInUse(self.pointer))

    def tls_attribute(self, name: str) -> str | None:
        return text(lib.PQsslAttribute(self.pointer, name.encode()))

    def parameter_status(self, name: str) -> str | None:
        return text(lib.PQparameterStatus(self.pointer, name.encode("utf-8", "replace")))

    @property
    def new_encoding(self) -> str | None:
        """The client_encoding, if it isn't the one that the session has begun with."""
        encoding = lib.PQclientEncoding(self.pointer)
        return None if encoding in (-1, self._pump.encoding) else self.parameter_status("client_encoding")

    @property
    def host(self) -> str:
        return text(lib.PQhost(self.pointer)) or ""

    @property
    def hostaddr(self) -> str:
        return text(lib.PQhostaddr(self.pointer)) or ""

    @property
    def port(self) -> str:
        return text(lib.PQport(self.pointer)) or ""

    @property
    def user(self) -> str:
        return text(lib.PQuser(self.pointer)) or ""

    @property
    def db(self) -> str:
        return text(lib.PQdb(self.pointer)) or ""

    @property
    def options(self) -> str:
        return text(lib.PQoptions(self.pointer)) or ""

    @property
    def needs_password(self) -> bool:
        """Whether the attempt failed because the server asked for a password and there was none."""
        return bool(lib.PQconnectionNeedsPassword(self.pointer))

    def take_notices(self) -> list[dict[str, str | None]]:
        """Notices since the last call, oldest first, as diagnostic fields."""
        return self.notice_box.take()

    @property
    def is_dismissed(self) -> bool:
        """Whether the server has said why it hangs up: its end of the connection is closed, or is about to be."""
        notices = self.notice_box.notices
        return (
            bool(notices) and notices[-1].get("severity_nonlocalized", notices[-1]["severity"]) in _LAST_WORDS
        )

    # The pipeline

    def send_prepare(self, name: bytes, query: bytes) -> bool:
        return bool(lib.psq_send_prepare(self.pointer, name, query))

    def send_parse(self, name: bytes, query: bytes) -> bool:
        """Prepare without asking for a description."""
        return bool(lib.PQsendPrepare(self.pointer, name, query, 0, ffi.NULL))

    def send_execute(self, name: bytes, count: int, packed: bytes, result_format: int) -> bool:
        return bool(lib.psq_send_execute(self.pointer, name, count, packed, len(packed), result_format))

    def send_execute_rows(
        self, name: bytes, rows: int, count: int, packed: bytes, result_format: int
    ) -> bool:
        return bool(
            lib.psq_send_execute_rows(self.pointer, name, rows, count, packed, len(packed), result_format)
        )

    def count_results(self) -> None:
        """Keep only errors of the flight that was begun last, and count all else. None may follow it meanwhile."""
        self._pump.counting = 1

    def send_unnamed(self, query: bytes, oids: tuple[int, ...], packed: bytes, result_format: int) -> bool:
        types = ffi.new("Oid[]", oids) if oids else ffi.NULL
        return bool(
            lib.psq_send_unnamed(self.pointer, query, len(oids), types, packed, len(packed), result_format)
        )

    def send_commands(self, commands: Sequence[bytes]) -> bool:
        """Unnamed statements without parameters."""
        return bool(lib.psq_send_commands(self.pointer, b"\0".join(commands), len(commands)))

    def drop_successes(self) -> None:
        """Of the flight whose answer comes next only failures are delivered, and its Sync."""
        self._pump.unheard = 1

    def send_close_prepared(self, name: bytes) -> bool:
        return bool(lib.psq_send_close_prepared(self.pointer, name))

    def send_describe_portal(self, name: bytes) -> bool:
        """Ask for the columns of a cursor, which is a portal."""
        return bool(lib.PQsendDescribePortal(self.pointer, name))

    def send_flush_request(self) -> bool:
        return bool(lib.psq_send_flush_request(self.pointer))

    def end_flight(self) -> int:
        return int(lib.psq_end_flight(self.pointer))

    def cork(self, on: bool) -> bool:
        """Let the kernel keep what is sent, or no more; False where it can't."""
        return not self.is_inherited and bool(lib.psq_cork(self.pointer, on))

    def flush(self) -> int:
        """PQflush: 0 all sent, 1 some left, -1 failed."""
        return int(lib.PQflush(self.pointer))

    def pump_one(self, flights: int, what: int) -> PGresult | None:
        """Send, read and parse without waiting. The everyday answer is returned: rows and their Sync, nothing else.

        `what`: 1 if there may be something to read, and GATHER for rows in chunks, of status TUPLES_CHUNK, if there are
        many. Before it `silent` flights may have ended. After None `pumped` tells what there was.
        """
        state = self._pump
        pointer = _pump_one(self.pointer, flights, what, state)
        return PGresult(pointer, TUPLES_OK, state.rows) if pointer else None

    @property
    def silent(self) -> int:
        """Flights without results that ended before the one whose rows `pump_one` has just returned."""
        return int(self._pump.silent)

    def pumped(self) -> tuple[int, Sequence[tuple[int, PGresult | None]]]:
        """Flags and (status, result) pairs; the result is None for a Sync, and for -status that were counted."""
        state = self._pump
        count = state.count
        if not count:
            return state.flags, []
        if count == 1:
            return state.flags, [delivered(state.statuses[0], state.results[0], state.row_counts[0])]
        return state.flags, list(
            map(
                delivered,
                ffi.unpack(state.statuses, count),
                ffi.unpack(state.results, count),
                ffi.unpack(state.row_counts, count),
            )
        )

    def take_notifications(self) -> list[tuple[str, str, int]]:
        """(channel, payload, backend pid) of what the last `pump` flagged with NOTIFY."""
        taken = []
        notify = self._pump.notify
        self._pump.notify = ffi.NULL
        while notify != ffi.NULL:
            taken.append((text(notify.relname) or "", text(notify.extra) or "", int(notify.be_pid)))
            lib.PQfreemem(notify)
            notify = lib.PQnotifies(self.pointer)
        return taken

    # Outside the pipeline

    def send_query(self, query: bytes) -> bool:
        """The simple query protocol: any number of statements in one text."""
        return bool(lib.PQsendQuery(self.pointer, query))

    def consume(self, *, copy_out: bool = False) -> bool:
        """Read until the next result or nothing is there; False when the connection is lost."""
        return bool(lib.psq_consume(self.pointer, copy_out))

    def set_single_row_mode(self) -> bool:
        """Have the rows of the query that was just sent delivered as they arrive."""
        return bool(lib.PQsetSingleRowMode(self.pointer))

    def take_rows(self, limit: int, readable: bool) -> tuple[int, PGresult | None, PGresult | None]:
        """What has arrived of them, without waiting: one of ROWS_…, rows if there are any, and what ends them."""
        taken = ffi.new("psq_rows *")
        outcome = int(lib.psq_take_rows(self.pointer, limit, readable, taken))
        rows, last = (
            None if pointer == ffi.NULL else PGresult(pointer, lib.PQresultStatus(pointer))
            for pointer in (taken.rows, taken.last)
        )
        return outcome, rows, last

    @property
    def is_busy(self) -> bool:
        return bool(lib.PQisBusy(self.pointer))

    def get_result(self) -> PGresult | None:
        """The next result; call it only when not busy, otherwise it waits."""
        pointer = lib.PQgetResult(self.pointer)
        return None if pointer == ffi.NULL else PGresult(pointer, lib.PQresultStatus(pointer))

    def put_copy_end(self, error: bytes | None) -> int:
        """End COPY FROM STDIN, with `error` as failed: 1 queued, 0 try again when writable, -1 failed."""
        return int(lib.PQputCopyEnd(self.pointer, ffi.NULL if error is None else error))

    def put_copy_data(self, data: bytes | memoryview) -> bool:
        """Queue data of COPY FROM STDIN, however much is queued already; False when the connection is lost."""
        return bool(lib.PQputCopyData(self.pointer, ffi.from_buffer(data), len(data)) > 0)

    def refuses_copy(self) -> bool:
        """Whether the server's error is on its way in, in the middle of COPY FROM STDIN. Not every one is noticed."""
        return bool(lib.psq_copy_refused(self.pointer))

    def drop_copy_data(self) -> int:
        """Throw one row of COPY TO STDOUT away: its size, 0 when none is there yet, -1 at the end, -2 on failure."""
        buffer = ffi.new("char **")
        size = int(lib.PQgetCopyData(self.pointer, buffer, 1))
        if buffer[0] != ffi.NULL:
            lib.PQfreemem(buffer[0])
        return size

    # Cancelling

    def canceller(self) -> Canceller:
        """Prepare a request to cancel what the connection runs."""
        return Canceller(self.pointer)


def look(fd: int) -> bool:
    """Whether a socket has something to read, the end of the connection included, without waiting."""
    return bool(lib.psq_look(fd))


def wait(fd: int, events: int, milliseconds: int) -> int:
    """Wait for one socket, bits 1 read and 2 write: the ready ones, 0 after the time or at a signal. Frees the GIL."""
    ready: int = lib.psq_wait(fd, events, milliseconds)
    return ready
