"""What cursors, streams and prepared statements are made on. What these are is imported when the first one is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from psqlpy._async.executor import Executor
from psqlpy._protocol.named_parameters import bind_named, resolve_parameters

if TYPE_CHECKING:
    from psqlpy._async.cursor import Cursor
    from psqlpy._async.prepared import PreparedStatement
    from psqlpy._async.stream import RowStream


class Cursors(Executor):
    """What cursors can be opened on."""

    __slots__ = ()

    def cursor(
        self,
        querystring: str | None = None,
        parameters: object = None,
        fetch_number: int | None = None,
        scroll: bool | None = None,
        prepared: bool | None = None,
        array_size: int | None = None,
    ) -> Cursor:
        """Make a cursor, to be opened by its block, by `start()` or by `execute()`.

        `fetch_number` is how many rows `fetch()` fetches (10), `array_size` how many there are in each result of an
        iteration (1); one given alone stands for both. `scroll=True` allows to go backward, False forbids it, with
        None it depends on the statement. `prepared=False` leaves no prepared statement on the server.
        """
        from psqlpy._async.cursor import Cursor

        return Cursor(self, querystring, parameters, fetch_number, scroll, prepared, array_size)


class Streaming(Executor):
    """What rows can be streamed from."""

    __slots__ = ()

    @overload
    def stream(
        self,
        querystring: str,
        parameters: object = None,
        *,
        chunk_size: int = 1000,
        as_tuple: Literal[False] = False,
        timeout: float | None = None,
    ) -> RowStream[dict[str, Any]]: ...

    @overload
    def stream(
        self,
        querystring: str,
        parameters: object = None,
        *,
        chunk_size: int = 1000,
        as_tuple: Literal[True],
        timeout: float | None = None,
    ) -> RowStream[tuple[Any, ...]]: ...

    @overload
    def stream(
        self,
        querystring: str,
        parameters: object = None,
        *,
        chunk_size: int = 1000,
        as_tuple: bool = False,
        timeout: float | None = None,
    ) -> RowStream[Any]: ...

    def stream(
        self,
        querystring: str,
        parameters: object = None,
        *,
        chunk_size: int = 1000,
        as_tuple: bool = False,
        timeout: float | None = None,
    ) -> RowStream[Any]:
        """Iterate over the rows of one statement, as dicts or tuples, as they arrive; nothing else is kept in memory.

        At most `chunk_size` rows are read ahead; the server waits while nobody asks for more. No transaction is needed.
        Outside one, the stream has the connection for itself until it ends: statements of other tasks wait, one of the
        task that reads it raises InterfaceError. In one, it is a cursor, and statements may come in between. `timeout`
        is for each wait for rows.
        """
        from psqlpy._async.stream import RowStream

        return RowStream(self, querystring, parameters, chunk_size, as_tuple, timeout)


class Preparing(Executor):
    """What statements can be prepared on."""

    __slots__ = ()

    async def prepare(
        self, querystring: str, parameters: object = None, *, timeout: float | None = None
    ) -> PreparedStatement:
        """Have a statement parsed, and its parameters checked if there are any; nothing is executed.

        The parameters are those of every execution that doesn't bring its own. Errors are those of `execute`. In a pool
        with `prepared=False` nothing stays on the server: the statement is sent with each execution.
        """
        from psqlpy._async.prepared import PreparedStatement
        from psqlpy._protocol.prepare import Prepare
        from psqlpy._protocol.simple_query import encode_query

        connection = self._lease()
        bound: Sequence[object] | None = None
        encode_query(querystring)
        if parameters is not None:
            text, values = resolve_parameters(querystring, parameters)
            # What its caller does to the list later doesn't matter.
            bound = list(values)
        elif (named := bind_named(querystring)) is not None:
            text = named.text
        else:
            text, _ = resolve_parameters(querystring, None)
        deadline = connection.deadline(timeout)
        await connection.begin_now(deadline)
        preparing = Prepare(text, bound, self._family, unnamed=not connection.prepares(None))
        link = connection.link
        await link.run(preparing, deadline)
        assert preparing.statement is not None
        return PreparedStatement(self, querystring, bound, preparing.statement, link.session.registry)
