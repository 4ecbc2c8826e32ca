"""One server for the tests that only look at one, and a directory that every user can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from psqlpy import embedded
from tests.embedded.processes import left_of


@pytest.fixture(scope="package")
def shared() -> Iterator[embedded.Server]:
    with embedded.start() as server:
        yield server


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory of mode 0755: pytest's own ones are closed to the user that root runs a server as."""
    path = Path(tempfile.mkdtemp(prefix="psqlpy test's "))
    path.chmod(0o755)
    yield path
    left_of([], [str(entry) for entry in path.glob("psqlpy-*")])
    shutil.rmtree(path)
