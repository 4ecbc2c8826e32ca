"""Draw docs/architecture.svg from the code's own tables: the layers that import-linter holds, and the session's states.

`python tools/make_picture.py` writes, `--check` compares and fails on a difference.
"""

from __future__ import annotations

import ast
import sys
from html import escape
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # import-linter brings it

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"

WIDTH = 940
MARGIN = 20
ROW = 52
GAP = 10
COLUMN = 170

STYLE = """
  text { font-family: system-ui, sans-serif; fill: #1f2328; }
  .name { font-size: 15px; font-weight: 600; }
  .what { font-size: 12px; fill: #57606a; }
  .title { font-size: 17px; font-weight: 600; }
  .room { fill: #f6f8fa; stroke: #8c959f; }
  .state { fill: #ddf4ff; stroke: #0969da; }
  .paper { fill: #ffffff; }
"""


def layers() -> list[list[str]]:
    """The layers from the top, each with its modules: the first contract of import-linter."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    found = []
    for layer in contracts[0]["layers"]:
        for separator in "():":
            layer = layer.replace(separator, " ")
        found.append(layer.replace("|", " ").split())
    return found


def sentence(module: str) -> str:
    """The first sentence of a module's docstring."""
    base = ROOT / "psqlpy" / module
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = doc.split("\n\n")[0].replace("\n", " ")
    for end in (". ", ": ", "; "):
        first = first.split(end)[0]
    return first.rstrip(".")


def transitions() -> list[tuple[str, list[tuple[str, str]]]]:
    """(state, [(event, state after)]) of the session's table."""
    sys.path.insert(0, str(ROOT))
    from psqlpy._protocol.state import TRANSITIONS

    return [
        (state.value, [(event.value, after.value) for event, after in events.items()])
        for state, events in TRANSITIONS.items()
    ]


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def text(x: float, y: float, kind: str, content: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(content)}</text>'


def room(x: float, y: float, width: float, height: float, kind: str = "room") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" class="{kind}"/>'


def draw_layers(top: float) -> tuple[list[str], float]:
    shapes = [text(MARGIN, top, "title", "Imports go downward")]
    y = top + 14
    for modules in layers():
        width = (WIDTH - 2 * MARGIN - GAP * (len(modules) - 1)) / len(modules)
        for index, module in enumerate(modules):
            x = MARGIN + index * (width + GAP)
            shapes.append(room(x, y, width, ROW))
            shapes.append(text(x + 8, y + 21, "name", cut(module, int(width / 10))))
            shapes.append(text(x + 8, y + 40, "what", cut(sentence(module), int(width / 7))))
        y += ROW + GAP
    return shapes, y


def draw_states(top: float) -> tuple[list[str], float]:
    shapes = [text(MARGIN, top, "title", "What a session may do when (psqlpy/_protocol/state.py)")]
    y = top + 14
    for state, events in transitions():
        height = max(34, 20 * len(events) + 12)
        shapes.append(room(MARGIN, y, COLUMN, height, "state"))
        shapes.append(text(MARGIN + 10, y + 22, "name", state))
        for index, (event, after) in enumerate(events):
            line = y + 21 + 20 * index
            shapes.append(text(MARGIN + COLUMN + 16, line, "what", event))
            shapes.append(text(WIDTH - MARGIN - 150, line, "name", f"→ {after}"))
        y += height + GAP
    return shapes, y


def picture() -> str:
    rooms, below = draw_layers(32)
    states, bottom = draw_states(below + 24)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + MARGIN:g}" width="{WIDTH}">',
        "<title>The layers of psqlpy and the states of a session</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{bottom + MARGIN:g}" class="paper"/>',
        *rooms,
        *states,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    drawn = picture()
    if arguments == ["--check"]:
        if not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != drawn:
            raise SystemExit(
                "docs/architecture.svg is not what the code says: run python tools/make_picture.py"
            )
        return
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
