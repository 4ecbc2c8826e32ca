"""The generator of psqlpy/_sqlstates.py: the committed file is current, and a difference is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE_SQLSTATES = ROOT / "tools" / "make_sqlstates.py"


def make_sqlstates(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(MAKE_SQLSTATES), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_generated_file_is_current() -> None:
    run = make_sqlstates("--check")
    assert run.returncode == 0, run.stdout + run.stderr


def test_check_fails_on_any_difference_and_writes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "_sqlstates.py"
    assert make_sqlstates("--check", "--output", output).returncode == 1
    assert not output.exists()
    assert make_sqlstates("--output", output).returncode == 0
    assert output.read_bytes() == (ROOT / "psqlpy" / "_sqlstates.py").read_bytes()
    assert make_sqlstates("--check", "--output", output).returncode == 0
    for edited in (
        output.read_text(encoding="utf-8").replace("UniqueViolation", "Unique"),
        output.read_text(encoding="utf-8") + "\n",
        "",
    ):
        output.write_text(edited, encoding="utf-8")
        run = make_sqlstates("--check", "--output", output)
        assert run.returncode == 1 and "run it and commit the result" in run.stdout
        assert output.read_text(encoding="utf-8") == edited


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unique_violation\n", "check_violation\n", "occurs twice"),
        ("Section: Class 23 -", "Section: Class 24 -", "stands under another class"),
        (
            "Section: Class 54 -",
            "Section: Class 5Z - Z\n5Z000 E Z z\nSection: Class 54 -",
            "has no PEP 249 class",
        ),
        ("23505    E ", "23505    E x y", "not a code, a kind, a macro and a name"),
    ],
)
def test_a_changed_source_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "tools" / "data" / "errcodes.txt").read_text(encoding="utf-8")
    assert old in text
    source, output = tmp_path / "errcodes.txt", tmp_path / "_sqlstates.py"
    source.write_text(text.replace(old, new), encoding="utf-8")
    run = make_sqlstates("--source", source, "--output", output)
    assert run.returncode != 0 and message in run.stderr
    assert not output.exists()
