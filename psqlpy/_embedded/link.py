"""The owner's side of a supervisor: its start, two pipes to it, and their end at exit and in forked children."""

import atexit
import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any

_SUPERVISOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")
_GRACE = 5.0  # seconds a supervisor may need beyond its own bounds

_open_links: set["Link"] = set()
_lock = threading.RLock()  # a signal handler may stop a server while its thread does
_hooks_installed = False


class Link:
    """Our ends of the pipes: the supervisor ends when `lifeline` does, and has cleared up when `reply` ends.

    Both are closed on exec; no process but this one holds them. `found`: what it said about its server.
    """

    def __init__(self, lifeline: int, reply: int, stop_timeout: float) -> None:
        self._lifeline, self._reply, self._stop_timeout = lifeline, reply, stop_timeout
        self.found: dict[str, Any] = {}
        with _lock:
            _open_links.add(self)

    def is_open(self) -> bool:
        return self in _open_links

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        with contextlib.suppress(BrokenPipeError):  # what the supervisor says about its end is worth more
            while view:
                view = view[os.write(self._lifeline, view) :]

    def read_line(self, timeout: float) -> bytes:
        """Return what arrives until a line of JSON is complete, the supervisor ends, or `timeout` is over."""
        deadline, received = time.monotonic() + timeout, b""
        while not re.search(rb"^\{.*\n", received, re.MULTILINE):
            chunk = self._read(deadline)
            if not chunk:
                break
            received += chunk
        return received

    def close(self) -> bool:
        """End the supervisor and wait until it has cleared up; False if it takes too long."""
        if not self._hang_up():
            return True
        deadline = time.monotonic() + self._stop_timeout + _GRACE
        try:
            while chunk := self._read(deadline):
                pass
        finally:
            os.close(self._reply)
        if chunk is not None:
            self._clear_up()
        return chunk is not None

    def _hang_up(self) -> bool:
        """Tell the supervisor to end; False if that happened before."""
        with _lock:
            if self not in _open_links:
                return False
            _open_links.discard(self)
        try:
            self.send(b"stop")
        finally:
            os.close(self._lifeline)
        return True

    def _clear_up(self) -> None:
        """Do what the supervisor couldn't do if it was killed; on Linux the server is gone by itself then."""
        if os.path.isdir(self.found.get("directory", "")):
            lock_file = os.path.join(self.found["data_directory"], "postmaster.pid")  # gone if the server is
            with contextlib.suppress(OSError), open(lock_file, "rb") as file:
                if int(file.readline()) == self.found["pid"]:
                    os.kill(self.found["pid"], signal.SIGQUIT)
            for directory in (self.found["socket_directory"], self.found["directory"]):
                shutil.rmtree(directory, ignore_errors=True)

    def _read(self, deadline: float) -> bytes | None:
        """Return b"" at the end of the reply and None at the deadline."""
        poll = select.poll()
        poll.register(self._reply, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        return os.read(self._reply, 65536)

    def forget(self) -> None:
        for fd in (self._lifeline, self._reply):
            os.close(fd)


def launch(config: dict[str, Any]) -> tuple[Link, dict[str, Any]]:
    """Start a supervisor with this configuration; return the link to it and what it says about its server.

    Raises RuntimeError, with the last lines of the server's log, when the server can't be started.
    """
    _install_hooks()
    link = _start_supervisor(stop_timeout=0.0 if config["path"] is None else 30.0)
    try:
        link.send(json.dumps(config).encode() + b"\n")
        said = link.read_line(config["timeout"] + _GRACE)
        answers = [line for line in said.split(b"\n") if line.startswith(b"{")]
        if not answers:
            said_text = said.decode(errors="replace").strip() or "nothing"
            raise RuntimeError(f"the supervisor of the embedded server failed to start, it said: {said_text}")
        reply: dict[str, Any] = json.loads(answers[0])
        if "error" in reply:
            log = reply["log"].rstrip()
            tail = f"; last lines of its log:\n{log}" if log else ""
            raise RuntimeError(f"the embedded server can't be started: {reply['error']}{tail}")
    except BaseException:  # Ctrl-C while waiting too
        link.close()
        raise
    link.found = reply
    return link, reply


def is_served(data_directory: str) -> bool:
    """Tell whether a server of this process uses that directory."""
    served = [link.found.get("data_directory") for link in _open_links]
    return os.path.realpath(data_directory) in [os.path.realpath(path) for path in served if path]


def _start_supervisor(stop_timeout: float) -> Link:
    if not sys.executable or getattr(sys, "frozen", False):
        raise RuntimeError(
            "psqlpy.embedded can't run its supervisor: sys.executable is no Python interpreter"
        )
    their_lifeline, lifeline = os.pipe()
    reply, their_reply = os.pipe()
    link = Link(lifeline, reply, stop_timeout)
    command = [sys.executable, "-I", "-S", _SUPERVISOR, str(os.getpid())]
    launcher = None
    try:
        try:
            launcher = subprocess.Popen(
                command, stdin=their_lifeline, stdout=their_reply, stderr=their_reply, start_new_session=True
            )
        finally:  # in front of link.close(), which waits for the end of the last copy
            os.close(their_lifeline)
            os.close(their_reply)
        launcher.wait()  # it leaves a process behind that is no child of ours
    except BaseException:  # Ctrl-C too
        link.close()
        if launcher is not None:
            launcher.wait()
        raise
    return link


def _install_hooks() -> None:
    global _hooks_installed
    with _lock:
        if not _hooks_installed:
            _hooks_installed = True
            os.register_at_fork(after_in_child=_forget_all)
            atexit.register(_close_all)


def _forget_all() -> None:
    """Close a forked child's copies: the servers belong to its parent, and must not outlive it."""
    global _lock
    _lock = threading.RLock()
    for link in _open_links:
        link.forget()
    _open_links.clear()


def _close_all() -> None:
    for link in list(_open_links):
        link.close()
