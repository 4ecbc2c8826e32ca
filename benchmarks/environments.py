"""A virtual environment for each driver, below build/bench, made with pip as peers.txt says, kept until that changes.

psqlpy is installed from a copy of this checkout, so that it is what its users get, and no file of the checkout changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import build_ffi

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "bench"
PEERS = Path(__file__).with_name("peers.txt")
OURS = ("psqlpy", "psqlpy-libpq18")
SOURCES = ("psqlpy", "build_ffi.py", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
SUFFIXES = {".py", ".pyi", ".c", ".h", ".typed", ".toml", ".md", ".in", ""}
# Drivers that share the environment of another.
SHARED = {"psycopg-sync": "psycopg"}


@dataclass(frozen=True)
class Environment:
    """An interpreter, and the directory in which it finds `benchmarks` but not the `psqlpy` of this checkout."""

    python: str
    directory: str

    def command(self, module: str, *arguments: str) -> list[str]:
        return [self.python, "-m", f"benchmarks.{module}", *arguments]

    def variables(self) -> dict[str, str]:
        # Python's own would lead to modules of somebody else's.
        return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


class InstallFailed(Exception):
    """The environment couldn't be made; the message is pip's."""


def requirements(text: str) -> dict[str, list[str]]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    pairs = (line.partition(":")[::2] for line in lines if line)
    return {name.strip(): packages.split() for name, packages in pairs}


def sources() -> Iterator[Path]:
    for name in SOURCES:
        path = ROOT / name
        found: Iterable[Path] = path.rglob("*") if path.is_dir() else [path]
        for file in sorted(found):
            if file.is_file() and file.suffix in SUFFIXES and file.name != "_libpq.c":
                yield file


def digest(name: str, packages: list[str]) -> str:
    total = hashlib.sha256(repr((sys.version, sys.executable, packages)).encode())
    if name in OURS:
        total.update(repr(build_ffi.find_libpq() if name == "psqlpy" else "").encode())
        for path in sources():
            total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def run(command: list[str], **variables: str) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables},
    )
    if done.returncode:
        raise InstallFailed(done.stdout.decode(errors="replace").strip()[-2000:])


def install(directory: Path, name: str, packages: list[str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    python = str(directory / "bin" / "python")
    run([sys.executable, "-m", "venv", str(directory)])
    run([python, "-m", "pip", "install", "--quiet", *packages])
    if name not in OURS:
        return
    copy = directory / "source"
    for path in sources():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    libpq = {"PSQLPY_LIBPQ": "embedded"} if name == "psqlpy-libpq18" else {}
    # With the pinned cffi and setuptools instead of what an isolated build would download.
    run([python, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", str(copy)], **libpq)


def home_of(name: str) -> str:
    """Which environment a driver uses. Without libpq's headers there is only the one with the embedded server's."""
    if name == "psqlpy":
        if os.environ.get("PSQLPY_LIBPQ") == "embedded":
            return "psqlpy-libpq18"
        try:
            build_ffi.find_libpq()
        except build_ffi.LibpqNotFound:
            return "psqlpy-libpq18"
    return SHARED.get(name, name)


def import_path(root: Path = HOME) -> Path:
    """A directory with nothing in it but this package: `python -m` puts the current one first on the path."""
    directory = root / "path"
    directory.mkdir(parents=True, exist_ok=True)
    link = directory / "benchmarks"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(Path(__file__).resolve().parent, target_is_directory=True)
    return directory


def environment_of(name: str) -> Environment:
    """Make the driver's environment unless it is there. Raises InstallFailed."""
    path = str(import_path())
    wanted = requirements(PEERS.read_text(encoding="utf-8"))
    home = home_of(name)
    if home not in wanted:  # no package: its adapter runs here
        return Environment(sys.executable, path)
    directory, stamp = HOME / home, HOME / home / "made-from"
    now = digest(home, wanted[home])
    if not stamp.exists() or stamp.read_text(encoding="ascii") != now:
        print(f"making the environment of {home}: {' '.join(wanted[home])}", flush=True)
        install(directory, home, wanted[home])
        stamp.write_text(now, encoding="ascii")
    return Environment(str(directory / "bin" / "python"), path)
