"""Docstrings as the reference shows them: lines that begin with parameters' names become lists.

`timeout: in seconds.` at the beginning of a line is how docstrings here describe parameters, which Markdown would run
together. An extension of griffe, named in mkdocs.yml.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Class, Extension, Function, Module, Object

ITEM = re.compile(r"^(`?[a-z_]\w*`?(?:, `?[a-z_]\w*`?)*): (?=\S)")

# What a module's docstring says to those who change it.
FOR_CONTRIBUTORS = re.compile(r" ?\bNot here: .*?\.$|^Long, since .*?\.$", re.MULTILINE)


def with_lists(text: str) -> str:
    """The text with a list item for each line that begins with names and a colon, and what follows it."""
    lines: list[str] = []
    in_list = False
    for line in text.splitlines():
        item = ITEM.match(line)
        if item and (in_list or not lines or not lines[-1] or lines[-1].endswith((".", ":"))):
            if not in_list and lines and lines[-1]:
                lines.append("")
            names = ", ".join(f"`{name.strip('`')}`" for name in item[1].split(", "))
            lines.append(f"- {names}: {line[item.end() :]}")
            in_list = True
        else:
            in_list = in_list and bool(line)
            lines.append(line)
    return "\n".join(lines)


class Lists(Extension):
    """Applies `with_lists` to classes and functions, and leaves out of modules what isn't for users."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is None:
            return
        if isinstance(obj, (Class, Function)):
            obj.docstring.value = with_lists(obj.docstring.value)
        elif isinstance(obj, Module):
            obj.docstring.value = FOR_CONTRIBUTORS.sub("", obj.docstring.value)
