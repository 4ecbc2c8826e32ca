"""What mkdocs.yml asks for: what the pages need to be a site, without being changed for it.

docs/connection-pool.md has boxes of another site's kind (`::: tip`), which mkdocstrings would take for its own, and
links into that site. The table of SQLSTATEs is made from the code. Not here: how docstrings read (site_docstrings.py).
"""

from __future__ import annotations

import re
from typing import Any

from psqlpy._sqlstates import CLASSES, LEAVES

BOX = re.compile(r"^::: (important|tip|caution|warning)(?: ([^\n]+))?\n(.*?)^:::$", re.MULTILINE | re.DOTALL)
KINDS = {"important": "warning", "caution": "warning", "warning": "warning", "tip": "tip"}
ELSEWHERE = "./../../introduction/components/"
SQLSTATES = "<!-- sqlstates -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    markdown = BOX.sub(to_admonition, markdown.replace(ELSEWHERE, ""))
    return markdown.replace(SQLSTATES, sqlstates()) if SQLSTATES in markdown else markdown


def to_admonition(box: re.Match[str]) -> str:
    kind, title, text = box.groups()
    body = "\n".join(f"    {line}" if line else "" for line in text.splitlines())
    return f'!!! {KINDS[kind]} "{title or kind.capitalize()}"\n\n{body}\n'


def sqlstates() -> str:
    lines = ["| SQLSTATE | class | PEP 249's |", "|---|---|---|"]
    for code, name in LEAVES.items():
        lines.append(f"| {code} | `{name}` | `{CLASSES[code[:2]][0]}` |")
    return "\n".join(lines)
