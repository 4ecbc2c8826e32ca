"""Connection strings and libpq's own resolution of what isn't given; no server."""

from __future__ import annotations

from pathlib import Path

import pytest

from psqlpy._pq import conninfo
from psqlpy.exceptions import (
    ConnectionPoolBuildError,
    ConnectionPoolConfigurationError,
    NotSupportedError,
)


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("", {}),
        ("postgresql://", {}),
        ("postgresql://user@localhost", {"user": "user", "host": "localhost"}),
        (
            "postgresql://user:password@%2Fvar%2Flib%2Fpostgresql/mydb?connect_timeout=10",
            {
                "user": "user",
                "password": "password",
                "host": "/var/lib/postgresql",
                "dbname": "mydb",
                "connect_timeout": "10",
            },
        ),
        (
            "postgres://user@host1:1234,host2,host3:5678?target_session_attrs=read-write",
            {
                "user": "user",
                "host": "host1,host2,host3",
                "port": "1234,,5678",
                "target_session_attrs": "read-write",
            },
        ),
        (
            "postgresql:///mydb?user=user&host=/var/lib/postgresql",
            {"dbname": "mydb", "user": "user", "host": "/var/lib/postgresql"},
        ),
        ("postgresql://[::1]:5433/db", {"host": "::1", "port": "5433", "dbname": "db"}),
        ("postgresql://h?ssl=true", {"host": "h", "sslmode": "require"}),
        (
            "postgresql://u:%40%3A%2F%25%23%C3%A9@h/d",
            {"user": "u", "password": "@:/%#é", "host": "h", "dbname": "d"},
        ),
        ("postgresql://u:p?q#@h/d", {"user": "u", "password": "p?q#", "host": "h", "dbname": "d"}),
        (
            "host=h password='my secret \\'x\\\\' dbname = d",
            {"host": "h", "password": "my secret 'x\\", "dbname": "d"},
        ),
        ("host=h password=a\\ b", {"host": "h", "password": "a b"}),
        ("host=h options='' user=u", {"host": "h", "user": "u"}),
    ],
)
def test_what_libpq_knows_is_parsed_as_libpq_does(dsn: str, expected: dict[str, str]) -> None:
    assert conninfo.parse(dsn) == expected


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:a%26b@h/d?keepalives_retries=3&application_name=x%20y&load_balance_hosts=random",
        "postgresql://u:a%26b@h/d?load_balance_hosts=rand%6Fm&keepalives%5Fretries=3&application_name=x%20y",
        "host=h user=u password=a&b keepalives_retries = 3 dbname=d application_name='x y' load_balance_hosts='random'",
        "load_balance_hosts=random keepalives_retries='3' host=h user=u password=a&b dbname=d application_name=x\\ y",
    ],
)
def test_emulated_options_are_taken_out_of_both_forms(dsn: str) -> None:
    assert conninfo.parse(dsn) == {
        "host": "h",
        "user": "u",
        "password": "a&b",
        "dbname": "d",
        "application_name": "x y",
        "keepalives_count": "3",
        "load_balance_hosts": "random",
    }


