"""Random connection strings: what libpq reads in them we do, and no part of a password is shown of any."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from psqlpy import exceptions
from psqlpy._config import PoolConfig
from psqlpy._pq import conninfo
from psqlpy._pq.module import ffi, lib
from psqlpy._pq.result import text
from psqlpy._secret import hide
from tests.security.showing import held, words

BEGINNINGS = ["", "", "postgresql://", "postgres://", "postgresql://u:p@h/", "host=h ", "user=u password="]
PIECES = [
    *("postgresql://", "user", "password", "dbname", "host", "sslmode", "application_name", "options", "requiressl"),
    *("user=", "host=", "password=", "port=", "dbname=", "service=x", "ssl=true", "nonsense", "HOST", "Password="),
    *("@", ":", "/", "?", "&", "=", ",", "[", "]", "#", "+", ";", "'", "''", "'a b'", "\\", "\\'", "%", "%zz", "%00"),
    *("%20", "%2F", "%40", "%C3%BC", "%ff", " ", "  ", "\t", "\n", "\v", "\f", "\x1c", "\x85", "\xa0", "\u2028"),
    *("h1", "::1", "5432", "require", "ü", "🔑"),
]  # fmt: skip
EXAMPLES = [
    pytest.param(4_000, id="some"),
    pytest.param(200_000, id="many", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
]

SECRET = "hushhush"
PLACES = [
    "postgresql://me:{}@localhost:5432/db",
    "postgresql://me:{}@localhost:5432/db?connect_timeout=3",
    "postgresql://localhost/db?password={}",
    "postgresql://localhost/db?password={}&connect_timeout=3",
    "postgresql://localhost/db?sslpassword={}&connect_timeout=3",
    "password={}",
    "host=localhost password={} dbname=db",
    "dbname=db password='{}' host=localhost",
]
AROUND = [*"@:/?&=%#+,[]' \\\"", "%20", "%zz", "a", "ü", "1", "\n"]

Read = dict[str, str] | None


def libpq_reads(dsn: str) -> Read:
    """Values that aren't empty; None where libpq refuses the string."""
    message = ffi.new("char **")
    options = lib.PQconninfoParse(dsn.encode(), message)
    if options == ffi.NULL:
        lib.PQfreemem(message[0])
        return None
    values: dict[str, str] = {}
    index = 0
    while options[index].keyword != ffi.NULL:
        if value := text(options[index].val):
            values[text(options[index].keyword) or ""] = value
        index += 1
    lib.PQconninfoFree(options)
    return values


def we_read(dsn: str) -> Read:
    try:
        return conninfo.parse(dsn)
    except exceptions.ConnectionPoolBuildError:
        return None


def may_be_refused(dsn: str, read: dict[str, str]) -> bool:
    """Where we are stricter: an @ behind the one in front of the host may be in a password that isn't escaped.

    And libpq takes anything in brackets for an address.
    """
    host = read.get("host", "")
    if "?" in host or any("@" in each[1:] for each in host.split(",")):
        return True
    _, scheme, rest = dsn.partition("://")
    where = rest.partition("?")[0]
    if not scheme or "@" not in where:
        return False
    head, _, behind = where.partition("@")
    return ":" in head and ("/" in head or "@" in behind[1:])


@pytest.mark.parametrize("count", EXAMPLES)
def test_what_libpq_reads(count: int) -> None:
    rng, seen = random.Random(7), Counter[str]()
    for _ in range(count):
        dsn = rng.choice(BEGINNINGS) + "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 10)))
        theirs, ours = libpq_reads(dsn), we_read(dsn)
        if theirs is None:
            assert ours is None, dsn
            seen["refused"] += 1
        elif may_be_refused(dsn, theirs) and ours is None:
            seen["stricter"] += 1
        else:
            assert ours == theirs, dsn
            seen["read"] += 1
            # What we do ourselves with a libpq that can't comes on top.
            if "://" not in dsn:
                assert we_read(f"keepalives_retries=3 {dsn}") == {**theirs, "keepalives_count": "3"}
            elif "?" not in dsn and dsn.startswith("postgres"):
                assert we_read(f"{dsn}?keepalives_retries=3") == {**theirs, "keepalives_count": "3"}
    assert seen["read"] > count / 4 and seen["refused"] > count / 4 and 0 < seen["stricter"] < count / 20


@pytest.mark.parametrize("count", EXAMPLES)
def test_a_password_that_is_not_escaped(count: int) -> None:
    rng, refused = random.Random(7), 0

    def some() -> str:
        return "".join(rng.choice(AROUND) for _ in range(rng.randrange(3)))

    for _ in range(count // 10):
        password = some() + SECRET + some() + rng.choice(["", SECRET]) + some()
        dsn = rng.choice(PLACES).format(password)
        try:
            shown = repr(PoolConfig.from_parameters(hide(dsn)))
        except exceptions.Error as error:
            refused += 1
            shown = words(error) + held(error)
        assert SECRET not in shown, dsn
    assert count / 100 < refused < count / 10 - count / 100
