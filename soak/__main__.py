"""`python -m soak`, or `make soak`: everything at once, with random faults, against a ledger.

python -m soak --minutes 30 --seed 7     mixed load on asyncio, uvloop, trio and threads in one process
python -m soak --page                    write docs/reliability.md and its plot from the last run, build/soak.json

The seed decides what is tried and in which order, not at which moment it takes effect. Ends with status 1 if anything
was found that shouldn't be.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from random import randrange

from soak import report
from soak.run import Soak

RESULTS = Path(__file__).resolve().parent.parent / "build" / "soak.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m soak", description="Mixed load, random faults, a ledger."
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None, help="of what is tried; a random one without it")
    parser.add_argument("--pause", type=float, default=2.5, help="seconds between two faults, on average")
    parser.add_argument("--page", action="store_true", help="run nothing: write docs/reliability.md")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.page:
        report.write_page(json.loads(RESULTS.read_text(encoding="utf-8")))
        return 0
    seed = randrange(2**31) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    soak = Soak(seed, options.minutes * 60, options.pause)
    found = soak.run()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(report.tables(found))
    for finding in found["findings"]:
        print(finding)
    return int(bool(found["findings"]))


if __name__ == "__main__":
    sys.exit(main())
