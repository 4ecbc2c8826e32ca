"""From a server's error fields to the exception that its caller gets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._protocol.classify import StatementTraits
from psqlpy._protocol.client_encoding import check_client_encoding
from psqlpy._protocol.sql_text import tokenize
from psqlpy._protocol.statements import Statement

if TYPE_CHECKING:
    from psqlpy._protocol.request import Request
    from psqlpy._protocol.session import Session

Fields = dict[str, str | None]

OUT_OF_STEP = "the server's answers are not those to what it was asked"

# The statement's name is unknown to the server, or taken: a pooler has changed the backend, or DEALLOCATE ran.
_NAME_TROUBLE = ("26000", "42P05")

_OUR_NAME = r"\"psqlpy_[0-9a-f]+_\d+\"|^unnamed prepared statement"
_SHARED_BACKEND = (
    "behind a pooler in transaction mode, such as PgBouncer, make the pool with prepared=False; if there is none, a "
    "statement has removed what was prepared: run the transaction again"
)
# The last words to those whose server ends because another one of its processes has crashed: a WARNING.
_CRASH = "57P02"
# Said to a session that does nothing: what it hasn't answered, it hasn't begun. The second one's transaction is gone.
_IDLE_SESSION, _IDLE_TRANSACTION = "57P05", "25P03"

# How the server (14 and newer) says that Bind could not read a parameter.
_BIND_CONTEXT = r"(?m)^(?:unnamed portal|portal \".*\") parameter \$(\d+)"


# When it analyses a statement again whose parameters' types, fixed by Parse, don't go with their columns any more.
_TYPE_TROUBLE = ("42883", "42804", "42725", "42846")


def may_be_outdated(failure: Fields) -> bool:
    """Whether a statement may have been refused because its parameters would be of other types by now."""
    context = failure.get("context")
    if context:
        return re.search(_BIND_CONTEXT, context) is not None
    return failure.get("sqlstate") in _TYPE_TROUBLE


def is_stale(failure: Fields, statement: Statement) -> bool:
    """Whether the server refused a prepared statement only because of what it has, or has not, prepared."""
    if failure.get("context"):
        # It happened inside a function: not our statement.
        return False
    sqlstate = failure.get("sqlstate")
    if sqlstate == "0A000":
        return failure.get("source_function") == "RevalidateCachedQuery"
    return sqlstate in _NAME_TROUBLE and statement.name.decode() in (failure.get("message_primary") or "")


def failed(
    failure: Fields,
    family: type[exceptions.Error],
    query: str | None = None,
    *,
    stale: bool = False,
    prefix: str = "",
) -> exceptions.Error:
    """The exception for a failed request of `family`."""
    if is_last(failure):
        error = exceptions.combine(exceptions.ConnectionLostError, family)(
            f"connection is lost: {_first_line(failure.get('message_primary'))}"
        )
        error.sqlstate = failure.get("sqlstate")
        error.may_have_committed = True
        return error
    bound = re.search(_BIND_CONTEXT, failure.get("context") or "")
    if bound is not None:
        return exceptions.server_error(
            failure,
            exceptions.combine(exceptions.ParameterValueError, family),
            message_prefix=f"{prefix}parameter ${bound[1]} does not fit: ",
        )
    if _is_about_our_name(failure):
        failure = {**failure, "hint": _SHARED_BACKEND}
    elif stale:
        failure = {
            **failure,
            "hint": "the statement's plan was dropped, for example by DDL: run the transaction again",
        }
    return exceptions.server_error(failure, family, message_prefix=prefix, query=query)


def _is_about_our_name(failure: Fields) -> bool:
    """Whether the server lacks, or has already, a prepared statement of ours."""
    if failure.get("sqlstate") not in _NAME_TROUBLE or failure.get("context"):
        return False
    return re.search(_OUR_NAME, failure.get("message_primary") or "") is not None


def hung_up(reason: str, said: Iterable[Fields]) -> exceptions.ConnectionLostError:
    """Why a connection is of no use any more: the last fatal thing the server said, otherwise `reason`."""
    fatal = [fields for fields in said if _is_fatal(fields) or fields.get("sqlstate") == _CRASH]
    if not fatal:
        return exceptions.ConnectionLostError(_first_line(reason) or "the server closed the connection")
    error = exceptions.ConnectionLostError(fatal[-1].get("message_primary") or reason)
    error.sqlstate = fatal[-1].get("sqlstate")
    return error


def is_last(failure: Fields) -> bool:
    """Whether it is libpq's own, which can't read what the server says or lost it, or the server's last word."""
    return failure.get("sqlstate") is None or _is_fatal(failure)


