"""Instructions counted against the committed table."""

from __future__ import annotations

import json

import pytest

from benchmarks import instructions

MADE = {"python": "3.11.7 GCC 12.2.0", "libpq": "150018"}
TABLE = {"made_with": MADE, "instructions": {"fetch_row, uvloop": 60_000, "COPY, asyncio": 1_000_000}}


@pytest.mark.parametrize(
    ("found", "failed", "told"),
    [
        ({"fetch_row, uvloop": 63_000, "COPY, asyncio": 900_000}, False, "+5.0 %  fetch_row, uvloop"),
        ({"fetch_row, uvloop": 63_001, "COPY, asyncio": 1_000_000}, True, "table: fetch_row, uvloop."),
        ({"fetch_row, uvloop": 60_000, "COPY, asyncio": 1_000_000, "more": 1}, True, "table: more."),
        ({"fetch_row, uvloop": 60_000}, False, "gone  COPY, asyncio"),
    ],
    ids=["at the limit", "grown", "new", "gone"],
)
def test_what_grows_fails(found: dict[str, int], failed: bool, told: str) -> None:
    text, verdict = instructions.compare(TABLE, MADE, found)
    assert verdict is failed
    assert told in text


def test_another_python_is_told_and_does_not_fail() -> None:
    found = {"fetch_row, uvloop": 90_000, "COPY, asyncio": 1_000_000}
    text, verdict = instructions.compare(TABLE, {**MADE, "python": "3.13.1 GCC 14.2.0"}, found)
    assert not verdict
    assert "+50.0 %  fetch_row, uvloop" in text and "no verdict" in text


def test_the_table_has_every_operation() -> None:
    table = json.loads(instructions.TABLE.read_text(encoding="utf-8"))
    wanted = {f"{name}, {loop}" for loop in instructions.LOOPS for name in instructions.counts(loop)}
    assert set(table["instructions"]) == wanted
    assert set(table["made_with"]) == set(instructions.made_with())


def test_without_valgrind_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("sys.argv", ["instructions.py", "--check"])
    monkeypatch.delenv("PSQLPY_NO_SKIP", raising=False)
    assert instructions.main() == 0
    monkeypatch.setenv("PSQLPY_NO_SKIP", "1")
    assert instructions.main() == 1
