"""PgBouncer, pgpool-II and HAProxy: each in a directory of its own under /tmp, on a free port of 127.0.0.1.

They run as an unprivileged user, as PgBouncer insists, and end with the tests.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.parameters.clusters import SUPERUSER, Cluster, dying_with_us, run_options
from tests.parameters.relays import free_port

_START_TIMEOUT = 20.0

# By Debian's package: the program, which may be where only root looks.
PROGRAMS = {"pgbouncer": "pgbouncer", "pgpool2": "pgpool", "haproxy": "haproxy"}


def find_program(package: str) -> str | None:
    """The path of a package's program; None if it isn't installed."""
    name = PROGRAMS[package]
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


class Program:
    """A pooler or proxy that runs. `files` are written into its directory, `%d` in them being that directory."""

    def __init__(self, command: list[str], files: Mapping[str, str], port: int) -> None:
        self.port = port
        self.directory = Path(tempfile.mkdtemp(prefix="psqlpy-pooler-", dir="/tmp"))
        self._options = run_options()
        self._give(self.directory)
        for name, content in files.items():
            path = self.directory / name
            path.write_text(content.replace("%d", str(self.directory)))
            path.chmod(0o600)
            self._give(path)
        self._command = [*dying_with_us(), *(word.replace("%d", str(self.directory)) for word in command)]
        self.start()

    def start(self) -> None:
        """Begin, or begin again, on the same port."""
        with open(self.directory / "output", "ab") as output:
            self.process = subprocess.Popen(self._command, stdout=output, stderr=output, **self._options)
        try:
            wait_for(self._listens)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End it without a word to anybody."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the program and remove its directory."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def words(self) -> str:
        """What it has said."""
        return (self.directory / "output").read_text(errors="replace")[-4000:]

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args!r} does not start: {self.words()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _give(self, path: Path) -> None:
        if "user" in self._options:
            shutil.chown(path, self._options["user"], self._options["group"])


def wait_for(condition: Callable[[], object], timeout: float = _START_TIMEOUT) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


class PgBouncer(Program):
    """PgBouncer in front of one server, which is reached by TCP. `settings` are those of its section [pgbouncer]."""

    def __init__(self, path: str, dsn: str, mode: str, **settings: object) -> None:
        server = conninfo_to_dict(dsn)
        port = free_port()
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": "%d/users",
            "admin_users": server["user"],
            "pool_mode": mode,
            "max_client_conn": 500,
            "default_pool_size": 60,
            **settings,
        }
        text = "[databases]\n* = host={host} port={port}\n[pgbouncer]\n".format(
            host=server.get("hostaddr") or server["host"], port=server.get("port") or 5432
        )
        text += "".join(f"{name} = {value}\n" for name, value in lines.items())
        files = {"pgbouncer.ini": text, "users": '"{user}" "{password}"\n'.format(**server)}
        super().__init__([path, "%d/pgbouncer.ini"], files, port)
        self.dsn = make_conninfo(dsn, host="127.0.0.1", hostaddr="127.0.0.1", port=port)
        self._admin_dsn = make_conninfo(self.dsn, dbname="pgbouncer")

    def ask(self, command: str) -> list[dict[str, object]]:
        """The answer of its console."""
        with psycopg.connect(self._admin_dsn, autocommit=True) as console:
            console.prepare_threshold = None
            cursor = psycopg.ClientCursor(console)
            cursor.execute(command)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor] if names else []

    @property
    def version(self) -> tuple[int, ...]:
        said = str(next(iter(self.ask("SHOW VERSION")[0].values())))
        return tuple(int(part) for part in said.split()[-1].split("."))


class Pgpool(Program):
    """pgpool-II in front of a primary and its standby, which it reaches by their sockets."""

    def __init__(self, path: str, primary: Cluster, standby: Cluster) -> None:
        port = free_port()
        lines: dict[str, object] = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "pcp_port": free_port(),
            "pcp_listen_addresses": "127.0.0.1",
            "unix_socket_directories": "%d",
            "pcp_socket_dir": "%d",
            "pid_file_name": "%d/pid",
            "work_dir": "%d",
            "logdir": "%d",
            "backend_clustering_mode": "streaming_replication",
            "num_init_children": 8,
            "enable_pool_hba": "off",
            "load_balance_mode": "on",
            "statement_level_load_balance": "on",
            "sr_check_period": 1,
            "sr_check_user": SUPERUSER,
            "health_check_period": 1,
            "health_check_user": SUPERUSER,
            "health_check_max_retries": 0,
        }
        for number, cluster in enumerate((primary, standby)):
            lines[f"backend_hostname{number}"] = cluster.directory
            lines[f"backend_port{number}"] = cluster.port
            lines[f"backend_weight{number}"] = number  # what may be read elsewhere is read on the standby
            lines[f"backend_flag{number}"] = "ALLOW_TO_FAILOVER"
        text = "".join(f"{name} = '{value}'\n" for name, value in lines.items())
        files = {"pgpool.conf": text, "pool_hba.conf": "", "pcp.conf": ""}
        words = [path, "-n", "-f", "%d/pgpool.conf", "-a", "%d/pool_hba.conf", "-F", "%d/pcp.conf"]
        super().__init__(words, files, port)


class HAProxy(Program):
    """HAProxy in front of several servers, in turn; who doesn't take connections is left out."""

    def __init__(self, path: str, *servers: Cluster) -> None:
        port = free_port()
        lines = [
            "defaults",
            "  mode tcp",
            "  timeout connect 2s",
            "  timeout client 60s",
            "  timeout server 60s",
            "  retries 1",
            "  option redispatch 1",
            "listen postgres",
            f"  bind 127.0.0.1:{port}",
            "  balance roundrobin",
            "  option pgsql-check user postgres",
            "  default-server check inter 100ms fall 2 rise 1 on-marked-down shutdown-sessions",
        ]
        for number, server in enumerate(servers):
            lines.append(f"  server s{number} {server.host}:{server.port}")
        super().__init__(
            [path, "-db", "-f", "%d/haproxy.cfg"], {"haproxy.cfg": "\n".join(lines) + "\n"}, port
        )
