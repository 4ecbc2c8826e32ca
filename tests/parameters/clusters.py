"""Servers of the system's PostgreSQL, for what the embedded one can't do: TLS, and a streaming standby.

Each lives in a directory of its own under /tmp, listens on 127.0.0.1 and on a socket there, and ends with the tests.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psycopg

from tests.parameters.certificates import Certificates
from tests.parameters.relays import free_port

SUPERUSER = "postgres"
PASSWORD = "as secret as it gets"
# pg_hba refuses one of them without TLS and the other one with it.
TLS_ONLY, PLAIN_ONLY = "tls_only", "plain_only"

_PROGRAMS = ("initdb", "postgres", "pg_basebackup", "pg_config")
_START_TIMEOUT = 30.0
_HBA = f"""
local     all          all           trust
local     replication  all           trust
hostnossl all          {TLS_ONLY}    127.0.0.1/32  reject
hostssl   all          {PLAIN_ONLY}  127.0.0.1/32  reject
host      all          all           127.0.0.1/32  scram-sha-256
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "max_connections": "40",
    "max_wal_senders": "3",
    "shared_buffers": "16MB",
}


def find_programs() -> Path | None:
    """The directory of an installation with a server that has TLS, the newest one; None if there is none."""
    candidates = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0,
        reverse=True,
    )
    for command in filter(None, (os.environ.get("PG_CONFIG"), "pg_config")):
        if shutil.which(command):
            found = subprocess.run([command, "--bindir"], capture_output=True, text=True, check=False)
            candidates.append(Path(found.stdout.strip()))
    for directory in candidates:
        if all((directory / name).exists() for name in _PROGRAMS) and _has_tls(directory):
            return directory
    return None


def _has_tls(directory: Path) -> bool:
    """Whether it was built with OpenSSL; the embedded server's, which is found too, wasn't."""
    command = [str(directory / "pg_config"), "--configure"]
    return "ssl" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


class Cluster:
    """A running server."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._options = run_options()
        self._process: subprocess.Popen[bytes] | None = None
        self.host = "127.0.0.1"
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="psqlpy-", dir="/tmp"))
        self._data = self.directory / "data"
        self._give(self.directory)

    @classmethod
    def primary(cls, programs: Path, certificates: Certificates) -> Cluster:
        """A server that takes connections with TLS and without, and standbys."""
        cluster = cls(programs)
        try:
            password = cluster._file("password", PASSWORD)
            what: list[str | Path] = ["-D", cluster._data, "-U", SUPERUSER, "-N", "-E", "UTF8", "--locale=C"]
            cluster._run("initdb", *what, "--auth=scram-sha-256", f"--pwfile={password}")
            settings = {
                "hba_file": cluster._file("hba", _HBA),
                "ssl": "on",
                "ssl_cert_file": cluster._file("server.crt", certificates.server.read_text()),
                "ssl_key_file": cluster._file("server.key", certificates.key.read_text()),
            }
            cluster._start({**_SETTINGS, **settings})
            with cluster.observe() as observer:
                for name in (TLS_ONLY, PLAIN_ONLY):
                    observer.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'".encode())
        except BaseException:
            cluster.stop()
            raise
        return cluster

    @classmethod
    def standby_of(cls, primary: Cluster) -> Cluster:
        """A server that streams from another one; without TLS."""
        cluster = cls(primary._programs)
        try:
            source: list[str | Path] = ["-h", primary.directory, "-p", str(primary.port), "-U", SUPERUSER]
            cluster._run("pg_basebackup", *source, "-D", cluster._data, "-R", "-c", "fast", "--no-sync")
            cluster._start({**_SETTINGS, "hba_file": cluster._file("hba", _HBA), "ssl": "off"})
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def parameters(self, **others: Any) -> dict[str, Any]:
        """What a pool needs to connect as superuser by TCP, without TLS settings."""
        own = {"host": self.host, "port": self.port}
        return {"username": SUPERUSER, "password": PASSWORD, "db_name": "postgres", **own, **others}

    def observe(self) -> psycopg.Connection[Any]:
        """Another driver's session, by the socket."""
        return psycopg.connect(
            host=str(self.directory), port=self.port, user=SUPERUSER, dbname="postgres", autocommit=True
        )

    def stop(self) -> None:
        """End the server and remove its directory."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # nothing has to be kept
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, settings: Mapping[str, str]) -> None:
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data, "-p", str(self.port)]
        command += ["-k", self.directory]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self._log() as log:
            self._process = subprocess.Popen(
                [*dying_with_us(), *map(str, command)], stdout=log, stderr=log, **self._options
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                self.observe().close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not start: {self._words()}") from error
            time.sleep(0.02)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        with self._log() as log:
            done = subprocess.run(
                command, stdout=log, stderr=log, timeout=_START_TIMEOUT, check=False, **self._options
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {self._words()}")

    def _log(self) -> IO[bytes]:
        return open(self.directory / "log", "ab")

    def _words(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def _file(self, name: str, content: str) -> str:
        path = self.directory / name
        path.write_text(content)
        path.chmod(0o600)
        self._give(path)
        return str(path)

    def _give(self, path: Path) -> None:
        if "user" in self._options:
            shutil.chown(path, self._options["user"], self._options["group"])


def run_options() -> dict[str, Any]:
    """Popen's arguments: PostgreSQL refuses to run as root, and nothing of our environment is for it."""
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}
    options: dict[str, Any] = {
        "env": environment,
        "stdin": subprocess.DEVNULL,
        "cwd": "/",
        "start_new_session": True,
    }
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")  # comes with the package
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return options


def dying_with_us() -> Sequence[str]:
    """What has the server end should the tests be killed; only Linux has it."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "QUIT"]
