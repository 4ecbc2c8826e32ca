"""What a connection's end, and what a server refuses, say of the pool's other connections."""

from __future__ import annotations

from typing import Any, cast

import pytest

from psqlpy import exceptions
from psqlpy._pq.enums import ConnStatus
from psqlpy._protocol.failures import closed, hung_up
from psqlpy._protocol.outage import is_outage, refuses_writes


class _Server:
    """What is asked of a PGconn."""

    def __init__(self, status: ConnStatus = ConnStatus.OK, settings: dict[str, str] | None = None) -> None:
        self.status = status
        self.parameter_status = (settings or {}).get


class _Refusal:
    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


def _lost(sqlstate: str | None) -> exceptions.ConnectionLostError:
    error = exceptions.ConnectionLostError("it is lost")
    error.sqlstate = sqlstate
    return error


@pytest.mark.parametrize("status", [ConnStatus.OK, ConnStatus.BAD])
@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        *(("57P01", True), ("57P02", True), ("57P03", True), ("08006", True), ("08P01", True)),
        *(("57P05", False), ("25P03", False), ("57014", False), ("XX000", False)),
    ],
)
def test_the_servers_words_decide(status: ConnStatus, sqlstate: str, expected: bool) -> None:
    assert is_outage(cast(Any, _Server(status)), _lost(sqlstate)) is expected


def test_without_words_libpq_decides() -> None:
    assert is_outage(cast(Any, _Server(ConnStatus.BAD)), _lost(None))
    # Interrupted in the middle of a message, for example.
    assert not is_outage(cast(Any, _Server(ConnStatus.OK)), _lost(None))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"in_hot_standby": "on", "default_transaction_read_only": "off"}, True),
        ({"in_hot_standby": "off", "default_transaction_read_only": "on"}, True),
        # Its transaction was begun read-only.
        ({"in_hot_standby": "off", "default_transaction_read_only": "off"}, False),
        # A server before 14 doesn't say.
        ({}, True),
    ],
)
def test_who_refuses_writes(settings: dict[str, str], expected: bool) -> None:
    server = cast(Any, _Server(settings=settings))
    assert refuses_writes(server, cast(Any, _Refusal("25006"))) is expected
    assert not refuses_writes(server, cast(Any, _Refusal("42501")))
    assert not refuses_writes(server, cast(Any, _Refusal(None)))


@pytest.mark.parametrize(
    ("sqlstate", "written", "safe", "unknown"),
    [
        (None, True, False, True),
        (None, False, True, False),
        ("57P01", True, False, True),
        # The session was idle: what was sent was never begun.
        ("57P05", True, True, False),
        # That, and its transaction is gone: the statement alone mustn't be run again.
        ("25P03", True, False, False),
    ],
)
def test_what_errors_say(sqlstate: str | None, written: bool, safe: bool, unknown: bool) -> None:
    error = closed(_lost(sqlstate), written=written)
    assert (error.safe_to_retry, error.may_have_committed, error.sqlstate) == (safe, unknown, sqlstate)


def test_a_crash_elsewhere_is_told_by_a_warning() -> None:
    said: list[dict[str, str | None]] = [
        {"severity": "NOTICE", "sqlstate": "00000", "message_primary": "all is well"},
        {"severity": "WARNING", "sqlstate": "57P02", "message_primary": "another one has crashed"},
    ]
    error = hung_up("server closed the connection unexpectedly", said)
    assert error.sqlstate == "57P02" and str(error) == "another one has crashed"
    assert hung_up("it did", said[:1]).sqlstate is None
