"""A session on a FakePGconn, and short words for what tests do with them."""

from __future__ import annotations

from typing import Any

from psqlpy._pq.enums import TransactionStatus
from psqlpy._protocol.classify import classify
from psqlpy._protocol.query import Query
from psqlpy._protocol.request import Request
from psqlpy._protocol.session import Session
from psqlpy._protocol.unprepared import Descriptions, Unprepared
from tests.fake_pgconn import FakePGconn


class Rig:
    """`ended` has the requests in the order in which they ended."""

    def __init__(self) -> None:
        self.conn = FakePGconn()
        # Any: what was asserted of it changes with the next call.
        self.session: Any = Session(self.conn.as_pgconn())
        self.ended: list[Request] = []
        self.descriptions: Descriptions = {}

    def submit(self, request: Any) -> Any:
        request.wake = lambda _: self.ended.append(request)
        self.session.submit(request)
        return request

    def query(self, text: str, *parameters: object, **options: Any) -> Any:
        return self.submit(Query(text, parameters, **options))

    def unprepared(self, text: str, *parameters: object, **options: Any) -> Any:
        request = Unprepared(text, classify(text), parameters, self.descriptions, **options)
        return self.submit(request)

    def prepare(self, *texts: str) -> None:
        """Bring statements into the cache, and forget what was said."""
        for text in texts:
            self.query(text, *[0] * text.count("$"))
            self.run()
        self.conn.status = TransactionStatus.IDLE
        self.conn.log.clear()
        self.ended.clear()

    def turn(self, ready: int = 3) -> None:
        """Let the backend answer everything it has, and the session read it, once."""
        self.conn.serve()
        self.session.pump(ready)

    def run(self) -> None:
        """Go on until nothing moves."""
        for _ in range(1000):
            before = (len(self.conn.log), len(self.ended), len(self.conn.answers))
            self.turn()
            after = (len(self.conn.log), len(self.ended), len(self.conn.answers))
            if before == after and not self.session.wants_write:
                return
        raise AssertionError("it never ends")


def echo(request: Any) -> bytes:
    """What the statement was executed with, as the backend tells."""
    assert request.error is None, request.error
    sent: bytes = request.result.echo
    return sent
