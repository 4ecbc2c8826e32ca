"""pgpool-II and HAProxy in front of two servers: both are used, and one is enough."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from psqlpy import exceptions, sync
from tests.parameters.clusters import Cluster
from tests.poolers.conftest import program
from tests.poolers.programs import HAProxy, Pgpool, Program, wait_for

pytestmark = pytest.mark.backend("sync")

# Which server answers; stable, so that pgpool may ask a standby.
WHERE = "SELECT current_setting('port')::int4"


def make_pool(server: Cluster, front: Program, prepared: bool) -> sync.ConnectionPool:
    return sync.ConnectionPool(
        **server.parameters(port=front.port),
        ssl_mode="disable",
        max_db_pool_size=4,
        prepared=prepared,
        timeout=10,
    )


def succeeds(call: Callable[[], object], port: int) -> bool:
    try:
        return call() == port
    except exceptions.Error:
        # Connections through the server that is gone, each of which is found out once.
        return False


def test_haproxy(pair: tuple[Cluster, Cluster]) -> None:
    primary, standby = pair
    front = HAProxy(program("haproxy"), primary, standby)
    try:
        with make_pool(primary, front, prepared=True) as pool:
            connections = [pool.connection() for _ in range(4)]
            assert {connection.fetch_val(WHERE) for connection in connections} == {primary.port, standby.port}
            for connection in connections:
                connection.close()
            primary.stop()
            begun = time.monotonic()
            wait_for(lambda: succeeds(lambda: pool.fetch_val(WHERE), standby.port))
            assert time.monotonic() - begun < 5
            assert [pool.fetch_val(WHERE) for _ in range(4)] == [standby.port] * 4
    finally:
        front.stop()


def test_pgpool(pair: tuple[Cluster, Cluster]) -> None:
    primary, standby = pair
    front = Pgpool(program("pgpool2"), primary, standby)
    try:
        # A prepared statement stays with the server that it was prepared on.
        with make_pool(primary, front, prepared=False) as pool:
            pool.execute("CREATE TABLE somewhere (id int4, name text)")
            pool.execute_many("INSERT INTO somewhere VALUES ($1, $2)", [[n, str(n)] for n in range(100)])
            with pool.acquire() as connection:
                connection.copy_records_to_table("somewhere", [[100, "a"]])
                with connection.transaction() as transaction:
                    transaction.execute("INSERT INTO somewhere VALUES (101, 'b')")
                    # Behind a write in its transaction, also reading is the primary's.
                    assert transaction.fetch_val(WHERE) == primary.port
            # It asks from time to time which server is which.
            wait_for(lambda: pool.fetch_val(WHERE) == standby.port)
            # The standby may not have heard of the table yet.
            wait_for(lambda: succeeds(lambda: pool.fetch_val("SELECT count(*) FROM somewhere"), 102))
            standby.stop()
            begun = time.monotonic()
            wait_for(lambda: succeeds(lambda: pool.fetch_val(WHERE), primary.port))
            assert time.monotonic() - begun < 10
            pool.execute("DROP TABLE somewhere")
    finally:
        front.stop()
