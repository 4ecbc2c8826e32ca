"""pytest plugin: the tests behind PgBouncer, without those that can't work there, each with its reason.

For a process of its own (test_contract_behind.py): every pool of the tests is one with `prepared=False`, unless it says
otherwise. PSQLPY_TEST_DSN is PgBouncer's, PSQLPY_TEST_POOLER the mode it is in.
"""

from __future__ import annotations

import os

import pytest

_PID = "it looks for the connection in pg_stat_activity: its backend_pid is a number that PgBouncer made up"
_LISTEN = "LISTEN belongs to a session, which behind PgBouncer is another one for each transaction"
_OWN_TABLE = "a temporary table belongs to a session, which is another one for each transaction"
_UNPREPARED = "it counts what is prepared where nothing is"

# By the beginnings of their names behind tests/contract/.
ANYWHERE = {
    "test_2_configuration.py::test_what_cannot_be_reached[asyncio-database]": "PgBouncer's SQLSTATE is 08P01",
    "test_3_pool.py::test_a_killed_backend_is_replaced": _PID,
    "test_3_pool.py::test_no_way_of_recycling_leaks_state": _PID,
    "test_4_queries.py::test_a_text_is_prepared_once": _UNPREPARED,
    "test_7_transactions.py::test_a_connection_that_is_lost_meanwhile": _PID,
    "test_7_transactions.py::test_begin_on_a_dead_connection": _PID,
    "test_7_transactions.py::test_begin_waits_for_the_server_and_the_block_does_not": _PID,
    "test_8_listener.py::test_defect_11_a_killed_backend_is_no_end": _PID,
    "test_9_cancellation.py::test_a_busy_connection_is_not_handed_out": _PID,
    "test_9_cancellation.py::test_a_cancelled_block_does_not_wait_for_its_statement": _PID,
    "test_9_cancellation.py::test_a_cancelled_call": _PID,
}
IN_TRANSACTION_MODE = {
    "test_7_copy.py::test_defect_2_large_copies_at_once_end": _OWN_TABLE,
    "test_8_listener.py": _LISTEN,
}
UNABLE = {"session": ANYWHERE, "transaction": {**ANYWHERE, **IN_TRANSACTION_MODE}}


def pytest_configure() -> None:
    from psqlpy import ConnectionPool, sync

    for kind in (ConnectionPool, sync.ConnectionPool):
        defaults = kind.__init__.__kwdefaults__
        assert defaults is not None
        defaults["prepared"] = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unable = UNABLE[os.environ["PSQLPY_TEST_POOLER"]]
    names = [item.nodeid.removeprefix("tests/contract/") for item in items]
    for beginning in unable:
        assert any(name.startswith(beginning) for name in names), f"no test is called {beginning}"
    left_out = [item for item, name in zip(items, names, strict=True) if name.startswith(tuple(unable))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]
