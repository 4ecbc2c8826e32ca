"""On Windows the package imports and says what isn't supported. Shown by a process that takes itself for one."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import asyncio, os, sys, threading, uuid, decimal, ipaddress, json, select, signal, socket, subprocess, tempfile
sys.platform = "win32"
for name in ("psqlpy._ffi._libpq", "fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None  # not built, not there
for module, names in (
    (os, ("fork", "register_at_fork", "geteuid", "getuid", "O_CLOEXEC", "O_NOFOLLOW")),
    (select, ("poll", "epoll", "POLLIN", "POLLOUT")),
    (signal, ("SIGHUP", "SIGKILL", "SIGQUIT", "pthread_sigmask")),
    (socket, ("AF_UNIX", "TCP_USER_TIMEOUT")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

import psqlpy, psqlpy.embedded, psqlpy.sync, psqlpy.exceptions, psqlpy.extra_types, psqlpy.row_factories

for make in (psqlpy.ConnectionPool, psqlpy.sync.ConnectionPool, psqlpy.connect):
    try:
        make("postgresql://localhost")
    except psqlpy.exceptions.NotSupportedError as error:
        print(error)
"""


def test_the_package_imports_on_windows_and_a_pool_says_why_not() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("Windows" in line and "WSL" in line for line in lines)


def test_elsewhere_a_missing_module_is_an_import_error_that_says_what_to_do() -> None:
    script = "import sys; sys.modules['psqlpy._ffi._libpq'] = None; import psqlpy"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "build_ffi.py" in done.stderr
