"""Checks of single values of the pool's configuration, each with an error that names the parameter.

Messages don't show strings that come out of a connection string: they may be a part of its password.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from psqlpy.exceptions import BaseConnectionPoolError, ConnectionPoolConfigurationError, SSLError

INT_MAX = 2**31 - 1

# Linux refuses more, when the socket is opened (net/tcp.h, MAX_TCP_KEEPIDLE and its neighbours).
_ON_LINUX = sys.platform == "linux"
MAX_KEEPALIVES_TIME = 32767 if _ON_LINUX else INT_MAX
MAX_KEEPALIVES_COUNT = 127 if _ON_LINUX else INT_MAX


def configuration_error(message: str) -> ConnectionPoolConfigurationError:
    """The error for a parameter; the message names it."""
    return ConnectionPoolConfigurationError(message)


def check_pool_size(value: object, parameter: str = "max_db_pool_size") -> int:
    """Return a pool's maximum size, an int of 1 or more."""
    return whole_number(value, parameter, 1, INT_MAX)


def check_text(value: object, parameter: str) -> str:
    """Return a str that can go to libpq."""
    if not isinstance(value, str):
        raise configuration_error(f"{parameter} must be a str, not {type(value).__name__}")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise configuration_error(f"{parameter} contains a NUL or a surrogate, which no server can take")
    return value


def check_flag(parameter: str, value: object) -> bool:
    """Return a bool."""
    if not isinstance(value, bool):
        raise configuration_error(f"{parameter} must be a bool, not {value!r}")
    return value


def check_host(value: object, parameter: str) -> str:
    """Return one host name, address or socket directory."""
    host = check_text(value, parameter)
    if "://" in host:
        # With its password, which isn't to be shown in what connecting would say.
        raise configuration_error(
            f"{parameter} must be a host name, not a connection string: that is the dsn"
        )
    if "," in host:
        raise configuration_error(f"{parameter} must be one host name, not several with commas: use hosts")
    return host


def check_list(value: object, parameter: str, single: str) -> Sequence[Any]:
    """Return a list, empty for None; `single` is the parameter for one value."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise configuration_error(
            f"{parameter} must be a list, not {type(value).__name__}: for one use {single}"
        )
    return value


def whole_number(value: object, parameter: str, lowest: int, highest: int) -> int:
    """Return an int between two bounds, bool not being one."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise configuration_error(f"{parameter} must be an int, not {type(value).__name__}")
    if not lowest <= value <= highest:
        raise configuration_error(f"{parameter} must be from {lowest} to {highest}, not {value}")
    return int(value)


def check_time(parameter: str, seconds: object, nanoseconds: object) -> int | None:
    """Return the nanoseconds of a time given by two parameters, None if it isn't given."""
    if seconds is None:
        if nanoseconds is not None:
            raise configuration_error(f"{parameter}_nanosec must be used together with {parameter}_sec")
        return None
    total = whole_number(seconds, f"{parameter}_sec", 0, INT_MAX) * 10**9
    if nanoseconds is not None:
        total += whole_number(nanoseconds, f"{parameter}_nanosec", 0, 2**63 - 1)
    return total


def parse_integer(values: Mapping[str, str], keyword: str, kind: type[BaseConnectionPoolError]) -> int:
    """Return a libpq option that is a whole number, 0 if it isn't given; raises `kind`."""
    digits = values.get(keyword, "0").strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,20}", digits):
        raise kind(f"{keyword} must be a whole number")
    number = int(digits)
    if not -INT_MAX <= number <= INT_MAX:
        raise kind(f"{keyword} must be at most {INT_MAX}")
    return number


def parse_port(value: str, kind: type[BaseConnectionPoolError]) -> int:
    """Return one of libpq's list of ports; raises `kind`."""
    digits = value.strip() or "5432"
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 1 <= int(digits) <= 65535:
        raise kind("port must be from 1 to 65535")
    return int(digits)


def check_ca_file(value: object) -> str:
    """Return the absolute path of a file with certificates, or libpq's word `system`."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    path = check_text(value, "ca_file")
    if path == "system":  # libpq's word for the system's store of trusted roots
        return path
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise SSLError(f"ca_file {path!r} can't be read: {error.strerror}") from None
    if b"-----BEGIN " not in content:
        raise SSLError(f"ca_file {path!r} has no certificate in PEM format")
    # The process may change its directory before it connects.
    return os.path.abspath(path)


class Given(dict[str, str]):
    """Values of libpq's keywords, checked as they are put in."""

    def text(self, keyword: str, value: object, parameter: str | None = None) -> None:
        if value is not None:
            self[keyword] = check_text(value, parameter or keyword)

    def duration(self, keyword: str, seconds: object, nanoseconds: object, unit: int, highest: int) -> None:
        """A time, rounded up to whole units of `unit` nanoseconds, `highest` at most."""
        total = check_time(keyword, seconds, nanoseconds)
        if total is not None:
            rounded = -(-total // unit)
            if rounded > highest:
                raise configuration_error(f"{keyword}_sec must be at most {highest * unit // 10**9}")
            self[keyword] = str(rounded)
