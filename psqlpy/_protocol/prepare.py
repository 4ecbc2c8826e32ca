"""Prepare: a statement is parsed and described, and its parameters are checked; nothing is executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._protocol.query import Query
from psqlpy._protocol.statements import Statement

if TYPE_CHECKING:
    from psqlpy._protocol.session import Session


class Prepare(Query):
    """Afterwards `statement` is known to the server. It stays in the session's cache as any other does."""

    def __init__(
        self, text: str, parameters: Sequence[object] | None, family: type[exceptions.Error]
    ) -> None:
        super().__init__(text, parameters or (), family)
        self.checked = parameters is None

    def write(self, session: Session) -> None:
        if self.failure is not None:
            self._renew(session, self.failure)
        # Described anew each time: an entry of the cache may be about columns that are others by now.
        session.statements.invalidate(self.text)
        statement = self.statement = session.statements.get(self.text)
        self._write_prepare(session, statement)

    def land(self, session: Session) -> bool:
        if self.failure is not None:
            return self._land_failed(session, self.failure)
        super().land(session)
        if not self.checked:
            assert isinstance(self.statement, Statement)
            self.statement.parameter_plan.encode(self.parameters)
        return True
