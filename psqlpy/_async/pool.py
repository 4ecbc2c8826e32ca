"""ConnectionPool: what users see of a pool. Who gets which connection, and what becomes of it, is in lending.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from psqlpy import exceptions
from psqlpy._async.connection import Connection
from psqlpy._async.copying import Copying
from psqlpy._async.executor import NO_DEFAULT, D, check_timeout, deadline_after, not_one_row
from psqlpy._async.hooks import Hooks
from psqlpy._async.notifying import Notifying
from psqlpy._async.observing import Observing
from psqlpy._async.sharing import SharedStatements
from psqlpy._async.transacting import Transacting
from psqlpy._checks import check_flag, check_pool_size
from psqlpy._config import (
    ConnRecyclingMethod,
    LoadBalanceHosts,
    PoolConfig,
    SslMode,
    TargetSessionAttrs,
)
from psqlpy._io.blocks import AsyncCall, AsyncPoolBlock, async_call
from psqlpy._io.links import AsyncLink
from psqlpy._io.notebook import forget_last_error
from psqlpy._io.primitives import async_sleep, monotonic
from psqlpy._pooling.ages import Ages
from psqlpy._result import QueryResult, SingleQueryResult
from psqlpy._secret import hide
from psqlpy.types import Types, registry_of

if TYPE_CHECKING:
    from psqlpy._notice import Notice
    from psqlpy._protocol.unprepared import Descriptions
    from psqlpy._query_event import QueryEvent
    from psqlpy._status import ConnectionPoolStatus


class ConnectionPool(SharedStatements, Observing, Notifying, Transacting, AsyncPoolBlock, Copying):
    """At most `max_db_pool_size` connections, made on demand and shared by everyone who has the pool.

    It belongs to no thread and no loop: made once, for example at import, it may be used in several threads at once,
    and under several loops one after the other. The parameters are described in docs/connection-pool.md.
    `timeout` is the default for every call and covers all of it; `acquire_timeout` bounds the wait for a connection
    while all are in use. Both are in seconds; None waits. `prepared=False` leaves no prepared statements on the server,
    which poolers in transaction mode need (docs/poolers.md), and shares no connections.
    `types` says how types are read and written. `password` may
    also be a function; it and the functions that the pool calls, `setup` to `on_query`, are described in docs/hooks.md.
    Unless `shared` is False the pool's own methods pipeline small reads of several callers onto one connection.
    Connections older than `max_lifetime` seconds, or unused for `max_idle`, are closed at the next acquire or release.
    """

    __slots__ = ("__weakref__", "descriptions", "prepared", "timeout")

    def __init__(
        self,
        dsn: str | None = None,
        username: str | None = None,
        password: str | Callable[[], Any] | None = None,
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
        types: Types | None = None,
        setup: Callable[[Connection], Any] | None = None,
        reset: Callable[[Connection], Any] | None = None,
        on_notice: Callable[[Notice], object] | None = None,
        on_query: Callable[[QueryEvent], object] | None = None,
        log_parameters: bool = False,
        prepared: bool = True,
        shared: bool = True,
        max_lifetime: float | None = None,
        max_idle: float | None = None,
    ) -> None:
        dsn, password = hide(dsn), hide(password)
        hooks = Hooks(password, setup, reset, on_notice, on_query, log_parameters)
        config = PoolConfig.from_parameters(
            dsn,
            username,
            None if callable(password) else password,
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
        self.timeout: float | None = check_timeout("timeout", timeout)
        # Whether statements are prepared where their call doesn't say.
        self.prepared: bool = check_flag("prepared", prepared)
        forget_last_error()
        acquire = check_timeout("acquire_timeout", acquire_timeout)
        ages: Ages[AsyncLink] = Ages(
            check_timeout("max_lifetime", max_lifetime), check_timeout("max_idle", max_idle)
        )
        super().__init__(config, registry_of(types), acquire, hooks, ages)
        self._start_sharing(check_flag("shared", shared))
        # What was learnt about unprepared statements.
        self.descriptions: Descriptions = {}

    # Acquiring

    def connection(self) -> AsyncCall[Connection]:
        """Get a connection, to be closed by its user, or as a block.

        Waits while all are in use, at most for `acquire_timeout`. Raises BaseConnectionPoolError if the pool is closed
        or connecting fails, PoolTimeoutError, ConnectTimeoutError; QueryTimeoutError after the pool's `timeout`.
        """
        return async_call(self._connection())

    async def _connection(self) -> Connection:
        connection = Connection(self, await self.take_link(deadline_after(self.timeout)))
        connection.note_callers()
        return connection

    def acquire(self) -> Connection:
        """Get a connection for one block; waits when the block is entered, as `connection` does."""
        return Connection(self, None)

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
            self._sharing.close_lanes()
        self._act(outcome)
        if self._dropped:
            self._collect()

    def status(self) -> ConnectionPoolStatus:
        """The pool's four numbers, as of now."""
        from psqlpy._status import ConnectionPoolStatus

        self._free_lost()
        if self._cleaning:
            # Of a cancelled statement whose event loop has ended nobody will read the rest.
            self._collect()
        max_size, size, available, waiting = self._policy.status()
        return ConnectionPoolStatus(max_size, size, available, waiting + self._sharing.uncounted)

    def close(self) -> None:
        """Close the pool: idle connections at once, used ones when they come back; who waits gets an error.

        May be called anywhere, any number of times. Waits for nothing.
        """
        with self._lock:
            outcome = self._policy.close()
        self._act(outcome)
        self._collect()

    async def aclose(self, *, timeout: float | None = None) -> None:
        """Close the pool and wait until all its connections are back; after `timeout` seconds cut those that are not.

        None waits for as long as it takes. Whoever uses a connection that is cut gets ConnectionLostError.
        """
        # Checked as any other, but for 0: cut at once.
        deadline = monotonic() if timeout == 0 else deadline_after(timeout)
        self.close()
        while self._policy.size:
            left = _CLOSE_POLL if deadline is None else deadline - monotonic()
            if left <= 0:
                self._cut_all()
                return
            await async_sleep(min(_CLOSE_POLL, left))
            self._free_lost()
            self._collect()

    async def __aenter__(self) -> ConnectionPool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "_policy"):
            # A parameter was refused, and somebody looks at the traceback.
            return f"<{type(self).__name__} that was not made>"
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
        shared: bool | None = None,
    ) -> QueryResult:
        """Execute one statement on a connection of the pool; as Connection.execute.

        `timeout` covers waiting for the connection, connecting and the statement together. `shared` overrides the
        pool's: whether a small read may be pipelined onto a connection with those of other callers.
        """
        return await self._fetch("execute", querystring, parameters, prepared, timeout, shared)

    async def fetch(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        shared: bool | None = None,
    ) -> QueryResult:
        """Do what `execute` does, under the name that says so."""
        return await self._fetch("fetch", querystring, parameters, prepared, timeout, shared)

    async def _fetch(
        self,
        method: str,
        querystring: str,
        parameters: object,
        prepared: bool | None,
        timeout: float | None,
        shared: bool | None,
    ) -> QueryResult:
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        may_share = prepared is not False and self.prepared
        standing = self._standing(querystring, shared) if may_share else None
        if standing is not None:
            query = await self._share(standing, querystring, parameters, deadline)
            if query is not None:
                return QueryResult(query.result, query.plan)
        result: QueryResult = await self._with_connection(method, deadline, querystring, parameters, prepared)
        return result

    @overload
    async def fetch_row(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        shared: bool | None = None,
    ) -> SingleQueryResult: ...

    @overload
    async def fetch_row(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        shared: bool | None = None,
        default: D,
    ) -> SingleQueryResult | D: ...

    async def fetch_row(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        shared: bool | None = None,
        default: Any = NO_DEFAULT,
    ) -> SingleQueryResult | Any:
        """Execute one statement that returns exactly one row; as Connection.fetch_row."""
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        may_share = prepared is not False and self.prepared
        standing = self._standing(querystring, shared) if may_share else None
        if standing is not None:
            query = await self._share(standing, querystring, parameters, deadline)
            if query is not None:
                result = query.result
                if result.row_count != 1:
                    return not_one_row(self._family, result.row_count, default)
                return SingleQueryResult(result, query.plan)
        return await self._with_connection(
            "fetch_row", deadline, querystring, parameters, prepared, default=default
        )

    async def fetch_val(
        self,
        querystring: str,
        parameters: object = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
        shared: bool | None = None,
        default: Any = NO_DEFAULT,
    ) -> Any:
        """Execute one statement that returns exactly one row, and return its first value; as Connection.fetch_val."""
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        may_share = prepared is not False and self.prepared
        standing = self._standing(querystring, shared) if may_share else None
        if standing is not None:
            query = await self._share(standing, querystring, parameters, deadline)
            if query is not None:
                result = query.result
                if result.row_count != 1:
                    return not_one_row(self._family, result.row_count, default)
                return query.plan.value(result, 0, 0) if result.column_count else None
        return await self._with_connection(
            "fetch_val", deadline, querystring, parameters, prepared, default=default
        )

    async def execute_many(
        self,
        querystring: str,
        parameters: Sequence[object] | None = None,
        prepared: bool | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Execute one statement for every row of parameters, for all or for none; as Connection.execute_many."""
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        await self._with_connection("execute_many", deadline, querystring, parameters, prepared)

    # What Copying asks for

    _family = exceptions.ConnectionExecuteError

    async def _begin_copy(self, timeout: float | None) -> tuple[Connection, float | None]:
        deadline = deadline_after(self.timeout if timeout is None else timeout)
        connection = Connection(self, await self.take_link(deadline))
        connection.note_callers()
        return connection, deadline

    def _end_copy(self, connection: Connection) -> None:
        connection.close()


# How often `aclose` looks whether all have come back. Seconds.
_CLOSE_POLL = 0.01
