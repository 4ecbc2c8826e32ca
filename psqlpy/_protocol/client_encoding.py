"""Texts travel as UTF-8 in both directions: a session that says otherwise would store and read other characters.

What a text says is refused before it is sent; what a parameter or a function's body says is seen when the server
reports it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._protocol.sql_text import tokenize

if TYPE_CHECKING:
    from psqlpy._protocol.session import Session

_PERHAPS = re.compile(r"\b(?:CLIENT_ENCODING|NAMES)\b", re.IGNORECASE)
_OURS = ("", "DEFAULT", "UTF8", "UNICODE")


def check_client_encoding(query: str) -> None:
    """Refuse a text that sets another client_encoding: by SET, SET NAMES (the SQL standard's word) or set_config."""
    if _PERHAPS.search(query) is None:
        return
    statement: list[str] = []
    for kind, start, end in [*tokenize(query), ("mark", 0, 0)]:
        if kind in ("space", "comment"):
            continue
        token = query[start:end]
        if token in (";", ""):
            encoding = _encoding(statement)
            if encoding.replace("-", "").replace("_", "") not in _OURS:
                raise exceptions.combine(exceptions.NotSupportedError, exceptions.ConnectionExecuteError)(
                    f"client_encoding can't be {encoding}: psqlpy speaks UTF8, whatever the database's encoding is"
                )
            statement = []
        else:
            statement.append(token.strip("'\"").upper())


def end_if_encoding_changed(session: Session) -> bool:
    """Give up a session that was made to speak otherwise: nothing that comes behind that can be trusted."""
    encoding = session.pgconn.new_encoding
    if encoding is not None:
        session.lost(f"client_encoding was set to {encoding}, and psqlpy speaks UTF8")
    return encoding is not None


def _encoding(statement: list[str]) -> str:
    """What the words of a statement set client_encoding to; "" if they don't."""
    words = [word for word in statement[:5] if word not in ("SESSION", "LOCAL")]
    if words[:2] == ["SET", "NAMES"]:
        return "".join(words[2:3])
    if words[:2] == ["SET", "CLIENT_ENCODING"]:
        return "".join(words[3:4])
    for index, word in enumerate(statement):
        if word == "SET_CONFIG" and statement[index + 1 : index + 3] == ["(", "CLIENT_ENCODING"]:
            return "".join(statement[index + 4 : index + 5])
    return ""
