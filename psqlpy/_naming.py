"""The modules that classes say they are from: those from which users import them, wherever they are written."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def name_public(module: str, names: Iterable[str]) -> None:
    """Let the classes of these names be the module's in messages, help and pickles, which outlive our files' names."""
    namespace = vars(sys.modules[module])
    for name in names:
        found = namespace[name]
        if isinstance(found, type) and found.__module__.startswith("psqlpy._"):
            found.__module__ = module
