"""Poolers and proxies in front of the tests' server, or of servers of the system's PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests._async.conftest import table
from tests.parameters.certificates import Certificates
from tests.parameters.clusters import Cluster, find_programs
from tests.parameters.conftest import certificates
from tests.poolers.programs import PgBouncer, find_program

__all__ = ["certificates", "pair", "session_mode", "table", "transaction_mode"]


def program(package: str) -> str:
    """The path of a package's program, for a test that is skipped without it."""
    path = find_program(package)
    if path is None:
        pytest.skip(f"{package} is not installed (Debian: apt-get install {package})")
    return path


def bouncer(dsn: str, mode: str) -> Iterator[PgBouncer]:
    path = program("pgbouncer")
    if str(conninfo_to_dict(dsn).get("host", "/")).startswith("/"):
        pytest.skip("PSQLPY_TEST_DSN names a Unix socket: these tests need TCP")
    started = PgBouncer(path, dsn, mode)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def session_mode(dsn: str) -> Iterator[PgBouncer]:
    yield from bouncer(dsn, "session")


@pytest.fixture(scope="module")
def transaction_mode(dsn: str) -> Iterator[PgBouncer]:
    yield from bouncer(dsn, "transaction")


@pytest.fixture
def pair(certificates: Certificates) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby, which a test may stop."""
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server with TLS is installed (Debian: apt-get install postgresql)")
    primary = Cluster.primary(programs, certificates)
    try:
        standby = Cluster.standby_of(primary)
        yield primary, standby
        standby.stop()
    finally:
        primary.stop()
