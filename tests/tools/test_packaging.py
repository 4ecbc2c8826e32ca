"""What is installed: dependencies, extras, one wheel for all versions of CPython, with all of psqlpy in it."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import setuptools

import psqlpy
from psqlpy._embedded.installation import REQUIREMENT
from tests.tools.checkout import copy_checkout

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # import-linter brings it

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[^\w-]", requirement)[0] for requirement in requirements]


def test_cffi_and_anyio_are_all_it_needs() -> None:
    assert sorted(names(PROJECT["dependencies"])) == ["anyio", "cffi"]
    assert PROJECT["requires-python"] == ">=3.10"
    assert PROJECT["license"] == "MIT"


def test_the_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"embedded", "trio", "uvloop", "dev"} <= set(extras)
    assert names(extras["trio"]) == ["trio"] and names(extras["uvloop"]) == ["uvloop"]
    # Three places say which server it is.
    assert extras["embedded"] == [REQUIREMENT]
    assert f'"{REQUIREMENT}"' in (ROOT / "tools" / "bootstrap.py").read_text(encoding="utf-8")


def test_the_module_is_for_every_cpython() -> None:
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert psqlpy.capabilities.libpq_version
    compiled = Path(str(sys.modules["psqlpy._ffi._libpq"].__file__))
    assert (".abi3." in compiled.name) is not free_threaded


@pytest.mark.parametrize(
    ("platform", "free_threaded", "compiled", "tag"),
    [
        ("linux", 0, True, "cp310"),
        ("darwin", 0, True, "cp310"),
        ("linux", 1, True, None),
        ("win32", 0, False, None),
    ],
)
def test_what_setuptools_is_told(
    monkeypatch: pytest.MonkeyPatch, platform: str, free_threaded: int, compiled: bool, tag: str | None
) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sysconfig, "get_config_var", {"Py_GIL_DISABLED": free_threaded}.get)
    runpy.run_path(str(ROOT / "setup.py"))
    assert bool(told["cffi_modules"]) is compiled
    assert told["options"].get("bdist_wheel", {}).get("py_limited_api") == tag


USE = """
import sys
import psqlpy, psqlpy.embedded, psqlpy.types
from psqlpy.sync import ConnectionPool

assert psqlpy.__file__.startswith(sys.argv[2]), psqlpy.__file__
with ConnectionPool(sys.argv[1]) as pool:
    print(pool.fetch("SELECT 1 AS one").result())
    with psqlpy.embedded.server() as dsn, ConnectionPool(dsn) as own:
        print(own.fetch_val("SELECT 2"))
"""


@pytest.mark.long
@pytest.mark.timeout(300)
def test_an_installed_wheel_works(dsn: str, tmp_path: Path) -> None:
    source, wheels, site = tmp_path / "it's a clone", tmp_path / "wheels", tmp_path / "site"
    copy_checkout(source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-cache-dir"]
    build = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, check=True, cwd=tmp_path, timeout=250)
    [wheel] = wheels.iterdir()
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert "-cp310-abi3-" in wheel.name
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True, cwd=tmp_path
    )
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"psqlpy"}
    used = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE, dsn, str(site)],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert used.returncode == 0, used.stderr
    assert used.stdout == "[{'one': 1}]\n2\n"
