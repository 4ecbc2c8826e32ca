"""tools/make_oids.py: the table is up to date, and the check notices when it isn't."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from psqlpy._codecs import oids
from tools import make_oids


def check(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["make_oids.py", "--check"])
    return make_oids.main()


def test_the_committed_table_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch) == 0


def test_check_notices_an_edit_and_a_missing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    edited = tmp_path / "oids.py"
    monkeypatch.setattr(make_oids, "OUTPUT", edited)
    assert check(monkeypatch) == 1
    edited.write_text(
        make_oids.generate(make_oids.read()).replace("INT4 = 23", "INT4 = 24"), encoding="utf-8"
    )
    assert check(monkeypatch) == 1
    make_oids.OUTPUT.write_text(make_oids.generate(make_oids.read()), encoding="utf-8")
    assert check(monkeypatch) == 0


def test_table() -> None:
    assert oids.TYPES[oids.BOX] == ("box", 1020, ";")
    assert oids.ELEMENTS[1007] == oids.INT4
    assert len(set(oids.ELEMENTS)) == sum(1 for _, array_oid, _ in oids.TYPES.values() if array_oid)
