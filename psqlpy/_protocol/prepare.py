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
    """Afterwards `statement` is known to the server, and stays in the session's cache as any other does.

    With `unnamed` it isn't known but described.
    """

    def __init__(
        self,
        text: str,
        parameters: Sequence[object] | None,
        family: type[exceptions.Error],
        *,
        unnamed: bool = False,
    ) -> None:
        super().__init__(text, parameters or (), family)
        self.checked = parameters is None
        self.unnamed = unnamed

    def write(self, session: Session) -> None:
        if self.failure is not None:
            self._renew(session, self.failure)
        self.statement = self._take_statement(session)
        self._write_prepare(session, self.statement)

    def _take_statement(self, session: Session) -> Statement:
        if self.unnamed:
            return Statement(self.text, b"")
        # Described anew each time: an entry of the cache may be about columns that are others by now.
        session.statements.invalidate(self.text)
        return super()._take_statement(session)

    def land(self, session: Session) -> bool:
        if self.failure is not None:
            return self._land_failed(session, self.failure)
        super().land(session)
        statement = self.statement
        if statement is None or statement.state != "ready":
            # Types have to be looked up first.
            return self.done
        if not self.checked:
            statement.parameter_plan.encode(self.parameters)
        return True
