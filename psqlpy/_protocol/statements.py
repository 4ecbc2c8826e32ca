"""The prepared statements of one connection: which texts are known to the server, under which names.

An exact LRU by text. Nothing is sent from here: `StatementCache.evicted` says what is to be closed on the
server. Not safe for threads: its session's lock guards it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Literal

from psqlpy._protocol.classify import classify

StatementState = Literal["new", "preparing", "ready", "failed"]

DEFAULT_CAPACITY = 256
LONGEST_TEXT = 16_384  # characters; longer texts are mostly generated and not seen again
_NEWEST_WEIGHT = 0.2  # of the last execution in the averages: a change of plan shows after a handful


class Statement:
    """A text, what is known of it, and its name on the server.

    The name is empty for a statement that isn't cached: it is prepared as the unnamed one, each time. Whoever
    executes it counts `pin_count` up before the first message and down after the last answer: a pinned
    statement is neither evicted nor closed. The plans and `columns` belong to the session.
    """

    __slots__ = (
        "average_bytes",
        "average_seconds",
        "columns",
        "everyday",
        "gathers",
        "name",
        "parameter_oids",
        "parameter_plan",
        "pin_count",
        "result_plan",
        "state",
        "table_oids",
        "text",
        "traits",
        "use_count",
    )

    def __init__(self, text: str, name: bytes) -> None:
        self.text = text
        self.name = name
        self.traits = classify(text)
        self.state: StatementState = "new"
        #: Once it is ready: others may follow before it has ended, and its rows are read as they come.
        self.everyday = False
        #: Whether its next answer may be long, and the rows may be decoded before they are asked for.
        self.gathers = False
        self.parameter_oids: tuple[int, ...] = ()
        self.parameter_plan: Any = None
        self.result_plan: Any = None
        self.columns: Any = None
        self.table_oids: tuple[int, ...] = ()
        self.pin_count = 0
        self.use_count = 0
        self.average_seconds = 0.0
        self.average_bytes = 0.0

    def record(self, seconds: float, size: float) -> None:
        """Count one execution that took `seconds` and returned `size` bytes into the moving averages."""
        if self.use_count:
            self.average_seconds += _NEWEST_WEIGHT * (seconds - self.average_seconds)
            self.average_bytes += _NEWEST_WEIGHT * (size - self.average_bytes)
        else:
            self.average_seconds, self.average_bytes = float(seconds), float(size)
        self.use_count += 1

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 80 else f"{self.text[:77]}..."
        return f"<Statement {self.name.decode()!r} {self.state} {text!r}, used {self.use_count} times>"


class StatementCache:
    """At most `capacity` statements, of which the least recently used goes first; 0 caches nothing.

    The capacity is exceeded while more statements than that are in use.
    """

    __slots__ = ("_closing", "_name_count", "_statements", "_token", "capacity", "has_others")

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 0:
            raise ValueError(f"capacity of the statement cache must be 0 or more, not {capacity}")
        self.capacity = capacity
        # OrderedDict, written in C: get and move_to_end take 120 ns. Popping from a dict and putting back
        # takes the same, and a counter stamped into the entry only 15 ns less, for a search through all
        # entries at eviction.
        self._statements: OrderedDict[str, Statement] = OrderedDict()
        self._closing: list[Statement] = []
        # Behind a pooler that knows nothing of prepared statements two connections, also of one process or of
        # its forked children, may share a server connection, and the same name there would be another
        # statement.
        self._token = os.urandom(6).hex()
        self._name_count = 0
        #: Its user may have made others, by PREPARE, whose names aren't known.
        self.has_others = False

    def __len__(self) -> int:
        return len(self._statements)

    def __contains__(self, text: str) -> bool:
        return text in self._statements

    def __repr__(self) -> str:
        return f"<StatementCache {len(self._statements)} of {self.capacity}, {len(self._closing)} to close>"

    def get(self, text: str) -> Statement:
        """Return the statement for `text`, a new one if need be, as the most recently used.

        Texts over 16 kB, and all if the capacity is 0, get an unnamed statement that isn't kept.
        """
        statements = self._statements
        statement = statements.get(text)
        if statement is not None:
            statements.move_to_end(text)
            return statement
        return self._add(text)

    def passing(self, text: str) -> Statement:
        """A statement with a name that no other has, and that isn't kept."""
        return Statement(text, self.unique_name())

    def unique_name(self, kind: str = "") -> bytes:
        """A name that nothing else of any session has."""
        self._name_count += 1
        return f"psqlpy_{kind}{self._token}_{self._name_count}".encode()

    def evicted(self) -> list[Statement]:
        """Return the statements to close on the server, each once; those in use come when they are free."""
        if not self._closing:
            return []
        free = [statement for statement in self._closing if not _is_in_use(statement)]
        self._closing = [statement for statement in self._closing if _is_in_use(statement)]
        # One that was never prepared, or whose preparation failed, isn't on the server.
        return [statement for statement in free if statement.state == "ready"]

    def invalidate(self, statement: Statement | str, *, still_on_server: bool = True) -> None:
        """Forget a statement, given itself or by its text; a later `get` makes another under a new name.

        With `still_on_server` it will be among the evicted ones. An unknown text, and a statement in whose
        place there is another one by now, are left alone.
        """
        known = self._statements.get(statement if isinstance(statement, str) else statement.text)
        if known is None or not (isinstance(statement, str) or known is statement):
            return
        del self._statements[known.text]
        if still_on_server:
            self._closing.append(known)

    def close_later(self, statement: Statement) -> None:
        """Take back an evicted statement that couldn't be closed: it will be among the evicted ones again."""
        self._closing.append(statement)

    def clear(self) -> None:
        """Forget what the server has dropped; to be called when the answer to DISCARD ALL was read.

        Answers come in the order of the requests, so a statement that is still being prepared was sent behind
        it and survives.
        """
        for text in [text for text, known in self._statements.items() if known.state != "preparing"]:
            del self._statements[text]
        self._closing = [statement for statement in self._closing if statement.state == "preparing"]

    def _add(self, text: str) -> Statement:
        if not self.capacity or len(text) > LONGEST_TEXT:
            statement = Statement(text, b"")
        else:
            if len(self._statements) >= self.capacity:
                self._make_room()
            statement = self._statements[text] = self.passing(text)
        self.has_others = self.has_others or statement.traits.makes_prepared
        return statement

    def _make_room(self) -> None:
        surplus = len(self._statements) - self.capacity + 1
        leaving: list[str] = []
        for text, statement in self._statements.items():
            if len(leaving) == surplus:
                break
            if not _is_in_use(statement):
                leaving.append(text)
        for text in leaving:
            self._closing.append(self._statements.pop(text))


def _is_in_use(statement: Statement) -> bool:
    return statement.pin_count > 0 or statement.state == "preparing"
