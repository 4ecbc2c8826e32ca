"""A kernel of its own for a test, with the tests' interpreter, and what the server knows about its connections."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from psqlpy import sync

ROOT = Path(__file__).resolve().parents[2]
KERNEL_NAME = "psqlpy-tests"


def install_kernelspec() -> None:
    """Write a kernelspec for this interpreter into the temporary directory that tests/conftest.py has set."""
    directory = Path(os.environ["JUPYTER_DATA_DIR"], "kernels", KERNEL_NAME)
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {
        "argv": command,
        "display_name": KERNEL_NAME,
        "language": "python",
        "interrupt_mode": "signal",
        "env": environment(),
    }
    (directory / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def environment() -> dict[str, str]:
    """What a process of these tests needs besides its parent's environment."""
    return {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


class Cell:
    """One executed cell: its outputs, and how long the kernel was at it."""

    def __init__(self) -> None:
        self.results: list[dict[str, str]] = []
        self.stdout = ""
        self.stderr = ""
        self.error = ""
        self.traceback = ""
        self.ended = 0.0

    @property
    def text(self) -> str:
        """The text of the one result."""
        (result,) = self.results
        return result["text/plain"]

    def add(self, kind: str, content: dict[str, Any]) -> None:
        if kind in ("execute_result", "display_data"):
            self.results.append(content["data"])
        elif kind == "stream":
            setattr(self, content["name"], getattr(self, content["name"]) + content["text"])
        elif kind == "error":
            self.error = content["ename"]
            self.traceback = "\n".join(content["traceback"])


class Kernel:
    """A running kernel. `dsn` is known in it, and `app`, the name by which the server knows its connections."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.app = f"kernel {os.urandom(4).hex()}"
        self.manager = KernelManager(kernel_name=KERNEL_NAME)
        self.manager.start_kernel()
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self._greet()

    def _greet(self) -> None:
        self.client.start_channels()
        self.client.wait_for_ready(timeout=50)
        self.run(
            "from psqlpy import ConnectionPool, embedded, sync\n"
            f"dsn = {self.dsn!r}; app = {self.app!r}; options = dict(dsn=dsn, application_name=app)"
        )

    def warm_up(self) -> None:
        """Show tracebacks through the driver: over a file's first one IPython takes long, half a second in all."""
        pools = (
            "warm = {0}ConnectionPool(**options, max_db_pool_size=1, acquire_timeout=0.01)\n"
            "nowhere = {0}ConnectionPool(host='127.0.0.1', port=1, username='u')"
        )
        calls = (
            "{0}warm.execute('SELECT 1/0')",
            "held = {0}warm.connection()\n{0}warm.execute('SELECT 1')",
            "{0}nowhere.execute('SELECT 1')",
        )
        for module, maybe_await in (("", "await "), ("sync.", "")):
            self.run(pools.format(module))
            for call in calls:
                assert self.finish(self.start(call.format(maybe_await))).error
            self.run("held.close()")
        self.run("warm = nowhere = held = None")

    def start(self, code: str) -> str:
        """Send a cell; returns the number to wait for it by."""
        return str(self.client.execute(code))

    def finish(self, number: str, timeout: float = 30.0, until: Callable[[Cell], bool] | None = None) -> Cell:
        """Wait until the cell has ended or, with `until`, has said something."""
        cell = Cell()
        deadline = time.monotonic() + timeout
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
            except Empty:
                raise TimeoutError(f"the cell did not end within {timeout} s") from None
            if message["parent_header"].get("msg_id") != number:
                continue
            content = message["content"]
            cell.add(message["msg_type"], content)
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                cell.ended = time.monotonic()
                return cell
            if until is not None and until(cell):
                return cell

    def run(self, code: str) -> Cell:
        """Execute a cell that must not fail."""
        cell = self.finish(self.start(code))
        assert not cell.error, f"{code}\n{cell.traceback}"
        return cell

    def value(self, code: str) -> str:
        """Execute a cell and return its result's text."""
        return self.run(code).text

    def interrupt(self, number: str) -> tuple[Cell, float]:
        """Press the stop button; returns the cell and the seconds until it ended."""
        began = time.monotonic()
        self.manager.interrupt_kernel()
        cell = self.finish(number)
        return cell, cell.ended - began

    def restart(self, *, hard: bool) -> None:
        """As the notebook's button does it, or after a SIGKILL."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=hard)
        self.client = self.manager.blocking_client()
        self._greet()

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@contextmanager
def running_kernel(dsn: str) -> Iterator[Kernel]:
    kernel = Kernel(dsn)
    try:
        yield kernel
    finally:
        kernel.end()


class Watch:
    """What another session sees of the connections with an application name."""

    def __init__(self, dsn: str) -> None:
        self.pool = sync.ConnectionPool(dsn, max_db_pool_size=1)

    def backends(self, app: str) -> set[int]:
        return self._pids("SELECT pid FROM pg_stat_activity WHERE application_name = $1", app)

    def sleeping(self, app: str) -> set[int]:
        return self._pids(
            "SELECT pid FROM pg_stat_activity WHERE application_name = $1"
            " AND state = 'active' AND query ILIKE '%pg_sleep(60)%'",
            app,
        )

    def _pids(self, query: str, app: str) -> set[int]:
        return {pid for (pid,) in self.pool.fetch(query, [app]).result(as_tuple=True)}


def wait_for(condition: Callable[[], object], within: float, what: str) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.01)
