"""docs/benchmarks.md and its plots, from results.json: all that stands between the page's marks is written here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Goal, figure_of, value_of
from benchmarks.parts import PARTS, Case, Part
from benchmarks.plots import bars

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
LABELS = {
    "psqlpy-libpq18": "psqlpy, libpq 18",
    "psycopg-sync": "psycopg",
    "libpq": "bare libpq",
    "none": "no driver",
}
# Their work is done by another process than the one whose processor time and memory are known.
ELSEWHERE = {"psql"}
NOTHING = "–"

# Column: its head, the figure, how it is written. Only those are shown that some driver has.
TIME, SIZE, NUMBER = "time", "size", "number"
COLUMNS = (
    ("time", "wall", TIME),
    ("CPU", "cpu", TIME),
    ("p50", "p50", TIME),
    ("p99", "p99", TIME),
    ("longest stall", "stall", TIME),
    ("peak memory", "peak", SIZE),
    ("memory", "memory", SIZE),
    ("rows", "rows", SIZE),
    ("above the rows", "above", SIZE),
    ("of which rounding", "rounding", SIZE),
    ("round trips", "round_trips", NUMBER),
    ("system calls", "calls", NUMBER),
)


def label(driver: str) -> str:
    return LABELS.get(driver, driver)


def show_time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{significant(seconds / size)} {unit}"
    return f"{significant(seconds * 1e9)} ns"


def significant(number: float) -> str:
    """Three digits, which is more than is certain."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def show(value: float | None, kind: str) -> str:
    if value is None:
        return NOTHING
    if kind == TIME:
        return show_time(value)
    return f"{significant(value / 1e6)} MB" if kind == SIZE else significant(value)


# -- one part


def section(part: Part, result: dict[str, Any] | None) -> str:
    return "\n\n".join(part_of_section(part, result)) + "\n"


def part_of_section(part: Part, result: dict[str, Any] | None) -> Iterator[str]:
    yield f"### {part.title}"
    yield part.what
    if result is None:
        yield f"Not measured yet: `make bench ONLY={part.name}`."
    else:
        cases = result["cases"]
        yield f"![{part.title}](benchmarks/{part.name}.svg)"
        if part.goals:
            yield goals_table(part, cases)
        yield figures_table(part, cases)
        notes = [f"{name}: {note}." for name, case in cases.items() for note in case["notes"]]
        if notes:
            yield " ".join(notes)
        yield f"`make bench ONLY={part.name}`, {result['date']}; {result['where']}."
    yield f"What is unfair about it: {part.unfair}"


def goals_table(part: Part, cases: dict[str, Any]) -> str:
    lines = ["| goal | reached | |", "|---|---|---|"]
    lines += [f"| {text} | {value} | {verdict} |" for text, value, verdict in verdicts(part, cases)]
    return "\n".join(lines)


