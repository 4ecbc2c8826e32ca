"""A server that has no room left: a clear error, and a connection that works on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from psqlpy import ConnectionPool, exceptions
from tests.faults.servers import Server

pytestmark = pytest.mark.loops(1)


@pytest.fixture
def small_disk(server: Server) -> Iterator[Path]:
    """A file system of 8 MB that the server may write to; only root can make one."""
    path = server.directory / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        path.rmdir()
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        place = path / "tablespace"
        place.mkdir()
        shutil.chown(place, (owner := server.directory.stat()).st_uid, owner.st_gid)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
        path.rmdir()


async def test_disk_full(server: Server, small_disk: Path) -> None:
    async with ConnectionPool(server.dsn, max_db_pool_size=2) as pool:
        await pool.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        try:
            await pool.execute("CREATE TABLE no_room (a text) TABLESPACE small")
            await pool.execute("ALTER TABLE no_room ALTER a SET STORAGE EXTERNAL")
            async with pool.acquire() as connection:
                pid = connection.backend_pid
                rows = [[str(number) * 2000] for number in range(100, 4100)]
                for fill in (
                    lambda: connection.execute_many("INSERT INTO no_room VALUES ($1)", rows),
                    lambda: connection.copy_records_to_table("no_room", records=rows),
                    lambda: connection.execute(
                        "INSERT INTO no_room SELECT unnest($1::text[])", [[r[0] for r in rows]]
                    ),
                ):
                    with pytest.raises(exceptions.DiskFull) as caught:
                        await fill()
                    assert caught.value.sqlstate == "53100" and not caught.value.may_have_committed
                    assert await connection.fetch_val("SELECT count(*) FROM no_room") == 0
                assert connection.backend_pid == pid
                await connection.execute("DROP TABLE no_room")
                await connection.execute("CREATE TABLE no_room (a text) TABLESPACE small")
                await connection.execute("INSERT INTO no_room VALUES ('fits')")
            assert pool.status() == (2, 1, 1, 0)
        finally:
            await pool.execute("DROP TABLE IF EXISTS no_room")
            await pool.execute("DROP TABLESPACE small")


async def test_temporary_files_at_their_limit(dsn: str) -> None:
    options = "-c temp_file_limit=1MB -c work_mem=64kB"
    async with ConnectionPool(dsn, max_db_pool_size=2, options=options) as pool:
        for _ in range(2):
            with pytest.raises(exceptions.ConfigurationLimitExceeded) as caught:
                await pool.fetch("SELECT * FROM generate_series(1, 300000) AS n ORDER BY md5(n::text)")
            assert caught.value.sqlstate == "53400" and not caught.value.may_have_committed
            assert await pool.fetch_val("SELECT 1") == 1
        assert pool.status() == (2, 1, 1, 0)
