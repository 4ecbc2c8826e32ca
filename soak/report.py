"""The tables and the plot of a soak, and where they stand in docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.page import replace
from benchmarks.plots import Panel, over_time

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "reliability.md"
PLOT = DOCS / "reliability" / "soak.svg"
COLOURS = {
    "asyncio": "#2563eb",
    "uvloop": "#60a5fa",
    "trio": "#f59e0b",
    "threads": "#10b981",
    "PgBouncer": "#8b5cf6",
}
# After these every connection is gone, so that the plot shows when they were.
GRAVE = {"server killed", "main process killed", "backend killed", "restart", "failover"}
GRAVE_COLOUR, HOLE_COLOUR = "#fca5a5", "#e5e7eb"

Table = list[list[str]]


def tables(found: dict[str, Any]) -> str:
    """All of them, in Markdown."""
    faults = ", ".join(f"{name} {count}" for name, count in found["faults"].items())
    process = found["process"]
    said = (
        f"{found['seconds'] / 60:.3g} minutes, {sum(found['faults'].values())} faults: {faults}.\n\n"
        f"`make soak MINUTES={found['seconds'] / 60:.3g} SEED={found['seed']}`, {found['date']}; {found['where']}."
    )
    early, late = (f"{process[at][1] / 2**20:.0f} MB" for at in (len(process) // 10, -1))
    memory = f"{early} after a tenth of the time, {late} at its end"
    return "\n\n".join(
        [_markdown(_calls(found)), _markdown(_checks(found, memory)), said, _markdown(_errors(found))]
    )


def _markdown(rows: Table) -> str:
    head, *others = (f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *others])


def _calls(found: dict[str, Any]) -> Table:
    head = "on|calls|failed or cancelled|connections made|ended after their timeout, at the most"
    rows = [[*head.split("|"), "without the scheduler's delay", "first success when all is mended"]]
    for name, one in found["runtimes"].items():
        rows.append(
            [
                name,
                f"{one['calls']:,}",
                f"{sum(one['errors'].values()):,}",
                f"{one['stats']['opened']:,}",
                f"{one['latest'] * 1000:.0f} ms",
                f"{one['latest_net'] * 1000:.0f} ms; {one['late']} above 100 ms",
                f"{one['first_success'] * 1000:.0f} ms",
            ]
        )
    return rows


def _checks(found: dict[str, Any], memory: str) -> Table:
    ledger, runtimes = found["ledger"], found["runtimes"].values()
    calls = sum(one["calls"] for one in runtimes)
    received, sent = (sum(one[what] for one in runtimes) for what in ("received", "sent"))
    away = sum(one["reconnects"] for one in runtimes)
    count = len(found["findings"])
    return [
        ["what has to hold", "of", "seen"],
        ["what was reported as stored is there, as a whole, once", f"{ledger['stored']:,} writes", "all"],
        ["what an error denied isn't there", f"{ledger['denied']:,} writes", "none is"],
        ["what nobody knows is there as a whole, or not at all", f"{ledger['unknown']:,} writes", "so it is"],
        ["every call gets the answer to its own question", f"{calls:,} calls", "all"],
        [
            "notifications come once, in order, and are lost only while a listener is away",
            f"{received:,} of {sent:,}, {away:,} times away",
            "so they do",
        ],
        [
            "pools whole at the end; no session, descriptor, thread, task or warning left",
            f"{len(runtimes)} pools",
            "so it is",
        ],
        ["resident memory", "the process", memory],
    ] + ([["**not so**", f"{count} times", "; ".join(found["findings"][:5])]] if count else [])


def _errors(found: dict[str, Any]) -> Table:
    """How often which, the most frequent first."""
    runtimes = found["runtimes"]
    names: Counter[str] = Counter()
    for one in runtimes.values():
        names.update(one["errors"])
    rows = [["calls ended with", *runtimes]]
    for name, _ in names.most_common():
        shown = name if name == "cancelled" else f"`{name}`"
        rows.append([shown, *(f"{one['errors'].get(name, 0):,}" for one in runtimes.values())])
    return rows


def plot(found: dict[str, Any]) -> str:
    marks = [
        (begun / 60, GRAVE_COLOUR if name in GRAVE else HOLE_COLOUR)
        for name, begun, _ in found["moments"]
        if name in GRAVE or name == "black hole"
    ]
    title = "A soak: red lines are servers that were killed, restarted or replaced, grey ones black holes"
    return over_time(title, list(_panels(found)), marks, "min")


def _panels(found: dict[str, Any]) -> Iterator[Panel]:
    def lines(position: int, name: str = "", *, dashed: bool = False) -> dict[str, Any]:
        return {
            f"{runtime}{name}": (
                COLOURS[runtime],
                dashed,
                [(sample[0] / 60, sample[position]) for sample in samples],
            )
            for runtime, samples in found["samples"].items()
        }

    yield Panel("successful calls a second", lines(1), "{:.0f}".format)
    yield Panel("failed calls a second", lines(2), "{:.0f}".format)
    yield Panel("latency, median", lines(3), _milliseconds, 0.001)
    yield Panel("latency, 99th percentile", lines(4), _milliseconds, 0.001)
    yield Panel("connections in use, of 8", lines(6), "{:.0f}".format)
    yield Panel("calls that wait for one", lines(7), "{:.0f}".format)
    process = found["process"]
    memory = {"": ("#111827", False, [(at / 60, resident / 2**20) for at, resident, _ in process])}
    yield Panel("resident memory", memory, "{:.0f} MB".format)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def write_page(found: dict[str, Any]) -> None:
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(plot(found), encoding="utf-8")
    content = f"![Throughput, latency and pools over time](reliability/soak.svg)\n\n{tables(found)}\n"
    PAGE.write_text(replace(PAGE.read_text(encoding="utf-8"), "soak", content), encoding="utf-8")
