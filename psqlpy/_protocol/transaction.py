"""The words of transactions (PostgreSQL manual, "START TRANSACTION", "SAVEPOINT") and how identifiers are quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._pq.enums import TransactionStatus

if TYPE_CHECKING:
    from psqlpy._protocol.request import Request

# NAMEDATALEN - 1: of a longer name the server takes so many bytes, so that two of them may become one.
_LONGEST_NAME = 63


def start_transaction(
    isolation: str | None,
    variant: str | None,
    deferrable: bool | None,
    synchronous_commit: str | None = None,
) -> tuple[bytes, ...]:
    """START TRANSACTION with its modes, and what is set for it; None leaves a mode to the server's default."""
    words = ["START TRANSACTION"]
    modes = []
    if isolation is not None:
        modes.append(f"ISOLATION LEVEL {isolation}")
    if variant is not None:
        modes.append(variant)
    if deferrable is not None:
        if not isinstance(deferrable, bool):
            raise exceptions.ParameterTypeError(f"deferrable must be True, False or None, not {deferrable!r}")
        modes.append("DEFERRABLE" if deferrable else "NOT DEFERRABLE")
    start = " ".join([*words, *modes]).encode()
    if synchronous_commit is None:
        return (start,)
    return start, f"SET LOCAL synchronous_commit = {synchronous_commit}".encode()


def quote_identifier(name: str) -> bytes:
    """An identifier that means exactly `name`, whatever is in it (manual, "Identifiers and Key Words")."""
    if not isinstance(name, str):
        raise exceptions.ParameterTypeError(f"a name in PostgreSQL is a str, not {type(name).__name__}")
    try:
        quoted = b'"' + name.replace('"', '""').encode() + b'"'
    except UnicodeEncodeError:
        quoted = b""
    if not name or "\0" in name or not quoted:
        raise exceptions.ParameterValueError(f"{name!r} can't be the name of anything in PostgreSQL")
    return quoted


def check_name(name: object, what: str) -> str:
    """A name as the server keeps it, of `what`; ParameterTypeError, ParameterValueError."""
    if not isinstance(name, str):
        raise exceptions.ParameterTypeError(f"{what}'s name is a str, not {type(name).__name__}")
    quote_identifier(name)
    if len(name.encode()) > _LONGEST_NAME:
        raise exceptions.ParameterValueError(
            f"{what}'s name has at most {_LONGEST_NAME} bytes: {name!r} is longer"
        )
    return name


def is_stranded(request: Request, status: TransactionStatus) -> bool:
    """Whether a statement of a transaction has waited behind a COMMIT as text, and would be executed outside of it."""
    return (
        status is TransactionStatus.IDLE
        and request.family is exceptions.TransactionExecuteError
        and not request.before
    )


def finished() -> exceptions.TransactionFinishedError:
    """What a statement gets whose transaction has ended."""
    return exceptions.TransactionFinishedError(
        "transaction is already committed or rolled back: make another one with connection.transaction()"
    )
