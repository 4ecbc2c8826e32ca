"""The soak's scene: what it does to servers, disk and pooler happens, and is mended."""

from __future__ import annotations

import psycopg
import psycopg.errors
import pytest

from psqlpy import embedded
from soak.scene import Scene

COUNT = "SELECT count(*), inet_server_port() FROM soaked GROUP BY 2"


@pytest.mark.long
def test_each_harm() -> None:
    with embedded.start() as origin, Scene(origin) as scene:
        dsns = [scene.dsn, *([scene.pooler.dsn] if scene.pooler else [])]
        with psycopg.connect(scene.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE soaked AS SELECT generate_series(1, 1000)")
        for _ in range(2):
            before = scene.server.port
            scene.fail_over()
            assert scene.server.port != before
            for dsn in dsns:
                with psycopg.connect(dsn, autocommit=True) as connection:
                    assert connection.execute(COUNT).fetchall() == [(1000, scene.server.port)]
        if scene.primary.disk.mounted:
            scene.primary.disk.fill()
            with (
                psycopg.connect(scene.dsn, autocommit=True) as connection,
                pytest.raises(psycopg.errors.DiskFull),
            ):
                for _ in range(1000):
                    connection.execute("INSERT INTO soaked SELECT generate_series(1, 1000)")
            scene.mend()
        with psycopg.connect(scene.dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO soaked VALUES (0)")
        if scene.pooler is not None:
            scene.pooler.kill()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(scene.pooler.dsn)
            scene.pooler.start()
            psycopg.connect(scene.pooler.dsn).close()