def test_a_text_that_only_looks_like_an_emulated_option_stays() -> None:
    parsed = conninfo.parse("host=h password='x load_balance_hosts=random'")
    assert parsed == {"host": "h", "password": "x load_balance_hosts=random"}


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:hush@h/d?foo=1", "host=h password='hush' foo=1", "foo='hush' host=h"]
)
def test_an_unknown_option_is_named(dsn: str) -> None:
    with pytest.raises(ConnectionPoolBuildError, match="'foo'") as caught:
        conninfo.parse(dsn)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:hus%zz@h/d",
        "postgresql://u:hus%00h@h/d",
        "postgresql://u:hus@h@h/d",
        "postgresql://u:hus/h@h:5432/d",
        "postgresql://u:hus/h?hush=1@h/d",
        "postgresql://u:hush@h/d?hush",
        "postgresql://u:hush@[::1/d",
        "postgresql://u:hush@[::1]x/d",
        "postgresql+hus://u:hush@h/d",
        "host=h password=my hush",
        "host=h password='hush",
        "host=h password='x hush=1",
        "host=h password=x hush=1",
        "postgresql://u:x@y?hush=1@h/d",
        "hush",
    ],
)
def test_a_malformed_string_is_refused_without_quoting_from_it(dsn: str) -> None:
    with pytest.raises(ConnectionPoolBuildError) as caught:
        conninfo.parse(dsn)
    assert "hus" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_options_of_a_newer_libpq_are_never_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    older = {key: value for key, value in conninfo.keywords().items() if key not in conninfo.ADDED}
    monkeypatch.setattr(conninfo, "_defaults", older)
    for keyword, version in conninfo.ADDED.items():
        for dsn in (f"postgresql://h?{keyword}=x", f"host=h {keyword}=x"):
            with pytest.raises(
                ConnectionPoolConfigurationError, match=f"{keyword} needs libpq {version}"
            ) as caught:
                conninfo.parse(dsn)
            assert isinstance(caught.value, NotSupportedError)
    with pytest.raises(NotSupportedError, match="sslrootcert=system needs libpq 16"):
        conninfo.resolve({"sslrootcert": "system"})


def test_nothing_given_means_the_environment_and_libpqs_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "h1,h2")
    monkeypatch.setenv("PGPORT", "1,2")
    monkeypatch.setenv("PGUSER", "someone")
    monkeypatch.setenv("PGPASSWORD", "hush")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    monkeypatch.setenv("PGCHANNELBINDING", "require")
    monkeypatch.setenv("PGLOADBALANCEHOSTS", "random")
    values = conninfo.resolve({})
    assert (values["host"], values["port"], values["user"]) == ("h1,h2", "1,2", "someone")
    assert (values["password"], values["dbname"]) == ("hush", "someone")
    assert values["options"] == "-c work_mem=1MB"
    assert values["channel_binding"] == "require"
    assert values["load_balance_hosts"] == "random"


def test_what_is_given_outranks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGLOADBALANCEHOSTS", "random")
    monkeypatch.setenv("PGCHANNELBINDING", "require")
    values = conninfo.resolve({"host": "h", "load_balance_hosts": "disable", "channel_binding": "disable"})
    assert (values["host"], values["load_balance_hosts"], values["channel_binding"]) == (
        "h",
        "disable",
        "disable",
    )


def test_gss_encryption_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert conninfo.resolve({})["gssencmode"] == "disable"
    assert conninfo.resolve({"gssencmode": "prefer"})["gssencmode"] == "prefer"
    monkeypatch.setenv("PGGSSENCMODE", "prefer")
    assert conninfo.resolve({})["gssencmode"] == "prefer"


SERVICES = """
# a comment
[other]
host=wrong
[mine]
host=h1,h2
port=77,78
user=from_service
channel_binding=require
"""


def test_a_service_is_found_by_name_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "services"
    file.write_text(SERVICES)
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    values = conninfo.resolve({"service": "mine", "user": "me"})
    assert (values["host"], values["port"], values["user"]) == ("h1,h2", "77,78", "me")
    assert values["channel_binding"] == "require"
    monkeypatch.setenv("PGSERVICE", "mine")
    assert conninfo.resolve({})["user"] == "from_service"


def test_a_service_is_found_in_the_directory_of_system_wide_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pg_service.conf").write_text(SERVICES)
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    assert conninfo.resolve({"service": "mine"})["host"] == "h1,h2"


def test_a_missing_service_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    with pytest.raises(ConnectionPoolBuildError, match="nowhere"):
        conninfo.resolve({"service": "nowhere"})
    monkeypatch.setenv("PGSERVICE", "nowhere")
    with pytest.raises(ConnectionPoolBuildError, match="nowhere"):
        conninfo.resolve({})


def test_the_default_socket_directory_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert conninfo.default_socket_directory().startswith("/")
