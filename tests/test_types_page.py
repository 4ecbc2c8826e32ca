"""Each code block of docs/types.md runs as it stands, but for the server; what it prints is checked here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from psqlpy._codecs.registry import Registry, default_registry
from tests.shells.running import RUNNERS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "types.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

PRINTED = [
    [],
    [
        r"parameter \$1 \(int for int2\): out of range, .*",
        r"parameter \$1 \(float for int4\): .*",
        ".*10.0.0.256.*",
    ],
    ["SmallInt holds integers from -32768 to 32767"],
]


@pytest.mark.parametrize("shell", RUNNERS)
@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_a_block_runs(dsn: str, capsys: pytest.CaptureFixture[str], number: int, shell: str) -> None:
    namespace: dict[str, Any] = {}
    source = BLOCKS[number].replace('"postgresql://localhost/postgres"', repr(dsn))
    exec(compile(source, f"{PAGE.name}: block {number + 1}", "exec"), namespace)
    if "main" in namespace:
        RUNNERS[shell](namespace["main"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PRINTED[number])
    assert all(map(re.fullmatch, PRINTED[number], lines))


def test_every_block_is_run() -> None:
    assert len(BLOCKS) == len(PRINTED) and TEXT.count("```") == 2 * len(BLOCKS)


def test_the_switches_are_those_that_there_are() -> None:
    section = TEXT[TEXT.index("## Switches") : TEXT.index("## Wrappers")]
    for keyword in re.findall(r"`(\w+)=", section):
        values = {"uuid_as_object": True, "money_digits": 2, "out_of_range_dates": "clamp"}
        arguments: dict[str, Any] = {keyword: values.get(keyword, str)}
        Registry(default_registry, **arguments)
    assert "out_of_range_dates=" in section
