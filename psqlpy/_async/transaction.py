"""Transaction: a block of statements that is stored as a whole or not at all; inside another one, a savepoint."""

from __future__ import annotations

from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING

from psqlpy import exceptions
from psqlpy._async.copying import Copying
from psqlpy._async.executor import Executor
from psqlpy._async.identity import Identity
from psqlpy._async.opening import Cursors, Preparing, Streaming
from psqlpy._async.pipelining import TransactionPipelining
from psqlpy._config import IsolationLevel, ReadVariant, SynchronousCommit
from psqlpy._io.blocks import AsyncTransactionBlock
from psqlpy._io.closing import async_write_rest
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.transaction import check_name, finished, quote_identifier, start_transaction

if TYPE_CHECKING:
    from psqlpy._async.connection import Connection
    from psqlpy._pq.connection import PGconn

_numbers = count(1)


def begin_commands(
    isolation_level: IsolationLevel | str | None,
    read_variant: ReadVariant | str | None,
    deferrable: bool | None,
    synchronous_commit: SynchronousCommit | str | None,
) -> tuple[bytes, ...]:
    """What begins a transaction of these modes; raises what a wrong one deserves."""
    level = variant = commit = None
    if isolation_level is not None:
        level = IsolationLevel.coerce(isolation_level, "isolation_level").value
    if read_variant is not None:
        variant = ReadVariant.coerce(read_variant, "read_variant").value
    if synchronous_commit is not None:
        commit = SynchronousCommit.coerce(synchronous_commit, "synchronous_commit").value
    return start_transaction(level, variant, deferrable, commit)


