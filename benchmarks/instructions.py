"""Instructions that psqlpy's client takes for everyday calls, counted by callgrind and compared with a committed table.

Times scatter by a third on a busy machine, instructions by half a hundredth: what makes a call dearer is seen in the
commit that does it. What isn't counted: the kernel's work, the server's, and the garbage collector, which is off.

    python -m benchmarks.instructions            # count, and say what differs from the table
    python -m benchmarks.instructions --check    # fail as `make check` does: one has grown by more than 5 % (or WIDER)
    python -m benchmarks.instructions --write    # make this the table: instructions.json, and in docs/performance.md

Another Python or libpq takes other numbers: unless they are the table's own, a difference is told and nothing fails.
It needs valgrind, with its headers, and the server of PSQLPY_TEST_DSN, or an embedded one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psqlpy
import psqlpy.sync
from benchmarks.page import replace
from psqlpy import embedded

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks/instructions.json"
PAGE = ROOT / "docs/performance.md"
TOLERANCE = 0.05
# How often the event loop wakes up meanwhile depends on how soon the server answers.
WIDER = {"COPY of 200 records, asyncio": 0.15, "pool.fetch_row of 100 tasks, asyncio": 0.15}
WARM_UP = 20

SETUP = """
DROP TABLE IF EXISTS counted, counted_copy;
CREATE TABLE counted (id int4 PRIMARY KEY, name text, balance int8, created timestamptz, amount numeric, token uuid);
INSERT INTO counted SELECT i, 'name ' || i, i * 1000, now(), i / 100.0, md5(i::text)::uuid
FROM generate_series(1, 1000) i;
CREATE TABLE counted_copy (id int4, name text, balance int8);
"""
BY_KEY = "SELECT id, name, balance, created FROM counted WHERE id = $1"
ROWS = "SELECT * FROM counted WHERE id <= $1"
INSERT = "INSERT INTO counted_copy VALUES ($1, $2, $3)"
RECORDS = [(number, f"name {number}", number * 1000) for number in range(200)]

Operation = Callable[[int], Awaitable[None]]
# What every loop does, and how often while it is counted.
REPEATED = {"fetch_row": 300}
# What asyncio does besides.
ON_ASYNCIO = {
    "pool.fetch_row": 200,
    "pool.fetch_row of 100 tasks": 1000,
    "acquire, fetch_row, release": 200,
    "transaction of one statement": 100,
    "200 rows as dicts": 30,
    "200 rows as tuples": 30,
    "200 rows as Records": 30,
    "execute_many of 100 rows": 20,
    "COPY of 200 records": 30,
}
# The libraries, by how their names begin, that have a column in the documentation.
COLUMNS = {
    "Python": ("libpython", "python"),
    "libpq": ("libpq",),
    "psqlpy's C": ("_libpq",),
    "cffi": ("_cffi_backend",),
    "C library": ("libc",),
}
LOOPS = ("asyncio", "uvloop", "trio", "sync")


async def operations(dsn: str) -> dict[str, Operation]:
    """By name; each is given how often to do it."""
    pool = psqlpy.ConnectionPool(dsn, max_db_pool_size=2)
    connection = await pool.connection()

    async def fetch_row(count: int) -> None:
        for key in range(1, count + 1):
            (await connection.fetch_row(BY_KEY, [key])).result()

    async def pool_fetch_row(count: int) -> None:
        for key in range(1, count + 1):
            (await pool.fetch_row(BY_KEY, [key])).result()

    async def tasks(count: int) -> None:
        """One connection is held, so the other one is shared by a third of them, and the rest wait for a seat."""

        async def task(first: int) -> None:
            for key in range(first, count + 1, 100):
                (await pool.fetch_row(BY_KEY, [key])).result()

        await asyncio.gather(*(task(first) for first in range(1, 101)))

    async def acquire(count: int) -> None:
        for key in range(1, count + 1):
            async with pool.acquire() as taken:
                (await taken.fetch_row(BY_KEY, [key])).result()

    async def transaction(count: int) -> None:
        for key in range(1, count + 1):
            async with connection.transaction() as block:
                await block.execute(BY_KEY, [key])

    async def dicts(count: int) -> None:
        for _ in range(count):
            (await connection.fetch(ROWS, [200])).result()

    async def tuples(count: int) -> None:
        for _ in range(count):
            (await connection.fetch(ROWS, [200])).result(as_tuple=True)

    async def records(count: int) -> None:
        for _ in range(count):
            (await connection.fetch(ROWS, [200])).records()

    async def many(count: int) -> None:
        for _ in range(count):
            await connection.execute_many(INSERT, RECORDS[:100])

    async def copy(count: int) -> None:
        for _ in range(count):
            await connection.copy_records_to_table("counted_copy", records=RECORDS)

    done = (pool_fetch_row, tasks, acquire, transaction, dicts, tuples, records, many, copy)
    return {"fetch_row": fetch_row, **dict(zip(ON_ASYNCIO, done, strict=True))}


def sync_fetch_row(dsn: str) -> Callable[[int], None]:
    connection = psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1).connection()

    def fetch_row(count: int) -> None:
        for key in range(1, count + 1):
            connection.fetch_row(BY_KEY, [key]).result()

    return fetch_row


# -- in the process that is counted


def work(dsn: str, loop: str, marks: Any) -> None:
    if loop == "sync":
        fetch_row = sync_fetch_row(dsn)
        fetch_row(WARM_UP)
        with counted(marks, "fetch_row"):
            fetch_row(REPEATED["fetch_row"])
        return

    async def main() -> None:
        known = await operations(dsn)
        for name, count in counts(loop).items():
            await known[name](WARM_UP)
            with counted(marks, name):
                await known[name](count)

    if loop == "trio":
        import trio

        trio.run(main)
    elif loop == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


@contextmanager
def counted(marks: Any, name: str) -> Iterator[None]:
    gc.collect()
    gc.disable()
    marks.start()
    yield
    marks.stop(name.encode())
    gc.enable()


def counts(loop: str) -> dict[str, int]:
    return {**REPEATED, **ON_ASYNCIO} if loop == "asyncio" else REPEATED


def make_marks(directory: Path) -> None:
    """A module that tells callgrind when to count: its requests are macros of C."""
    from cffi import FFI

    maker = FFI()
    maker.cdef("void start(void); void stop(const char *name);")
    maker.set_source(
        "_marks",
        """
        #include <valgrind/callgrind.h>
        void start(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
        void stop(const char *name) { CALLGRIND_DUMP_STATS_AT(name); CALLGRIND_STOP_INSTRUMENTATION; }
        """,
    )
    maker.compile(str(directory))


# -- in the process that counts


# In all together, and in each library.
Counts = dict[str, tuple[int, Counter[str]]]


def count_all(dsn: str) -> Counts:
    """Instructions for one of each operation, as `fetch_row, uvloop`."""
    with tempfile.TemporaryDirectory(prefix="psqlpy-instructions-") as name:
        directory = Path(name)
        make_marks(directory)
        with psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
            connection.execute_batch(SETUP)
            try:
                found: Counts = {}
                for loop in LOOPS:
                    found |= count(dsn, loop, directory)
            finally:
                connection.execute_batch("DROP TABLE IF EXISTS counted, counted_copy")
    return found


def count(dsn: str, loop: str, directory: Path) -> Counts:
    out = directory / f"callgrind.{loop}"
    subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--quiet", "--instr-atstart=no", f"--callgrind-out-file={out}"),
            *(sys.executable, "-m", "benchmarks.instructions", "--work", loop, "--dsn", dsn),
        ],
        check=True,
        cwd=directory,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": f"{directory}{os.pathsep}{ROOT}"},
        stdout=subprocess.DEVNULL,
        timeout=300,
    )
    found = {}
    names: dict[str, str] = {}
    for dump in sorted(directory.glob(f"{out.name}.*"), key=lambda path: int(path.suffix[1:])):
        text = dump.read_text(encoding="utf-8", errors="replace")
        trigger = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
        if trigger and total:
            name = trigger[1].strip()
            times = counts(loop)[name]
            libraries = Counter({key: round(cost / times) for key, cost in by_library(text, names).items()})
            found[f"{name}, {loop}"] = round(int(total[1]) / times), libraries
    return found


def by_library(dump: str, names: dict[str, str]) -> Counter[str]:
    """What each object file has of a dump's instructions (Valgrind's manual, "Callgrind Format Specification").

    `names` are those that this dump or one before it has given numbers to.
    """
    costs: Counter[str] = Counter()
    library, inclusive = "", False
    for line in dump.splitlines():
        if line.startswith(("ob=", "cob=")):  # where the function is, and where the called one
            kind, _, name = line.partition("=")
            number, _, path = name.partition(" ")
            if path:
                names[number] = Path(path).name.partition(".")[0]
            if kind == "ob":
                library = names[number]
        elif line.startswith("calls="):
            inclusive = True  # the next line's cost is the called function's, which has its own
        elif line[:1] in "+-*0123456789" and line:
            if not inclusive:
                costs[library] += int(line.split()[1])
            inclusive = False
    return costs


def made_with() -> dict[str, str]:
    """What else decides how many there are."""
    return {
        "python": f"{platform.python_version()} {platform.python_compiler()}",
        "machine": platform.machine(),
        "libpq": str(psqlpy.capabilities.libpq_version),
        **{name: version(name) for name in ("cffi", "uvloop", "trio")},
    }


def compare(table: dict[str, Any], made_now: dict[str, str], found: dict[str, int]) -> tuple[str, bool]:
    """What differs from the table, and whether that is to fail: one has grown too much, or isn't in it."""
    known = table.get("instructions", {})
    lines, grown = [], []
    for name, now in found.items():
        before = known.get(name)
        change = "new" if before is None else f"{(now / before - 1) * 100:+.1f} %"
        lines.append(f"{now:10,}  {change:>8}  {name}")
        if before is None or now > before * (1 + WIDER.get(name, TOLERANCE)):
            grown.append(name)
    lines += [f"{'-':>10}  {'gone':>8}  {name}" for name in known if name not in found]
    if table.get("made_with") != made_now:
        lines.append(f"The table was made with {table.get('made_with')}, this is {made_now}: no verdict.")
        return "\n".join(lines), False
    if grown:
        lines.append(
            f"Grown by more than {TOLERANCE:.0%} (WIDER: more), or not in the table: {'; '.join(grown)}."
        )
        lines.append("If it is worth it: `python -m benchmarks.instructions --write`, in the same commit.")
    return "\n".join(lines), bool(grown)


