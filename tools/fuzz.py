"""Fuzz the C: build the targets of fuzz/ with clang's libFuzzer, AddressSanitizer and UBSan, and run them.

`python tools/fuzz.py [--runs N] [target ...]`, as many targets at a time as there are processors. What they have found
that is worth mutating is kept in build/fuzz/corpus, so that the next run goes on from there. An input that breaks
something is written to build/fuzz/findings, and its report is printed. No server, no Python and no connection is
needed: results are made with libpq's own functions, and of the rest libpq's part is played by the target.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from build_ffi import Libpq, find_libpq, run_time_flags  # noqa: E402  (from this directory's parent)

FFI = ROOT / "psqlpy" / "_ffi"
FUZZ = ROOT / "fuzz"
BUILT = ROOT / "build" / "fuzz"

_CELL = ("cell", "container", "stream")
_COPY = ("copy", "pump", "capabilities")
# Each target, and what it is linked with. What is missing of it the target plays itself.
TARGETS: dict[str, tuple[str, ...]] = {
    "cell": _CELL,
    "fields": ("fields", *_CELL),
    "rows": ("decode", *_CELL),
    "writer": ("stream",),
    "copy_rows": _COPY,
    "copy_take": ("copy",),
    "records": ("records", "record_cell", "record_numeric", *_CELL, *_COPY),
    "parameters": ("send",),
}
SANITIZERS = "-fsanitize=fuzzer,address,undefined"
FLAGS = ("-g", "-O2", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all")
# Longer inputs find nothing more, and take longer.
LONGEST_INPUT = 512

NOT_FOUND = (
    "there is no clang with libFuzzer: install clang and libclang-rt-dev (Debian, Ubuntu), clang and compiler-rt "
    "(Fedora) or llvm (Homebrew), or set CLANG to the path of clang"
)


@cache
def find_clang() -> str | None:
    """A clang that can link a fuzzer; Apple's can't."""
    for clang in filter(
        None, (os.environ.get("CLANG"), shutil.which("clang"), "/opt/homebrew/opt/llvm/bin/clang")
    ):
        with tempfile.TemporaryDirectory(prefix="psqlpy-fuzz-") as directory:
            source = Path(directory, "empty.c")
            source.write_text(
                "int LLVMFuzzerTestOneInput(const char *data, long size) { return data && size < 0; }\n"
            )
            command = [clang, SANITIZERS, str(source), "-o", str(source.with_suffix(""))]
            try:
                if subprocess.run(command, capture_output=True).returncode == 0:
                    return clang
            except OSError:
                pass
    return None


def build(clang: str, libpq: Libpq, target: str) -> None:
    sources = [FUZZ / f"{target}.c", FUZZ / "marshal.c", FUZZ / "gil.c"]
    sources += [FFI / f"{name}.c" for name in TARGETS[target]]
    includes = [*libpq.includes, str(FFI), sysconfig.get_path("include")]
    command = [clang, SANITIZERS, *FLAGS, *(f"-I{path}" for path in includes), *map(str, sources)]
    command += [*(f"-L{path}" for path in libpq.libraries), *run_time_flags(libpq.run_time), "-lpq"]
    done = subprocess.run([*command, "-o", str(BUILT / target)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def fuzz(target: str, runs: int) -> tuple[bool, str]:
    """Whether it has passed, and what there is to say: a line, or libFuzzer's report."""
    corpus, findings = BUILT / "corpus" / target, BUILT / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    command = [
        str(BUILT / target),
        f"-runs={runs}",
        f"-max_len={LONGEST_INPUT}",
        "-timeout=20",
        "-verbosity=0",
    ]
    command += ["-print_final_stats=1", f"-artifact_prefix={findings}/{target}-"]
    begun = time.monotonic()
    done = subprocess.run(
        [*command, str(corpus), str(FUZZ / "corpus" / target)],
        env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=8"},  # else it costs a third more
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = done.stdout.decode(errors="replace")
    executed = re.search(r"stat::number_of_executed_units: +(\d+)", output)
    if done.returncode or executed is None:
        return False, output
    seconds = time.monotonic() - begun
    return True, f"ok      {seconds:7.1f} s  {int(executed[1]):12,} executions  {target}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the C.")
    parser.add_argument(
        "targets", nargs="*", choices=[[], *TARGETS], metavar="target", help=", ".join(TARGETS)
    )
    parser.add_argument("--runs", type=int, default=10_000_000, help="executions of each target")
    arguments = parser.parse_args()
    targets = arguments.targets or list(TARGETS)
    clang = find_clang()
    if clang is None:
        raise SystemExit(NOT_FOUND)
    BUILT.mkdir(parents=True, exist_ok=True)
    libpq = find_libpq()
    failed = []

    def build_and_fuzz(target: str) -> tuple[bool, str]:
        build(clang, libpq, target)
        return fuzz(target, arguments.runs)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as executor:
        for target, (passed, report) in zip(targets, executor.map(build_and_fuzz, targets), strict=True):
            print(report if passed else f"FAILED  {target}\n{report.rstrip()}", flush=True)
            if not passed:
                failed.append(target)
    if failed:
        raise SystemExit(
            f"failed: {', '.join(failed)}; to run one input: {BUILT}/<target> <path of the input>"
        )


if __name__ == "__main__":
    main()
