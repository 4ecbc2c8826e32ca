"""What every test shares: a server, and an environment that depends on nothing of the user's."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

pytest_plugins = ["tests.loops", "tests.distribution", "tests.reporting"]

# With the usual 4,096 rounds of SHA-256 passwords would be half of what most tests compute: each opens connections of
# its own.
SETTINGS = {"max_connections": "300", "scram_iterations": "1"}


def pytest_configure(config: pytest.Config) -> None:
    """Hide libpq's variables from the tests, and keep IPython and Jupyter from writing into the home directory."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell starts what runs in the background. Programs that tests start, and interrupt, would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("PG") and name != "PG_CONFIG"]:
        del os.environ[name]
    directory = tempfile.TemporaryDirectory(prefix="psqlpy-tests-")
    config.add_cleanup(directory.cleanup)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        os.environ[name] = os.path.join(directory.name, name.lower())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests may take five times as long as others, where nothing else says how long they may."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Thousands of tests are a million objects, which no garbage collection within a test needs to look at."""
    if len(session.items) > 1000:
        # What is frozen can't be found as the owner of anything, which hypothesis looks for when it is imported.
        import hypothesis  # noqa: F401

        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A superuser on the server of PSQLPY_TEST_DSN, or on an embedded one that lives as long as the tests."""
    from psqlpy import embedded, sync

    given = os.environ.get("PSQLPY_TEST_DSN")
    if given and "PYTEST_XDIST_WORKER" in os.environ:
        # Of its own for each process: one domain or operator says of all statements in a database that they may not be
        # shared, and that is what tests in another process count on.
        name = f"psqlpy_tests_{os.getpid()}"
        with sync.ConnectionPool(given, max_db_pool_size=1) as pool:
            pool.execute(f"CREATE DATABASE {name}")
            try:
                yield urlsplit(given)._replace(path=f"/{name}").geturl()
            finally:
                pool.execute(f"DROP DATABASE {name} WITH (FORCE)")
        return
    if given:
        yield given
        return

    with embedded.server(settings=SETTINGS) as started:
        with sync.ConnectionPool(started) as pool:
            # The password is as the server was made with it, with the usual number.
            pool.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{urlsplit(started).password}'")
        yield started
