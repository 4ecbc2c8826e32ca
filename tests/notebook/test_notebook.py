"""examples/notebook.ipynb runs from top to bottom in a real kernel, and shows what its text says."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.embedded.processes import left_of
from tests.notebook.kernels import KERNEL_NAME, ROOT

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


@pytest.fixture(scope="module")
def stored() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def executed(kernelspec: None) -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=50, kernel_name=KERNEL_NAME).execute(cwd=str(NOTEBOOK.parent))
    return notebook


def outputs(notebook: Any, part: str) -> list[Any]:
    """The outputs of the one cell whose code contains `part`."""
    (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and part in cell.source)
    return list(cell.outputs)


def test_it_is_stored_without_outputs(stored: Any) -> None:
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert len(code) > 10
    assert not any(cell.outputs or cell.execution_count for cell in code)


def test_it_runs_from_top_to_bottom(executed: Any) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.get("name") != "stderr", output["text"]


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ("WHERE moons > $1", "Saturn"),
        ("generate_series", "first 20 of 3,000 rows"),
        ("LIMIT 3", "Jupiter"),
        ("name = $1", "Earth"),
    ],
)
def test_results_show_as_tables(executed: Any, part: str, shown: str) -> None:
    data = outputs(executed, part)[-1]["data"]
    assert "<table" in data["text/html"]
    assert shown in data["text/html"]
    assert data["text/plain"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ('transaction.execute("UPDATE', "UniqueViolation 23505 planet_pkey\n"),
        ("UndefinedColumn", 'column "radius" does not exist\n'),
        ("pg_sleep(60)", "timeout: waited 0."),
    ],
)
def test_errors_are_caught_and_say_what_happened(executed: Any, part: str, said: str) -> None:
    assert said in outputs(executed, part)[0]["text"]


def test_four_statements_take_as_long_as_one(executed: Any) -> None:
    printed, status = outputs(executed, "asyncio.gather")
    assert float(printed["text"].removesuffix(" s\n")) < 0.8
    assert "size=4" in status["data"]["text/plain"]


def test_the_server_is_gone(executed: Any) -> None:
    (started,) = outputs(executed, "embedded.start()")
    (pid,) = re.findall(r"pid (\d+)", started["data"]["text/plain"])
    assert not left_of([int(pid)], [], within=5)
