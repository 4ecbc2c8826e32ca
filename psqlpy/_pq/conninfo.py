"""libpq's connection options: which the loaded library knows, connection strings, and what it uses for those not given.

Not here: what psqlpy's own parameters mean. No message quotes a connection string: it may hold a password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from psqlpy._pq.module import ffi, lib
from psqlpy._pq.result import text
from psqlpy._secret import Secret
from psqlpy.exceptions import (
    ConnectionPoolBuildError,
    ConnectionPoolConfigurationError,
    Error,
    NotSupportedError,
    combine,
)

# What psqlpy does itself, so that it works with every libpq: the name in a connection string, and ours.
EMULATED = {"load_balance_hosts": "load_balance_hosts", "keepalives_retries": "keepalives_count"}

# The first libpq that knows a keyword. One that is missing may be about security, so it is never dropped.
ADDED = {
    "require_auth": 16,
    "sslcertmode": 16,
    "gssdelegation": 16,
    "sslnegotiation": 17,
    "min_protocol_version": 18,
    "max_protocol_version": 18,
    "oauth_issuer": 18,
    "oauth_client_id": 18,
    "oauth_client_secret": 18,
    "oauth_scope": 18,
    "scram_client_key": 18,
    "scram_server_key": 18,
    "sslkeylogfile": 18,
}

# C's white space: a no-break space, or another one beyond ASCII, may be a part of a password.
_SPACE = " \t\n\v\f\r"
# Not compiled before there is a string to be read: importing would take the time.
_PAIR = (
    rf"[{_SPACE}]*(?P<key>[^{_SPACE}=]+)[{_SPACE}]*=[{_SPACE}]*"
    rf"(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<plain>(?!')(?:[^{_SPACE}\\]|\\.|\\\Z)*))"
)
# libpq's old name for sslmode, which it knows in connection strings only.
_OLD = "requiressl"

# Whose values must not be shown; libpq marks but some of them.
_SECRET = frozenset(
    ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
)

_CANNOT_PARSE_URI = (
    "the dsn is not a valid URL: expected postgresql://user:password@host:port/database?option=value, "
    "with : / @ ? & % in user name and password written as %3A %2F %40 %3F %26 %25"
)
_CANNOT_PARSE_PAIRS = (
    "the dsn is neither a postgresql:// URL nor a list of keyword=value: "
    "put values that are empty or contain spaces in single quotes"
)

_defaults: dict[str, str | None] = {}


def keywords() -> Mapping[str, str | None]:
    """The connection options that the loaded libpq knows, with their compiled-in defaults."""
    global _defaults
    if not _defaults:
        options = lib.PQconninfoParse(b"", ffi.NULL)
        _defaults = {option.keyword: option.compiled for option in _each(options)}
        lib.PQconninfoFree(options)
    return _defaults


def parse(dsn: str) -> dict[str, str]:
    """Split a connection string, URL or keyword=value, into libpq's keywords and values; empty values are left out.

    Raises ConnectionPoolBuildError for an unknown keyword, which it names, and for a string that can't be parsed.
    """
    try:
        return _parse(dsn)
    except BaseException as error:
        # The frames that it comes from have pieces of the string in their variables.
        raise error.with_traceback(None) from None


def _parse(dsn: str) -> dict[str, str]:
    is_uri = dsn.startswith(("postgres://", "postgresql://"))
    dsn, emulated = (_take_from_uri if is_uri else _take_from_pairs)(dsn)
    message = ffi.new("char **")
    options = lib.PQconninfoParse(dsn.encode(), message)
    if options == ffi.NULL:
        # libpq's message quotes from the string: not for us.
        if message[0] != ffi.NULL:
            lib.PQfreemem(message[0])
        raise ConnectionPoolBuildError(_CANNOT_PARSE_URI if is_uri else _CANNOT_PARSE_PAIRS)
    values = {option.keyword: option.value for option in _each(options) if option.value}
    lib.PQconninfoFree(options)
    if any("@" in host[1:] and not host.startswith("/") for host in values.get("host", "").split(",")):
        # Behind the first @ of a password that isn't escaped: don't let it be shown as a part of the host.
        raise ConnectionPoolBuildError(_CANNOT_PARSE_URI if is_uri else "the dsn's host contains an @")
    return values | emulated


def resolve(given: Mapping[str, str]) -> dict[str, str]:
    """Complete `given` as libpq would when connecting: from the service file, the environment, and its defaults.

    Raises ConnectionPoolBuildError where the service can't be read.
    """
    explicit = {keyword: value for keyword, value in given.items() if keyword in keywords()}
    # An invalid value stops libpq after it has filled in all the others and before it opens a socket. So the
    # service file is found and read by libpq's own rules, its compiled-in directory included.
    values, _ = _probe(explicit, "channel_binding")
    others, _ = _probe(explicit, "gssencmode")
    values.pop("channel_binding")
    if "channel_binding" in others:
        values["channel_binding"] = others["channel_binding"]
    if is_default("gssencmode", explicit, values):
        # Kerberos calls block, and hardly anybody wants them.
        values["gssencmode"] = "disable"
    balance = given.get("load_balance_hosts") or os.environ.get("PGLOADBALANCEHOSTS")
    if balance and "load_balance_hosts" not in values:
        values["load_balance_hosts"] = balance
    if values.get("sslrootcert") == "system" and "require_auth" not in keywords():
        # Before 16 that is the name of a file, and where it is missing `require` doesn't verify anything.
        raise needs_libpq("sslrootcert=system", 16)
    return values


def default_socket_directory() -> str:
    """Where the loaded libpq looks for the server's socket when no host is given."""
    _, host = _probe({"host": ","}, "channel_binding")
    return host or "/tmp"