def verdicts(part: Part, cases: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Goal, what was reached, and whether that is enough or by how much it falls short."""
    for goal in part.goals:
        text = f"{goal.text} (stretch)" if goal.stretch else goal.text
        libpq = cases.get(goal.cases[0], {}).get("versions", {}).get(goal.ours, {}).get("libpq")
        value = value_of(goal, cases)
        if goal.libpq_below is not None and libpq and float(libpq) >= goal.libpq_below:
            yield text, NOTHING, f"psqlpy runs on libpq {libpq}"
        elif value is None:
            yield text, NOTHING, "not measured"
        else:
            yield text, show_reached(goal, value), verdict(goal, value)


def verdict(goal: Goal, value: float) -> str:
    if goal.reached(value):
        return "reached"
    if not goal.at_least and value >= 2 * goal.limit:
        return f"**{significant(value / goal.limit)} times the limit**"
    return f"**short by {abs(1 - value / goal.limit):.0%}**"


def show_reached(goal: Goal, value: float) -> str:
    if goal.peer is None and goal.against is None:
        kind = next((kind for _, figure, kind in COLUMNS if figure == goal.figure), NUMBER)
        return show(value, kind)
    return f"{significant(value)} ×" if goal.at_least else significant(value)


def figures_table(part: Part, cases: dict[str, Any]) -> str:
    shown = [column for column in COLUMNS if any(has(case, column[1]) for case in cases.values())]
    heads = ["", "", *(head for head, _, _ in shown), "psqlpy / it: time", "10–90 %", "CPU"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for case in part.cases:
        if case.name in cases:
            lines += (f"| {' | '.join(cells)} |" for cells in rows(case, cases[case.name], shown))
    return "\n".join(lines)


def has(case: dict[str, Any], figure: str) -> bool:
    return any(figure_of(summary, figure) is not None for summary in case["drivers"].values())


def rows(case: Case, result: dict[str, Any], shown: list[tuple[str, str, str]]) -> Iterator[list[str]]:
    for number, (driver, summary) in enumerate(result["drivers"].items()):
        elsewhere = {"cpu": None, "peak": None} if driver in ELSEWHERE else {}
        summary = {**summary, **elsewhere}
        figures = [show(figure_of(summary, figure), kind) for _, figure, kind in shown]
        pair = result["ratios"].get(f"psqlpy/{driver}")
        ratios = [NOTHING] * 3
        if pair is not None:
            median, low, high = pair["wall"]
            ratios = [
                f"**{median:.2f}**",
                f"{low:.2f}–{high:.2f}",
                NOTHING if elsewhere else f"{pair['cpu'][0]:.2f}",
            ]
        name = f"{case.name}, a {case.unit}" if number == 0 else ""
        yield [name, label(driver), *figures, *ratios]


def plot(part: Part, result: dict[str, Any]) -> str:
    groups = {
        f"{case.name}: time for a {case.unit}": {
            driver: summary["wall"] for driver, summary in result["cases"][case.name]["drivers"].items()
        }
        for case in part.cases
        if case.name in result["cases"]
    }
    return bars(part.title, groups, show_time, label)


# -- all of it


def overview(results: dict[str, Any]) -> str:
    lines = ["| work | goal | reached | |", "|---|---|---|---|"]
    for part in PARTS.values():
        cases = results[part.name]["cases"] if part.name in results else {}
        for number, (text, value, said) in enumerate(verdicts(part, cases)):
            name = f"[{part.title}](#{anchor(part.title)})" if number == 0 else ""
            lines.append(f"| {name} | {text} | {value} | {said} |")
    return "\n".join(lines) + "\n"


def anchor(title: str) -> str:
    """As Markdown's `toc` extension makes it."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return "-".join(kept.split())


def replace(text: str, name: str, content: str) -> str:
    """The text with what is between the marks `<!-- name -->` and `<!-- /name -->` replaced."""
    head, mark, rest = text.partition(f"<!-- {name} -->\n")
    _, end, tail = rest.partition(f"<!-- /{name} -->\n")
    if not mark or not end:
        raise SystemExit(
            f"the page has no marks <!-- {name} --> and <!-- /{name} -->: put them where it belongs"
        )
    return f"{head}{mark}\n{content}\n{end}{tail}"


def read_results(path: Path = RESULTS) -> dict[str, Any]:
    if not path.exists():
        return {}
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results


def rounded(value: Any) -> Any:
    """To five digits, so that the file shows what has changed."""
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def write_results(results: dict[str, Any], path: Path = RESULTS) -> None:
    """What the page is made from; it is written from what was written, so that it is the same the next time."""
    results.update(rounded(results))
    text = json.dumps(results, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def write_page(results: dict[str, Any], page: Path = PAGE, plots: Path = PLOTS) -> None:
    sections = [overview(results)]
    for name, part in PARTS.items():
        sections.append(section(part, results.get(name)))
        if name in results:
            plots.mkdir(exist_ok=True)
            (plots / f"{name}.svg").write_text(plot(part, results[name]), encoding="utf-8")
    text = replace(page.read_text(encoding="utf-8"), "bench", "\n".join(sections))
    page.write_text(text, encoding="utf-8")
