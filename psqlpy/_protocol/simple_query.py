"""The simple query protocol: any number of statements in one text, one implicit transaction, no parameters.

Source: PostgreSQL manual, section "Message Flow: Simple Query". As an example of a dialogue it is complete: send,
flush, read until the end, answer a COPY that nobody asked for.
"""

from __future__ import annotations

from psqlpy import exceptions
from psqlpy._pq.connection import PGconn
from psqlpy._pq.enums import ExecStatus
from psqlpy._pq.result import PGresult
from psqlpy._protocol.client_encoding import check_client_encoding
from psqlpy._protocol.dialogue import Talk
from psqlpy._protocol.want import Want

_COPY_REFUSED = b"COPY FROM STDIN can't be used in a batch"


def encode_query(query: str) -> bytes:
    """What is sent for a text; ParameterTypeError or ParameterValueError for what can't be."""
    if not isinstance(query, str):
        raise exceptions.ParameterTypeError(f"the query must be a str, not {type(query).__name__}")
    if "\0" in query:
        raise exceptions.ParameterValueError(
            "the query contains a NUL character, which PostgreSQL can't store"
        )
    check_client_encoding(query)
    try:
        return query.encode()
    except UnicodeEncodeError:
        raise exceptions.ParameterValueError(
            "the query contains a lone surrogate, which can't be sent as UTF-8"
        ) from None


def simple_query(pgconn: PGconn, query: bytes) -> Talk:
    """Send one text and return the results of its statements, the error that ended it included."""
    if not pgconn.send_query(query):
        raise exceptions.ConnectionLostError(pgconn.error_message)
    yield from flush(pgconn)
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy:
            yield Want.READ
            if not pgconn.consume():
                break
        result = pgconn.get_result()
        if result is None:
            return results
        if result.status == ExecStatus.COPY_IN:
            # The server waits for data that nobody will send.
            if pgconn.put_copy_end(_COPY_REFUSED) < 0:
                raise exceptions.ConnectionLostError(pgconn.error_message)
            yield from flush(pgconn)
        elif result.status == ExecStatus.COPY_OUT:
            yield from _drop_copy_out(pgconn)
        elif result.status == ExecStatus.COPY_BOTH:
            # Replication; libpq would say so for ever.
            raise exceptions.ConnectionLostError("COPY has begun where it can't be carried out")
        else:
            results.append(result)


def flush(pgconn: PGconn) -> Talk:
    """Send all, reading meanwhile: a server whose answers nobody takes stops reading."""
    while left := pgconn.flush():
        if left < 0:
            raise exceptions.ConnectionLostError(pgconn.error_message)
        ready = yield Want.READ_WRITE
        if ready and ready & Want.READ and not pgconn.consume():
            raise exceptions.ConnectionLostError(pgconn.error_message)


def _drop_copy_out(pgconn: PGconn) -> Talk:
    """Throw the data of a COPY TO STDOUT away; its result follows as usual."""
    while (size := pgconn.drop_copy_data()) >= 0:
        if size == 0:
            yield Want.READ
            if not pgconn.consume(copy_out=True):
                return
