"""One question through a pool that is made for it, in each of the ways to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from psqlpy import ConnectionPool, sync
from tests.shells.running import RUNNERS

Ask = Callable[..., Any]


def ask(query: str, **parameters: Any) -> Any:
    """The value that `query` returns on a connection with these parameters; synchronous."""
    with sync.ConnectionPool(**parameters) as pool:
        return pool.fetch_val(query)


def _asking(run: Callable[..., Any]) -> Ask:
    def ask_in_loop(query: str, **parameters: Any) -> Any:
        async def main() -> Any:
            async with ConnectionPool(**parameters) as pool:
                return await pool.fetch_val(query)

        return run(main)

    return ask_in_loop


ASKERS: dict[str, Ask] = {**{name: _asking(run) for name, run in RUNNERS.items()}, "sync": ask}

each_way = pytest.mark.parametrize(
    "ask", [pytest.param(asker, id=name, marks=pytest.mark.backend(name)) for name, asker in ASKERS.items()]
)
