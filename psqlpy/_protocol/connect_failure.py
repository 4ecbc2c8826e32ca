"""Why connection attempts failed: libpq's message taken apart, and the one exception for all of them.

While connecting libpq gives no fields, only a text; with verbose errors that text has the server's SQLSTATE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from psqlpy import exceptions
from psqlpy._plan import ConnectPlan
from psqlpy._protocol.attempts import Attempt

# As libpq puts it together: `connection to server at "10.0.0.7", port 5432 failed: FATAL:  28P01: password …`.
_PREFIX = r"connection to server (?:at|on socket) \".*?\"(?: \(.*?\))?(?:, port \d+)? failed: "
_SERVER = r"(?P<severity>[^\s:]+):\s+(?P<sqlstate>[0-9A-Z]{5}): (?P<message>.*)"
_LOCATION = r"[^\s:]+:\s+\w+, [\w.]+:\d+"
_FIELD = r"(?P<name>DETAIL|HINT):\s+(?P<value>.*)"
# PgBouncer's words.
_POOLER_REFUSES = r"unsupported startup parameter: ([\w.]+)"
_TLS = r"\bSSL\b|\bTLS\b|certificate"


class Failure:
    """Why one attempt failed. `sqlstate` is None where it wasn't the server that said so."""

    __slots__ = ("attempt", "detail", "hint", "is_timeout", "message", "severity", "sqlstate")

    def __init__(self, attempt: Attempt, message: str, *, is_timeout: bool = False) -> None:
        self.attempt = attempt
        self.is_timeout = is_timeout
        self.message = message
        self.severity: str | None = None
        self.sqlstate: str | None = None
        self.detail: str | None = None
        self.hint: str | None = None

    @classmethod
    def from_libpq(cls, attempt: Attempt, text: str) -> Failure:
        """Take apart the message of a failed PGconn with verbose errors."""
        failure = cls(attempt, "")
        lines: list[str] = []
        for line in text.splitlines():
            line = re.sub(_PREFIX, "", line).strip()
            server = re.match(_SERVER, line)
            field = re.match(_FIELD, line)
            if server is not None:
                # Several where libpq tried with TLS and without: the last one counts, unless it is less telling.
                if not failure.is_refused_password:
                    failure.severity, failure.sqlstate = server["severity"], server["sqlstate"]
                line = server["message"]
            elif field is not None:
                setattr(failure, field["name"].lower(), field["value"])
                continue
            if line and line not in lines and not re.fullmatch(_LOCATION, line):
                lines.append(line)
        failure.message = "; ".join(lines) or "libpq gave no reason"
        refused = re.search(_POOLER_REFUSES, failure.message)
        if refused is not None and failure.hint is None:
            failure.hint = (
                f"it is a pooler that refuses {refused[1]!r}: give what is to be set to the role or database (ALTER "
                f"ROLE … SET); with {refused[1]} in its ignore_startup_parameters PgBouncer takes and ignores it"
            )
        return failure

    @property
    def is_refused_password(self) -> bool:
        return self.sqlstate is not None and self.sqlstate.startswith("28")

    @property
    def is_about_tls(self) -> bool:
        return self.sqlstate is None and not self.is_timeout and re.search(_TLS, self.message) is not None


def connect_error(plan: ConnectPlan, failures: Sequence[Failure]) -> exceptions.Error:
    """The exception for a connect all of whose attempts failed, at least one: it names every address, and why."""
    if not failures:
        return _finish(
            exceptions.BaseConnectionPoolError("connecting failed: there is no host to connect to")
        )
    telling = max(enumerate(failures), key=lambda item: (_weight(item[1]), item[0]))[1]
    family: type[exceptions.Error] = exceptions.BaseConnectionPoolError
    if all(failure.is_timeout for failure in failures):
        family = exceptions.ConnectTimeoutError
    elif telling.is_about_tls:
        family = exceptions.SSLError
    fields = {"sqlstate": telling.sqlstate, "severity": telling.severity}
    if len(failures) == 1:
        prefix = f"connecting to {telling.attempt.describe()} as {plan.user!r} failed: "
        fields |= {"message_primary": telling.message, "detail": telling.detail, "hint": telling.hint}
    else:
        prefix = f"connecting as {plan.user!r} failed at every address:\n"
        lines = (f"  {failure.attempt.describe()}: {failure.message}" for failure in failures)
        fields["message_primary"] = "\n".join(lines)
    return _finish(exceptions.server_error(fields, family, message_prefix=prefix))


def timeout_error(
    plan: ConnectPlan, failures: Sequence[Failure], running: str, seconds: float
) -> exceptions.Error:
    """The exception for a connect that took too long as a whole; `running` says what it was waiting for."""
    lines = [f"connecting as {plan.user!r} timed out after {seconds:.3g} s, waiting for {running}"]
    lines += [f"  {failure.attempt.describe()}: {failure.message}" for failure in failures]
    return _finish(exceptions.ConnectTimeoutError("\n".join(lines)))


def _weight(failure: Failure) -> int:
    """Which of several failures gives the exception its class."""
    if failure.is_refused_password:
        return 3
    if failure.sqlstate is not None:
        return 2
    return 0 if failure.is_timeout else 1


def _finish(error: exceptions.Error) -> exceptions.Error:
    error.safe_to_retry = True
    return error
