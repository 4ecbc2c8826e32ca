"""What the set-up finds missing and says about it, and when it considers its work done."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import build_ffi
from tools import bootstrap

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that steer the set-up are unset, and put back."""
    for name in ("CC", "PG_CONFIG", "PSQLPY_LIBPQ", "PYTHON"):
        monkeypatch.setenv(name, "")  # so that a value set by the test's subject is undone
        monkeypatch.delenv(name)


def fake_machine(monkeypatch: pytest.MonkeyPatch, missing: list[str], tools: set[str]) -> None:
    monkeypatch.setattr(bootstrap, "missing_things", lambda: missing)
    monkeypatch.setattr(bootstrap, "python_suffix", lambda: "3")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in tools else None)
    monkeypatch.setattr(sys, "platform", "linux")


EVERYTHING = ["compiler", "headers", "venv", "libpq"]
NAMES = "missing: a C compiler, Python's headers, the module ensurepip, libpq's headers. Install with: "


@pytest.mark.parametrize(
    ("tools", "command"),
    [
        ({"apt-get"}, "apt-get install -y gcc python3-dev python3-venv libpq-dev"),
        ({"dnf"}, "dnf install -y gcc python3-devel python3-libs libpq-devel"),
        (
            set(),
            (
                "on Debian: apt-get install -y gcc python3-dev python3-venv libpq-dev; "
                "on Fedora: dnf install -y gcc python3-devel python3-libs libpq-devel; "
                "on macOS: xcode-select --install; brew install python3 libpq"
            ),
        ),
    ],
)
def test_everything_missing_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tools: set[str], command: str
) -> None:
    fake_machine(monkeypatch, EVERYTHING, tools)
    with pytest.raises(SystemExit) as stopped:
        bootstrap.check_machine()
    assert stopped.value.code == NAMES + command


def test_only_libpq_missing_goes_on_without_tls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_machine(monkeypatch, ["libpq"], {"apt-get"})
    bootstrap.check_machine()
    assert os.environ["PSQLPY_LIBPQ"] == "embedded"
    output = capsys.readouterr().out
    assert "has no TLS" in output
    assert "apt-get install -y libpq-dev" in output


def test_nothing_missing_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_machine(monkeypatch, [], set())
    bootstrap.check_machine()
    assert capsys.readouterr().out == ""
    assert "PSQLPY_LIBPQ" not in os.environ


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(build_ffi, "find_libpq", lambda: None)
    assert bootstrap.missing_things() == ["compiler"]


def test_another_compiler_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/clang" if name == "clang" else None)
    assert bootstrap.find_compiler() == "clang"
    assert os.environ["CC"] == "clang"


def test_no_headers_of_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(build_ffi, "HOMEBREW", ())
    monkeypatch.setattr(bootstrap, "find_compiler", lambda: "cc")
    assert bootstrap.missing_things() == ["libpq"]


def test_no_headers_of_python_and_no_ensurepip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build_ffi, "find_libpq", lambda: None)
    monkeypatch.setattr(bootstrap, "find_compiler", lambda: "cc")
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", tmp_path / "python")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find_spec(name)
    )
    assert bootstrap.missing_things() == ["headers", "venv"]


def test_the_library_is_found_again_in_an_odd_directory(tmp_path: Path) -> None:
    source, built = tmp_path / "empty.c", tmp_path / "empty.so"
    source.write_text("int psq_empty;\n")
    flags = build_ffi.run_time_flags(["/it's, é/a b", "/second"])
    subprocess.run([str(bootstrap.find_compiler()), "-shared", "-o", built, source, *flags], check=True)
    assert "/it's, é/a b".encode() in built.read_bytes()
    assert b"/second" in built.read_bytes()


def test_a_wrong_pg_config_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_CONFIG", "/nonexistent/pg_config")
    with pytest.raises(SystemExit, match=r"PG_CONFIG=/nonexistent/pg_config: no libpq-fe\.h there"):
        bootstrap.missing_things()


