"""A server to be harmed, made once and mended by each test that harms it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psycopg
import pytest

from psqlpy import embedded
from tests.faults.servers import Server
from tests.shells.observing import Observer


@pytest.fixture(scope="session")
def origin() -> Iterator[embedded.Server]:
    """What the others' data is copied from; nobody harms it."""
    if sys.platform != "linux":
        pytest.skip("these tests look for the server's processes in /proc")
    with embedded.start() as server:
        yield server


@pytest.fixture(scope="session")
def only_server(origin: embedded.Server) -> Iterator[Server]:
    with Server(origin) as server:
        yield server


@pytest.fixture
def server(only_server: Server) -> Server:
    """It runs, whatever the test before has left."""
    only_server.make_run()
    return only_server


@pytest.fixture
def observer(dsn: str) -> Iterator[Observer]:
    """Another driver's session on the server of all tests."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Observer(connection)
