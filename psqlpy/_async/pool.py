"""ConnectionPool: the shell around the pool's policy. The policy decides; here is who waits, connects and closes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

from psqlpy import exceptions
from psqlpy._async.connection import Connection
from psqlpy._async.executor import check_timeout, deadline_after
from psqlpy._checks import check_pool_size
from psqlpy._codecs.registry import Registry, default_registry
from psqlpy._config import (
    ConnRecyclingMethod,
    LoadBalanceHosts,
    PoolConfig,
    SslMode,
    TargetSessionAttrs,
)
from psqlpy._io.blocks import AsyncCall, AsyncPoolBlock, async_call
from psqlpy._io.links import AsyncLink, async_connect
from psqlpy._io.primitives import AsyncWake, Lock, async_sleep, monotonic
from psqlpy._pooling.policy import EMPTY, Outcome, Policy, Ticket, TicketState
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.reset import reset_requests
from psqlpy._protocol.session import Session
from psqlpy._status import ConnectionPoolStatus

if TYPE_CHECKING:
    from psqlpy._protocol.unprepared import Descriptions
    from psqlpy._result import QueryResult, SingleQueryResult


class ConnectionPool(AsyncPoolBlock):
    """At most `max_db_pool_size` connections, made on demand and shared by everyone who has the pool.

    It belongs to no thread and no loop: made once, for example at import, it may be used in several threads at once,
    and under several loops one after the other. The parameters are described in docs/connection-pool.md.
    `timeout` is the default for every call, `acquire_timeout` bounds the wait for a connection; both in seconds, None
    waits.
    """

    __slots__ = (
        "__weakref__",
        "_acquire_timeout",
        "_cleaning",
        "_config",
        "_dropped",
        "_lock",
        "_policy",
        "_registry",
        "descriptions",
        "timeout",
    )

    def __init__(
        self,
        dsn: str | None = None,
        username: str | None = None,
        password: str | None = None,
        host: str | None = None,
        hosts: Sequence[str] | None = None,
        port: int | None = None,
        ports: Sequence[int] | None = None,
        db_name: str | None = None,
        target_session_attrs: TargetSessionAttrs | str | None = None,
        options: str | None = None,
        application_name: str | None = None,
        connect_timeout_sec: int | None = None,
        connect_timeout_nanosec: int | None = None,
        tcp_user_timeout_sec: int | None = None,
        tcp_user_timeout_nanosec: int | None = None,
        keepalives: bool | None = None,
        keepalives_idle_sec: int | None = None,
        keepalives_idle_nanosec: int | None = None,
        keepalives_interval_sec: int | None = None,
        keepalives_interval_nanosec: int | None = None,
        keepalives_retries: int | None = None,
        load_balance_hosts: LoadBalanceHosts | str | None = None,
        max_db_pool_size: int | None = None,
        conn_recycling_method: ConnRecyclingMethod | str | None = None,
        ssl_mode: SslMode | str | None = None,
        ca_file: str | PathLike[str] | None = None,
        *,
        timeout: float | None = None,
        acquire_timeout: float | None = None,
    ) -> None:
        self._config = PoolConfig.from_parameters(
            dsn,
            username,
            password,
            host,
            hosts,
            port,
            ports,
            db_name,
            target_session_attrs,
            options,
            application_name,
            connect_timeout_sec,
            connect_timeout_nanosec,
            tcp_user_timeout_sec,
            tcp_user_timeout_nanosec,
            keepalives,
            keepalives_idle_sec,
            keepalives_idle_nanosec,
            keepalives_interval_sec,
            keepalives_interval_nanosec,
            keepalives_retries,
            load_balance_hosts,
            max_db_pool_size,
            conn_recycling_method,
            ssl_mode,
            ca_file,
        )
        self.timeout = check_timeout("timeout", timeout)
        self._acquire_timeout = check_timeout("acquire_timeout", acquire_timeout)
        self._registry: Registry = default_registry
        self._policy: Policy[AsyncLink] = Policy(self._config.max_size)
        self._lock = Lock()
        # Given back while a cancelled statement was still running on them.
        self._cleaning: set[AsyncLink] = set()
        # Of handles that nobody referred to any more: to be given back by whoever comes next.
        self._dropped: deque[AsyncLink] = deque()
        self.descriptions: Descriptions = {}

    # Acquiring

    def connection(self) -> AsyncCall[Connection]:
        """Get a connection, to be closed by its user, or as a block.

        Waits while all are in use, at most for `acquire_timeout`. Raises BaseConnectionPoolError if the pool is closed
        or connecting fails, PoolTimeoutError, ConnectTimeoutError.
        """
        return async_call(self._connection())

    async def _connection(self) -> Connection:
        return Connection(self, await self.take_link(None))

    def acquire(self) -> Connection:
        """Get a connection for one block; waits when the block is entered."""
        return Connection(self, None)

    async def take_link(self, deadline: float | None) -> AsyncLink:
        """A connection that works as far as can be known without asking the server; `deadline` is monotonic time."""
        if self._dropped or self._cleaning:
            self._collect()
        with self._lock:
            if self._policy.closed:
                raise _closed()
            ticket = self._policy.acquire(_nobody, _rank)
            wake = None
            if ticket.state is TicketState.WAITING:
                wake = AsyncWake()
                ticket.wake = wake.set
        try:
            if wake is not None:
                await self._wait(wake, ticket, deadline)
            while ticket.connection is not None:
                if await self._is_fit(ticket.connection, deadline):
                    return ticket.connection
                link = ticket.connection
                with self._lock:
                    outcome = self._policy.replace(ticket)
                self._act(outcome)
                link.close()
            if ticket.state is TicketState.FAILED:
                raise _closed()
            link = await self._open(deadline)
            with self._lock:
                outcome = self._policy.opened(ticket, link)
            self._act(outcome)
            return link
        except BaseException:
            with self._lock:
                outcome = self._policy.withdraw(ticket)
            self._act(outcome)
            raise

    async def _wait(self, wake: AsyncWake, ticket: Ticket[AsyncLink], deadline: float | None) -> None:
        began = monotonic()
        patience = deadline_after(self._acquire_timeout)
        until = min((moment for moment in (deadline, patience) if moment is not None), default=None)
        if await wake.wait(until):
            return
        waited = monotonic() - began
        doing = f"waited {waited:.3f} s for one of the pool's {self._policy.status()[0]} connections to become free"
        if until == patience:
            raise exceptions.PoolTimeoutError(f"acquire_timeout: {doing}")
        error = exceptions.QueryTimeoutError(f"timeout: {doing}")
        error.safe_to_retry = True
        raise error

    async def _is_fit(self, link: AsyncLink, deadline: float | None) -> bool:
        """Whether an idle connection is alive, looking at its socket; with `Verified`, asking the server too."""
        try:
            await link.move_here()
            if not link.look():
                return False
            if self._config.recycling is ConnRecyclingMethod.Verified:
                await link.run(Commands(()), deadline)
        except exceptions.ConnectionClosedError:
            return False
        return True

    async def _open(self, deadline: float | None) -> AsyncLink:
        try:
            pgconn = await async_connect(self._config.plan, deadline)
        except exceptions.ConnectTimeoutError as error:
            if deadline is None or monotonic() < deadline:
                raise
            late = exceptions.QueryTimeoutError(f"timeout: {error}")
            late.safe_to_retry = True
            raise late from error
        link = AsyncLink(Session(pgconn, self._registry))
        await link.move_here()
        return link

    # Giving back

    def give_back(self, link: AsyncLink) -> None:
        """Take a connection back from its user and clean it; waits for nothing."""
        if link.is_closed or link.session.is_settled:
            self._settle(link)
            return
        # A cancelled statement, or a task of its user's, is still on it.
        with self._lock:
            outcome = self._policy.start_cleaning(link)
            self._cleaning.add(link)
        self._act(outcome)
        link.when_settled(partial(self._cleaned, link))

    def _settle(self, link: AsyncLink) -> None:
        self._reset(link)
        with self._lock:
            outcome = self._policy.release(link, not link.is_closed)
        self._act(outcome)
        if self._dropped:
            self._collect()

    def _cleaned(self, link: AsyncLink) -> None:
        self._reset(link)
        with self._lock:
            if link not in self._cleaning:
                return
            self._cleaning.discard(link)
            outcome = self._policy.cleaned(link, not link.is_closed)
        self._act(outcome)

    def _reset(self, link: AsyncLink) -> None:
        """Write what undoes its user's traces; the answer is read by the next one, or as it comes."""
        if not link.is_closed:
            link.session.on_notification = None
            everything = self._config.recycling is ConnRecyclingMethod.Clean
            for request in reset_requests(link.session, everything=everything):
                link.send(request)

    def take_back(self, link: AsyncLink) -> None:
        """Note a connection whose handle is gone. May be called anywhere, by the garbage collector too."""
        self._dropped.append(link)
        link.soon(self._collect)

    def _collect(self) -> None:
        """Give back what was dropped, and what nobody will finish cleaning; unless somebody is at it."""
        if not self._lock.acquire(blocking=False):
            # Whoever holds it comes by here afterwards, or its next call does.
            return
        try:
            stranded = [link for link in self._cleaning if link.is_stranded()]
        finally:
            self._lock.release()
        for link in stranded:
            link.close()
            self._cleaned(link)
        while self._dropped:
            try:
                link = self._dropped.popleft()
            except IndexError:
                return
            self.give_back(link)

    def _act(self, outcome: Outcome[AsyncLink]) -> None:
        """Do, outside the lock, what the policy wants done."""
        if outcome is EMPTY:
            return
        for ticket in outcome.wake:
            if not ticket.wake():
                # Who waited is gone without a word: the next one's turn.
                with self._lock:
                    passed_on = self._policy.withdraw(ticket)
                self._act(passed_on)
        for link in outcome.close:
            link.close()

    # The pool itself

    async def startup(self) -> None:
        """Open one connection, to find out whether that works; making the pool is starting it otherwise."""
        connection = await self._connection()
        connection.close()

    def resize(self, new_max_size: int) -> None:
        """Change how many connections there may be.

        More: who waits is served at once. Fewer: idle connections are closed at once, used ones when they come back.
        """
        with self._lock:
            outcome = self._policy.resize(check_pool_size(new_max_size, "new_max_size"))
        self._act(outcome)

    def status(self) -> ConnectionPoolStatus:
        """The pool's four numbers, as of now."""
        if self._dropped:
            self._collect()
        return ConnectionPoolStatus(*self._policy.status())

    def close(self) -> None:
        """Close the pool: idle connections at once, used ones when they come back; who waits gets an error.

        May be called anywhere, any number of times. Waits for nothing.
        """
        with self._lock:
            outcome = self._policy.close()
        self._act(outcome)
        self._collect()

    async def aclose(self, *, timeout: float | None = None) -> None:
        """Close the pool and wait until all connections came back; after `timeout` seconds cut those that did not."""
        self.close()
        deadline = deadline_after(timeout)
        while held := self._policy.held():
            if deadline is not None and monotonic() >= deadline:
                for link in held:
                    link.cut()
                return
            await async_sleep(_CLOSE_POLL if deadline is None else min(_CLOSE_POLL, deadline - monotonic()))

    async def __aenter__(self) -> ConnectionPool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        status = self.status()
        where = "; ".join(endpoint.describe() for endpoint in self._config.plan.endpoints)
        return (
            f"<ConnectionPool {where} size {status.size} of {status.max_size}, "
            f"{status.available} available, {status.waiting} waiting>"
        )

    # Statements

    async def execute(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> QueryResult:
        """Execute one statement on a connection of the pool; as Connection.execute.

        `timeout` covers waiting for the connection, connecting and the statement together.
        """
        return await self._with_connection("execute", timeout, querystring, parameters, prepared)

    async def fetch(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> QueryResult:
        """Do what `execute` does, under the name that says so."""
        return await self._with_connection("fetch", timeout, querystring, parameters, prepared)

    async def fetch_row(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> SingleQueryResult:
        """Execute one statement that returns exactly one row; as Connection.fetch_row."""
        return await self._with_connection("fetch_row", timeout, querystring, parameters, prepared)

    async def fetch_val(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Execute one statement that returns exactly one row, and return its first value; as Connection.fetch_val."""
        return await self._with_connection("fetch_val", timeout, querystring, parameters, prepared)

    async def execute_many(
        self,
        querystring: str,
        parameters: Sequence[object] | None = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Execute one statement for every row of parameters, for all or for none; as Connection.execute_many."""
        await self._with_connection("execute_many", timeout, querystring, parameters, prepared)

    async def _with_connection(self, method: str, timeout: float | None, *arguments: object) -> Any:
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        connection = Connection(self, await self.take_link(deadline))
        try:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            return await getattr(connection, method)(*arguments, timeout=left)
        finally:
            connection.close()


_CLOSE_POLL = 0.01


def _nobody() -> bool:
    """Nobody waits for a ticket that was granted at once."""
    return True


def _rank(link: AsyncLink) -> int:
    """Which idle connection is the best: one that is used here, with nothing on its way."""
    if link.is_held_elsewhere():
        return 2
    return 0 if link.is_at_home() and link.is_quiet else 1


def _closed() -> exceptions.BaseConnectionPoolError:
    return exceptions.BaseConnectionPoolError("pool has been closed: make another one")
