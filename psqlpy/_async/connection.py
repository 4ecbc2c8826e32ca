"""Connection: the handle through which one user talks to one backend."""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import TYPE_CHECKING
from weakref import ReferenceType, ref

from psqlpy import exceptions
from psqlpy._async.copying import Copying
from psqlpy._async.executor import CheckedOut, Executor, deadline_after
from psqlpy._async.identity import Identity
from psqlpy._async.opening import Cursors, Preparing, Streaming
from psqlpy._async.pipelining import ConnectionPipelining
from psqlpy._async.transaction import Transaction
from psqlpy._config import IsolationLevel, ReadVariant, SynchronousCommit
from psqlpy._io.blocks import AsyncConnectionBlock
from psqlpy._io.debugging import callers, describe
from psqlpy._io.leases import async_end_lease, async_lend, async_pooled
from psqlpy._io.links import AsyncLink
from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.commands import AskTransaction, Commands
from psqlpy._protocol.failures import returned

if TYPE_CHECKING:
    from traceback import StackSummary

    from psqlpy._async.pool import ConnectionPool
    from psqlpy._pq.connection import PGconn
    from psqlpy._protocol.pausing import PausingDialogue
    from psqlpy._protocol.request import Request
    from psqlpy._protocol.unprepared import Descriptions

# What the pooled connection behind a handle is given back as, when nobody refers to the handle any more.
_UNRETURNED = "a connection was not given back: close it, or use it as a block"


