"""What docs/extra-types.md shows is what happens: its code blocks are sessions of doctest's, run in order."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from psqlpy.sync import ConnectionPool

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extra-types.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page(dsn: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```python") and all(block.startswith(">>> ") for block in blocks)
    report: list[str] = []
    with ConnectionPool(dsn=dsn) as pool:
        session = doctest.DocTestParser().get_doctest(
            "\n".join(blocks), {"pool": pool}, PAGE.name, str(PAGE), 0
        )
        outcome = doctest.DocTestRunner(verbose=False).run(session, out=report.append)
    assert not report and outcome.failed == 0 and outcome.attempted > len(blocks), "".join(report)
