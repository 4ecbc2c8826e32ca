"""A password is in no message, no repr and no log, and in no variable of psqlpy's frames that a report would show."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import signal
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import anyio
import pytest

import psqlpy
from psqlpy import ConnectionPool, exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.conftest import Server
from tests.parameters.relays import free_port, mute_port
from tests.security.showing import frames, held, plain_texts, words
from tests.shells.running import each_runner

pytestmark = pytest.mark.backend("sync")

SECRET = "hushhush"
MAKERS: list[Callable[..., Any]] = [
    psqlpy.ConnectionPool,
    psqlpy.connect,
    psqlpy.connect_pool,
    sync.ConnectionPool,
    sync.connect,
    sync.connect_pool,
]


def assert_hidden(error: BaseException) -> None:
    assert frames(error), "the error comes from psqlpy"
    assert SECRET not in words(error)
    assert SECRET not in held(error)


def forms(server: Server, **others: Any) -> list[dict[str, Any]]:
    """The password as a parameter, in a DSN of each form, and from a function."""
    given = server.here(password=SECRET, **others)
    login = {name: given.pop(name) for name in ("username", "password", "host", "port", "db_name")}
    where = f"{login['host']}:{login['port']}/{login['db_name']}"
    pairs = f"host={login['host']} port={login['port']} user={login['username']} dbname={login['db_name']}"
    return [
        {**login, **given},
        {**login, **given, "password": lambda: SECRET},
        {"dsn": f"postgresql://{login['username']}:{SECRET}@{where}", **given},
        {"dsn": f"postgresql://{where}?user={login['username']}&password={SECRET}", **given},
        {"dsn": f"{pairs} password={SECRET}", **given},
        {"dsn": f"{pairs} password='{SECRET}'", **given},
    ]


# Connecting


@each_way
def test_a_wrong_password(ask: Ask, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for parameters in forms(server):
        with pytest.raises(exceptions.InvalidPassword) as caught:
            ask("SELECT 1", **parameters)
        assert_hidden(caught.value)
    assert SECRET not in caplog.text


@each_way
def test_nobody_there(ask: Ask, server: Server) -> None:
    server = copy.copy(server)
    server.port = free_port()
    for parameters in forms(server):
        with pytest.raises(exceptions.BaseConnectionPoolError, match="refused") as caught:
            ask("SELECT 1", **parameters)
        assert_hidden(caught.value)


@each_way
def test_no_tls(ask: Ask, server: Server) -> None:
    for parameters in forms(server, ssl_mode="require"):
        with pytest.raises(exceptions.SSLError) as caught:
            ask("SELECT 1", **parameters)
        assert_hidden(caught.value)


@each_way
def test_a_timeout(ask: Ask, server: Server) -> None:
    server = copy.copy(server)
    with mute_port() as server.port:
        for parameters in forms(server, timeout=0.05)[:3]:
            with pytest.raises(exceptions.QueryTimeoutError) as caught:
                ask("SELECT 1", **parameters)
            assert_hidden(caught.value)


@each_runner
def test_a_cancellation(run: Callable[..., Any], server: Server) -> None:
    server = copy.copy(server)
    caught: list[BaseException] = []

    async def main() -> None:
        for parameters in forms(server)[:3]:
            async with ConnectionPool(**parameters) as pool:
                with anyio.move_on_after(0.05):
                    try:
                        await pool.fetch_val("SELECT 1")
                    except BaseException as error:
                        caught.append(error)
                        raise

    with mute_port() as server.port:
        run(main)
    assert len(caught) == 3
    for error in caught:
        assert_hidden(error)


@pytest.fixture
def interrupt() -> Iterator[Callable[[float], object]]:
    """Has a KeyboardInterrupt struck after so many seconds."""

    def strike(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, strike)
    yield partial(signal.setitimer, signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_interrupt(server: Server, interrupt: Callable[[float], object]) -> None:
    server = copy.copy(server)
    with mute_port() as server.port:
        for parameters in forms(server)[:3]:
            with sync.ConnectionPool(**parameters) as pool, pytest.raises(KeyboardInterrupt) as caught:
                interrupt(0.05)
                pool.fetch_val("SELECT 1")
            assert_hidden(caught.value)


# The function that is asked for the password


@each_way
@pytest.mark.parametrize("wrong", [SECRET.encode(), [SECRET], SECRET + "\0", SECRET + "\ud800"])
def test_a_function_that_returns_what_is_no_password(ask: Ask, server: Server, wrong: Any) -> None:
    parameters = server.here(password=lambda: wrong)
    with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="password") as caught:
        ask("SELECT 1", **parameters)
    assert_hidden(caught.value)


# Making a pool


REFUSED: list[dict[str, Any]] = [
    {"host": "a,b"},
    {"port": 70000},
    {"max_db_pool_size": 0},
    {"options": 5},
    {"connect_timeout_sec": "5"},
    {"keepalives_retries": -1},
    {"load_balance_hosts": "no"},
    {"ssl_mode": "no"},
    {"ca_file": "/nowhere"},
    {"target_session_attrs": "no"},
    {"timeout": -1},
    {"types": 5},
    {"setup": 5},
    {"nonsense": 1},
]


@pytest.mark.parametrize("make", MAKERS)
def test_another_parameter_is_refused(make: Callable[..., Any]) -> None:
    for wrong in REFUSED:
        for given in ({"password": SECRET, **wrong}, {"dsn": f"host=h password={SECRET}", **wrong}):
            if "dsn" in given and set(wrong) & {"host", "port", "target_session_attrs"}:
                continue
            with pytest.raises((exceptions.Error, TypeError)) as caught:
                make(**given)
            # Without a frame of psqlpy's: the class itself refused an argument.
            assert SECRET not in words(caught.value) + held(caught.value)
    with pytest.raises(exceptions.ConnectionPoolConfigurationError) as caught:
        make(None, "me", SECRET, "a,b")
    assert_hidden(caught.value)


@pytest.mark.parametrize("make", MAKERS)
def test_a_connection_string_that_is_given_as_a_host(make: Callable[..., Any]) -> None:
    """Of which every error of connecting would speak."""
    url = f"postgresql://me:{SECRET}@localhost/db"
    for given in ({"host": url}, {"hosts": ["localhost", url]}):
        with pytest.raises(
            exceptions.ConnectionPoolConfigurationError, match="not a connection string"
        ) as caught:
            make(**given)
        # Where it was given it is seen, as any host.
        assert SECRET not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("wrong", [SECRET.encode(), [SECRET], {SECRET: 1}, SECRET + "\0", SECRET + "\ud800"])
def test_the_password_itself_is_refused(make: Callable[..., Any], wrong: Any) -> None:
    for given in ({"password": wrong}, {"dsn": wrong}):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError, match="must be a str|NUL") as caught:
            make(**given)
        assert_hidden(caught.value)
    if not isinstance(wrong, str):
        assert type(wrong).__name__ in str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://me:p@ss:{SECRET}/x@localhost/db",
        f"postgresql://me:{SECRET}/x@localhost/db",
        f"postgresql://me:{SECRET}%@localhost/db",
        f"postgresql://me:{SECRET}@localhost:port/db",
        f"postgresql://me:{SECRET}@localhost/db?nonsense=1",
        f"postgresql://me:{SECRET}@localhost/db?service=nowhere",
        f"postgresql://me:{SECRET}@localhost/db?connect_timeout=x",
        f"postgresql://me:{SECRET}@localhost/db?client_encoding=latin1",
        f"postgresql://me:x@h?{SECRET}=1@localhost/db",
        f"postgresql://me:x/@h?{SECRET}=1@localhost/db",
        f"postgresql://localhost/db?password={SECRET}&sslmode=no",
        f"postgresql://localhost/db?sslpassword={SECRET}&sslmode=no",
        f"host=localhost password={SECRET} x",
        f"host=localhost password=my {SECRET}=x",
        f"host=localhost password='{SECRET}",
        f"host=localhost password={SECRET} port=x",
        f"host=localhost password={SECRET} nonsense=1",
        f"host=localhost sslpassword=my {SECRET}=x",
        SECRET,
    ],
)
def test_a_dsn_is_refused(make: Callable[..., Any], dsn: str) -> None:
    for arguments in ((dsn,), ()):
        with pytest.raises(exceptions.ConnectionPoolBuildError) as caught:
            make(*arguments) if arguments else make(dsn=dsn)
        assert_hidden(caught.value)


@pytest.mark.parametrize("make", [psqlpy.ConnectionPoolBuilder, sync.ConnectionPoolBuilder])
def test_a_builder(make: Callable[[], Any]) -> None:
    for wrong in (SECRET.encode(), SECRET + "\0"):
        with pytest.raises(exceptions.ConnectionPoolConfigurationError) as caught:
            make().password(wrong)
        assert_hidden(caught.value)
    builder = make().user("me").password(SECRET).port(1).port(2)
    for hostaddr in ("", "10.0.0.1"):
        if hostaddr:
            builder.hostaddr(hostaddr)
        with pytest.raises(exceptions.BaseConnectionPoolError) as refused:
            builder.build()
        assert_hidden(refused.value)
    assert SECRET not in "\n".join(plain_texts([builder]))


# What holds it


def test_what_a_pool_holds(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("PGSSLPASSWORD", SECRET)
    given = [*forms(server), server.here(password=None)]
    del given[1]  # a function has it where it wants
    for parameters in given:
        pools: list[Any] = [make(**parameters) for make in MAKERS]
        for pool in pools:
            assert pool._config.plan.parameters["password"] == SECRET
            assert SECRET not in "\n".join(plain_texts([pool]))
            assert SECRET not in repr(pool) + str(pool) + f"{pool}" + repr(pool.status())
            for failing in (pickle.dumps, copy.copy, copy.deepcopy, hash, vars, dict):
                try:
                    shown = repr(failing(pool))
                except Exception as error:
                    shown = words(error)
                assert SECRET not in shown
            pool.close()


class Shy(str):
    """A user's own way to hide a password."""

    __slots__ = ()

    def __str__(self) -> str:
        return "nothing to see"


