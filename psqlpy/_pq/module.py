"""The C module, or, on Windows, where it isn't built, what says so to whoever uses it.

Nothing else in psqlpy imports the C module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from psqlpy.exceptions import NotSupportedError


def _refuse(*_: object) -> NoReturn:
    raise NotSupportedError(
        "psqlpy doesn't run on Windows: it waits for libpq's sockets with poll(2); use it in WSL or in a container"
    )


class _Missing:
    """Stands for `ffi` and `lib`: the package can be imported, and the first use raises NotSupportedError."""

    NULL = None

    def def_extern(self) -> Callable[[Any], Any]:
        return lambda function: function

    def new_allocator(self, **_: object) -> Callable[..., NoReturn]:
        return _refuse

    def __getattr__(self, name: str) -> Any:
        # Constants are only combined, before any function is called.
        return 0 if name.startswith("PSQ_") else _refuse


_SUBINTERPRETER = (
    "psqlpy can't be used in a subinterpreter, in which libpq's notices would find no way into Python: import it in "
    "the main interpreter; with mod_wsgi set `WSGIApplicationGroup %{GLOBAL}`"
)

ffi: Any
lib: Any
try:
    from psqlpy._ffi._libpq import ffi, lib
except ImportError as error:
    if "subinterpreter" in str(error):
        # cffi's own refusal, of those that have a GIL of their own.
        raise ImportError(_SUBINTERPRETER) from error
    platform: str = sys.platform  # a name that type checkers don't take for their own platform's
    if platform != "win32":
        raise ImportError(
            f"psqlpy's C module can't be loaded: {error}; it is built by `pip install`, "
            "or in a clone by `python build_ffi.py --inplace`, and needs libpq at run time"
        ) from error
    ffi = lib = _Missing()
else:
    if not lib.psq_in_main_interpreter():
        raise ImportError(_SUBINTERPRETER)
