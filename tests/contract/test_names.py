"""Every name, signature, property and enum member of both generations of the Rust driver is here (names.json).

A signature lists the parameters in order; `?name` is accepted by that name but may stand elsewhere, since the
generations disagree, and `*` is a single parameter of any name.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("names.json").read_text())


def cases(kind: str) -> list[Any]:
    return list(_cases(kind))


def _cases(kind: str) -> Iterator[Any]:
    for generation, parts in NAMES.items():
        for path, expected in parts[kind].items():
            for each in [expected] if kind == "signatures" else expected:
                name = path if kind == "signatures" else f"{path}:{each}"
                yield pytest.param(path, each, id=f"{generation}-{name}")


def find(path: str) -> Any:
    """A module, or what is in one."""
    with warnings.catch_warnings():
        # psqlpy._internal says that it is an alias.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        for split in range(path.count(".") + 1, 0, -1):
            parts = path.split(".")
            try:
                found: Any = importlib.import_module(".".join(parts[:split]))
            except ModuleNotFoundError:
                continue
            for part in parts[split:]:
                found = getattr(found, part)
            return found
    raise AssertionError(f"no module in {path}")


@pytest.mark.parametrize("path", NAMES["0.7"]["modules"])
def test_module(path: str) -> None:
    assert NAMES["0.7"]["modules"] == NAMES["0.13"]["modules"]
    assert inspect.ismodule(find(path))


@pytest.mark.parametrize("path", NAMES["0.7"]["modules"])
def test_importing_psqlpy_is_enough(path: str) -> None:
    # Nobody has imported anything else there.
    run = subprocess.run([sys.executable, "-c", f"import psqlpy; {path}"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(("path", "name"), cases("names"))
def test_name(path: str, name: str) -> None:
    assert getattr(find(path), name) is not None


@pytest.mark.parametrize(("path", "expected"), cases("signatures"))
def test_signature(path: str, expected: list[str]) -> None:
    function = find(path)
    parameters = [
        parameter for name, parameter in inspect.signature(function).parameters.items() if name != "self"
    ]
    positional = [
        parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    in_order = [name for name in expected if not name.startswith("?")]
    if expected == ["*"]:
        assert len(positional) == 1
    else:
        assert positional[: len(in_order)] == in_order
        assert {name.removeprefix("?") for name in expected} <= set(positional)
    # What we have beyond that can be left out.
    known = {name.removeprefix("?") for name in expected} if expected != ["*"] else set(positional)
    beyond = [parameter for parameter in parameters if parameter.name not in known]
    assert all(
        parameter.default is not parameter.empty
        or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in beyond
    )


@pytest.mark.parametrize(("path", "name"), cases("properties"))
def test_property(path: str, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        assert not callable(inspect.getattr_static(find(path), name))


@pytest.mark.parametrize(("path", "member"), cases("enums"))
def test_enum_member(path: str, member: str) -> None:
    found = getattr(find(path), member)
    assert isinstance(found, enum.Enum)
    assert found.name == member
    assert {found: 1}[found] == 1


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        pytest.param(
            path,
            ("__aenter__", "__aexit__"),
            id=path,
        )
        for path in dict.fromkeys(NAMES["0.7"]["blocks"] + NAMES["0.13"]["blocks"])
    ],
)
def test_block(path: str, methods: tuple[str, ...]) -> None:
    assert all(callable(getattr(find(path), method)) for method in methods)


def test_aliases_are_the_thing_itself() -> None:
    for generation in NAMES.values():
        for name in generation["names"]["psqlpy._internal"]:
            assert find(f"psqlpy._internal.{name}") is find(f"psqlpy.{name}")
        for module in ("exceptions", "extra_types", "row_factories"):
            for name in generation["names"][f"psqlpy.{module}"]:
                assert find(f"psqlpy._internal.{module}.{name}") is find(f"psqlpy.{module}.{name}")
    assert find("psqlpy.exceptions.RustPSQLDriverPyBaseError") is find("psqlpy.Error")
    assert find("psqlpy.extra_types.PyText") is find("psqlpy.extra_types.Text")