def test_a_str_of_a_class_of_the_users() -> None:
    for make in MAKERS:
        assert make(password=Shy(SECRET))._config.plan.parameters["password"] == SECRET
        assert make(Shy(f"password={SECRET}"))._config.plan.parameters["password"] == SECRET


def test_what_a_connection_holds(server: Server) -> None:
    with sync.ConnectionPool(**server.here()) as pool, pool.acquire() as connection:
        assert connection.fetch_val("SELECT 1") == 1
        texts = set(plain_texts([pool, connection]))
        assert repr(server.password) not in texts and server.password not in texts


def test_an_event_loop_in_debug_mode(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """asyncio then logs what its slow callbacks were, and here each is."""
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0
        for parameters in forms(server):
            async with ConnectionPool(**parameters) as pool:
                with pytest.raises(exceptions.InvalidPassword):
                    await pool.fetch_val("SELECT 1")

    asyncio.run(main(), debug=True)
    assert "Executing" in caplog.text
    assert SECRET not in caplog.text


def test_warnings_of_what_was_left_open(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        pool = ConnectionPool(**server.here())
        connection = await pool.connection()
        await connection.fetch_val("SELECT 1")
        abandoned = pool.fetch_val("SELECT 1")
        del connection, pool, abandoned
        gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main(), debug=True)
        gc.collect()
    assert caught, "a coroutine that was never awaited"
    shown = caplog.text + "\n".join(str(one.message) + repr(one) for one in caught)
    assert repr(server.password) not in shown and f":{server.password}@" not in shown
    assert ask("SELECT 1", **server.here()) == 1


def test_a_statement_about_a_password_is_not_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Other statements are, when the function that is told of them fails."""

    def fail(event: object) -> None:
        raise ValueError

    caplog.set_level(logging.DEBUG)
    with sync.ConnectionPool(**server.here(), on_query=fail) as pool:
        with pytest.raises(exceptions.Error) as caught:
            pool.execute(f"ALTER ROLE nobody_of_that_name PASSWORD '{SECRET}'")
        pool.execute("SELECT 77")
    assert SECRET not in caplog.text + str(caught.value) + repr(caught.value)
    assert "about a password" in caplog.text and "SELECT 77" in caplog.text
