"""Helpers of these tests: owners in processes of their own, psql, and waiting for processes and paths to go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from psqlpy._embedded.installation import find_binaries

ROOT = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0
HAS_PROC = Path("/proc/self/stat").exists()
PSQL = os.path.join(find_binaries(), "bin", "psql")

# Starts a server as sys.argv[1] says, describes it in one line, then does what sys.argv[2] says.
OWNER = """
import json, os, sys, time
from psqlpy import embedded
server = embedded.start(**json.loads(sys.argv[1]))
names = ("dsn", "pid", "port", "directory", "data_directory", "socket_directory", "socket_dsn")
print(json.dumps({name: getattr(server, name) for name in names}), flush=True)
exec(sys.argv[2])
"""


class Owner:
    """A process that owns a server, in a session of its own."""

    def __init__(
        self, then: str, options: Mapping[str, Any], environment: Mapping[str, str], prologue: str = ""
    ) -> None:
        command = [sys.executable, "-c", prologue + OWNER, json.dumps(dict(options)), then]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.server: dict[str, Any] = {}

    def read_server(self) -> dict[str, Any]:
        self.server = json.loads(self.read_line())
        return self.server

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def leftovers(self, within: float = 3.0) -> list[str]:
        """Return what is left of the server after so many seconds: process and directories."""
        paths = [self.server["directory"], self.server["socket_directory"]]
        return left_of([self.server["pid"]], paths, within)


@contextmanager
def owner(
    then: str = "sys.stdin.read()",
    *,
    environment: Mapping[str, str] | None = None,
    prologue: str = "",
    started: bool = True,
    **options: Any,
) -> Iterator[Owner]:
    """Run an owner; kill it with its children at the end."""
    running = Owner(then, options, environment or {}, prologue)
    try:
        if started:
            running.read_server()
        yield running
    finally:
        for pid in [running.process.pid, *descendants(running.process.pid)]:
            with_no_error(pid, signal.SIGKILL)
        with_no_error(running.process.pid, signal.SIGKILL, group=True)
        running.process.communicate()


def with_no_error(pid: int, number: int, group: bool = False) -> None:
    try:
        (os.killpg if group else os.kill)(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def psql(dsn: str, sql: str, **environment: str) -> str:
    """Return what psql prints; its error, on failure."""
    run = psql_process(dsn, sql, **environment)
    output, error = run.communicate(timeout=30)
    return output.strip() if run.returncode == 0 else error.strip()


def psql_process(dsn: str, sql: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PSQL, "-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", sql],
        env={"PATH": os.environ.get("PATH", ""), "PGCONNECT_TIMEOUT": "10", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def password_of(dsn: str) -> str:
    return str(urlsplit(dsn).password)


def parent_of(pid: int) -> int:
    return processes()[pid][0]


def descendants(pid: int) -> list[int]:
    table = processes()
    return [child for child in table if pid in ancestors(child, table)]


def ancestors(pid: int, table: Mapping[int, tuple[int, str]] | None = None) -> list[int]:
    table, found = processes() if table is None else table, []
    while pid in table and (pid := table[pid][0]) > 0:
        found.append(pid)
    return found


def processes() -> dict[int, tuple[int, str]]:
    """Return parent and state of every process."""
    found = {}
    if HAS_PROC:
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                fields = Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry)] = (int(fields[1]), fields[0])
        return found
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    for line in table.stdout.splitlines():
        pid, parent, state = line.split()[:3]
        found[int(pid)] = (int(parent), state)
    return found


# On Linux ps is a package of its own, which small systems lack; /proc is always there.


def uid_of(pid: int) -> int:
    if HAS_PROC:
        return os.stat(f"/proc/{pid}").st_uid
    return int(_ps("-o", "uid=", "-p", str(pid)))


def command_of(pid: int) -> bytes:
    """The command line that everybody may see."""
    if HAS_PROC:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    return _ps("-ww", "-o", "args=", "-p", str(pid))


def environment_of(pid: int) -> bytes:
    if HAS_PROC:
        return Path(f"/proc/{pid}/environ").read_bytes()
    return _ps("eww", "-p", str(pid))


def _ps(*arguments: str) -> bytes:
    return subprocess.run(["ps", *arguments], capture_output=True, check=True).stdout


def left_of(pids: list[int], paths: list[str], within: float = 3.0) -> list[str]:
    """Wait until these processes and paths are gone; return those still there after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        table = processes()
        left = [f"process {pid}" for pid in pids if pid in table and table[pid][1][0] != "Z"]
        left += [path for path in paths if os.path.lexists(path)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)