class Transaction(
    AsyncTransactionBlock, Cursors, Preparing, Streaming, TransactionPipelining, Copying, Identity, Executor
):
    """Begun as a block or by `begin()`; ended by the block, `commit()` or `rollback()`, after which it is of no use.

    Leaving the block with an exception rolls back, and the exception goes on. A transaction that nobody refers to any
    more is rolled back.
    """

    __slots__ = ("__weakref__", "_begin", "_connection", "_level", "_number", "_state")

    _family = exceptions.TransactionExecuteError

    def __init__(
        self,
        connection: Connection,
        isolation_level: IsolationLevel | str | None,
        read_variant: ReadVariant | str | None,
        deferrable: bool | None,
        synchronous_commit: SynchronousCommit | str | None = None,
    ) -> None:
        self._begin = begin_commands(isolation_level, read_variant, deferrable, synchronous_commit)
        self._connection = connection
        self._number = next(_numbers)
        self._state = "new"
        # The savepoint that a nested transaction is.
        self._level: str | None = None

    # Begin and end

    async def begin(self, *, timeout: float | None = None) -> None:
        """Begin the transaction and wait until the server has; raises TransactionBeginError."""
        connection = self._start()
        opening = Commands(self._opening(), exceptions.TransactionBeginError)
        try:
            deadline = connection.deadline(timeout)
            await connection.begin_now(deadline)
            await connection.link.run(opening, deadline)
        except BaseException:
            self._finish()
            if opening.written and opening.failure is None:
                # Its caller has left, but the server may have begun: nobody would ever end it.
                self._tell_rollback()
            raise

    async def __aenter__(self) -> Transaction:
        if self._is_open():
            return self
        connection = self._start()
        if self._level is None:
            connection.put_off_begin(self._begin)
        else:
            await connection.begin_now(connection.deadline(None))
            await connection.link.run(
                Commands(self._opening(), exceptions.TransactionBeginError), connection.deadline(None)
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_open():
            # Ended in the block, by the user's own hand; but perhaps by that of another task.
            if self._take_undone() and error is None:
                raise _undone_error("the transaction around it was rolled back before it ended")
            return
        if error is None:
            await self.commit()
        elif isinstance(error, Exception) and not isinstance(error, exceptions.QueryTimeoutError):
            try:
                await self.rollback()
            except exceptions.Error:
                # The connection is lost, and the transaction with it; what happened before is the error to see.
                pass
        else:
            # Cancelled, interrupted or out of time: the caller leaves at once, the server is told nevertheless.
            self._roll_back_silently()

    async def commit(self, *, timeout: float | None = None) -> None:
        """Make what was done permanent; raises TransactionCommitError when the server rolled it back instead."""
        connection = self._check()
        if self._level is None and connection.drop_begin():
            # No statement was executed: the server knows nothing of it.
            self._finish()
            return
        commands = Commands(self._closing_commands(commit=True), exceptions.TransactionCommitError)
        self._finish()
        try:
            await self._end(commands, timeout)
        except exceptions.TransactionCommitError:
            if self._level is not None:
                # It is over all the same, and the transaction around it usable.
                connection.link.send(Commands(self._closing_commands(commit=False)))
            raise
        if commands.tags[:1] == ["ROLLBACK"]:
            raise _undone_error("a statement in it had failed")

    async def rollback(self, *, timeout: float | None = None) -> None:
        """Undo what was done since the beginning; raises TransactionRollbackError."""
        connection = self._check()
        if self._level is None and connection.drop_begin():
            self._finish(undone=True)
            return
        commands = Commands(self._closing_commands(commit=False), exceptions.TransactionRollbackError)
        self._finish(undone=True)
        await self._end(commands, timeout)

    async def _end(self, commands: Commands, timeout: float | None) -> None:
        connection = self._connection
        try:
            await connection.link.run(commands, connection.deadline(timeout))
        except BaseException:
            if not commands.written:
                # Its caller left before its turn came: the transaction ends all the same, but is not stored.
                self._tell_rollback()
            raise

    def _closing_commands(self, *, commit: bool) -> tuple[bytes, ...]:
        if self._level is None:
            return (b"COMMIT",) if commit else (b"ROLLBACK",)
        name = quote_identifier(self._level)
        release = b"RELEASE SAVEPOINT " + name
        return (release,) if commit else (b"ROLLBACK TO SAVEPOINT " + name, release)

    def _roll_back_silently(self) -> None:
        """Tell the server without waiting for its answer; whatever comes next on the connection comes behind it."""
        # In this order: whoever is interrupted in between is still in the transaction, and its block ends it.
        if not (self._level is None and self._connection.drop_begin()):
            self._tell_rollback()
        self._finish(undone=True)

    def _tell_rollback(self) -> None:
        if not self._connection.is_closed():
            link = self._connection.link
            link.send(Commands(self._closing_commands(commit=False)))
            if link.session.queue:
                # A cursor that is being closed holds it back.
                async_write_rest(link)

    def __del__(self) -> None:
        if getattr(self, "_state", None) != "begun":
            return
        self._take_undone()
        if self._is_open() and not self._connection.is_closed():
            self._finish(undone=True)
            if self._level is not None or not self._connection.drop_begin():
                self._connection.abandon(Commands(self._closing_commands(commit=False)))

    # Savepoints

    async def create_savepoint(self, savepoint_name: str, *, timeout: float | None = None) -> None:
        """Mark a place to which `rollback_savepoint` can go back; the name is quoted."""
        connection = self._check()
        savepoint = (self._number, check_name(savepoint_name, "a savepoint"))
        levels = connection.open_transactions
        if savepoint in levels:
            raise exceptions.TransactionSavepointError(
                f"savepoint {savepoint_name!r} exists already in this transaction: release it or take another name"
            )
        deadline = connection.deadline(timeout)
        command = Commands(
            (b"SAVEPOINT " + quote_identifier(savepoint_name),), exceptions.TransactionSavepointError
        )
        await connection.begin_now(deadline)
        levels.append(savepoint)
        try:
            await connection.link.run(command, deadline)
        except BaseException:
            if savepoint in levels and (command.failure is not None or not command.written):
                levels.remove(savepoint)
            raise

    async def rollback_savepoint(self, savepoint_name: str, *, timeout: float | None = None) -> None:
        """Undo what was done since the savepoint, which stays; later savepoints and inner transactions are gone."""
        await self._end_savepoints(savepoint_name, timeout, undone=True)

    async def release_savepoint(self, savepoint_name: str, *, timeout: float | None = None) -> None:
        """Forget the savepoint, those after it and inner transactions begun after it; what was done stays."""
        await self._end_savepoints(savepoint_name, timeout, undone=False)

    async def _end_savepoints(self, name: str, timeout: float | None, *, undone: bool) -> None:
        connection = self._check()
        levels = connection.open_transactions
        savepoint = (self._number, name)
        if savepoint not in levels:
            raise exceptions.TransactionSavepointError(
                f"there is no savepoint {name!r} in this transaction: create_savepoint makes one"
            )
        inside = levels[levels.index(savepoint) + 1 :]
        quoted = quote_identifier(name)
        back, forget = b"ROLLBACK TO SAVEPOINT " + quoted, b"RELEASE SAVEPOINT " + quoted
        # To the server the name means the last savepoint that has it, which may be an inner transaction's.
        same = sum(isinstance(level, tuple) and level[1] == name for level in inside)
        commands = (back, forget) * same + (back,) if undone else (forget,) * (same + 1)
        deadline = connection.deadline(timeout)
        await connection.begin_now(deadline)
        await connection.link.run(Commands(commands, exceptions.TransactionSavepointError), deadline)
        if undone:
            connection.undone_levels.append(savepoint)
        connection.end_levels(inside if undone else [savepoint, *inside], undone=undone)

    # State

    def is_closed(self) -> bool:
        """Whether the transaction can't be used: ended, or its connection given back or broken."""
        return self._connection.is_closed() or not (self._state == "new" or self._is_open())

    def _is_open(self) -> bool:
        """Whether it is begun, and neither it nor one around it has ended, by whatever means."""
        if self._state != "begun":
            return False
        self._connection.forget_ended()
        return self._number in self._connection.open_transactions

    def _start(self) -> Connection:
        """Go from new to begun, as the innermost transaction of the connection."""
        if self._is_open():
            raise exceptions.TransactionBeginError("transaction is already started")
        if self._state != "new":
            raise finished()
        connection = self._connection
        link = connection.link
        connection.forget_ended()
        open_already = link.is_quiet and link.session.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )
        if connection.open_transactions or open_already:
            self._level = f"psqlpy_{self._number}"
        else:
            # Texts from before it say nothing about it.
            link.session.in_doubt = False
            connection.undone_levels.clear()
        self._state = "begun"
        connection.open_transactions.append(self._number)
        return connection

    def _opening(self) -> tuple[bytes, ...]:
        return self._begin if self._level is None else (b"SAVEPOINT " + quote_identifier(self._level),)

    def _finish(self, *, undone: bool = False) -> None:
        self._state = "finished"
        levels = self._connection.open_transactions
        if undone:
            self._connection.undone_levels.append(self._number)
        if self._number in levels:
            # Those inside it end with it.
            inside = levels[levels.index(self._number) + 1 :]
            levels.remove(self._number)
            self._connection.end_levels(inside, undone=undone)

    def _take_undone(self) -> bool:
        """Whether the transaction around it was rolled back, or went back to before it; said once."""
        undone = self._connection.undone_transactions
        is_undone = self._number in undone
        undone.discard(self._number)
        return is_undone

    def _check(self) -> Connection:
        if self._state == "new":
            raise exceptions.TransactionBeginError(
                "transaction is not started: use it as a block, or call begin()"
            )
        if not self._is_open():
            raise finished()
        return self._connection

    def _peer(self) -> PGconn:
        return self._connection._peer()

    def _lease(self) -> Connection:
        connection = self._check()
        if connection.is_closed():
            # The link's own error says why.
            assert connection.link is not None
        return connection

    def __repr__(self) -> str:
        kind = "" if self._level is None else f" savepoint {self._level}"
        # One inside another ends with it.
        state = "finished" if self._state == "begun" and not self._is_open() else self._state
        return f"<Transaction {state}{kind} on {self._connection!r}>"


def _undone_error(why: str) -> exceptions.Error:
    return exceptions.combine(exceptions.TransactionCommitError, exceptions.InternalError)(
        f"transaction was rolled back, not committed: {why}"
    )
