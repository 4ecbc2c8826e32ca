"""`make check`: what it runs, and that one failure fails it."""

from __future__ import annotations

import sys

import pytest

from tools import check


def test_it_runs_every_linter_and_every_generator() -> None:
    commands = [" ".join(command) for command in check.checks().values()]
    assert {command.rpartition("tools/")[2] for command in commands if "tools/" in command} == {
        "check_lengths.py",
        "make_sync.py --check",
        "make_sqlstates.py --check",
        "make_functions.py --check",
        "make_oids.py --check",
        "make_picture.py --check",
    }
    for tool in (
        "-m mypy",
        "lint-imports",
        "ruff check",
        "ruff format --check",
        "codespell",
        "--dry-run -Werror",
    ):
        assert any(tool in command for command in commands), tool


def run(monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str]) -> object:
    """What the process would end with, for checks that are scripts of Python."""
    commands = {name: [sys.executable, "-c", script] for name, script in scripts.items()}
    monkeypatch.setattr(check, "checks", lambda: commands)
    try:
        check.main()
    except SystemExit as ended:
        return ended.code
    return 0


def test_it_passes_if_all_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, {"one": "", "two": "print('of no interest')"}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted((line.split()[0], line.split()[-1]) for line in lines) == [("ok", "one"), ("ok", "two")]


def test_one_failure_fails_it_and_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, {"bad": "print('line 7'); exit(1)", "good": ""}) == "failed: bad"
    output = capsys.readouterr().out
    assert "FAILED" in output and "line 7" in output


def test_a_tool_that_is_not_there_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "checks", lambda: {"gone": ["/nonexistent/tool"]})
    with pytest.raises(FileNotFoundError):
        check.main()
