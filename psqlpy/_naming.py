"""What the package shows to users: which module its classes say they are from, and which names are imported late."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

Class = TypeVar("Class", bound=type)


def name_public(module: str, names: Iterable[str]) -> None:
    """Let the classes of these names be the module's in messages, help and pickles, which outlive our files' names."""
    namespace = vars(sys.modules[module])
    for name in names:
        found = namespace.get(name)
        if isinstance(found, type) and found.__module__.startswith("psqlpy._"):
            found.__module__ = module


def public(cls: Class) -> Class:
    """Do the same for a class whose module is imported late: its objects may come before anybody asks for its name."""
    cls.__module__ = "psqlpy.sync" if cls.__module__.startswith("psqlpy._sync.") else "psqlpy"
    return cls


def later(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make a module's `__getattr__`: the names in `homes` are imported from there when they are first asked for."""

    def get(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        # A home of this name is what was asked for.
        found = _imported(home) if home == f"{module}.{name}" else getattr(_imported(home), name)
        vars(sys.modules[module])[name] = found
        return found

    return get


def _imported(module: str) -> ModuleType:
    from importlib import import_module

    return import_module(module)
