"""The password file (manual, "The Password File"): who may read it decides whether it is read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from psqlpy import exceptions, sync
from tests.parameters.asking import Ask, ask, each_way
from tests.parameters.conftest import Server

pytestmark = pytest.mark.backend("sync")


@pytest.fixture
def password_file(server: Server, tmp_path: Path) -> Path:
    file = tmp_path / "passwords"
    password = server.password.replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"elsewhere:*:*:*:wrong\n{server.host}:{server.port}:*:{server.user}:{password}\n")
    file.chmod(0o600)
    return file


@each_way
def test_only_a_private_one_is_read(
    ask: Ask,
    server: Server,
    password_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(password_file))
    for mode in (0o600, 0o400):
        password_file.chmod(mode)
        assert ask("SELECT 1", **server.here(password=None)) == 1
    assert "WARNING" not in capfd.readouterr().err
    for mode in (0o640, 0o604, 0o660, 0o666, 0o610):
        password_file.chmod(mode)
        with pytest.raises(exceptions.BaseConnectionPoolError, match="asks for a password") as caught:
            ask("SELECT 1", **server.here(password=None))
        assert server.password not in str(caught.value).replace(server.user, "")
        assert "has group or world access" in capfd.readouterr().err


def test_one_that_the_dsn_names(server: Server, password_file: Path) -> None:
    dsn = f"postgresql://{quote(server.user)}@{server.host}:{server.port}/{server.db_name}?passfile={password_file}"
    assert ask("SELECT 1", dsn=dsn) == 1
    password_file.chmod(0o644)
    with pytest.raises(exceptions.BaseConnectionPoolError, match="asks for a password"):
        ask("SELECT 1", dsn=dsn)


def test_it_is_asked_again_for_each_connection(
    server: Server, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that was made before the file was, or before a password was changed, needn't be made again."""
    monkeypatch.setenv("PGPASSFILE", str(password_file))
    content = password_file.read_text()
    password_file.write_text(content.replace(f":{server.user}:", ":somebody_else:"))
    with sync.ConnectionPool(**server.here(password=None)) as pool:
        with pytest.raises(exceptions.BaseConnectionPoolError, match="asks for a password"):
            pool.fetch_val("SELECT 1")
        password_file.write_text(content)
        assert pool.fetch_val("SELECT 1") == 1


def test_a_given_password_outranks_it(
    server: Server, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(password_file))
    with pytest.raises(exceptions.InvalidPassword):
        ask("SELECT 1", **server.here(password="wrong"))
