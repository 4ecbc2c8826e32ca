"""`psqlpy` and `psqlpy.sync`: the same names, signatures and docstrings; and what importing them doesn't load."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import types
from collections.abc import Iterator

import pytest

import psqlpy
import psqlpy.sync
from psqlpy import embedded, exceptions, extra_types, row_factories

# The version is the package's, not a mirror's.
ONLY_ASYNC = {"__version__"}

MIRRORED = [
    "Connection",
    "ConnectionPool",
    "ConnectionPoolBuilder",
    "Cursor",
    "Listener",
    "PreparedStatement",
    "Transaction",
]
CLASSES = [name for name in psqlpy.__all__ if inspect.isclass(getattr(psqlpy, name))]
# What only one side needs: the protocols of its blocks. Python's words for them.
BLOCKS = {
    "__aenter__",
    "__aexit__",
    "__aiter__",
    "__anext__",
    "__await__",
    "__enter__",
    "__exit__",
    "__iter__",
    "__next__",
}


def public_names(cls: type) -> set[str]:
    """The attributes of a class that users may touch."""
    return {name for name in dir(cls) if not name.startswith("_")}


def members(cls: type) -> Iterator[tuple[str, object]]:
    """A class's public methods and properties, and its constructor; what Python or object gives it left out."""
    for name in sorted(public_names(cls)):
        member = inspect.getattr_static(cls, name)
        if isinstance(member, (types.FunctionType, staticmethod, classmethod, property)):
            yield name, member


def shape(function: object) -> list[tuple[str, object, object]]:
    """Names, kinds and defaults of the parameters: annotations name each side's own classes."""
    assert callable(function)
    parameters = inspect.signature(function).parameters.values()
    return [
        # "Not given" is an object of its own on each side.
        (
            parameter.name,
            parameter.kind,
            "not given" if type(parameter.default) is object else parameter.default,
        )
        for parameter in parameters
    ]


@pytest.mark.parametrize("module", ["psqlpy", "psqlpy.sync"])
def test_import_of_everything(module: str) -> None:
    names: dict[str, object] = {}
    exec(f"from {module} import *", names)
    names.pop("__builtins__")
    assert set(names) == set(sys.modules[module].__all__)
    assert len(sys.modules[module].__all__) == len(names)


def test_both_sides_offer_the_same_names() -> None:
    assert set(psqlpy.__all__) - set(psqlpy.sync.__all__) == ONLY_ASYNC
    assert set(psqlpy.sync.__all__) <= set(psqlpy.__all__)


@pytest.mark.parametrize("name", sorted(set(psqlpy.__all__) - ONLY_ASYNC))
def test_what_is_not_mirrored_is_the_same(name: str) -> None:
    same = getattr(psqlpy, name) is getattr(psqlpy.sync, name)
    assert same is (name not in [*MIRRORED, "connect", "connect_pool"])


@pytest.mark.parametrize("name", MIRRORED)
def test_mirrored_classes_have_the_same_members(name: str) -> None:
    ours, mirrored = getattr(psqlpy, name), getattr(psqlpy.sync, name)
    assert public_names(ours) == public_names(mirrored)
    assert shape(ours) == shape(mirrored)
    kinds = {member: type(value) for member, value in members(ours)}
    assert kinds == {member: type(value) for member, value in members(mirrored)}
    for member, value in members(ours):
        if not isinstance(value, property):
            assert shape(getattr(ours, member)) == shape(getattr(mirrored, member)), member
    assert set(vars(ours)) - set(vars(mirrored)) <= BLOCKS
    assert not any(inspect.iscoroutinefunction(value) for _, value in members(mirrored))


@pytest.mark.parametrize("name", ["connect", "connect_pool"])
def test_functions_have_the_signature_of_the_pool(name: str) -> None:
    for module in (psqlpy, psqlpy.sync):
        function = getattr(module, name)
        assert shape(function) == shape(module.ConnectionPool)
        assert function.__name__ == name
        assert function.__doc__


@pytest.mark.parametrize("module", [psqlpy, psqlpy.sync], ids=["psqlpy", "psqlpy.sync"])
@pytest.mark.parametrize("name", CLASSES)
def test_everything_public_has_a_docstring(module: types.ModuleType, name: str) -> None:
    cls = getattr(module, name)
    assert (vars(cls).get("__doc__") or "").strip(), name
    missing = [
        member
        for member, value in members(cls)
        # What Python's own classes (Enum, Exception) have is documented there.
        if any(member in vars(base) and base.__module__.startswith("psqlpy") for base in cls.__mro__)
        and not (inspect.getdoc(value) or "").strip()
    ]
    assert missing == []


OTHER_MODULES = [embedded, exceptions, extra_types, row_factories, psqlpy.types]


@pytest.mark.parametrize("module", OTHER_MODULES, ids=lambda module: module.__name__)
def test_every_name_of_the_other_modules_has_a_docstring(module: types.ModuleType) -> None:
    # The classes of SQLSTATEs aren't in __all__.
    leaves = [name for name in dir(module) if name[0].isupper()] if module is exceptions else []
    for name in {*module.__all__, *leaves} - {"Any", "Mapping", "TYPE_CHECKING"}:
        value = getattr(module, name)
        assert (value.__doc__ or "").strip(), name
        if inspect.isclass(value) and not issubclass(value, Exception):
            assert [member for member, found in members(value) if not inspect.getdoc(found)] == [], name


