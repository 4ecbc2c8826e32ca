"""The table and the plot of a soak."""

from __future__ import annotations

import json
from typing import Any


def table(found: dict[str, Any]) -> str:
    short = {name: {**figures} for name, figures in found["runtimes"].items()}
    return json.dumps({**{k: found[k] for k in ("seed", "faults", "ledger")}, "runtimes": short}, indent=1)


def write_page(found: dict[str, Any]) -> None:
    raise NotImplementedError
