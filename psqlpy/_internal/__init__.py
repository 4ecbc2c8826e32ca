"""The path of the Rust driver's extension module: what psqlpy exports, under the names that were here."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from psqlpy._compat import INTERNAL_NAMES
from psqlpy._internal import exceptions as exceptions
from psqlpy._internal import extra_types as extra_types
from psqlpy._internal import row_factories as row_factories

if TYPE_CHECKING:
    # Type checkers see the names; __getattr__ passes them on.
    from psqlpy import *  # type: ignore[no-redef]  # noqa: F403  (of `exceptions`, which is the same module)

warnings.warn(
    "psqlpy._internal is an alias: import from psqlpy, psqlpy.exceptions or psqlpy.extra_types",
    PendingDeprecationWarning,
    stacklevel=2,
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in INTERNAL_NAMES:
            import psqlpy

            return getattr(psqlpy, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *INTERNAL_NAMES})
