"""Canceller: a request to cancel what a connection runs. Unlike all else here `run` waits."""

from __future__ import annotations

from typing import Any

from psqlpy._pq.module import ffi, lib
from psqlpy._pq.result import text

_MESSAGE_SIZE = 256


class Canceller:
    """One cancel request: made under the connection's lock, run in any thread, also after the connection is gone."""

    __slots__ = ("_cancel", "_handle")

    def __init__(self, pointer: Any) -> None:
        self._handle = lib.psq_cancel_create(pointer)
        self._cancel = ffi.NULL if self._handle != ffi.NULL else lib.PQgetCancel(pointer)

    def run(self) -> str | None:
        """Send the request and wait until the server has taken it: None, or why that failed.

        Before libpq 17 the request is sent in plain text, also for an encrypted connection (manual, "Canceling
        Queries in Progress").
        """
        message = ffi.new("char[]", _MESSAGE_SIZE)
        done = lib.psq_cancel_run(self._handle, self._cancel, message, _MESSAGE_SIZE)
        return None if done else (text(message) or "").strip() or "cancel request failed"

    def __del__(self) -> None:
        lib.psq_cancel_finish(self._handle)
        if self._cancel != ffi.NULL:
            lib.PQfreeCancel(self._cancel)
