"""Deliver: which request each result belongs to, where a pump has brought more than one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psqlpy._protocol.outage import FATAL_ERROR, heed_error
from psqlpy._protocol.request import TUPLES_OK

if TYPE_CHECKING:
    from psqlpy._pq.result import PGresult
    from psqlpy._protocol.session import Session


def deliver(session: Session, results: Sequence[tuple[int, PGresult | None]]) -> None:
    """Hand results to the flights in their order; a Sync, which has none, lands the oldest one."""
    flights = session.flights
    rows = None  # of an everyday statement: with the Sync behind them they are taken in one step
    for status, result in results:
        if not flights:
            return  # a request before this one has closed the session
        if result is None and status >= 0:
            session.land(rows)
            rows = None
            continue
        if rows is not None:
            flights[0].receive(session, TUPLES_OK, rows)
            rows = None
        if result is None:
            flights[0].receive_count(-status)
        elif status == TUPLES_OK and flights[0].everyday:
            rows = result
        else:
            flights[0].receive(session, status, result)
            if status == FATAL_ERROR:
                heed_error(session, result)
    if rows is not None and flights:
        flights[0].receive(session, TUPLES_OK, rows)
