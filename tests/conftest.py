"""What every test shares: a server, the backends, and an environment that depends on nothing of the user's."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest_plugins = ["tests.reporting"]

# With the usual 4,096 rounds of SHA-256 a third of the time of all tests would be spent on passwords: most of them open a
# connection of their own.
SETTINGS = {"max_connections": "300", "scram_iterations": "1"}


def pytest_configure(config: pytest.Config) -> None:
    """Hide libpq's variables from the tests, and keep IPython and Jupyter from writing into the home directory."""
    for name in [name for name in os.environ if name.startswith("PG") and name != "PG_CONFIG"]:
        del os.environ[name]
    directory = tempfile.TemporaryDirectory(prefix="psqlpy-tests-")
    config.add_cleanup(directory.cleanup)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        os.environ[name] = os.path.join(directory.name, name.lower())


BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(
        ("asyncio", {"use_uvloop": True}),
        id="uvloop",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
        ),
    ),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(scope="module", params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Every test that is a coroutine function runs once on each."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A superuser on the server of PSQLPY_TEST_DSN, or on an embedded one that lives as long as the tests."""
    given = os.environ.get("PSQLPY_TEST_DSN")
    if given:
        yield given
        return
    from psqlpy import embedded, sync

    with embedded.server(settings=SETTINGS) as started:
        with sync.ConnectionPool(started) as pool:
            # The password is as the server was made with it, with the usual number.
            pool.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{urlsplit(started).password}'")
        yield started
