"""The fuzz targets: each runs for a while without a finding, and what is broken is found."""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from build_ffi import find_libpq
from tests.tools.checkout import ROOT, copy_checkout
from tools import fuzz

RUNS = 100_000


@pytest.fixture(scope="module")
def clang() -> str:
    found = fuzz.find_clang()
    if found is None:
        pytest.skip(fuzz.NOT_FOUND)
    return found


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/fuzz.py", *arguments], cwd=root, capture_output=True, text=True, timeout=800
    )


def test_all_fit_what_they_call() -> None:
    """With the compiler that the module is built with: most who change the C have no libFuzzer."""
    includes = [*find_libpq().includes, str(fuzz.FFI), sysconfig.get_path("include")]
    command = [*shlex.split(sysconfig.get_config_var("CC")), "-fsyntax-only", "-Werror"]
    done = subprocess.run(
        [*command, *(f"-I{path}" for path in includes), *map(str, sorted(fuzz.FUZZ.glob("*.c")))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("clang")
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_nothing_is_found(target: str) -> None:
    assert any((fuzz.FUZZ / "corpus" / target).iterdir())
    done = run(ROOT, "--runs", str(RUNS), target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUNS:,} executions  {target}" in done.stdout


# A check of the C that is left out, and the target that misses it.
CHECKS = {
    "writer": ("stream.c", "if (!has_room(out, 9))", "if (!has_room(out, 1))"),
    "cell": ("container.c", "if (in->end - in->at < 4)", "if (in->end - in->at < 3)"),
    "fields": ("fields.c", "if (end - at < 8)", "if (end - at < 1)"),
    "rows": ("decode.c", "start < 0 || start >= stop", "start >= stop"),
    "copy_rows": ("copy.c", "length > end - at ||", "length > end - at + 1 ||"),
    "copy_take": ("copy.c", "if (buffer->size == 0)", "if (buffer->size != 0)"),
    "records": ("records.c", "in->end - in->at < 5", "in->end - in->at < 1"),
    "parameters": ("send.c", "if (*packed++ != '\\0')", "if (*packed++ == 127)"),
}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("clang")
def test_each_target_finds_what_is_broken(tmp_path: Path) -> None:
    assert set(CHECKS) == set(fuzz.TARGETS)
    root = tmp_path / "checkout"
    copy_checkout(root)
    for target, (name, check, weaker) in CHECKS.items():
        source = root / "psqlpy" / "_ffi" / name
        text = source.read_text(encoding="utf-8")
        assert check in text
        source.write_text(text.replace(check, weaker), encoding="utf-8")
        done = run(root, "--runs", str(RUNS), target)
        assert done.returncode == 1 and f"FAILED  {target}" in done.stdout, f"{target}: {done.stdout}"
        assert list((root / "build/fuzz/findings").glob(f"{target}-*"))
        source.write_text(text, encoding="utf-8")


def test_without_clang_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "find_clang", lambda: None)
    monkeypatch.setattr(sys, "argv", ["fuzz.py"])
    with pytest.raises(SystemExit, match="install clang and libclang-rt-dev"):
        fuzz.main()