def _is_fatal(fields: Fields) -> bool:
    return fields.get("severity_nonlocalized", fields.get("severity")) in ("FATAL", "PANIC")


def _first_line(message: str | None) -> str:
    """What libpq says happened, without what it guesses about it."""
    return (message or "").strip().partition("\n")[0]


def closed(
    reason: exceptions.ConnectionLostError | None,
    family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
    *,
    written: bool = False,
) -> exceptions.Error:
    """What a request gets on a connection that was closed, or lost for a reason; `written`: it had been sent."""
    error: exceptions.Error
    if reason is None:
        error = exceptions.ConnectionClosedError("connection is closed: acquire another one from the pool")
    else:
        error = exceptions.combine(exceptions.ConnectionLostError, family)(f"connection is lost: {reason}")
        error.sqlstate = reason.sqlstate
    sqlstate = error.sqlstate
    error.safe_to_retry = not written or sqlstate == _IDLE_SESSION
    error.may_have_committed = written and sqlstate not in (_IDLE_SESSION, _IDLE_TRANSACTION)
    return error


def returned() -> exceptions.ConnectionClosedError:
    """What is raised for whatever is done with a connection that was given back to its pool; nothing was sent."""
    error = exceptions.ConnectionClosedError(
        "connection is returned to the pool: acquire another one from the pool"
    )
    error.safe_to_retry = True
    return error


def out_of_step(session: Session, request: Request) -> bool:
    """End a request whose flight has landed without its answers, or with others; returns what its `land` has to.

    Nobody knows what the next answer would belong to.
    """
    session.lost(OUT_OF_STEP)
    request.fail(closed(session.close_reason, request.family, written=request.written))
    return True


#: libpq takes a message of more than 30,000 bytes that describes parameters for garbage, and hangs up.
DESCRIBABLE_PARAMETERS = 7498
_MANY_PARAMETERS_LENGTH = 5 * DESCRIBABLE_PARAMETERS
_MAX_PARAMETERS = 65535


def is_wide(query: str) -> bool:
    """Whether libpq can't take the description of a statement, since it has too many parameters.

    Raises ParameterValueError for more of them than the protocol counts.
    """
    if len(query) <= _MANY_PARAMETERS_LENGTH:
        return False
    if max(map(int, re.findall(r"\$(\d+)", query)), default=0) <= DESCRIBABLE_PARAMETERS:
        return False
    # Perhaps in a literal or a comment.
    numbers = (int(query[start + 1 : end]) for kind, start, end in tokenize(query) if kind == "parameter")
    count = max(numbers, default=0)
    if count > _MAX_PARAMETERS:
        raise exceptions.ParameterValueError(
            f"a statement can have {_MAX_PARAMETERS} parameters, {count} given: pass an array instead"
        )
    return count > DESCRIBABLE_PARAMETERS


def check_pipelined(
    query: str,
    traits: StatementTraits,
    family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
) -> None:
    """Refuse, before anything is sent, a text that the extended protocol can't take or libpq would choke on."""
    if "\0" in query:
        raise exceptions.ParameterValueError(
            "the query contains a NUL character, which PostgreSQL can't store"
        )
    try:
        query.encode()
    except UnicodeEncodeError:
        raise exceptions.ParameterValueError(
            "the query contains a lone surrogate, which can't be sent as UTF-8"
        ) from None
    if traits.keyword == "SET" or "client_encoding" in query.lower():
        check_client_encoding(query)
    if traits.copy_stdio:
        raise exceptions.combine(exceptions.ProgrammingError, family)(
            "COPY from STDIN or to STDOUT can't be executed as a statement: its data doesn't travel with it; "
            "use copy_records_to_table, copy_in or copy_out"
        )
    if traits.multiple:
        raise exceptions.combine(exceptions.ProgrammingError, family)(
            "the text has more than one statement: send them one by one, or all with execute_batch"
        )
