"""One server for the tests that only look at one, and a directory that every user can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from psqlpy import embedded
from tests.embedded.processes import left_of


@pytest.fixture(scope="package")
def shared() -> Iterator[embedded.Server]:
    with embedded.start() as server:
        yield server


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory of mode 0755: pytest's own ones are closed to the user that root runs a server as."""
    path = Path(tempfile.mkdtemp(prefix="psqlpy test's "))
    path.chmod(0o755)
    yield path
    left_of([], [str(entry) for entry in path.glob("psqlpy-*")])
    shutil.rmtree(path)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """An empty one."""
    with open_directory() as path:
        yield path


@pytest.fixture(scope="package")
def kept() -> Iterator[str]:
    """One with a server's data, for tests that aren't about how these are made: initdb is half of a start."""
    with open_directory() as path:
        embedded.start(path=path).stop()
        yield str(path)
