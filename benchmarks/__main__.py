"""`python -m benchmarks`, or `make bench`: measure, and write docs/benchmarks.md.

make bench                               everything, in less than ten minutes
make bench ONLY=bulk                     one part, or several: ONLY='bulk copy'
make bench ARGS=--quick                  shows in a minute that everything works; its figures mean nothing
make bench ARGS='--dsn postgresql://...' another server than the embedded one; it gets tables bench_*, for the while
python -m benchmarks --page              write the page again from results.json
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import environments, page
from benchmarks.conductor import Conductor
from benchmarks.environments import Environment, InstallFailed, home_of
from benchmarks.parts import PARTS, Part
from benchmarks.processes import WorkerFailed
from benchmarks.server import BULK_ROWS, Server, running


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure psqlpy beside other drivers and write docs/benchmarks.md.",
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument(
        "--drivers", nargs="+", default=[], metavar="DRIVER", help="only these; the page isn't written"
    )
    parser.add_argument("--dsn", help="a server's URL; without it an embedded one is started")
    parser.add_argument("--quick", action="store_true", help="two rounds of little; the page isn't written")
    parser.add_argument(
        "--page", action="store_true", help="measure nothing: write the page from results.json"
    )
    return parser.parse_args()


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def where(server: Server, cases: dict[str, Any]) -> str:
    """What the figures depend on, as the results of a part say it."""
    versions = {
        f"{page.label(driver)} {numbers.get(driver, next(iter(numbers.values())))}"
        + (f" (libpq {numbers['libpq']})" if "libpq" in numbers and driver != "libpq" else "")
        for case in cases.values()
        for driver, numbers in case["versions"].items()
    }
    return (
        f"PostgreSQL {server.version}, CPython {platform.python_version()}, {platform.system()} {platform.release()}, "
        f"{os.cpu_count()} × {processor()}; {', '.join(sorted(versions)) or 'versions as in benchmarks/peers.txt'}"
    )


def measured(part: Part, conductor: Conductor, server: Server) -> dict[str, Any]:
    cases = conductor.run(part)
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    return {"date": date, "where": where(server, cases), "cases": cases}


def environment_finder() -> Callable[[str], Environment]:
    """`environment_of`, asked once for each; what can't be installed fails as a worker does, and is left out."""

    @cache
    def find(name: str) -> Environment | str:
        try:
            return environments.environment_of(name)
        except InstallFailed as error:
            print(f"{name} can't be installed:\n{error}", file=sys.stderr)
            return "can't be installed"

    def environment_of(name: str) -> Environment:
        found = find(name)
        if isinstance(found, str):
            raise WorkerFailed(found)
        return found

    return environment_of


def report(part: Part, result: dict[str, Any], seconds: float) -> None:
    print(f"\n{part.title} ({part.name}, {seconds:.0f} s)\n{page.figures_table(part, result['cases'])}")
    if part.goals:
        print(page.goals_table(part, result["cases"]))
    for name, case in result["cases"].items():
        for note in case["notes"]:
            print(f"{name}: {note}")
    sys.stdout.flush()


def main() -> None:
    options = arguments()
    results = page.read_results()
    if options.page:
        page.write_page(results)
        return
    parts = [PARTS[name] for name in dict.fromkeys(options.only)]
    wanted = {driver for part in parts for case in part.cases for driver in case.drivers}
    environment_of = environment_finder()
    if options.drivers:
        wanted &= set(options.drivers)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for made in [
            executor.submit(environment_of, home) for home in {home_of(driver) for driver in wanted}
        ]:
            made.exception()  # said already; the driver will be missing in the tables
    kept = not options.quick and not options.drivers
    rows = 1000 if options.quick else BULK_ROWS
    begun = time.monotonic()
    with running(options.dsn, rows) as server, (environments.HOME / "workers.log").open("wb") as log:
        conductor = Conductor(server, environment_of, log, quick=options.quick, only=options.drivers)
        for part in parts:
            begun_part = time.monotonic()
            results[part.name] = measured(part, conductor, server)
            report(part, results[part.name], time.monotonic() - begun_part)
            if kept:
                page.write_results(results)
                page.write_page(results)
    print(f"\n{time.monotonic() - begun:.0f} s{'' if kept else '; the page is as it was'}")


if __name__ == "__main__":
    main()
