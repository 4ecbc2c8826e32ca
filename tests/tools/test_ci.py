"""What CI runs, with make and apt-get that only say how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

APT = 'echo "apt-get $* $DEBIAN_FRONTEND" >>"$CALLS"'
MAKE = 'echo "make $1 $PSQLPY_NO_SKIP" >>"$CALLS"; [ "$1" != "$FAILING" ]'


class Machine:
    """A checkout with nothing but .ci/run in it, and a PATH with these commands only."""

    def __init__(self, root: Path, present: dict[str, str]) -> None:
        self._root = root
        self._path, self._calls = root / "bin", root / "calls"
        (root / "it's a clone" / ".ci").mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "run", root / "it's a clone" / ".ci")
        self._path.mkdir()
        for name in ("bash", "dirname"):
            (self._path / name).symlink_to(str(shutil.which(name)))
        for name, script in present.items():
            (self._path / name).write_text(f"#!{self._path / 'bash'}\n{script}\n")
            (self._path / name).chmod(0o755)

    def run(self, failing: str = "") -> tuple[int, list[str]]:
        """Exit code, and what was called."""
        done = subprocess.run(
            ["bash", self._root / "it's a clone" / ".ci" / "run"],
            env={"PATH": str(self._path), "CALLS": str(self._calls), "FAILING": failing},
            cwd=self._root,
            capture_output=True,
            text=True,
        )
        return done.returncode, self._calls.read_text().splitlines()


def test_what_is_missing_is_installed_first(tmp_path: Path) -> None:
    code, calls = Machine(tmp_path, {"apt-get": APT, "make": MAKE}).run()
    assert code == 0
    update, install, *made = calls
    assert update == "apt-get update -q noninteractive"
    command, *packages = install.removesuffix(" noninteractive").split(" --no-install-recommends ")
    assert command == "apt-get install -q -y"
    # Whether the server is there isn't asked of the PATH.
    wanted = {"git", "gcc", "libpq-dev", "openssl", "python3", "python3-dev", "python3-venv"}
    assert set(" ".join(packages).split()) - {"postgresql"} == wanted
    assert made == ["make check 1", "make test 1"]


@pytest.mark.skipif(
    not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="no server is installed"
)
def test_nothing_is_installed_where_nothing_is_missing(tmp_path: Path) -> None:
    there = dict.fromkeys(("git", "gcc", "pg_config", "openssl", "python3"), "true")
    code, calls = Machine(tmp_path, {**there, "apt-get": APT, "make": MAKE}).run()
    assert (code, calls) == (0, ["make check 1", "make test 1"])


@pytest.mark.parametrize("failing", ["check", "test"])
def test_one_that_fails_fails_the_run_and_hides_no_other(tmp_path: Path, failing: str) -> None:
    code, calls = Machine(tmp_path, {"apt-get": "true", "make": MAKE}).run(failing)
    assert code != 0
    assert calls == ["make check 1", "make test 1"]


def test_a_failing_installation_ends_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"apt-get": APT + "; false", "make": MAKE})
    code, calls = machine.run()
    assert code != 0
    assert calls == ["apt-get update -q noninteractive"]


def test_it_can_be_executed() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
