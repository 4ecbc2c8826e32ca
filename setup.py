"""Tells setuptools about the C module and its wheel's tag; everything else is in pyproject.toml."""

import sys
import sysconfig

from setuptools import setup

# libpq and poll(2) are used the POSIX way: on Windows the package installs without the module and says so when used.
compiled = sys.platform != "win32"
# One wheel for CPython 3.10 and newer. Free-threaded builds have no limited API, so they get a wheel of their own.
limited = compiled and not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["build_ffi.py:make_ffibuilder"] if compiled else [],
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if limited else {},
)
