"""Servers that may be killed: each has data of its own, copied from one that is made once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import psycopg

from psqlpy import embedded
from tests.parameters.relays import free_port

_SETTINGS: dict[str, str | int | float] = {
    "fsync": "off",
    "synchronous_commit": "on",
    "max_connections": 66,
    "reserved_connections": 0,
    "superuser_reserved_connections": 3,
    "max_wal_senders": 4,
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class Server:
    """One server on a port of its own, which stays the same; `start`ed and ended any number of times."""

    def __init__(
        self, source: embedded.Server | Server, *, standby: bool = False, parent: str | Path = "/tmp"
    ) -> None:
        """With a copy of another one's data, in a directory of its own below `parent`; a standby streams from it."""
        self._source: embedded.Server = source.made_from if isinstance(source, Server) else source
        self._home = Path(tempfile.mkdtemp(prefix="psqlpy-faults-", dir=parent))
        self._home.chmod(0o755)
        self._running: embedded.Server | None = None
        self.port = free_port()
        data = self._home / "served" / "data"
        copy = [os.path.join(self._source.bin_directory, "pg_basebackup"), "-d", source.dsn, "-D", str(data)]
        copy += ["-c", "fast", "--no-sync", *(["-R"] if standby else [])]
        done = subprocess.run(copy, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        # Which psqlpy.embedded keeps beside data that it keeps.
        password = data / "psqlpy.password"
        password.write_text(str(urlsplit(self._source.dsn).password))
        password.chmod(0o600)
        # A server doesn't run as root, and takes the account that its data belongs to.
        owner = os.stat(self._source.data_directory)
        for path in [data.parent, data, *data.rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    @property
    def made_from(self) -> embedded.Server:
        return self._source

    @property
    def dsn(self) -> str:
        """For TCP, as superuser."""
        return self._source.dsn.replace(f":{self._source.port}/", f":{self.port}/")

    @property
    def directory(self) -> Path:
        """One in which the server may write."""
        return self._home / "served"

    def start(self, **settings: str | int | float) -> None:
        self._running = embedded.start(
            path=self._home / "served", port=self.port, settings={**_SETTINGS, **settings}
        )

    def make_run(self) -> None:
        """Start it unless it runs: a test that fails leaves it as it is then."""
        try:
            self.observe().close()
        except psycopg.OperationalError:
            self.stop()
            self.start()

    def stop(self) -> None:
        """Shut down: the server says so to its clients."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def kill(self) -> None:
        """End the server and all its processes at once, as a machine that stops does, but for the sockets."""
        assert self._running is not None
        children = _children(self._running.pid)
        for pid in [self._running.pid, *children]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.stop()

    def shut_down_when_idle(self) -> None:
        """From the return on new connections are refused; those that there are work on."""
        assert self._running is not None
        os.kill(self._running.pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while True:
            try:
                self.observe().close()
            except psycopg.OperationalError:
                return
            assert time.monotonic() < deadline

    def kill_postmaster(self) -> None:
        """The others notice, and end."""
        assert self._running is not None
        os.kill(self._running.pid, signal.SIGKILL)

    def observe(self) -> psycopg.Connection[Any]:
        """Another driver's session."""
        return psycopg.connect(self.dsn, autocommit=True)

    def await_ready(self, within: float = 20.0) -> None:
        """Wait until it takes connections again."""
        deadline = time.monotonic() + within
        while True:
            try:
                self.observe().close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, f"not ready within {within} s"
                time.sleep(0.02)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)


def _children(pid: int) -> list[int]:
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(entry))
    return found
