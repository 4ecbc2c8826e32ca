"""tools/make_functions.py: the list is up to date, the check notices when it isn't, what acts isn't on it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from psqlpy._protocol.shareable_functions import SHAREABLE_FUNCTIONS
from tools import make_functions


def check(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["make_functions.py", "--check"])
    return make_functions.main()


def test_the_committed_list_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch) == 0


def test_check_notices_an_edit_and_a_missing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    edited = tmp_path / "functions.py"
    monkeypatch.setattr(make_functions, "OUTPUT", edited)
    assert check(monkeypatch) == 1
    edited.write_text(make_functions.generate([*make_functions.read(), "pg_advisory_lock"]), encoding="utf-8")
    assert check(monkeypatch) == 1
    make_functions.OUTPUT.write_text(make_functions.generate(make_functions.read()), encoding="utf-8")
    assert check(monkeypatch) == 0


def test_what_acts_is_not_on_the_list() -> None:
    names = """
        set_config current_setting pg_notify pg_advisory_lock pg_try_advisory_lock pg_advisory_xact_lock pg_sleep
        pg_sleep_for nextval setval currval lastval lo_create lo_open lo_unlink pg_export_snapshot pg_terminate_backend
        pg_cancel_backend pg_reload_conf query_to_xml cursor_to_xml table_to_xml database_to_xml dblink ts_stat
        pg_stat_reset txid_current pg_current_xact_id random setseed pg_read_file pg_logical_emit_message ts_rewrite
        pg_create_restore_point pg_switch_wal pg_show_all_settings pg_stat_clear_snapshot pg_lock_status
        brin_summarize_range
    """
    assert SHAREABLE_FUNCTIONS.isdisjoint(names.split())


def test_what_only_computes_is() -> None:
    assert {
        "lower",
        "count",
        "sum",
        "now",
        "coalesce",
        "generate_series",
        "pg_backend_pid",
    } - SHAREABLE_FUNCTIONS == {"coalesce"}
