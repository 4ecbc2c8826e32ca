"""The forms of a DSN, what it outranks and what outranks it, and what stands for parameters that aren't given."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

import psqlpy
from psqlpy import exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.conftest import Server
from tests.parameters.relays import free_port

# Whatever isn't asked in each way is asked in the simplest one.
pytestmark = pytest.mark.backend("sync")

PORT = "SELECT inet_server_port()"
WHERE = "SELECT concat_ws(' ', current_user, current_database(), inet_server_port())"


def login(server: Server) -> str:
    return f"{quote(server.user, safe='')}:{quote(server.password, safe='')}"


def expected(server: Server) -> str:
    """What WHERE says by TCP."""
    return f"{server.user} {server.db_name} {server.port}"


# The page's forms


@each_way
def test_a_full_dsn(ask: Ask, server: Server) -> None:
    where = f"{login(server)}@{server.host}:{server.port}/{server.db_name}"
    for scheme in ("postgres", "postgresql"):
        assert ask(WHERE, dsn=f"{scheme}://{where}?target_session_attrs=read-write") == expected(server)


def test_a_user_and_a_host(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """`postgresql://user@localhost`: the rest comes from the environment."""
    monkeypatch.setenv("PGPORT", str(server.port))
    monkeypatch.setenv("PGPASSWORD", server.password)
    monkeypatch.setenv("PGDATABASE", server.db_name)
    assert ask(WHERE, dsn=f"postgresql://{quote(server.user, safe='')}@{server.host}") == expected(server)


def test_a_socket_directory_as_the_host(server: Server, socket_directory: str) -> None:
    """`postgresql://user:password@%2Fvar%2Flib%2Fpostgresql/mydb?connect_timeout=10`."""
    host = f"{quote(socket_directory, safe='')}:{server.port}"
    dsn = f"postgresql://{login(server)}@{host}/{server.db_name}?connect_timeout=10"
    assert ask(WHERE, dsn=dsn) == f"{server.user} {server.db_name}"


def test_several_hosts(server: Server) -> None:
    """`postgresql://user@host1:1234,host2,host3:5678?target_session_attrs=read-write`."""
    hosts = f"{server.host}:{free_port()},{server.host}:{free_port()},{server.host}:{server.port}"
    dsn = f"postgresql://{login(server)}@{hosts}/{server.db_name}?target_session_attrs=read-write"
    assert ask(WHERE, dsn=dsn) == expected(server)


def test_no_host_but_options(server: Server, socket_directory: str) -> None:
    """`postgresql:///mydb?user=user&host=/var/lib/postgresql`."""
    options = f"user={quote(server.user)}&password={quote(server.password)}&port={server.port}"
    dsn = f"postgresql:///{server.db_name}?{options}&host={quote(socket_directory)}"
    assert ask(WHERE, dsn=dsn) == f"{server.user} {server.db_name}"


def test_pairs(server: Server) -> None:
    dsn = f"host={server.host} port = {server.port} user={server.user} dbname='{server.db_name}'"
    assert ask(WHERE, dsn=f"{dsn} password='{server.password}'") == expected(server)


def test_every_option_of_libpq_is_taken(server: Server) -> None:
    options = "sslmode=prefer&sslsni=0&fallback_application_name=fall%20back&gssencmode=disable"
    dsn = f"postgresql://{login(server)}@{server.host}:{server.port}/{server.db_name}?{options}"
    assert ask("SHOW application_name", dsn=dsn) == "fall back"


@pytest.mark.parametrize("dsn", ["postgresql://localhost?nonsense=1", "host=localhost nonsense=1"])
def test_an_unknown_key_is_named(dsn: str) -> None:
    for make in (psqlpy.ConnectionPool, psqlpy.connect, sync.ConnectionPool, sync.connect):
        with pytest.raises(exceptions.ConnectionPoolBuildError, match="nonsense"):
            make(dsn)


# dsn beside single parameters


def test_the_dsn_outranks_the_parameters_it_has_a_place_for(server: Server) -> None:
    ignored: dict[str, Any] = {
        "username": "somebody_else",
        "password": "wrong",
        "host": "nowhere.invalid",
        "hosts": ["nowhere.invalid"],
        "port": free_port(),
        "ports": [free_port()],
        "db_name": "no_such_database",
        "target_session_attrs": "read-only",
    }
    dsn = f"postgresql://{login(server)}@{server.host}:{server.port}/{server.db_name}"
    for name, value in ignored.items():
        assert ask(WHERE, dsn=dsn, **{name: value}) == expected(server)
    assert ask(WHERE, dsn=dsn, **ignored) == expected(server)


def test_what_the_dsn_leaves_out_does_not_come_from_the_parameters(server: Server) -> None:
    dsn = f"postgresql://{quote(server.user)}@{server.host}:{server.port}/{server.db_name}"
    with pytest.raises(exceptions.BaseConnectionPoolError, match="password"):
        ask(WHERE, dsn=dsn, password=server.password)


def test_options_beside_the_dsn_outrank_it(server: Server) -> None:
    options = (
        f"application_name=theirs&options={quote('-c search_path=theirs')}&keepalives_idle=11&sslmode=require"
    )
    dsn = f"postgresql://{login(server)}@{server.host}:{server.port}/{server.db_name}?{options}"
    show = "SELECT current_setting('application_name') || ' ' || current_setting('search_path')"
    assert ask(show, dsn=dsn, ssl_mode="disable") == "theirs theirs"
    ours = ask(show, dsn=dsn, ssl_mode="disable", application_name="ours", options="-c search_path=ours")
    assert ours == "ours ours"


# Neither


def in_environment(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    values = {"HOST": server.host, "PORT": server.port, "USER": server.user, "DATABASE": server.db_name}
    for name, value in values.items():
        monkeypatch.setenv(f"PG{name}", str(value))


@each_way
def test_no_arguments_at_all(ask: Ask, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    in_environment(monkeypatch, server)
    monkeypatch.setenv("PGPASSWORD", server.password)
    assert ask(WHERE) == expected(server)


def test_the_password_file(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    password = server.password.replace("\\", "\\\\").replace(":", "\\:")
    file = tmp_path / "passwords"
    file.write_text(f"{server.host}:{server.port}:*:{server.user}:{password}\n")
    file.chmod(0o600)
    in_environment(monkeypatch, server)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert ask(WHERE) == expected(server)


def test_a_service(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "services"
    file.write_text(
        f"[tests]\nhost={server.host}\nport={server.port}\nuser={server.user}\ndbname={server.db_name}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monkeypatch.setenv("PGPASSWORD", server.password)
    assert ask(WHERE, dsn="service=tests") == expected(server)
    monkeypatch.setenv("PGSERVICE", "tests")
    assert ask(WHERE) == expected(server)


def test_what_is_given_outranks_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGUSER", "PGPASSWORD", "PGDATABASE"):
        monkeypatch.setenv(name, "127.0.0.9")
    monkeypatch.setenv("PGPORT", str(free_port()))
    monkeypatch.setenv("PGAPPNAME", "environment")
    assert ask(WHERE, **server.here()) == expected(server)
    assert ask("SHOW application_name", **server.here(application_name="ours")) == "ours"


# connect()


async def test_connect_makes_a_pool_or_a_connection(server: Server) -> None:
    async with psqlpy.connect(**server.here(max_db_pool_size=2)) as pool:
        assert await pool.fetch_val(PORT) == server.port
    connection = await psqlpy.connect(**server.here())
    assert await connection.fetch_val(PORT) == server.port
    connection.close()


def test_a_connection_by_the_socket(
    server: Server, socket_directory: str, observer: psycopg.Connection[Any]
) -> None:
    parameters = server.parameters(host=socket_directory, port=server.port, application_name="by the socket")
    with sync.connect(**parameters) as pool, pool.acquire() as connection:
        row = observer.execute(
            "SELECT client_port FROM pg_stat_activity WHERE pid = %s", [connection.backend_pid]
        ).fetchone()
        assert row == (-1,)
