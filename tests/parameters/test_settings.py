"""options and application_name, read back from the server; and what a session has when they aren't given."""

from __future__ import annotations

import pytest

from psqlpy import exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.conftest import Server

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")


@each_way
def test_options(ask: Ask, server: Server) -> None:
    parameters = server.here(options="-c statement_timeout=1234 -c search_path=a,b")
    query = "SELECT current_setting('statement_timeout') || ' ' || current_setting('search_path')"
    assert ask(query, **parameters) == "1234ms a,b"


@pytest.mark.parametrize(
    ("options", "setting", "value"),
    [
        ("-c work_mem=5MB", "work_mem", "5MB"),
        ("-cwork_mem=6MB", "work_mem", "6MB"),
        ("--work_mem=7MB", "work_mem", "7MB"),
        ("-c geqo=off -c work_mem=8MB", "geqo", "off"),
        (r"-c my.word=with\ space\\", "my.word", "with space\\"),
    ],
)
def test_forms_of_options(server: Server, options: str, setting: str, value: str) -> None:
    assert ask(f"SHOW {setting}", **server.here(options=options)) == value


def test_options_are_what_a_reset_comes_back_to(server: Server) -> None:
    parameters = server.here(options="-c work_mem=5MB", max_db_pool_size=1, conn_recycling_method="clean")
    with sync.ConnectionPool(**parameters) as pool:
        pool.execute("SET work_mem = '9MB'")
        assert pool.fetch_val("SHOW work_mem") == "5MB"


def test_wrong_options_are_the_servers_error(server: Server) -> None:
    with pytest.raises(exceptions.BaseConnectionPoolError, match="no_such_setting") as caught:
        ask("SELECT 1", **server.here(options="-c no_such_setting=1"))
    assert isinstance(caught.value, exceptions.UndefinedObject)


@each_way
def test_application_name(ask: Ask, server: Server) -> None:
    query = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    for name in ("the tests", 'it\'s "quoted" \\'):
        assert ask(query, **server.here(application_name=name)) == name
        assert ask("SHOW application_name", **server.here(application_name=name)) == name


def test_the_application_name_by_default(server: Server) -> None:
    assert ask("SHOW application_name", **server.here()) == "psqlpy"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO"),
        ("IntervalStyle", "postgres"),
        ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
    ],
)
def test_what_every_session_starts_with(server: Server, setting: str, value: str) -> None:
    assert ask(f"SHOW {setting}", **server.here()).startswith(value)
