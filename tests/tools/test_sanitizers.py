"""The C module built with AddressSanitizer and UBSan: the tests that go through all of it without an event loop."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.checkout import copy_checkout

FLAGS = "-fsanitize=address,undefined"
GCC = (
    shutil.which("gcc") if sys.platform == "linux" and platform.python_implementation() == "CPython" else None
)


def library(name: str) -> str:
    assert GCC is not None
    return subprocess.check_output([GCC, f"-print-file-name={name}"], text=True).strip()


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A checkout with such a module, and the environment to run it in."""
    if GCC is None or not all(Path(library(name)).is_absolute() for name in ("libasan.so", "libubsan.so")):
        pytest.skip("gcc's sanitizers are not here: install gcc (on Linux)")
    root = tmp_path_factory.mktemp("sanitized") / "checkout"
    copy_checkout(root)
    flags = f"{FLAGS} -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"
    subprocess.run(
        [sys.executable, "build_ffi.py", "--inplace"],
        cwd=root,
        env={**os.environ, "CC": GCC, "PSQLPY_CFLAGS": flags, "PSQLPY_LDFLAGS": FLAGS},
        check=True,
    )
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
        # What Python keeps until the end isn't a leak, and of its small objects each has to be seen apart.
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(root),
    }
    return root, environment


def run(sanitized: tuple[Path, dict[str, str]], *command: str, dsn: str) -> subprocess.CompletedProcess[str]:
    root, environment = sanitized
    environment = {**environment, "PSQLPY_TEST_DSN": dsn}
    return subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tests", ["tests/unit", "tests/codecs"])
def test_no_report_of_the_sanitizers(sanitized: tuple[Path, dict[str, str]], tests: str, dsn: str) -> None:
    # Everything is several times as slow: no deadline of hypothesis's, nor the usual ones of pytest's.
    options = ["-q", "-p", "no:cacheprovider", "-m", "not long", "--hypothesis-profile=ci", "--timeout=300"]
    done = run(sanitized, "-m", "pytest", tests, *options, "-o", "faulthandler_timeout=0", dsn=dsn)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert "AddressSanitizer" not in done.stdout and "runtime error" not in done.stdout


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_report_ends_the_process(sanitized: tuple[Path, dict[str, str]], dsn: str) -> None:
    reading = (
        "from psqlpy._pq.module import ffi, lib\n"
        "columns = ffi.new('psq_decode_column[]', [(lib.PSQ_KIND_TEXT, 0, 0, 0)])\n"
        "types = ffi.new('Oid[]', [25])\n"
        "room = ffi.new('char[]', 8)\n"
        "buffer = ffi.new('psq_decode_buffer *', {'data': room, 'capacity': 8000})\n"
        "value = (1).to_bytes(4, 'big') + (25).to_bytes(4, 'big') + (99).to_bytes(4, 'big') + bytes(99)\n"
        "lib.psq_decode_fields(value, len(value), 1, types, columns, buffer)\n"
    )
    done = run(sanitized, "-c", reading, dsn=dsn)
    assert done.returncode != 0 and "heap-buffer-overflow" in done.stdout, done.stdout