def markdown(counted: Counts) -> str:
    """A line for each operation, with the parts of COLUMNS and the rest."""
    head = ["call", "all", *COLUMNS, "the rest"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, (total, libraries) in sorted(counted.items()):
        parts = [
            sum(cost for library, cost in libraries.items() if library.startswith(prefix))
            for prefix in COLUMNS.values()
        ]
        lines.append([name, *(f"{number:,}" for number in (total, *parts, total - sum(parts)))])
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail where one has grown by more than 5 %%")
    parser.add_argument("--write", action="store_true", help="make this the table")
    parser.add_argument("--work", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--dsn", default=os.environ.get("PSQLPY_TEST_DSN"))
    arguments = parser.parse_args()
    if arguments.work:
        from _marks import lib  # type: ignore[import-not-found]  # compiled this moment

        work(arguments.dsn, arguments.work, lib)
        return 0
    if shutil.which("valgrind") is None:
        print("valgrind isn't installed: nothing was counted")
        return int(bool(os.environ.get("PSQLPY_NO_SKIP")))
    with ExitStack() as stack:
        dsn = arguments.dsn or stack.enter_context(embedded.server())
        counted = count_all(dsn)
    found = {name: total for name, (total, _) in sorted(counted.items())}
    table = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    text, failed = compare(table, made_with(), found)
    print(text)
    if arguments.write:
        written = {"made_with": made_with(), "instructions": found}
        TABLE.write_text(json.dumps(written, indent=4) + "\n", encoding="utf-8")
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(replace(text, "instructions", markdown(counted)), encoding="utf-8")
        return 0
    return int(arguments.check and failed)


if __name__ == "__main__":
    sys.exit(main())
