"""`make demo` in a fresh clone, where it is hardest: a path with a space and a quote, no root, no headers of libpq.

It installs from the network. With libpq's headers it is what .ci/run begins with.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.checkout import copy_checkout

HIDDEN = {"pg_config", "pkg-config", "pkgconf"}


class Clone:
    """A clone with a home directory, a temporary one and a PATH of its own, all under `root`."""

    def __init__(self, root: Path) -> None:
        self.home, self.temporary = root / "home", root / "temporary directory"
        self._path, self._checkout = root / "path", root / "it's a clone"
        for directory in (self.home, self.temporary, self._path):
            directory.mkdir()
        copy_checkout(self._checkout)
        self._fill_path()
        self._python = sys._base_executable  # type: ignore[attr-defined]  # CPython's, undocumented: not the venv's
        self._as_somebody: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (root, *root.rglob("*")):
                if not path.is_symlink():
                    os.chown(path, nobody.pw_uid, nobody.pw_gid)
            self._as_somebody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            if not self._can_run(self._python):
                self._python = "/usr/bin/python3"  # the other one is in root's home directory

    def _fill_path(self) -> None:
        """All commands but those that know where libpq's headers are."""
        for directory in os.get_exec_path():
            if os.path.isdir(directory):
                for name in os.listdir(directory):
                    if name not in HIDDEN and not os.path.lexists(self._path / name):
                        (self._path / name).symlink_to(os.path.join(directory, name))

    def _can_run(self, program: str) -> bool:
        try:
            return subprocess.run([program, "-V"], capture_output=True, **self._as_somebody).returncode == 0
        except PermissionError:
            return False

    def make(self, target: str) -> tuple[str, float]:
        """What it printed, and how long it took."""
        began = time.monotonic()
        done = subprocess.run(
            [str(shutil.which("make")), target],
            cwd=self._checkout,
            env={
                "HOME": str(self.home),
                "TMPDIR": str(self.temporary),
                "PATH": str(self._path),
                "PYTHON": self._python,
                "LANG": "C.UTF-8",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._as_somebody,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout, time.monotonic() - began


@pytest.fixture
def clone() -> Iterator[Clone]:
    root = Path(tempfile.mkdtemp(prefix="psqlpy-clone-"))
    root.chmod(0o755)  # pytest's own directories are closed to other users
    yield Clone(root)
    shutil.rmtree(root)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="Homebrew's libpq is found without a PATH")
def test_the_demo_in_a_fresh_clone(clone: Clone) -> None:
    clone.home.chmod(0o555)
    output, seconds = clone.make("demo")
    assert "building with the libpq of the embedded server, which has no TLS" in output
    assert "5000 orders loaded" in output
    for way in ("asyncio", "uvloop", "trio", "threads"):
        assert f"\n{way}  " in output
    if os.getloadavg()[1] < 2 * (os.cpu_count() or 1):  # what it takes in company is the company's matter
        assert seconds < 180
    # A demo needs no linters; they come now, and once.
    assert "set up in" in clone.make("setup")[0]
    output, seconds = clone.make("setup")
    assert "set up in" not in output
    assert seconds < 10
    assert [*clone.home.iterdir(), *clone.temporary.iterdir()] == []
