"""psqlpy.embedded: when a server and its directory end, and when they don't."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from psqlpy import embedded
from psqlpy._embedded import link
from psqlpy._embedded.cluster import Cluster
from psqlpy._embedded.owner import Owner
from tests.embedded.processes import (
    ancestors,
    left_of,
    owner,
    parent_of,
    password_of,
    psql,
    psql_process,
)

# --- the owner ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_owner_takes_server_and_directory_with_it(how: signal.Signals) -> None:
    with owner() as running:
        busy = [
            psql_process(running.server["dsn"], sql)
            for sql in ("SELECT pg_sleep(60)", "DO 'BEGIN LOOP END LOOP; END'")
        ]
        ready = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^(SELECT pg_s|DO)' AND state = 'active'"
        while psql(running.server["dsn"], ready) != "2":
            assert [process.poll() for process in busy] == [None, None]
        running.process.send_signal(how)
        assert running.leftovers() == []
        for process in busy:
            process.communicate(timeout=5)


@pytest.mark.parametrize("how", ["pass", "os._exit(0)", "raise RuntimeError"])
def test_an_owner_that_ends_by_itself_takes_the_server_with_it(how: str, kept: str) -> None:
    # What happens without data to keep is shown with an owner that is killed.
    with owner(then="sys.stderr.close()\n" + how, path=kept) as running:
        assert running.leftovers() == []


def shared_memory_of(pid: int) -> list[str]:
    maps = Path(f"/proc/{pid}/maps")
    return re.findall(r"/dev/shm/PostgreSQL\.\d+", maps.read_text()) if maps.exists() else []


def segments_of(pids: list[int]) -> list[str]:
    """Return the System V segments that were made by these processes."""
    table = Path("/proc/sysvipc/shm")
    rows = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
    return [row[1] for row in rows if int(row[4]) in pids]


def test_a_server_that_hangs_is_killed_and_its_shared_memory_removed() -> None:
    with owner() as running:
        pids = [running.server["pid"]]
        query = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        pids += map(int, psql(running.server["dsn"], query).split())
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if sys.platform == "linux":
            assert segments_of(pids) != []
        memory = {path for pid in pids for path in shared_memory_of(pid)}
        running.process.kill()
        assert running.leftovers() == []
        assert left_of(pids, list(memory), within=0) == []
        assert segments_of(pids) == []


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        (signal.SIGKILL, "log"),
        (signal.SIGKILL, "data/base"),
        (signal.SIGKILL, "data/pg_stat"),
        (signal.SIGKILL, ".s.PGSQL.*"),
        (signal.SIGINT, "data/base"),
    ],
)
def test_an_owner_that_ends_during_the_start_leaves_nothing(
    how: signal.Signals, moment: str, open_path: Path
) -> None:
    with owner(environment={"TMPDIR": str(open_path)}, started=False, then="") as running:
        while not list(open_path.glob(f"psqlpy-*/{moment}")):
            assert running.process.poll() is None
        running.process.send_signal(how)
        running.process.wait(10)
        assert left_of([], [str(path) for path in open_path.iterdir()]) == []


def test_an_interrupt_while_the_supervisor_starts_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = subprocess.Popen.wait
    launched: list[subprocess.Popen[bytes]] = []

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if launched:
            return wait(process, timeout)
        launched.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    before = set(link._open_links)
    with pytest.raises(KeyboardInterrupt):
        embedded.start()
    assert link._open_links == before  # so the supervisor's end of the pipe has been seen to close
    assert launched[0].returncode == 0


# --- children of the owner ------------------------------------------------------------------------

WAIT = "time.sleep(60)"
CHILDREN = {
    "forked": f"if os.fork() == 0: {WAIT}",
    "forked in C": f"import ctypes\nif ctypes.CDLL(None).fork() == 0: {WAIT}",
    "multiprocessing": "import multiprocessing\n"
    "multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,)).start()",
    "inheriting": "import subprocess; subprocess.Popen(['sleep', '60'], close_fds=False)",
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_a_child_of_the_owner_does_not_keep_the_server(kind: str, kept: str) -> None:
    then = f"{CHILDREN[kind]}\nprint('here', flush=True)\nsys.stdin.read()"
    with owner(then=then, path=kept) as running:
        assert running.read_line() == "here\n"
        running.process.kill()
        running.process.wait()
        assert running.leftovers() == []


def test_a_child_does_not_keep_it_either_where_processes_have_no_descriptors(
    open_path: Path, kept: str
) -> None:
    """On macOS, and on Linux before 5.3."""
    script = open_path / "supervisor.py"
    script.write_text(
        "import os, runpy\n"
        "if hasattr(os, 'pidfd_open'): del os.pidfd_open\n"
        f"runpy.run_path({link._SUPERVISOR!r}, run_name='__main__')\n"
    )
    prologue = f"from psqlpy._embedded import link; link._SUPERVISOR = {str(script)!r}\n"
    then = f"{CHILDREN['forked in C']}\nprint('here', flush=True)\nsys.stdin.read()"
    with owner(then=then, prologue=prologue, path=kept) as running:
        assert running.read_line() == "here\n"
        running.process.kill()
        running.process.wait()
        assert running.leftovers() == []


def test_a_forked_child_does_not_end_the_server(kept: str) -> None:
    ends = ("server.stop()", "os._exit(0)", "sys.exit()", "del server; import gc; gc.collect()")
    then = "".join(f"if os.fork() == 0:\n    {end}; os._exit(0)\nos.wait()\n" for end in ends)
    then += "print('here', flush=True)\nsys.stdin.read()"
    with owner(then=then, path=kept) as running:
        assert running.read_line() == "here\n"
        assert psql(running.server["dsn"], "SELECT 1") == "1"


def test_server_and_supervisor_are_outside_of_the_owners_family(shared: embedded.Server) -> None:
    pids = (os.getpid(), parent_of(shared.pid), shared.pid)
    assert len({os.getpgid(pid) for pid in pids}) == len({os.getsid(pid) for pid in pids}) == 3
    assert os.getpid() not in ancestors(shared.pid)


# --- signals that aren't meant for it -------------------------------------------------------------


def test_ctrl_c_in_the_owners_group_leaves_the_server_alone(kept: str) -> None:
    """What a terminal's Ctrl-C and a notebook's stop button do; the owner goes on."""
    then = "import signal\nsignal.signal(signal.SIGINT, lambda *_: os.write(1, b'interrupted\\n'))\n"
    with owner(then=then + "print('here', flush=True)\nsys.stdin.read()", path=kept) as running:
        assert running.read_line() == "here\n"
        started = psql(running.server["dsn"], "SELECT pg_postmaster_start_time()")
        for _ in range(3):
            os.killpg(running.process.pid, signal.SIGINT)
            assert running.read_line() == "interrupted\n"
        assert psql(running.server["dsn"], "SELECT pg_postmaster_start_time()") == started


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_the_supervisor_ignores_the_keyboard_but_ends_in_order(how: signal.Signals, kept: str) -> None:
    with owner(path=kept) as running:
        supervisor = parent_of(running.server["pid"])
        for ignored in (signal.SIGINT, signal.SIGQUIT):
            os.kill(supervisor, ignored)
        assert psql(running.server["dsn"], "SELECT pg_sleep(0.2), 1") == "|1"
        assert parent_of(running.server["pid"]) == supervisor
        os.kill(supervisor, how)
        assert running.leftovers() == []


def test_if_the_supervisor_is_killed_the_server_goes_too() -> None:
    with embedded.start() as server:
        os.kill(parent_of(server.pid), signal.SIGKILL)
        if sys.platform == "linux":
            assert left_of([server.pid], []) == []
        server.stop()
        assert left_of([server.pid], [server.directory]) == []


def test_a_server_that_died_is_noticed_and_can_be_stopped() -> None:
    with embedded.start() as server:
        os.kill(server.pid, signal.SIGQUIT)
        assert left_of([server.pid], []) == []
        deadline = time.monotonic() + 3
        while server.running:
            assert time.monotonic() < deadline
        assert "stopped" in repr(server)
        assert "immediate shutdown" in server.log()
    assert left_of([], [server.directory], within=0) == []


# --- path= ----------------------------------------------------------------------------------------


def test_path_keeps_data_and_password_between_runs(open_path: Path) -> None:
    path = open_path / "it's kept"
    with embedded.start(path=path) as first:
        assert psql(first.dsn, "CREATE TABLE kept AS SELECT 42 AS answer") == ""
        assert psql(first.dsn, "SELECT setting FROM pg_settings WHERE name = 'fsync'") == "on"
        assert repr(str(path)) in repr(first)
    assert left_of([first.pid], [first.directory], within=0) == []
    with embedded.start(path=str(path), settings={"work_mem": "6MB"}) as second:
        assert psql(second.dsn, "SELECT answer FROM kept") == "42"
        assert psql(second.dsn, "SHOW work_mem") == "6MB"
        assert password_of(second.dsn) == password_of(first.dsn)
        assert "shut down" in second.log() and "not properly shut down" not in second.log()


def test_without_path_nothing_waits_for_the_disk(shared: embedded.Server) -> None:
    settings = "SELECT DISTINCT setting FROM pg_settings WHERE name IN "
    assert psql(shared.dsn, settings + "('fsync', 'synchronous_commit', 'full_page_writes')") == "off"


def test_path_survives_a_killed_owner_and_is_free_at_once(kept: str) -> None:
    with owner(path=kept) as running:
        sql = "CREATE TABLE kept AS SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) AS g"
        assert psql(running.server["dsn"], sql) == ""
        running.process.kill()
        with embedded.server(path=kept) as dsn:
            assert psql(dsn, "SELECT count(*) FROM kept; DROP TABLE kept") == "20000"
        assert running.leftovers(within=0) == []
    assert sorted(os.listdir(kept)) == ["data", "lock"]


def test_a_start_that_was_killed_leaves_a_path_that_works(open_path: Path) -> None:
    with owner(path=str(open_path), started=False, then="") as running:
        while not (open_path / "data.new" / "base").exists():
            assert running.process.poll() is None
        running.process.kill()
    with embedded.server(path=open_path) as dsn:
        assert psql(dsn, "SELECT 1") == "1"
    assert sorted(path.name for path in open_path.iterdir()) == ["data", "lock"]


def test_a_path_that_another_start_makes_at_the_same_time(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def second(path: str, mode: int) -> None:
        mkdir(path, mode)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", second)
    home = open_path / "home"
    process = Cluster({"timeout": 10.0, "path": str(home)}, cast(Owner, None))
    process._open_home(str(home), None)
    assert (home / "lock").exists()


def test_one_path_serves_one_server_at_a_time(kept: str) -> None:
    with embedded.server(path=kept) as dsn:
        with pytest.raises(RuntimeError, match="already: stop that one first"):
            embedded.start(path=kept)
        code = f"from psqlpy import embedded; embedded.start(path={kept!r}, timeout=0.5)"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "another server uses" in run.stderr
        assert psql(dsn, "SELECT 1") == "1"
