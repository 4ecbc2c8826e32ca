"""Steps of connecting that are milliseconds of calculation, made by a daemon thread: TLS handshakes, SCRAM's hashes.

The event loop does other things meanwhile, and several processors are of use to many connections.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from psqlpy._io import background
from psqlpy._pq.connection import PGconn
from psqlpy._pq.enums import PollingStatus


class _Stage(Enum):
    NEW = "new"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    GIVEN_UP = "given up"


class Aside:
    """One poll of a connection attempt, which nobody else may touch until it is done; see psqlpy._protocol.connect."""

    __slots__ = ("_announce", "_conn", "_error", "_lock", "_stage", "_status")

    def __init__(self, conn: PGconn) -> None:
        self._conn = conn
        self._lock = threading.Lock()
        self._stage = _Stage.NEW
        self._status: PollingStatus | None = None
        self._error: BaseException | None = None
        self._announce: Callable[[], object] | None = None

    @property
    def is_done(self) -> bool:
        return self._stage is _Stage.DONE

    def start(self, announce: Callable[[], object]) -> None:
        """Have it made; `announce` is called when it is, from any thread. Once more: call another one instead."""
        with self._lock:
            stage, self._announce = self._stage, announce
            if stage is _Stage.NEW:
                self._stage = _Stage.QUEUED
        if stage is _Stage.NEW:
            if not background.start_connect(self._run):
                self._run()
        elif stage is _Stage.DONE:
            announce()

    def result(self) -> PollingStatus:
        """What PQconnectPoll returned."""
        if self._error is not None:
            raise self._error
        assert self._status is not None
        return self._status

    def close(self) -> None:
        """Close the connection: at once, or when the thread comes back from libpq."""
        with self._lock:
            stage = self._stage
            if stage is _Stage.GIVEN_UP:
                return
            self._stage = _Stage.GIVEN_UP
        if stage is not _Stage.RUNNING:
            self._conn.finish()

    def _run(self) -> None:
        with self._lock:
            if self._stage is not _Stage.QUEUED:
                return
            self._stage = _Stage.RUNNING
        try:
            self._status = self._conn.poll()
        except BaseException as error:
            self._error = error
        with self._lock:
            given_up = self._stage is _Stage.GIVEN_UP
            if not given_up:
                self._stage = _Stage.DONE
            announce, self._announce = self._announce, None
        if given_up:
            self._conn.finish()
        elif announce is not None:
            announce()
