"""What is harmed: a server and its standby, each on a disk of its own, proxies in front of them, and PgBouncer.

Whoever connects by `dsn` finds the primary by itself; PgBouncer is told where it is. What was reported as stored
is on the standby too, so that it may take the primary's place at any moment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import psycopg

from psqlpy import embedded
from tests.faults.servers import Server
from tests.hostile.proxy import Proxy
from tests.poolers.programs import PgBouncer, find_program

# A standby that lost its primary asks again so soon; small, since the disk is in memory.
SETTINGS: dict[str, str | int | float] = {
    "wal_retrieve_retry_interval": "100ms",
    "max_wal_size": "128MB",
    "hot_standby": "on",
}
POOLER = {
    "default_pool_size": 20,
    # It would let all wait for 15 s after one connection couldn't be made.
    "server_login_retry": 0.2,
    "server_connect_timeout": 2,
}
PATIENCE = 20.0


class Disk:
    """A file system in memory, which can be full from one moment to the next; a directory where none can be mounted."""

    SIZE = "2g"

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="psqlpy-soak-", dir="/tmp"))
        self.path.chmod(0o755)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self.SIZE},mode=755", "tmpfs", str(self.path)]
        self.mounted = (
            shutil.which("mount") is not None and not subprocess.run(mount, capture_output=True).returncode
        )

    def fill(self) -> None:
        """From now on it is as large as what is on it."""
        used = os.statvfs(self.path)
        self._resize(f"{(used.f_blocks - used.f_bfree) * used.f_frsize // 1024}k")

    def make_room(self) -> None:
        if self.mounted:
            self._resize(self.SIZE)

    def _resize(self, size: str) -> None:
        # What is written meanwhile makes it too small: again.
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], capture_output=True)

    def remove(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=True)
        shutil.rmtree(self.path, ignore_errors=True)


class Place:
    """One of the two: a disk, the server on it, and the proxy in front of it."""

    def __init__(
        self, source: embedded.Server | Server, proxy: Proxy | None = None, *, standby: bool = False
    ) -> None:
        self.disk = Disk()
        self.server = Server(source, standby=standby, parent=self.disk.path)
        self.server.start(**SETTINGS)
        self.proxy = proxy or Proxy(self.address).__enter__()
        self.proxy.retarget(self.address)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    def end(self) -> None:
        """All but the proxy."""
        self.disk.make_room()
        self.server.__exit__(None, None, None)
        self.disk.remove()


class Scene:
    """A context manager."""

    def __init__(self, origin: embedded.Server) -> None:
        self.primary = Place(origin)
        self.standby = Place(self.primary.server, standby=True)
        self._for_pooler = Proxy(self.primary.address).__enter__()
        self.proxies = [self.primary.proxy, self.standby.proxy, self._for_pooler]
        program = find_program("pgbouncer")
        at_pooler = self._dsn([self._for_pooler.port])
        self.pooler = PgBouncer(program, at_pooler, "session", **POOLER) if program else None
        #: Through the proxies.
        self.dsn = self._dsn(
            [self.primary.proxy.port, self.standby.proxy.port], "target_session_attrs=read-write"
        )
        self._be_synchronous()

    def _dsn(self, ports: list[int], options: str = "") -> str:
        login = urlsplit(self.primary.server.dsn).netloc.rpartition("@")[0]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://{login}@{hosts}/postgres?{options}".rstrip("?")

    @property
    def server(self) -> Server:
        """The primary."""
        return self.primary.server

    @property
    def direct(self) -> str:
        """To the primary, as it is now."""
        return self.server.dsn

    def _be_synchronous(self) -> None:
        """From now on the primary says that something is stored when its standby has it."""
        with self.server.observe() as observer:
            observer.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            observer.execute("SELECT pg_reload_conf()")
        self._await_standby()

    def _await_standby(self) -> None:
        deadline = time.monotonic() + PATIENCE
        states = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
        while True:
            with self.server.observe() as observer:
                row = observer.execute(states).fetchone()
            if row == (1,):
                return
            if time.monotonic() > deadline:
                raise psycopg.OperationalError("the standby doesn't follow")
            time.sleep(0.05)

    def fail_over(self) -> None:
        """The primary dies, the standby takes its place, and gets a standby of its own."""
        self._await_standby()
        old, self.primary = self.primary, self.standby
        old.server.kill()
        with self.server.observe() as observer:
            observer.execute("SELECT pg_promote()")
        self._for_pooler.retarget(self.primary.address)
        # Its standby's settings came with the data of a primary that waited for none.
        old.end()
        self.standby = Place(self.server, old.proxy, standby=True)
        self._be_synchronous()

    def start(self) -> None:
        """Backends of a server that was killed are there for another moment, and keep the next one from starting."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.server.start(**SETTINGS)
                return
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def mend(self) -> None:
        for proxy in self.proxies:
            proxy.restore()
            proxy.delay()
            proxy.split(0)
        for place in (self.primary, self.standby):
            place.disk.make_room()
        try:
            self.server.await_ready()
        except AssertionError:
            self.server.stop()
            self.start()
        self._await_standby()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pooler is not None:
            self.pooler.stop()
        for proxy in self.proxies:
            proxy.__exit__(kind, error, trace)
        for place in (self.standby, self.primary):
            place.end()
