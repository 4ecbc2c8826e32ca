"""One data directory and its server, from initdb to the removal of all that a throw-away server leaves."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from typing import Any

from psqlpy._embedded.accounts import (
    Account,
    StartError,
    choose_account,
    copy_installation,
    create_file,
    hand_over,
    is_reachable,
    make_directory,
    process_options,
    run_as,
    write_file,
)
from psqlpy._embedded.owner import Owner
from psqlpy._embedded.processes import kill_family

PORT_ATTEMPTS = 10
PASSWORD_FILE = "psqlpy.password"
# A socket's path has at most 103 bytes on macOS, 107 on Linux; "/.s.PGSQL.65535" follows the directory.
SOCKET_DIRECTORY_BYTES = 103 - 15
# After the owner's end all is gone within 3 s: up to 1.2 + 0.8 s for the server, the rest for the directory.
LOCK_TIMEOUT = 5.0
FAST_SHUTDOWN, FAST_SHUTDOWN_WHEN_ASKED, IMMEDIATE_SHUTDOWN = 1.2, 30.0, 0.8


def quoted(text: str) -> str:
    """Quote a value for postgresql.conf."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A server as the owner's configuration asks for it.

    `home` is the directory that keeps the data (None for a throw-away server); the first of the temporary
    directories holds the log, the configuration, throw-away data, and the socket if its path isn't too long.
    """

    def __init__(self, config: dict[str, Any], owner: Owner) -> None:
        self._config, self._owner = config, owner
        self._deadline = time.monotonic() + config["timeout"]
        self._home: str | None = config["path"]
        self._account: Account | None = None
        self._directories: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._serving = False  # whether `_process` is the server, not initdb

    def start(self) -> dict[str, Any]:
        """Make and start the server; return what the owner is told about it."""
        config, home = self._config, self._home
        account = self._account = choose_account(home and os.path.join(home, "data"))
        if home is not None:
            self._open_home(home, account)
        directory, sockets = self._make_directories(account)
        data = os.path.join(home or directory, "data")
        installation = config["installation"]
        if account is not None and not run_as(account, lambda: is_reachable(installation)):
            installation = copy_installation(installation, os.path.join(directory, "install"))
        settings, password = (os.path.join(directory, name) for name in ("postgresql.conf", PASSWORD_FILE))
        write_file(settings, f"include {quoted(os.path.join(data, 'postgresql.conf'))}\n{config['settings']}")
        write_file(password, config["password"])
        with open(create_file(os.path.join(directory, "log")), "ab") as log:
            for path in (settings, password, sockets, directory):  # root writes nothing in there from here on
                hand_over(path, account)
            options = process_options(account) | {"stdout": log, "stderr": log, "cwd": directory}
            if not os.path.isdir(data):
                self._init(os.path.join(installation, "bin", "initdb"), data, password, account, options)
            os.unlink(password)
            quoted_sockets = '"' + sockets.replace('"', '""') + '"'
            command = [os.path.join(installation, "bin", "postgres"), "-D", data]
            command += ["-c", f"config_file={settings}", "-c", f"unix_socket_directories={quoted_sockets}"]
            port, pid = self._launch(command, data, options)
        if home is not None:
            with open(os.open(os.path.join(data, PASSWORD_FILE), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                config["password"] = file.read().decode()
        found = {"pid": pid, "port": port, "password": config["password"], "data_directory": data}
        return found | {"directory": directory, "socket_directory": sockets}

    def log(self) -> str:
        """Return the last lines of the server's log, or of initdb's."""
        if not self._directories:
            return ""
        with contextlib.suppress(OSError), open(os.path.join(self._directories[0], "log"), "rb") as file:
            return b"".join(file.readlines()[-20:]).decode(errors="replace")
        return ""

    def watch(self) -> None:
        """Wait for the end of the owner (OwnerGone); collect the server's exit status should it end first."""
        while True:
            self._owner.wait(0.5)
            if self._process is not None:
                self._process.poll()

    def stop(self, asked: bool) -> None:
        """End the server, at once where nothing is kept, and remove the temporary directories."""
        if self._serving:
            if self._home is not None:
                self._end(signal.SIGINT, FAST_SHUTDOWN_WHEN_ASKED if asked else FAST_SHUTDOWN)
            self._end(signal.SIGQUIT, IMMEDIATE_SHUTDOWN)
        if self._process is not None and self._process.poll() is None:
            kill_family(self._process.pid, self._account)
            self._process.wait()
        deadline = time.monotonic() + 1
        while self._directories and time.monotonic() < deadline:  # a killed backend may still write
            shutil.rmtree(self._directories[-1], ignore_errors=True)
            if not os.path.lexists(self._directories[-1]):
                self._directories.pop()

    # --- steps of start and stop ----------------------------------------------------------------------

    def _open_home(self, home: str, account: Account | None) -> None:
        """Make and lock the directory that keeps the data; a server that is ending there gets time."""
        made = False
        try:
            os.mkdir(home, 0o700)
            made = True
            hand_over(home, account)
        except FileExistsError:  # perhaps made by another start at this moment: the lock decides
            if not os.path.isdir(home):
                raise
        if account is not None and not run_as(account, lambda: os.access(home, os.X_OK)):
            if made:
                os.rmdir(home)
            raise StartError(
                f"root runs the server as {account.name}, who can't reach {home}: use another path"
            )
        lock = os.open(os.path.join(home, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        deadline = min(self._deadline, time.monotonic() + LOCK_TIMEOUT)
        while True:  # the lock lasts as long as this process
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.monotonic() > deadline:
                raise StartError(f"another server uses {home}: stop that one first")
            self._owner.wait(0.05)

    def _make_directories(self, account: Account | None) -> tuple[str, str]:
        """Make the temporary directory and, if its path is too long for one, another for the socket."""
        parents = [self._config["temporary_directory"]]
        if account is not None:
            parents += ["/tmp", "/var/tmp"]
        self._directories.append(make_directory(parents, account))
        if len(os.fsencode(self._directories[0])) > SOCKET_DIRECTORY_BYTES:
            self._directories.append(make_directory(["/tmp"], account))
        return self._directories[0], self._directories[-1]

    def _init(
        self, initdb: str, data: str, password: str, account: Account | None, options: dict[str, Any]
    ) -> None:
        """Run initdb; data to keep is made beside its place, so that what stands there is always complete."""
        target = data
        if self._home is not None:
            target = data + ".new"
            shutil.rmtree(target, ignore_errors=True)
            os.mkdir(target, 0o700)
            hand_over(target, account)
        command = [initdb, "-D", target, "--username=postgres"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--no-instructions", *self._config["initdb_options"]]
        self._process = subprocess.Popen(command, **options)
        while self._process.poll() is None:
            self._wait("initdb didn't end")
        if self._process.returncode != 0:
            raise StartError(f"initdb failed with exit status {self._process.returncode}")
        if self._home is not None:
            kept = os.path.join(target, PASSWORD_FILE)
            if not run_as(account, lambda: write_file(kept, self._config["password"])):
                raise StartError(f"{kept} can't be written")
            os.rename(target, data)

    def _launch(self, command: list[str], data: str, options: dict[str, Any]) -> tuple[int, int]:
        """Start the server and wait until it accepts connections; another port if somebody took this one."""
        for _ in range(PORT_ATTEMPTS):
            port = self._config["port"] or free_port()
            logged = os.fstat(options["stdout"].fileno()).st_size
            process = self._process = subprocess.Popen([*command, "-p", str(port)], **options)
            self._serving = True
            while process.poll() is None:
                self._wait("the server accepted no connections")
                if self._is_ready(data, process.pid):
                    return port, process.pid
            with open(os.path.join(self._directories[0], "log"), "rb") as log:
                log.seek(logged)
                port_was_taken = b"Address already in use" in log.read()
            if self._config["port"] or not port_was_taken:
                break
        raise StartError("the server ended at once")

    def _wait(self, what: str) -> None:
        if time.monotonic() > self._deadline:
            raise StartError(f"{what} within {self._config['timeout']:g} s")
        self._owner.wait(0.01)

    def _is_ready(self, data: str, pid: int) -> bool:
        """Read the state that the server keeps in its lock file (miscadmin.h, LOCK_FILE_LINE_PM_STATUS)."""
        with contextlib.suppress(OSError), open(os.path.join(data, "postmaster.pid"), "rb") as file:
            lines = file.read().split(b"\n")
            return len(lines) > 7 and int(lines[0]) == pid and lines[7].strip() == b"ready"
        return False

    def _end(self, how: signal.Signals, seconds: float) -> None:
        """Signal the server and wait for its end, at most `seconds`."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
