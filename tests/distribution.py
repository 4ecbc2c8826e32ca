"""pytest plugin: which tests go together to one of the processes of tools/run_tests.py, and which go first.

A file's tests stay together, since they share fixtures; those of a file that run on one event loop do, since nothing is
shared between loops. What takes longest is begun first, so that at the end no process works while the others have
nothing to do.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.loops import loop_of

# Those start servers of the system's PostgreSQL, which the other processes then needn't.
TOGETHER = {
    "tests/faults/test_no_room.py": "faults",
    "tests/faults/test_servers.py": "faults",
    "tests/parameters/test_session_attrs.py": "clusters",
    "tests/parameters/test_tls.py": "clusters",
    "tests/parameters/test_tls_interrupts.py": "clusters",
    "tests/parameters/test_tls_streams.py": "clusters",
}
# By the time they take, the longest first. Of the others, those with the most tests are.
FIRST = (
    "tests/tools/test_sanitizers.py",
    "tests/embedded/test_lifetime.py",
    "tests/notebook/test_kernel.py",
    "tests/embedded/test_embedded.py",
    "tests/codecs/test_families.py",
    "tests/shells/test_every_step.py",
    "tests/sweep/test_tasks.py",
    "tests/hostile/test_black_hole.py",
    "tests/shells/test_timeouts.py",
    "tests/shells/test_handles_in_cycles.py",
    "tests/unit/test_policy_sequences.py",
    "tests/shells/test_threads.py",
    "tests/hostile/test_lost.py",
)


def unit_of(item: pytest.Item) -> str:
    """The name of what a test is distributed with."""
    path = item.nodeid.partition("::")[0]
    return TOGETHER.get(path) or f"{path} {loop_of(item) or ''}"


@pytest.hookimpl(trylast=True)  # after fixtures have had their say about the order
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not hasattr(config, "workerinput"):
        return
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(unit_of(item), []).append(item)

    def place(unit: str) -> tuple[int, int]:
        path = units[unit][0].nodeid.partition("::")[0]
        return FIRST.index(path) if path in FIRST else len(FIRST), -len(units[unit])

    items[:] = [item for unit in sorted(units, key=place) for item in units[unit]]


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            path, _, test = nodeid.partition("::")
            loop = next((loop for loop in ("asyncio", "uvloop", "trio") if f"[{loop}" in test), "")
            return TOGETHER.get(path) or f"{path} {loop}"

    return Scheduling(config, log)
