"""The soak: a short one, and that it would see what it looks for."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from psqlpy import exceptions
from soak import report
from soak.ledger import DENIED, SPAN, STORED, UNKNOWN, Ledger
from soak.run import Soak
from soak.runtimes import RUNTIMES
from soak.watch import GRACE, SLACK, Watch
from soak.work import Channel


@pytest.mark.long
@pytest.mark.timeout(180)
def test_twenty_seconds(caplog: pytest.LogCaptureFixture) -> None:
    # Says of each listener how often it is away.
    caplog.set_level(logging.ERROR, "psqlpy.listener")
    found = Soak(seed=7, seconds=20, pause=1.0).run()
    assert found["findings"] == []
    assert found["ledger"]["stored"] > 100 and found["ledger"]["under way"] == 0
    assert sum(found["faults"].values()) > 3
    assert sum(one["received"] for one in found["runtimes"].values()) > 50
    assert "not so" not in report.tables(found) and report.plot(found).endswith("</svg>\n")


@pytest.mark.parametrize(
    ("told", "rows", "complaint"),
    [
        (STORED, 2, None),
        (STORED, 0, "was reported as stored, and isn't there"),
        (STORED, 1, "stored, has 1 rows of 2"),
        (DENIED, 0, None),
        (DENIED, 2, "told that it isn't"),
        (UNKNOWN, 0, None),
        (UNKNOWN, 2, None),
        (UNKNOWN, 1, "unknown, has 1 rows of 2"),
    ],
)
def test_ledger(told: int, rows: int, complaint: str | None) -> None:
    ledger = Ledger(3)
    ledger.begin(1, 1)
    entry = ledger.begin(1, 2)
    ledger.end(entry, told)
    said = list(ledger.disagreements([(entry, rows)] if rows else []))
    assert (len(said) == 1 and complaint in said[0]) if complaint else not said
    strange = next(ledger.disagreements([(SPAN * 2, 1)]))
    assert "never made" in strange


def test_late_calls_are_findings() -> None:
    watch = Watch("threads")
    watch._last_beat = time.monotonic() + 1  # nobody is late
    watch.note("on time", time.monotonic() - 1, 1.5, None)
    watch.note("late", time.monotonic() - 1, 1 - GRACE - 0.05, "QueryTimeoutError")
    assert watch.findings == [] and watch.late == 1
    watch.note("too late", time.monotonic() - 1, 1 - GRACE - SLACK - 0.05, "QueryTimeoutError")
    assert len(watch.findings) == 1 and "too late" in watch.findings[0]
    watch._last_beat = time.monotonic() - 1  # nobody was woken
    watch.note("not its fault", time.monotonic() - 1, 1 - GRACE - SLACK - 0.05, "QueryTimeoutError")
    assert len(watch.findings) == 1


class _Message:
    channel = "soak threads"

    def __init__(self, number: int) -> None:
        self.payload = str(number)


@pytest.mark.parametrize(
    ("told", "received", "complaint"),
    [
        ([1, 1, 1], [0, 1, 2], None),
        ([1, 0, 1], [0, 2], None),
        ([1, 1, 1], [1, 2], None),
        ([1, 1, 1], [0, 2], "1 notifications between 0 and 2 are lost"),
        ([1, 1, 1], [0, 0], "0 after 0"),
        ([1, 1, 1], [1, 0], "0 after 1"),
        ([1, 1, 1], [0, None, 2], None),
    ],
)
def test_lost_notifications(told: list[int], received: list[int | None], complaint: str | None) -> None:
    """None is a reconnect."""
    watch = Watch("threads")
    channel = Channel(RUNTIMES["threads"](), None, watch)
    channel.told[:] = bytes(told)
    for number in received:
        if number is None:
            channel._note_reconnect(None)
        else:
            channel._receive(_Message(number))
    assert (len(watch.findings) == 1 and complaint in watch.findings[0]) if complaint else not watch.findings


def test_blocks_are_calls_in_threads_and_loops() -> None:
    """Errors of the end of a block are noted, and those of its body go on."""

    class Manager:
        def __enter__(self) -> Manager:
            return self

        def __exit__(self, *_: Any) -> None:
            raise exceptions.TransactionCommitError("refused")

    watch = Watch("threads")

    async def main() -> None:
        async with watch.block("transaction", 1.0, Manager()):
            pass

    with pytest.raises(exceptions.TransactionCommitError):
        RUNTIMES["threads"]().run(main)
    assert watch.outcomes == {"TransactionCommitError": 1} and watch.kinds.total() == 2


def test_report() -> None:
    """What was found is told, in the tables too, and the plot has a line of each runtime in each panel."""
    one = {
        "calls": 3, "errors": {"SyntaxError": 1}, "stats": {"opened": 2}, "late": 0, "latest": 0.02, "latest_net": 0.01,
        "first_success": 0.001, "sent": 2, "received": 2, "reconnects": 0,
    }  # fmt: skip
    found: dict[str, Any] = {
        "seconds": 60.0, "seed": 1, "date": "today", "where": "here", "findings": [], "faults": {"reset": 1},
        "moments": [("server killed", 20.0, 21.0)], "ledger": {"stored": 1, "denied": 0, "unknown": 0},
        "runtimes": {"trio": one, "threads": one},
        "samples": {name: [(at, 5.0, 1.0, 0.01, 0.1, 3, 2, 0) for at in (1.0, 2.0)] for name in ("trio", "threads")},
        "process": [(1.0, 1 << 20, 9), (2.0, 1 << 20, 9)],
    }  # fmt: skip
    assert "| `SyntaxError` | 1 | 1 |" in report.tables(found) and "not so" not in report.tables(found)
    found["findings"] = ["an entry is lost"]
    assert "an entry is lost" in report.tables(found)
    assert report.plot(found).count("<polyline") == 6 * 2 + 1