class Connection(
    AsyncConnectionBlock, Cursors, Preparing, Streaming, ConnectionPipelining, Copying, Identity, Executor
):
    """One connection, from the pool it came from or, made by `connect`, its own.

    Several tasks may use it at once: their statements are pipelined, in the order of the calls. A connection that
    nobody refers to any more goes back to its pool.
    """

    __slots__ = (
        "__weakref__",
        "_abandoned",
        "_acquired_by",
        "_begin",
        "_entering",
        "_last",
        "_link",
        "_pool",
        "_returned",
        "open_transactions",
        "pausing",
        "undone_levels",
        "undone_transactions",
    )

    def __init__(self, pool: ConnectionPool, link: AsyncLink | None) -> None:
        # None once the connection is returned: a handle that is still around, as in a notebook, keeps no pool alive.
        self._pool: ConnectionPool | None = pool
        self._link = None if link is None else async_lend(link)
        self._returned = False
        # The pooled connection that it had, as long as that exists.
        self._last: ReferenceType[AsyncLink] | None = None
        self._entering = False
        # In debug mode: who acquired it.
        self._acquired_by: StackSummary | None = None
        # A BEGIN, and what belongs to it, that travels with the next statement.
        self._begin: tuple[bytes, ...] | None = None
        # What ends transactions and cursors that nobody refers to any more, to be sent before anything else.
        self._abandoned: list[Request] = []
        #: The transactions that are begun and not ended, by their numbers, and their savepoints, by number and name:
        #: each inside the one before it.
        self.open_transactions: list[int | tuple[int, str]] = []
        #: Those that were rolled back with the one around them, and haven't noticed yet.
        self.undone_transactions: set[int] = set()
        #: What was rolled back in the transaction that is open, in this order: what was opened inside is gone.
        self.undone_levels: list[int | tuple[int, str]] = []
        #: The stream or COPY that was begun last.
        self.pausing: PausingDialogue | None = None

    # The block

    async def __aenter__(self) -> Connection:
        pool = self._pool
        if self._link is None:
            if pool is None:
                raise self._closed_error()
            if self._entering:
                raise exceptions.InterfaceError(
                    "connection is being acquired elsewhere: call pool.acquire() once for every block"
                )
            self._entering = True
            try:
                self._link = async_lend(await pool.take_link(deadline_after(pool.timeout)))
            finally:
                self._entering = False
            self.note_callers()
        return self

    def note_callers(self) -> None:
        """Note in debug mode who acquires it, for the warning should it be lost."""
        self._acquired_by = callers()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back to its pool; a second call does nothing. Waits for nothing.

        What it left on the server, an open transaction too, is undone at once.
        """
        link, self._link = self._link, None
        pool, self._pool = self._pool, None
        self._returned = True
        self._begin = None
        if link is not None and pool is not None:
            if self.pausing is not None:
                from psqlpy._io.pausing import async_leave

                async_leave(link, self.pausing)
            pooled = async_end_lease(link)
            self._last = ref(pooled)
            pool.give_back(pooled)

    def back_to_pool(self) -> None:
        """Do what `close` does, under the name it had until 0.8."""
        self.close()

    def __del__(self) -> None:
        link = getattr(self, "_link", None)
        pool = getattr(self, "_pool", None)
        if link is not None and pool is not None:
            self._link = None
            pool.take_back(async_pooled(link))
            message = _UNRETURNED + describe(self._acquired_by)
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    # Questions

    def is_closed(self) -> bool:
        """Whether the connection can't be used: given back, closed, or known to be broken."""
        return self._link is None or self._link.is_closed

    async def in_transaction(self) -> bool:
        """Whether a transaction is open, begun by `transaction()` or by a statement; waits for what is in flight."""
        link = self.link
        if self._begin is not None:
            return True
        status = link.session.transaction_status
        if not link.is_quiet:
            asked = AskTransaction()
            await link.run(asked, self.deadline(None))
            status = asked.status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    @property
    def _pgconn(self) -> PGconn:
        """What libpq knows of the connection, which is nothing any more once that was lost."""
        session = self.link.session
        if session.is_closed:
            raise session.closed_error()
        return session.pgconn

    @property
    def backend_pid(self) -> int:
        """The process on the server, as in pg_stat_activity."""
        return self._pgconn.backend_pid

    @property
    def server_version(self) -> int:
        """As libpq counts: 180006 is 18.6."""
        return self._pgconn.server_version

    def parameter_status(self, name: str) -> str | None:
        """A setting that the server reports by itself, such as `TimeZone`; None if it doesn't report that one."""
        if not isinstance(name, str):
            raise exceptions.ParameterTypeError(f"a setting's name is a str, not {type(name).__name__}")
        return self._pgconn.parameter_status(name)

    def _peer(self) -> PGconn:
        if self._link is None and self._last is not None:
            link = self._last()
            if link is not None and not link.is_closed:
                return link.session.pgconn
        return self._pgconn

    # Transactions

    def transaction(
        self,
        isolation_level: IsolationLevel | str | None = None,
        read_variant: ReadVariant | str | None = None,
        deferrable: bool | None = None,
        synchronous_commit: SynchronousCommit | str | None = None,
    ) -> Transaction:
        """Make a transaction, to be begun by its block or by `begin()`; inside another one it is a savepoint.

        None leaves a mode to the server's default; a savepoint has the modes of the transaction it is in.
        """
        self._check()
        return Transaction(self, isolation_level, read_variant, deferrable, synchronous_commit)

    def put_off_begin(self, begin: tuple[bytes, ...]) -> None:
        """Let a BEGIN travel with the next statement."""
        self._begin = begin

    def check_out(self, timeout: float | None) -> CheckedOut:
        """What carries a statement, which has to be sent now."""
        link, pool = self._link, self._pool
        if link is None or pool is None:
            raise self._closed_error()
        if self._abandoned:
            self._undo_abandoned()
        if timeout is None:
            timeout = pool.timeout
        deadline = None if timeout is None else deadline_after(timeout)
        if self._begin is None:
            return link.run, deadline, (), pool.prepared
        return self.run, deadline, self.take_begin(), pool.prepared

    # Every query comes by here.
    _check_out = check_out

    def take_begin(self) -> tuple[bytes, ...]:
        """What has to travel in front of the statement that is executed now."""
        begin, self._begin = self._begin, None
        return begin or ()

    def end_levels(self, ended: list[int | tuple[int, str]], *, undone: bool) -> None:
        """Forget transactions and savepoints that have ended with what is around them."""
        for level in ended:
            try:
                self.open_transactions.remove(level)
            except ValueError:
                # Another thread was first.
                continue
            if undone and isinstance(level, int):
                self.undone_transactions.add(level)

    def forget_ended(self) -> None:
        """Notice that a statement has ended what `transaction()` began: COMMIT or ROLLBACK as text."""
        link = self._link
        if link is not None and link.session.in_doubt and link.is_quiet:
            session = link.session
            session.in_doubt = False
            if self._begin is None and session.transaction_status is TransactionStatus.IDLE:
                self.open_transactions.clear()

    def drop_begin(self) -> bool:
        """Forget a BEGIN that no statement has taken along; False if there is none."""
        begin, self._begin = self._begin, None
        return begin is not None

    async def begin_now(self, deadline: float | None) -> None:
        """Send a BEGIN that was put off, for what can't travel with it."""
        begin = self.take_begin()
        if begin:
            commands = Commands(begin, exceptions.TransactionBeginError)
            try:
                await self.run(commands, deadline)
            except BaseException:
                if not commands.written and self._pool is not None:
                    # Its caller left before its turn came: it travels with the next one.
                    self._begin = begin
                raise

    async def run(self, request: Request, deadline: float | None) -> None:
        """Wait for a request that BEGIN may travel with."""
        try:
            await self.link.run(request, deadline)
        except exceptions.TransactionBeginError:
            # What follows in its name must not be executed outside of any transaction.
            self.open_transactions.clear()
            raise

    def abandon(self, undo: Request) -> None:
        """Undo what an object had begun that is gone. May be called anywhere, by the garbage collector too."""
        link = self._link
        if link is not None:
            self._abandoned.append(undo)
            if not link.is_inside:
                link.soon(self._undo_abandoned)

    def _undo_abandoned(self) -> None:
        link = self._link
        while self._abandoned and link is not None:
            link.send(self._abandoned.pop(0))

    # Cancelling

    async def cancel(self) -> None:
        """Ask the server to cancel what runs on this connection now; its caller gets QueryCanceled.

        For another task or thread than the one that waits. Returns when the server has taken the request, which says
        nothing about its effect: what has ended by then isn't cancelled.
        """
        await self.link.cancel()

    # What Executor asks for

    @property
    def link(self) -> AsyncLink:
        """The pooled connection behind the handle; raises ConnectionClosedError when it was given back."""
        if self._link is None:
            raise self._closed_error()
        if self._abandoned:
            self._undo_abandoned()
        return self._link

    @property
    def descriptions(self) -> Descriptions:
        """What the pool has learnt about unprepared statements."""
        if self._pool is None:
            raise self._closed_error()
        return self._pool.descriptions

    def deadline(self, timeout: float | None) -> float | None:
        """The absolute end of a call that has `timeout`, or the pool's where that is None."""
        pool = self._pool
        if pool is None:
            raise self._closed_error()
        if timeout is None:
            timeout = pool.timeout
        return None if timeout is None else deadline_after(timeout)

    def prepares(self, prepared: bool | None) -> bool:
        """Whether a call that has `prepared`, or the pool where that is None, wants its statement prepared."""
        if prepared is None:
            return self._pool is None or self._pool.prepared
        return prepared

    def _lease(self) -> Connection:
        if self._link is None:
            raise self._closed_error()
        return self

    def _check(self) -> None:
        if self._link is None:
            raise self._closed_error()

    def _closed_error(self) -> exceptions.ConnectionClosedError:
        if not self._returned:
            return exceptions.ConnectionClosedError(
                "connection is not acquired yet: pool.acquire() gives one for a block, pool.connection() at once"
            )
        return returned()

    def __repr__(self) -> str:
        if self._link is None:
            return "<Connection returned>" if self._returned else "<Connection not acquired>"
        if self._link.is_closed:
            return "<Connection closed>"
        pgconn = self._link.session.pgconn
        return (
            f"<Connection {pgconn.user}@{pgconn.host}:{pgconn.port}/{pgconn.db} backend {pgconn.backend_pid}>"
        )
