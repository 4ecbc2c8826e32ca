"""Statistics: what the turns of one driver come to, two drivers beside each other, and a goal beside what was reached.

No input, no output. Ratios are taken within each round and their median afterwards: a machine that is slow for a while
is slow for both. Times are seconds for one operation, sizes bytes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Ratio(NamedTuple):
    """Of the pairs' ratios, ours to theirs: the median, and what 10 and 90 % of them are below."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Turn:
    """What a worker says of one turn."""

    wall: float
    cpu: float
    operations: int
    latencies: Sequence[float] = ()
    stall: float | None = None
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What the turns of one driver come to. None: wasn't measured."""

    wall: float
    cpu: float
    p50: float | None = None
    p99: float | None = None
    stall: float | None = None
    peak: float | None = None
    calls: float | None = None
    extra: dict[str, float] = field(default_factory=dict)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least so many per cent of them don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    pairs = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(pairs), percentile(pairs, 10), percentile(pairs, 90))


def walls(turns: Sequence[Turn]) -> list[float]:
    return [turn.wall / turn.operations for turn in turns]


def cpus(turns: Sequence[Turn]) -> list[float]:
    return [turn.cpu / turn.operations for turn in turns]


def summarize(
    turns: Sequence[Turn],
    *,
    stalls: Sequence[float] = (),
    peak: float | None = None,
    calls: float | None = None,
) -> Summary:
    """`stalls` are those of turns that weren't timed; with none, those of the turns themselves count."""
    latencies = [latency for turn in turns for latency in turn.latencies]
    stalled = [*stalls, *(turn.stall for turn in turns if turn.stall is not None)]
    names = {name for turn in turns for name in turn.extra}
    return Summary(
        wall=statistics.median(walls(turns)),
        cpu=statistics.median(cpus(turns)),
        p50=percentile(latencies, 50) if latencies else None,
        p99=percentile(latencies, 99) if latencies else None,
        stall=max(stalled, default=None),
        peak=peak,
        calls=calls,
        extra={name: statistics.median(turn.extra[name] for turn in turns) for name in sorted(names)},
    )


@dataclass(frozen=True)
class Goal:
    """What is to be reached.

    `figure` is "wall" or "cpu" (ours / theirs, in pairs), "speed" (theirs / ours, in pairs, at least `limit`), or
    a figure of Summary or its `extra`: ours / the peer's, ours / our own in the case `against`, or ours alone. Over
    several cases ratios count by their geometric mean, figures alone by the largest.
    """

    text: str
    figure: str
    limit: float
    cases: tuple[str, ...]
    peer: str | None = None
    ours: str = "psqlpy"
    against: str | None = None
    stretch: bool = False
    # Only where psqlpy runs on a libpq older than this.
    libpq_below: int | None = None

    @property
    def at_least(self) -> bool:
        return self.figure == "speed"

    def reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


# {"drivers": {name: asdict(Summary)}, "ratios": {"psqlpy/asyncpg": {"wall": [...], "cpu": [...]}}}
CaseResult = dict[str, Any]


def figure_of(summary: dict[str, Any], figure: str) -> float | None:
    value: float | None = summary.get(figure, summary["extra"].get(figure))
    return value


def value_of(goal: Goal, results: dict[str, CaseResult]) -> float | None:
    """What was reached; None where a part of it wasn't measured."""
    values = []
    for case in goal.cases:
        value = _value_in(goal, results, case)
        if value is None:
            return None
        values.append(value)
    if goal.peer is None and goal.against is None:
        return max(values)
    return statistics.geometric_mean(values)


def _value_in(goal: Goal, results: dict[str, CaseResult], case: str) -> float | None:
    if goal.figure in {"wall", "cpu", "speed"} and goal.peer is not None:
        pair = results.get(case, {}).get("ratios", {}).get(f"{goal.ours}/{goal.peer}")
        if pair is None:
            return None
        if goal.figure == "speed":
            return 1 / float(pair["wall"][0])
        return float(pair[goal.figure][0])
    mine = _figure_in(results, case, goal.ours, goal.figure)
    if goal.peer is None and goal.against is None:
        return mine
    base = _figure_in(results, goal.against or case, goal.peer or goal.ours, goal.figure)
    return None if mine is None or not base else mine / base


def _figure_in(results: dict[str, CaseResult], case: str, driver: str, figure: str) -> float | None:
    summary = results.get(case, {}).get("drivers", {}).get(driver)
    return None if summary is None else figure_of(summary, figure)
