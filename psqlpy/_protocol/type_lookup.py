"""TypeLookup: what the server knows of types that it wasn't born with, asked when a description first names them.

One flight, without anything prepared but the unnamed statement, which it replaces. The request that needs the answer
waits among the session's retries, and is written when this has landed. In a transaction a savepoint stands around the
question, so that its failure doesn't abort what it was asked for: types that can't be looked up come as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from psqlpy._codecs import catalog, oids, self_described
from psqlpy._pq.enums import ExecStatus, TransactionStatus
from psqlpy._protocol.failures import out_of_step
from psqlpy._protocol.request import Request
from psqlpy._protocol.state import State

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Columns, Registry
    from psqlpy._codecs.rows import ResultPlan
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

_TUPLES_OK = int(ExecStatus.TUPLES_OK)
_FATAL_ERROR = int(ExecStatus.FATAL_ERROR)

_SAVEPOINT = b"SAVEPOINT psqlpy_types"
_RELEASE = b"RELEASE SAVEPOINT psqlpy_types"
_UNDO = b"ROLLBACK TO SAVEPOINT psqlpy_types"

# Classes of errors that say nothing about the next time: the connection, the transaction, resources, interventions.
_PASSING = ("08", "25", "40", "53", "57", "58", "XX")


class TypeLookup(Request):
    """Asks about some types. `then` is called when the answer is there, with whether all of them are known now.

    Not if the connection is lost.
    """

    holds_followers = True
    silent = True

    def __init__(self, types: list[int], then: Callable[[bool], object] = bool) -> None:
        self.types = types
        self.then = then
        self.answer: PGresult | None = None
        # Whether there is a savepoint, and whether it has to be gone back to.
        self.in_transaction = False
        self.undoing = False

    def write(self, session: Session) -> None:
        self.holds_followers = True
        if session.flights:
            # Whether a transaction is open has to be known.
            session.wait_until_quiet(self)
            return
        pgconn = session.pgconn
        if self.undoing:
            commands = [_UNDO, _RELEASE]
        else:
            kept = session.registry.catalog
            known = () if kept is None else (*kept.types, *kept.unknowable)
            commands = [catalog.question(self.types, pgconn.server_version, known)]
            self.in_transaction = session.transaction_status is TransactionStatus.INTRANS
            if self.in_transaction:
                commands = [_SAVEPOINT, *commands, _RELEASE]
        sent = pgconn.send_commands(commands)
        session.fly(self, pgconn.end_flight() if sent else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == _FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status == _TUPLES_OK:
            self.answer = result

    def land(self, session: Session) -> bool:
        if self.failure is not None and self.in_transaction and not self.undoing and not self.abandoned:
            self.undoing = True
            return False
        registry = session.registry
        if self.failure is not None:
            if (self.failure.get("sqlstate") or "XX")[:2] not in _PASSING:
                registry.give_up(self.types)
        elif self.answer is not None:
            try:
                registry.learn(catalog.answer(self.answer))
            except (ValueError, LookupError):
                # Not PostgreSQL's catalog: something that only speaks its protocol.
                registry.give_up(self.types)
        else:
            return out_of_step(session, self)
        self.then(not registry.unknown(self.types))
        return True


def unknown_types(session: Session, described: PGresult) -> list[int]:
    """Which types of a statement's parameters and columns the server has to be asked about."""
    columns = described.columns()
    return session.registry.unknown((*described.parameter_oids(), *(column[1] for column in columns)))


def types_ahead(registry: Registry, columns: Columns) -> list[int]:
    """Which types of columns to ask about before rows come during which nothing can be asked.

    Record is one of them: its fields may be of any type.
    """
    types = {column[1] for column in columns}
    wanted = registry.unknown(types)
    known = registry.catalog
    if types & self_described.RECORDS and known is not None and oids.RECORD not in known.unknowable:
        wanted.append(oids.RECORD)
    return wanted


def look_up(session: Session, request: Request, types: list[int], then: Callable[[bool], None]) -> bool:
    """Have types looked up before `request`, which has just landed, goes on; returns what its `land` has to."""
    lookup = TypeLookup(types, then)
    lookup.serves = request
    if session.flights:
        # In this order: written again before it, what was executed already would be executed once more.
        session.retry_when_quiet(lookup)
        session.retry_when_quiet(request)
        return False
    session.retry_when_quiet(request)
    session.submit(lookup, its_turn=True)
    # The connection may be lost already.
    return request.done


def settle(
    session: Session,
    request: Request,
    results: Iterable[tuple[ResultPlan, PGresult]],
    learn: Callable[[], None],
    also: Iterable[int] = (),
) -> bool:
    """Have types looked up that results name themselves, and `also` those; returns what their request's `land` has to.

    `learn` makes the plans anew: another statement may have found a change. The results stay, whether the types can be
    had or not.
    """
    registry = session.registry
    types = sorted(
        {
            *also,
            *(
                oid
                for plan, result in results
                for oid in self_described.types_to_look_up(registry, plan.self_described, result)
            ),
        }
    )
    if not types or not can_look_up(session, request):
        learn()
        return True

    def end(_complete: bool) -> None:
        if request in session.retries:
            session.retries.remove(request)
            learn()
            request.finish()

    return look_up(session, request, types, end)


def can_look_up(session: Session, request: Request) -> bool:
    """Whether now is the time: not while the session waits for the end of something cancelled."""
    return not request.abandoned and session.state is not State.DRAINING
