"""pytest plugin: how many tests ran on which backend, every skip with its reason, and where a crash happened.

A test that says nothing of its backend is counted under the one whose driver it has called, here or by a fixture.

`PSQLPY_NO_SKIP=1` makes each skip a failure. `PSQLPY_RUNNING_TEST` names a file that holds the running test's name,
which tools/run_tests.py shows when the process dies. A test with a longer `timeout` of its own isn't ended before that.
Loaded by tests/conftest.py.
"""

from __future__ import annotations

import faulthandler
import os
from collections import Counter
from collections.abc import Callable, Generator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from psqlpy._io.anyio_driver import AnyioDriver
from psqlpy._io.asyncio_driver import AsyncioDriver
from psqlpy._io.thread_driver import Lease
from tests.loops import loop_of

OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed")
BACKENDS = ("asyncio", "uvloop", "trio", "sync", "none")


# What has waited for a server since the running test's setup began.
_used: set[str] = set()


def _note(driver: type, find: Callable[[Any], str]) -> None:
    """Have a driver say that it is used: `find` says what its backend is."""
    run = driver.run  # type: ignore[attr-defined]

    @wraps(run)
    def noted(self: Any, *args: Any, **options: Any) -> Any:
        _used.add(find(self))
        return run(self, *args, **options)

    driver.run = noted  # type: ignore[attr-defined]


def pytest_configure() -> None:
    _note(Lease, lambda lease: "sync")
    _note(AnyioDriver, lambda driver: "trio")
    _note(AsyncioDriver, lambda driver: type(driver.loop).__module__.partition(".")[0])


def backend_used() -> str:
    """What a test without a mark has waited with: rather an event loop than what it observes it with."""
    return next((name for name in BACKENDS if name in _used), "none")


def backend_of(item: pytest.Item) -> str:
    """What a test waits with: its anyio backend, its mark, "sync" in the generated mirror, or "none".

    "none" may turn out to be another one when it has run.
    """
    loop = loop_of(item)
    if loop is not None:
        return loop
    mark = item.get_closest_marker("backend")
    if mark is not None:
        return str(mark.args[0])
    return "sync" if "_sync" in item.path.parts else "none"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties.append(("backend", backend_of(item)))


def pytest_runtest_logstart(nodeid: str) -> None:
    path = os.environ.get("PSQLPY_RUNNING_TEST")
    if path:
        Path(path).write_text(nodeid, encoding="utf-8")


def pytest_sessionfinish() -> None:
    path = os.environ.get("PSQLPY_RUNNING_TEST")
    if path:
        Path(path).unlink(missing_ok=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    _used.clear()
    mark = item.get_closest_marker("timeout")
    if mark is not None and mark.args and mark.args[0] > float(item.config.getini("timeout") or 0):
        # What is set for hangs inside C would end it before its time, and the whole process with it.
        faulthandler.cancel_dump_traceback_later()


# -- skips


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return reason.removeprefix("Skipped: ")


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("PSQLPY_NO_SKIP") and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which PSQLPY_NO_SKIP makes a failure: {reason_of(report)}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    report.user_properties = [
        (name, backend_used() if (name, value) == ("backend", "none") else value)
        for name, value in item.user_properties
    ]
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


# -- the summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = {outcome: terminalreporter.stats.get(outcome, []) for outcome in OUTCOMES}
    counts = {
        outcome: Counter(
            dict(getattr(report, "user_properties", ())).get("backend", "none") for report in found
        )
        for outcome, found in reports.items()
    }
    shown = [
        outcome for outcome in OUTCOMES if outcome in ("passed", "failed", "skipped") or reports[outcome]
    ]
    terminalreporter.section("tests by backend")
    terminalreporter.line(f"{'':8}" + "".join(f"{outcome:>9}" for outcome in shown))
    for backend in BACKENDS:
        terminalreporter.line(f"{backend:8}" + "".join(f"{counts[outcome][backend]:9}" for outcome in shown))
    for report in reports["skipped"]:
        terminalreporter.line(f"skipped: {report.nodeid}: {reason_of(report)}")
