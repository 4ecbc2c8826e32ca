"""The line of a query that an error points at, as psql shows it. Imported only when there is one to show."""

from __future__ import annotations

from unicodedata import combining, east_asian_width

_WIDTH = 60  # characters of the line that are shown
_BEFORE = 45  # of these before the position, if the line is longer


def excerpt(query: str, position: int) -> list[str]:
    """Return a LINE and a caret line for a position in characters, counted from 1.

    Nothing if the position isn't in the query, or if the query mentions a password: none may get into a log.
    """
    index = position - 1
    if not 0 <= index <= len(query) or "passw" in query.lower():
        return []
    before = query[:index]
    number = 1 + before.count("\n") + before.count("\r") - before.count("\r\n")
    start = 1 + max(before.rfind("\n"), before.rfind("\r"))
    line = query[start:].replace("\r", "\n").partition("\n")[0]
    offset = index - start
    first = max(0, min(offset - _BEFORE, len(line) - _WIDTH))
    head = f"LINE {number}: " + ("..." if first else "")
    tail = "..." if first + _WIDTH < len(line) else ""
    shown = "".join(c if c.isprintable() else " " for c in line[first : first + _WIDTH])
    caret = len(head) + sum(map(_columns, shown[: offset - first]))
    return [head + shown + tail, " " * caret + "^"]


def _columns(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
