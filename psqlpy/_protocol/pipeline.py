"""Pipeline: several statements, each with its parameters, in as few flights as can be; for use in a transaction.

The statements that the server doesn't know yet are prepared in one flight, and all are executed in the next. Where one
may change what a later text means (DDL, SET), and that isn't prepared yet, the flights are made anew behind it. The
first failure skips the rest of its flight and ends the request: the transaction is aborted then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.failures import (
    DESCRIBABLE_PARAMETERS,
    check_pipelined,
    failed,
    is_stale,
    is_wide,
    may_be_outdated,
    out_of_step,
)
from psqlpy._protocol.query import FATAL_ERROR, PIPELINE_ABORTED, Query, describe
from psqlpy._protocol.statements import Statement
from psqlpy._protocol.type_lookup import can_look_up, look_up, settle, unknown_types

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session

# What leaves the meaning of every other text as it is; functions are trusted to.
_CHANGES_NO_NAMES = frozenset(
    ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE", "WITH", "SHOW")
)


class Pipeline(Query):
    """Executions of several statements. `results`: (result, plan) of each, in order.

    A Query only in how it takes BEGIN along.
    """

    def __init__(
        self,
        queries: Sequence[tuple[str, Sequence[object]]],
        family: type[exceptions.Error] = exceptions.ConnectionExecuteError,
        before: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__("", (), family, before)
        self.queries = queries
        self.results: list[tuple[PGresult, Any]] = []
        # One for each query, pinned until the end.
        self.statements: list[Statement] = []
        # Those that the session doesn't keep, by their texts.
        self.passing: dict[str, Statement] = {}
        # The queries of the present flights are these, from how many have results on.
        self.stop = 0
        self.preparing: list[Statement] = []
        # Described by this very request: nothing about them can be outdated.
        self.fresh: set[Statement] = set()
        # Texts whose composite types were looked up once more.
        self.forgotten: set[str] = set()
        # Answers of the present flight.
        self.answers: list[PGresult] = []
        self.session: Session | None = None

    def write(self, session: Session) -> None:
        if self.session is None:
            self._take_statements(session)
        self._choose_stop()
        if self._write_prepares(session):
            return
        packed = self._encode(session)
        if packed is None:
            self._write_prepares(session)
            return
        self._write_executions(session, packed)

    def _take_statements(self, session: Session) -> None:
        """Look at all texts before anything is sent."""
        self.session = session
        for number, (text, _) in enumerate(self.queries, 1):
            statement = self._take(session, text)
            self.statements.append(statement)
            try:
                check_pipelined(text, statement.traits, self.family)
                if is_wide(text):
                    raise exceptions.ParameterValueError(
                        f"the statement takes more than {DESCRIBABLE_PARAMETERS} parameters: execute it by itself"
                    )
            except exceptions.Error as error:
                raise type(error)(f"query {number}: {error}") from None

    def _take(self, session: Session, text: str) -> Statement:
        statement = self.passing.get(text) or session.statements.get(text)
        if not statement.name:
            # Another unnamed statement would replace it.
            statement = self.passing[text] = session.statements.passing(text)
        statement.pin_count += 1
        return statement

    def _choose_stop(self) -> None:
        """How far the next flights go: not to a text that what is executed before it may give another meaning."""
        self.stop = len(self.results)
        changed = False
        for statement in self.statements[self.stop :]:
            if changed and statement.state != "ready":
                break
            changed = changed or statement.traits.keyword not in _CHANGES_NO_NAMES
            self.stop += 1
            if statement.traits.drops_prepared or statement.traits.transaction_control == "end":
                # Behind a COMMIT the session looks whether what is left may be executed.
                break

    def _write_prepares(self, session: Session) -> bool:
        """Prepare what isn't; False if all is."""
        group = self.statements[len(self.results) : self.stop]
        self.preparing = [statement for statement in dict.fromkeys(group) if statement.state != "ready"]
        if not self.preparing:
            return False
        self.executing = False
        self.holds_followers = True
        pgconn = session.pgconn
        sent = self._send_before(session) and all(
            pgconn.send_prepare(statement.name, statement.text.encode()) for statement in self.preparing
        )
        session.fly(self, pgconn.end_flight() if sent else -1)
        return True

    def _encode(self, session: Session) -> list[bytes] | None:
        """The packed parameters of each query; None if the server is to be asked anew whether its types changed."""
        packed = []
        for index in range(len(self.results), self.stop):
            statement = self.statements[index]
            try:
                packed.append(statement.parameter_plan.encode(self.queries[index][1]))
            except (exceptions.ParameterTypeError, exceptions.ParameterValueError) as error:
                refusal = type(error)(f"query {index + 1}: {error}")
                if statement in self.fresh:
                    # The attributes of composite types may be other ones than when they were looked up.
                    if statement.text in self.forgotten or not session.registry.forget_composites(
                        statement.parameter_oids
                    ):
                        raise refusal from None
                    self.forgotten.add(statement.text)
                self.refusal = refusal
                self._renew_statement(session, statement)
                return None
        return packed

    def _renew_statement(self, session: Session, statement: Statement) -> None:
        session.statements.invalidate(statement)
        if self.passing.pop(statement.text, None) is not None:
            session.statements.close_later(statement)
        for index in range(len(self.results), len(self.statements)):
            if self.statements[index] is statement:
                statement.pin_count -= 1
                self.statements[index] = self._take(session, statement.text)

    def _write_executions(self, session: Session, packed: list[bytes]) -> None:
        self.executing = self.written = self.holds_followers = True
        pgconn = session.pgconn
        sent = self._send_before(session)
        group = self.statements[len(self.results) : self.stop]
        for statement, parameters in zip(group, packed, strict=True):
            if statement.traits.leaves_state:
                session.leaves_state = True
            if statement.traits.unsettles_session:
                session.in_doubt = True
            plan = statement.parameter_plan
            sent = sent and pgconn.send_execute(
                statement.name, plan.count, parameters, statement.result_plan.format
            )
        session.fly(self, pgconn.end_flight() if sent else -1)

    def receive(self, session: Session, status: int, result: PGresult) -> None:
        if status == FATAL_ERROR:
            self.failure = self.failure or result.diagnostics()
        elif status == PIPELINE_ABORTED:
            pass
        elif self.skip:
            self.skip -= 1
        else:
            self.answers.append(result)

    def land(self, session: Session) -> bool:
        ended = self._take_answers(session)
        if ended or self.abandoned:
            # Here, since the session ends what has landed without `finish`.
            self._let_go()
        return ended

    def _take_answers(self, session: Session) -> bool:
        answers, self.answers = self.answers, []
        expected = self.stop - len(self.results) if self.executing else 2 * len(self.preparing)
        if self.failure is None and (self.skip or len(answers) != expected):
            return out_of_step(session, self)
        if not self.executing:
            # Of each the answers to Parse and Describe; after a failure only of those before it.
            described = list(zip(self.preparing, answers[1::2], strict=self.failure is None))
            unknown = {oid for _, answer in described for oid in unknown_types(session, answer)}
            if unknown and self.failure is None and can_look_up(session, self):
                return look_up(
                    session, self, sorted(unknown), lambda complete: self._learn(session, described, complete)
                )
            self._learn(session, described, not unknown)
        if self.failure is not None:
            self._fail_at(session, len(answers))
            return True
        if not self.executing:
            self.refusal = None
            return False
        group = self.statements[len(self.results) : self.stop]
        for statement, result in zip(group, answers, strict=True):
            plan = statement.result_plan
            if plan.has_dates:
                plan = in_style(session, plan, statement.columns)
            self.results.append((result, plan))
        if group[-1].traits.drops_prepared:
            self._forget_all(session)
        return len(self.results) == len(self.queries) and self._settle_all(session)

    def _settle_all(self, session: Session) -> bool:
        """Find out how to read the results that name types themselves."""
        describing = [(plan, result) for result, plan in self.results if plan.self_described]
        if not describing:
            return True

        def learn() -> None:
            self.results = [
                (result, session.registry.result_plan(result.columns(), plan.format))
                if plan.self_described
                else (result, plan)
                for result, plan in self.results
            ]

        return settle(session, self, describing, learn)

    def _forget_all(self, session: Session) -> None:
        """The server has dropped every prepared statement, those of the queries that are left too."""
        session.statements.clear()
        self.passing.clear()
        for index in range(len(self.results), len(self.statements)):
            self.statements[index].pin_count -= 1
            self.statements[index] = self._take(session, self.queries[index][0])

    def _learn(self, session: Session, described: list[tuple[Statement, PGresult]], complete: bool) -> None:
        for statement, answer in described:
            describe(session, statement, answer)
            self.fresh.add(statement)
            if not complete:
                # Executed with what is known of its types, and asked about again the next time.
                session.statements.invalidate(statement)
        self.refusal = None

    def _fail_at(self, session: Session, answered: int) -> None:
        """End with the error of the query behind those that have answered in this flight."""
        failure = self.failure
        assert failure is not None
        if self.skip:
            self.fail(failed(failure, exceptions.TransactionBeginError))
            return
        if self.executing:
            index = len(self.results) + answered
            statement = self.statements[index]
        else:
            statement = self.preparing[answered // 2]
            index = self.statements.index(statement, len(self.results))
        stale = self.executing and is_stale(failure, statement)
        if stale or not self.executing or may_be_outdated(failure):
            # 26000: the server hasn't got it, so there is nothing to close.
            known = self.executing and failure.get("sqlstate") != "26000"
            session.statements.invalidate(statement, still_on_server=known)
        if self.refusal is not None:
            self.fail(self.refusal)
            return
        self.fail(failed(failure, self.family, statement.text, stale=stale, prefix=f"query {index + 1}: "))

    def finish(self) -> None:
        self._let_go()
        super().finish()

    def _let_go(self) -> None:
        """Unpin the statements, and have those closed that the session doesn't keep."""
        statements, self.statements = self.statements, []
        passing, self.passing = self.passing, {}
        for statement in statements:
            statement.pin_count -= 1
        if self.session is not None:
            for statement in passing.values():
                self.session.statements.close_later(statement)
