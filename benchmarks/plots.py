"""Figures in SVG: a part's times as bars, one group a case, each on a scale of its own, and what changes over time."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from math import log
from typing import NamedTuple

COLOURS = {
    "psqlpy": "#2563eb",
    "psqlpy-libpq18": "#60a5fa",
    "asyncpg": "#f59e0b",
    "psycopg": "#10b981",
    "psycopg-sync": "#10b981",
    "psycopg2": "#6b7280",
    "psqlpy-rs": "#dc2626",
    "psql": "#8b5cf6",
    "libpq": "#111827",
    "none": "#9ca3af",
}
OTHER = "#6b7280"
WIDTH, LEFT, RIGHT = 720, 170, 110
BAR, GAP, HEAD = 16, 5, 26


def bars(
    title: str, groups: dict[str, dict[str, float]], show: Callable[[float], str], label: Callable[[str], str]
) -> str:
    """`groups`: {case: {driver: value}}; `show` writes a value, `label` a driver's name."""
    body: list[str] = []
    y = 34
    for case, values in groups.items():
        longest = max(values.values(), default=0.0) or 1.0
        body.append(f'<text x="8" y="{y + 14}" font-weight="600">{escape(case)}</text>')
        y += HEAD
        for driver, value in values.items():
            width = max(1.0, value / longest * (WIDTH - LEFT - RIGHT))
            middle = y + BAR - 4
            body.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(label(driver))}</text>')
            body.append(
                f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS.get(driver, OTHER)}"/>'
            )
            body.append(f'<text x="{LEFT + width + 6:.1f}" y="{middle}">{escape(show(value))}</text>')
            y += BAR + GAP
        y += 8
    return _svg(title, body, y)


# -- over time

RIGHT_EDGE = 24
# Of a panel: the height of its field, what is above that, and below.
PANEL, ABOVE, BELOW = 110, 26, 14


class Panel(NamedTuple):
    """`lines`: {name: (colour, dashed, [(x, y)])}; `logarithmic` for values above `floor`."""

    title: str
    lines: dict[str, tuple[str, bool, list[tuple[float, float]]]]
    show: Callable[[float], str]
    floor: float = 0.0


def over_time(title: str, panels: list[Panel], marks: list[tuple[float, str]], unit: str) -> str:
    """Panels under each other with one axis of time; `marks` are moments, with the colour of their line."""
    last = max(
        (x for panel in panels for _, _, points in panel.lines.values() for x, _ in points), default=1.0
    )
    across = WIDTH - LEFT / 2 - RIGHT_EDGE

    def place(x: float) -> float:
        return LEFT / 2 + x / last * across

    body, y = [], 34.0
    for panel in panels:
        body += [
            f'<line x1="{place(x):.1f}" y1="{y + ABOVE:.1f}" x2="{place(x):.1f}" y2="{y + ABOVE + PANEL:.1f}" '
            f'stroke="{colour}" stroke-width="0.7"/>'
            for x, colour in marks
            if x <= last
        ]
        body += _panel(panel, y, place)
        y += ABOVE + PANEL + BELOW
    for step in range(7):
        x = last * step / 6
        shown = f"{x:.0f}" if last > 12 else f"{x:.1f}"
        body.append(
            f'<text x="{place(x):.1f}" y="{y + 4:.1f}" text-anchor="middle">{shown} {escape(unit)}</text>'
        )
    return _svg(title, body, y + 14)


def _panel(panel: Panel, top: float, place: Callable[[float], float]) -> list[str]:
    most = max((y for _, _, points in panel.lines.values() for _, y in points), default=1.0) or 1.0
    foot = top + ABOVE + PANEL

    def height(value: float) -> float:
        if panel.floor:
            value = max(value, panel.floor)
            return foot - log(value / panel.floor) / log(max(most / panel.floor, 2.0)) * PANEL
        return foot - value / most * PANEL

    left, right = place(0), WIDTH - RIGHT_EDGE
    body = [f'<text x="8" y="{top + 10:.1f}" font-weight="600">{escape(panel.title)}</text>']
    for value in (most, panel.floor):
        body.append(
            f'<line x1="{left:.1f}" y1="{height(value):.1f}" x2="{right}" y2="{height(value):.1f}" stroke="#d1d5db"/>'
        )
        body.append(
            f'<text x="{left - 6:.1f}" y="{height(value) + 4:.1f}" text-anchor="end">{escape(panel.show(value))}</text>'
        )
    at = float(right)
    for name, (colour, dashed, points) in reversed(panel.lines.items()):
        path = " ".join(f"{place(x):.1f},{height(y):.1f}" for x, y in points)
        dash = ' stroke-dasharray="3 2"' if dashed else ""
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.1"{dash}/>')
        body.append(
            f'<text x="{at:.1f}" y="{top + 10:.1f}" fill="{colour}" text-anchor="end">{escape(name)}</text>'
        )
        at -= 7.0 * len(name) + 10
    return body


def _svg(title: str, body: list[str], height: float) -> str:
    lines = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="sans-serif" font-size="12" fill="#111827" role="img" '
        f'aria-label="{escape(title, quote=True)}">\n<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n'
        f'<text x="8" y="20" font-size="14" font-weight="600">{escape(title)}</text>\n{lines}\n</svg>\n'
    )
