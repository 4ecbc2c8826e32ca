"""username, password and db_name against SCRAM: what they may contain, and that no error shows the password."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from psqlpy import exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.conftest import Server

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")

WHO = "SELECT current_user::text"
PASSWORDS = [
    "plain",
    "@ : / % #",
    "p@ss:w/rd%20#1?&=+",
    " 'quoted' \\ \"and\" spaced ",
    "naïve пароль 密码 🔑",
    "ﬁrst",  # SASLprep makes another text of it, on both sides
]
NAMES = ["user@host:1/%20#?", 'О\'Нил "ё" \\']

MakeRole = Callable[..., tuple[str, str]]


def as_pairs(**values: object) -> str:
    """A keyword=value connection string."""
    escaped = {key: str(value).replace("\\", "\\\\").replace("'", "\\'") for key, value in values.items()}
    return " ".join(f"{key}='{value}'" for key, value in escaped.items())


@pytest.fixture(scope="module")
def role(observer: psycopg.Connection[Any]) -> Iterator[MakeRole]:
    """Makes a role with a password, dropped at the end; returns both."""
    made: list[str] = []

    def make(password: str, prefix: str = "r") -> tuple[str, str]:
        name = f"{prefix}{uuid4().hex[:12]}"
        options = (sql.Identifier(name), sql.Literal(password))
        observer.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(*options))
        made.append(name)
        return name, password

    observer.execute("SET password_encryption = 'scram-sha-256'")
    yield make
    for name in made:
        observer.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def odd_database(observer: psycopg.Connection[Any]) -> Iterator[str]:
    """A database whose name needs quoting everywhere."""
    name = f"we/ird @ %20 'ü' {uuid4().hex[:8]}"
    observer.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield name
    observer.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def words_of(error: BaseException) -> str:
    """All that a log or a traceback could show of an exception, and of those behind it."""
    shown = [*traceback.format_exception(error)]
    pending: list[BaseException] = [error]
    while pending:
        one = pending.pop()
        shown += [str(one), repr(one), *map(repr, one.args), *getattr(one, "__notes__", ())]
        shown += [repr(value) for value in getattr(one, "__dict__", {}).values()]
        pending += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(shown)


@each_way
def test_the_right_password(ask: Ask, role: MakeRole, server: Server) -> None:
    name, password = role("@ : / % # ü")
    assert ask(WHO, **server.here(username=name, password=password)) == name


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_with_special_characters(role: MakeRole, server: Server, password: str) -> None:
    name, _ = role(password)
    assert ask(WHO, **server.here(username=name, password=password)) == name
    where = f"{server.host}:{server.port}/{server.db_name}"
    assert ask(WHO, dsn=f"postgresql://{name}:{quote(password, safe='')}@{where}") == name
    assert ask(WHO, dsn=f"postgresql://{where}?user={name}&password={quote(password, safe='')}") == name
    pairs = as_pairs(host=server.host, port=server.port, dbname=server.db_name, user=name, password=password)
    assert ask(WHO, dsn=pairs) == name


@pytest.mark.parametrize("prefix", NAMES)
def test_a_user_name_with_special_characters(role: MakeRole, server: Server, prefix: str) -> None:
    name, password = role("secret", prefix)
    assert ask(WHO, **server.here(username=name, password=password)) == name
    where = f"{server.host}:{server.port}/{server.db_name}"
    assert ask(WHO, dsn=f"postgres://{quote(name, safe='')}:{password}@{where}") == name


@each_way
def test_a_wrong_password_is_not_shown(
    ask: Ask, role: MakeRole, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    name, password = role("rightly so")
    wrong = "wrongly @ : / % # ü"
    caplog.set_level(logging.DEBUG)
    escaped = quote(wrong, safe="")
    given: list[dict[str, Any]] = [
        server.here(username=name, password=wrong),
        {"dsn": f"postgresql://{name}:{escaped}@{server.host}:{server.port}/{server.db_name}"},
    ]
    for parameters in given:
        with pytest.raises(exceptions.BaseConnectionPoolError) as caught:
            ask(WHO, **parameters)
        error = caught.value
        assert isinstance(error, exceptions.InvalidPassword) and error.sqlstate == "28P01"
        assert name in str(error) and server.host in str(error) and str(server.port) in str(error)
        shown = words_of(error) + caplog.text
        for secret in (password, wrong, escaped, "wrongly"):
            assert secret not in shown


def test_no_repr_shows_the_password(server: Server) -> None:
    parameters = server.here(password="hushhush")
    with sync.ConnectionPool(**parameters) as pool:
        with pytest.raises(exceptions.InvalidPassword):
            pool.execute("SELECT 1")
        assert "hushhush" not in repr(pool) + str(pool) + repr(pool.status())


@each_way
def test_a_missing_password_is_said_to_be(ask: Ask, role: MakeRole, server: Server) -> None:
    name, password = role("rightly so")
    for nothing in (None, ""):
        with pytest.raises(exceptions.BaseConnectionPoolError, match="asks for a password") as caught:
            ask(WHO, **server.here(username=name, password=nothing))
        assert name in str(caught.value) and server.host in str(caught.value)
        assert password not in words_of(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:p@ss:hushhush/x@localhost/db",
        "postgresql://me:hush/hush@localhost/db",
        "postgresql://me:hush%hush@localhost/db",
        "postgresql://me:hush#hush@localhost/db?nonsense=hush",
        "host=localhost password=hush hush",
        "host=localhost password='hush hush",
    ],
)
def test_a_dsn_with_an_unescaped_password_is_not_quoted(dsn: str) -> None:
    with pytest.raises(exceptions.ConnectionPoolBuildError) as caught:
        sync.ConnectionPool(dsn)
    assert "hush" not in words_of(caught.value)


def test_an_unknown_user(server: Server) -> None:
    with pytest.raises(exceptions.BaseConnectionPoolError, match="nobody_knows_me") as caught:
        ask(WHO, **server.here(username="nobody_knows_me"))
    assert getattr(caught.value, "sqlstate", "")[:2] == "28"
    assert server.password not in str(caught.value)


# db_name


@each_way
def test_db_name(ask: Ask, server: Server) -> None:
    assert ask("SELECT current_database()::text", **server.here(db_name="template1")) == "template1"


def test_a_db_name_with_special_characters(server: Server, odd_database: str) -> None:
    query = "SELECT current_database()::text"
    assert ask(query, **server.here(db_name=odd_database)) == odd_database
    login = f"{quote(server.user, safe='')}:{quote(server.password, safe='')}"
    url = f"postgresql://{login}@{server.host}:{server.port}/{quote(odd_database, safe='')}"
    assert ask(query, dsn=url) == odd_database


def test_without_db_name_it_is_the_users(server: Server, observer: psycopg.Connection[Any]) -> None:
    known = observer.execute("SELECT 1 FROM pg_database WHERE datname = %s", [server.user]).fetchone()
    parameters = server.here(db_name=None)
    if known:
        assert ask("SELECT current_database()::text", **parameters) == server.user
    else:
        with pytest.raises(exceptions.InvalidCatalogName, match=server.user):
            ask(WHO, **parameters)


@each_way
def test_a_database_that_does_not_exist(ask: Ask, server: Server) -> None:
    with pytest.raises(exceptions.BaseConnectionPoolError, match="no_such_database") as caught:
        ask(WHO, **server.here(db_name="no_such_database"))
    assert isinstance(caught.value, exceptions.InvalidCatalogName)
    assert server.password not in words_of(caught.value)