def needs_libpq(what: str, version: int) -> Error:
    """The error for an option that the loaded libpq is too old for."""
    return combine(NotSupportedError, ConnectionPoolConfigurationError)(
        f"{what} needs libpq {version} or newer, loaded is libpq {lib.PQlibVersion() // 10000}"
    )


def is_default(keyword: str, given: Mapping[str, str], resolved: Mapping[str, str]) -> bool:
    """Whether the value of an option is only libpq's compiled-in default, asked for by nobody."""
    if given.get(keyword) or os.environ.get(f"PG{keyword.upper()}"):
        return False
    return resolved.get(keyword) == keywords()[keyword]


class _Option(NamedTuple):
    keyword: str
    value: str | None
    compiled: str | None


def _each(options: Any) -> Iterator[_Option]:
    index = 0
    while options[index].keyword != ffi.NULL:
        option = options[index]
        keyword, value = text(option.keyword) or "", text(option.val)
        if value and keyword in _SECRET:
            value = Secret(value)
        yield _Option(keyword, value, text(option.compiled))
        index += 1


def _probe(given: Mapping[str, str], spoiled: str) -> tuple[dict[str, str], str]:
    """All values that libpq would connect with, and the first host; the option `spoiled` keeps it from connecting."""
    pairs = {**given, spoiled: "!"}
    names = [ffi.new("char[]", keyword.encode()) for keyword in pairs]
    values = [ffi.new("char[]", value.encode()) for value in pairs.values()]
    cell = ffi.new("PGconn **")
    lib.psq_connect_start(cell, [*names, ffi.NULL], [*values, ffi.NULL])
    conn = cell[0]
    options = lib.PQconninfo(conn)
    try:
        if options == ffi.NULL:
            raise MemoryError("libpq could not allocate a connection")
        resolved = {option.keyword: option.value for option in _each(options) if option.value}
        if spoiled not in resolved:
            # libpq gave up earlier: the service, or the file it is in, isn't there.
            reason = (text(lib.PQerrorMessage(conn)) or "").strip()
            raise ConnectionPoolBuildError(f"the connection's service can't be read: {reason}")
        return resolved, text(lib.PQhost(conn)) or ""
    finally:
        lib.PQconninfoFree(options)
        lib.psq_finish(cell)


