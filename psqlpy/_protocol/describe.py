"""Describe: the columns that a query would return, without executing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._protocol.failures import failed
from psqlpy._protocol.query import FATAL_ERROR
from psqlpy._protocol.request import Request

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Columns
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session


class Describe(Request):
    """Parse and Describe of a statement without a name; afterwards `columns` has (name, type oid, typmod, format)."""

    def __init__(self, text: str, family: type[exceptions.Error]) -> None:
        self.text = text
        self.family = family
        self.columns: Columns = ()

    def write(self, session: Session) -> None:
        sent = session.pgconn.send_prepare(b"", self.text.encode())
        session.fly(self, session.pgconn.end_flight() if sent else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        else:
            # Parse is answered too, without columns.
            self.columns = result.columns() or self.columns

    def land(self, session: Session) -> bool:
        if self.failure is not None:
            self.fail(failed(self.failure, self.family, self.text))
        return True
