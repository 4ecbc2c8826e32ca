"""What another session sees of a backend: asked through another driver, which shares nothing with ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

POLL_INTERVAL = 0.005


class Observer:
    """A session that looks at others."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def command(self, statements: str) -> None:
        """Execute statements that return nothing."""
        self._connection.execute(statements.encode())

    def value(self, query: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Any:
        """The first value of the first row; None if there is none."""
        row = self._connection.execute(query.encode(), parameters).fetchone()
        return None if row is None else row[0]

    def count_alive(self, pids: Sequence[int]) -> int:
        """How many of these backends there are."""
        alive: int = self.value("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", [list(pids)])
        return alive

    def await_gone(self, pids: Sequence[int], within: float = 2.0) -> None:
        """Assert that none of these backends is left within so many seconds."""
        self.wait(lambda: self.count_alive(pids) == 0, within, f"backends {list(pids)} gone")

    def state(self, pid: int) -> str | None:
        """pg_stat_activity's state of a backend."""
        state: str | None = self.value("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid])
        return state

    def wait(self, predicate: Callable[[], object], within: float, what: str) -> float:
        """Look until it is true; returns the seconds it took, AssertionError after `within`."""
        begun = time.monotonic()
        while True:
            seen = bool(predicate())
            taken = time.monotonic() - begun
            if seen and taken <= within:
                return taken
            assert taken <= within, f"not within {within} s: {what}"
            time.sleep(POLL_INTERVAL)