def test_without_python_the_shell_names_what_is_missing(tmp_path: Path) -> None:
    for name in ("sh", "dirname", "uname"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "apt-get").symlink_to(str(shutil.which("true")))
    done = subprocess.run(
        [str(tmp_path / "sh"), str(ROOT / "tools/bootstrap.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("missing: python3 (3.10 or newer), a C compiler")
    assert "apt-get install -y gcc python3 python3-dev python3-venv" in line


def test_the_module_is_out_of_date_when_a_source_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / build_ffi.SOURCES, tmp_path / build_ffi.SOURCES)
    shutil.copy(ROOT / "build_ffi.py", tmp_path)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(build_ffi, "find_libpq", lambda: "a libpq")
    before = bootstrap.module_digest()
    assert bootstrap.module_digest() == before
    with open(tmp_path / build_ffi.SOURCES / "pump.c", "a", encoding="utf-8") as source:
        source.write("\n")
    changed = bootstrap.module_digest()
    assert changed != before
    monkeypatch.setenv("CC", "another")
    assert bootstrap.module_digest() != changed


class SetUp:
    """The set-up of a copy of what it looks at; `commands` are those that it would have run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / build_ffi.SOURCES, root / build_ffi.SOURCES)
        for name in ("build_ffi.py", "pyproject.toml", "setup.py"):
            shutil.copy(ROOT / name, root)
        monkeypatch.setattr(bootstrap, "ROOT", root)
        monkeypatch.setattr(bootstrap, "VENV_PYTHON", Path(sys.executable))
        monkeypatch.setattr(bootstrap, "STAMP", root / "stamp.json")
        monkeypatch.setattr(bootstrap, "same_python", lambda: True)
        monkeypatch.setattr(build_ffi, "find_libpq", lambda: "a libpq")
        monkeypatch.setattr(bootstrap, "run", lambda *command: self.commands.append(command[1:3]))
        self.commands: list[tuple[object, ...]] = []

    def run(self) -> list[tuple[object, ...]]:
        self.commands = []
        bootstrap.set_up(bootstrap.ALL)
        (self.root / build_ffi.SOURCES / "_libpq.abi3.so").touch()
        return self.commands


COMPILED = [("build_ffi.py", "--inplace")]
INSTALLED_AND_COMPILED = [("-m", "pip"), ("-m", "pip"), *COMPILED]


def test_a_second_set_up_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_up = SetUp(monkeypatch, tmp_path)
    assert set_up.run() == INSTALLED_AND_COMPILED
    assert set_up.run() == []


def test_what_changed_is_all_that_is_done_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_up = SetUp(monkeypatch, tmp_path)
    set_up.run()
    for name, expected in (
        (f"{build_ffi.SOURCES}/pump.h", COMPILED),
        ("build_ffi.py", COMPILED),
        ("pyproject.toml", INSTALLED_AND_COMPILED),
    ):
        with open(tmp_path / name, "a", encoding="utf-8") as file:
            file.write("\n")
        assert set_up.run() == expected, name
        assert set_up.run() == []


def test_a_set_up_that_failed_is_done_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_up = SetUp(monkeypatch, tmp_path)
    set_up.run()
    project = tmp_path / "pyproject.toml"
    before = project.read_text(encoding="utf-8")
    project.write_text(before + "\n", encoding="utf-8")

    def fail(*command: object) -> None:
        raise SystemExit("no network")

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "run", fail)
        with pytest.raises(SystemExit):
            set_up.run()
    project.write_text(before, encoding="utf-8")  # nobody knows what the failed one has left
    assert set_up.run() == INSTALLED_AND_COMPILED


def test_a_module_that_was_removed_is_compiled_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_up = SetUp(monkeypatch, tmp_path)
    set_up.run()
    (tmp_path / build_ffi.SOURCES / "_libpq.abi3.so").unlink()
    assert set_up.run() == COMPILED


def test_an_environment_that_was_left_half_made_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", Path(sys.executable))
    assert bootstrap.same_python()
    venv.create(tmp_path, with_pip=False)  # as an interrupt leaves it, or Debian without python3-venv
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", tmp_path / "bin" / "python")
    assert not bootstrap.same_python()


def test_options_of_pip_that_no_environment_can_follow_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    script = "import os; assert os.environ['PIP_USER'] == '0' and 'PIP_REQUIRE_VIRTUALENV' not in os.environ"
    bootstrap.run(sys.executable, "-c", script)


def test_the_demo_installs_what_it_needs_and_the_first_other_target_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed: list[str] = []

    def install(extras: str, *, moved: bool) -> None:
        assert not moved
        installed.append(extras)

    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / "stamp.json")
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", Path(sys.executable))
    monkeypatch.setattr(bootstrap, "make_environment", install)
    monkeypatch.setattr(bootstrap, "run", lambda *command: None)
    monkeypatch.setattr(bootstrap, "module_exists", lambda: True)
    for arguments in (["demo"], ["demo"], [], [], ["demo"]):
        monkeypatch.setattr(sys, "argv", ["bootstrap.py", *arguments])
        bootstrap.main()
    assert installed == [bootstrap.DEMO, bootstrap.ALL]


def test_the_readme_begins_with_what_would_be_missing() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    [debian] = [line.split("#")[0].split() for line in lines if line.startswith("apt-get install")]
    [fedora] = [line.split("#")[0].split() for line in lines if line.startswith("dnf install")]
    # On Fedora the module ensurepip comes with every Python.
    missing = [(debian, packages[1]) for packages in bootstrap.MISSING.values()]
    missing += [(fedora, packages[2]) for key, packages in bootstrap.MISSING.items() if key != "venv"]
    for line, package in missing:
        assert str(package).format(v="3") in line
    assert {"git", "make"} <= set(debian) & set(fedora)