def _check_keyword(keyword: str, if_odd: str, *, show: bool = True) -> None:
    if keyword in keywords() or keyword in EMULATED or keyword == _OLD:
        return
    if keyword in ADDED:
        raise needs_libpq(keyword, ADDED[keyword])
    # Not shown where it could be the rest of a password that isn't quoted.
    raise ConnectionPoolBuildError(
        f"unknown option {keyword!r} in the dsn" if show and keyword.isidentifier() else if_odd
    )


def _take_from_pairs(dsn: str) -> tuple[str, dict[str, str]]:
    """Take the options that we emulate out of keyword=value pairs: the rest, and what was taken."""
    kept: list[str] = []
    taken: dict[str, str] = {}
    position = 0
    next_pair = re.compile(_PAIR, re.DOTALL).match
    could_be_password = is_plain = False
    while dsn[position:].strip(_SPACE):
        pair = next_pair(dsn, position)
        if pair is None:
            raise ConnectionPoolBuildError(_CANNOT_PARSE_PAIRS)
        # Behind an unquoted one; or right behind the quote that may have been in the middle of it.
        is_odd = could_be_password and (is_plain or not pair[0].startswith(tuple(_SPACE)))
        _check_keyword(pair["key"], _CANNOT_PARSE_PAIRS, show=not is_odd)
        could_be_password, is_plain = pair["key"] in _SECRET, pair["plain"] is not None
        if pair["key"] in EMULATED:
            raw = pair["plain"] if pair["quoted"] is None else pair["quoted"]
            taken[EMULATED[pair["key"]]] = re.sub(r"\\(.?)", r"\1", raw, flags=re.DOTALL)
        else:
            kept.append(pair[0])
        position = pair.end()
    return " ".join(kept), taken


def _take_from_uri(dsn: str) -> tuple[str, dict[str, str]]:
    """Take the options that we emulate out of a URL's query: the rest, and what was taken."""
    start = dsn.index("://") + 3
    # As libpq reads it: a user and password are there if an @ comes before the first slash.
    at, slash = dsn.find("@", start), dsn.find("/", start)
    has_user = at >= 0 and (slash < 0 or at < slash)
    user = dsn[start:at] if has_user else ""
    if has_user:
        start = at + 1
    head, _, query = dsn[start:].partition("?")
    # user:password@host with an @ or a / in the password: then nothing of what follows may be shown, and no part of the
    # password be looked up as the name of a host.
    is_odd = "@" in dsn[start:]
    if is_odd and not has_user and ":" in head.partition("/")[0]:
        raise ConnectionPoolBuildError(_CANNOT_PARSE_URI)
    if "@" in head[1:] and ":" in user:
        raise ConnectionPoolBuildError(_CANNOT_PARSE_URI)
    kept: list[str] = []
    taken: dict[str, str] = {}
    parameters = query.split("&")
    if not parameters[-1]:  # nothing behind the ?, or the last &
        parameters.pop()
    for parameter in parameters:
        keyword, equals, value = parameter.partition("=")
        keyword = _percent_decode(keyword)
        if not equals or "=" in value:
            raise ConnectionPoolBuildError(_CANNOT_PARSE_URI)
        if (keyword, _percent_decode(value)) != (
            "ssl",
            "true",
        ):  # which is libpq's other way to say sslmode=require
            _check_keyword(keyword, _CANNOT_PARSE_URI, show=not is_odd)
        is_odd = is_odd or keyword in _SECRET  # whose & may not have been written as %26
        if keyword in EMULATED:
            taken[EMULATED[keyword]] = _percent_decode(value)
        else:
            kept.append(parameter)
    return dsn[:start] + head + ("?" + "&".join(kept) if kept else ""), taken


def _percent_decode(value: str) -> str:
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), value.encode())
    return decoded.decode("utf-8", "replace")
