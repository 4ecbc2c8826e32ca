"""The code blocks of every page: where they are, what the text next to them says, and what makes them programs.

A page is Markdown in docs/, or one of the files for people in the root. What a block may leave out, and how it says
what it prints, is in CONTRIBUTING.md. Not here: running them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])

FENCE = re.compile(r"^```(\w*)$")
HEADING = re.compile(r"^#{1,3} (.+)$")
# <!-- not run: why -->, <!-- not in threads: why -->, <!-- not on trio: why -->
NOTE = re.compile(r"^<!-- not (run|in threads|on trio): (.+) -->$")
PROGRAMS = {"python", "py"}
SHELLS = ("asyncio", "uvloop", "trio", "threads")


class Block(NamedTuple):
    """A fenced block. `name` is its heading, numbered from the second of one heading on; `output` what it prints."""

    page: str
    name: str
    line: int
    language: str
    text: str
    notes: dict[str, str]
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.name}"


def blocks_of(page: str, text: str) -> list[Block]:
    """The blocks in order. A text block right behind a program is its output, and no block of its own."""
    found: list[Block] = []
    for block in fenced(page, text):
        before = found[-1] if found else None
        if block.language == "text" and before and before.language in PROGRAMS:
            between = text.splitlines()[before.line + before.text.count("\n") + 1 : block.line - 1]
            if before.output is None and not any(between):
                found[-1] = before._replace(output=block.text)
                continue
        found.append(block)
    return found


def fenced(page: str, text: str) -> Iterator[Block]:
    heading, names = "", list[str]()
    notes: dict[str, str] = {}
    opened: tuple[int, str] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        fence, note, title = FENCE.match(line), NOTE.match(line), HEADING.match(line)
        if opened is not None:
            if fence:
                begin, language = opened
                names.append(heading)
                again = names.count(heading)
                name = heading if again == 1 else f"{heading} {again}"
                yield Block(page, name, begin, language, "\n".join([*lines[begin : number - 1], ""]), notes)
                opened, notes = None, {}
        elif fence:
            opened = (number, fence[1])
        elif note:
            notes[note[1]] = note[2]
        else:
            assert "```" not in line, f"{page}:{number}: a block begins and ends at the beginning of a line"
            notes = {} if line else notes
            heading = title[1] if title else heading
    assert opened is None, f"{page}: the last block has no end"


def all_blocks() -> list[Block]:
    return [
        block
        for path in PAGES
        for block in blocks_of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]


# What makes a block a program


def shells_of(block: Block) -> list[str]:
    """How a program is run: as it stands, and in the other ways where that is only a matter of wording."""
    text = block.text.replace("import asyncio\n", "").replace("asyncio.run(main())", "")
    if "psqlpy.sync" in text:
        return ["threads"]
    if re.search(r"\basyncio\b", text):
        # What calls `run` itself says on which loop.
        return ["asyncio"] if "asyncio.run(" in text else ["asyncio", "uvloop"]
    if re.search(r"\btrio\b", text):
        return ["trio"]
    shells = [
        shell for shell in SHELLS if f"{'in' if shell == 'threads' else 'on'} {shell}" not in block.notes
    ]
    if not re.search(r"\b(?:async|await)\b", text):
        shells = [shell for shell in shells if shell not in ("uvloop", "trio")]
    elif re.search(r"\banyio\b", text):
        shells.remove("threads")
    return shells


def program(block: Block, shell: str) -> ast.Module:
    """The block as a module: a body for `main` where it has none, a `main` for statements that wait, for this shell."""
    text = block.text
    if text.rstrip().endswith("-> None:"):
        text = f"{text.rstrip()}\n    ...\n"
    if waits(ast.parse(text)):
        text = as_main(text)
    if shell == "threads" and "psqlpy.sync" not in text:
        text = in_threads(text)
    elif shell == "trio":
        text = text.replace("import asyncio\n", "import trio\n").replace(
            "asyncio.run(main())", "trio.run(main)"
        )
    elif shell == "uvloop":
        text = text.replace("asyncio.run(main())", "__import__('uvloop').run(main())")
    module = ast.parse(text, f"{block.page}:{block.line}")
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "main":
            # Its variables, for those who look at what the block has done.
            node.body += ast.parse("return locals()").body
    return ast.fix_missing_locations(module)


def waits(module: ast.Module) -> bool:
    """Whether statements outside of any function wait."""
    waiting = (ast.Await, ast.AsyncWith, ast.AsyncFor)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    rest: list[ast.AST] = [*module.body]
    while rest:
        node = rest.pop()
        if isinstance(node, waiting):
            return True
        if not isinstance(node, functions):
            rest += ast.iter_child_nodes(node)
    return False


def as_main(text: str) -> str:
    """Statements about a `connection`, or about a `transaction` on one, as a program."""
    blocks = "pool.acquire() as connection"
    if re.search(r"\btransaction\.", text) and " as transaction" not in text:
        blocks += ", connection.transaction() as transaction"
    body = "".join(f"        {line}" if line.strip() else line for line in text.splitlines(keepends=True))
    return f"async def main() -> None:\n    async with {blocks}:\n{body}"


def in_threads(text: str) -> str:
    """The same for psqlpy.sync."""
    text = re.sub(r"\b(?:async (?=def|with|for)|await )", "", text)
    text = text.replace("asyncio.run(main())", "main()")
    text = re.sub(r"^import psqlpy$", "import psqlpy.sync as psqlpy", text, flags=re.MULTILINE)
    return re.sub(r"^from psqlpy import (?!embedded)", "from psqlpy.sync import ", text, flags=re.MULTILINE)
