"""A part's times as bars, in SVG: one group a case, one bar a driver, each group on a scale of its own."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

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
    lines = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        f'font-family="sans-serif" font-size="12" fill="#111827" role="img" aria-label="{escape(title, quote=True)}">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>\n'
        f'<text x="8" y="20" font-size="14" font-weight="600">{escape(title)}</text>\n{lines}\n</svg>\n'
    )
