"""Each program in docs/listener.md and docs/hooks.md runs, and prints what the page says, under each event loop."""

from __future__ import annotations

import builtins
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.concurrency import async_wait_until, password_of
from tests.shells.running import RUNNERS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE_DSN = "postgresql://localhost/app"
PROGRAM = re.compile(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.M | re.S
)


class Program(NamedTuple):
    """A program under a heading, and what it prints."""

    name: str
    text: str
    output: str


PROGRAMS = [
    Program(f"{page}: {heading}", text, output)
    for page in ("listener.md", "hooks.md")
    for heading, text, output in PROGRAM.findall((DOCS / page).read_text(encoding="utf-8"))
]

CASES = [
    pytest.param(program, shell, id=f"{program.name}-{shell}", marks=pytest.mark.backend(shell))
    for program in PROGRAMS
    for shell in (["sync"] if "psqlpy.sync" in program.text else RUNNERS)
]


def test_every_program_is_found() -> None:
    for page in ("listener.md", "hooks.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert text.count("```python") == sum(program.name.startswith(page) for program in PROGRAMS) > 3


@pytest.mark.parametrize(("program", "shell"), CASES)
def test_a_program_prints_what_its_page_says(dsn: str, program: Program, shell: str) -> None:
    printed: list[str] = []

    def note(*values: object) -> None:
        printed.append(" ".join(map(str, values)))

    async def until_printed(count: int) -> None:
        await async_wait_until(lambda: len(printed) == count)

    assert PAGE_DSN in program.text
    namespace: dict[str, Any] = {"print": note, "until_printed": until_printed, "__builtins__": builtins}
    text = program.text.replace(PAGE_DSN, dsn).replace('"secret"', repr(password_of(dsn)))
    exec(compile(text, program.name, "exec"), namespace)
    if shell == "sync":
        namespace["main"]()
    else:
        RUNNERS[shell](namespace["main"])
    assert printed == program.output.splitlines()