# What methods return, without a name in the package.
RETURNED = ["copy_out.CopyOut", "kept.KeptConnection", "listener.Messages", "stream.RowStream"]


@pytest.mark.parametrize("side", ["_async", "_sync"])
@pytest.mark.parametrize("name", RETURNED)
def test_what_methods_return_has_docstrings(side: str, name: str) -> None:
    module, _, class_name = name.partition(".")
    cls = getattr(importlib.import_module(f"psqlpy.{side}.{module}"), class_name)
    assert (vars(cls).get("__doc__") or "").strip()
    assert [member for member, found in members(cls) if not inspect.getdoc(found)] == []


@pytest.mark.parametrize("module", ["psqlpy", "psqlpy.sync", "psqlpy.embedded"])
def test_import_loads_cffi_and_the_standard_library_alone(module: str) -> None:
    """No event loop but asyncio, and nothing that isn't installed with it."""
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    before = "import sys, json; print(json.dumps(sorted(sys.modules)))"
    runs = [
        subprocess.run([sys.executable, "-c", each], check=True, capture_output=True, text=True)
        for each in (before, code)
    ]
    # What is there without it, .pth files have loaded.
    there, loaded = ({name.partition(".")[0] for name in json.loads(run.stdout)} for run in runs)
    assert loaded - there - sys.stdlib_module_names == {"psqlpy", "_cffi_backend"}
    if module != "psqlpy.embedded":
        # What takes long, and is loaded when it is needed; asyncio brings all the others.
        late = {"asyncio", "concurrent", "inspect", "logging", "socket", "ssl", "subprocess"}
        late |= {"array", "datetime", "decimal", "importlib", "json", "random", "traceback", "uuid"}
        assert (loaded - there) & late == set()


# Of psqlpy itself: what a program imports that opens a pool and makes a query. A tenth is kept for what comes.
MOST_MODULES = 112
# With what it needs besides; not everybody needs any of them.
LATE_MODULES = """
    _async.builder _async.copy_in _async.copy_out _async.copy_records _async.cursor _async.kept _async.listener
    _async.prepared _async.stream
    _codecs.array _codecs.composite _codecs.datetime _codecs.geometry _codecs.json _codecs.numeric _codecs.range
    _codecs.text _codecs.user_types _codecs.copy_binary
    _io.asyncio_driver _io.anyio_driver _io.logged_links _io.pausing _io.streams
    _pq.capabilities _pq.copy _pq.fields _pq.records
    _protocol.batch _protocol.copy _protocol.cursor _protocol.pipeline _protocol.stream _protocol.unprepared
    _column _excerpt _geometry _keepalive _notice _notification _query_event _ranges _sqlstates _status _sync
    _vectors _wrappers
"""


def test_import_loads_what_a_first_query_needs_and_little_more() -> None:
    code = "import psqlpy, sys; print(*(name for name in sys.modules if name.startswith('psqlpy.')))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.removeprefix("psqlpy.") for name in run.stdout.split()}
    assert loaded & set(LATE_MODULES.split()) == set()
    assert len(loaded) <= MOST_MODULES


@pytest.mark.parametrize("module", [psqlpy, psqlpy.sync], ids=lambda module: module.__name__)
def test_names_that_are_imported_late_are_there_and_public(module: types.ModuleType) -> None:
    """A class is said to be from the package even where its objects come before anybody asks for its name."""
    code = (
        f"import importlib, pickle, {module.__name__} as module\n"
        "assert set(module._HOMES).isdisjoint(vars(module)) and set(module.__all__) <= set(dir(module))\n"
        "for name, home in module._HOMES.items():\n"
        "    found = importlib.import_module(home)\n"
        "    if home != f'{module.__name__}.{name}':\n"
        "        found = getattr(found, name)\n"
        "    shared = not home.startswith('psqlpy._sync.')\n"
        "    if isinstance(found, type):\n"
        "        assert found.__module__ == ('psqlpy' if shared else 'psqlpy.sync'), name\n"
        "    assert getattr(module, name) is found and vars(module)[name] is found\n"
        f"exec('from {module.__name__} import *; assert Cursor is module.Cursor')\n"
        "assert not hasattr(module, 'nothing_of_that_name')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_compiles_no_pattern_of_sql_and_no_rare_one() -> None:
    """They were more than half of the import."""
    code = "import re, json; re.purge(); before = set(re._cache)\nimport psqlpy; print(len(set(re._cache) - before))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(run.stdout) <= 12


def test_asyncio_is_found_when_it_is_imported_later() -> None:
    code = (
        "import sys\n"
        "from psqlpy._io.running import enclosing_loop, running_loop\n"
        "assert 'asyncio' not in sys.modules and running_loop() is None\n"
        "import asyncio\n"
        "async def main(): return [running_loop(), enclosing_loop()] == [asyncio.get_running_loop()] * 2\n"
        "assert asyncio.run(main()) and running_loop() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
