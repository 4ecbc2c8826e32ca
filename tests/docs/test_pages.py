"""Each code block of each page runs, on asyncio or uvloop, on trio and in threads, and prints what the page says.

Found by tests/docs/pages.py: a new page needs nothing here. A block that can't be run says why in a comment next to it,
and is in the list NOT_RUN. What the blocks of docs/connection-pool.md must have done is in user_page.py.
"""

from __future__ import annotations

import asyncio
import doctest
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

import psqlpy
from psqlpy import sync
from psqlpy._config import PoolConfig
from tests.concurrency import password_of
from tests.docs import user_page
from tests.docs.pages import PAGES, PROGRAMS, ROOT, Block, all_blocks, blocks_of, program, shells_of
from tests.shells.running import RUNNERS

BLOCKS = all_blocks()
RUN = [block for block in BLOCKS if "run" not in block.notes and block.language in PROGRAMS]
SESSIONS = [block for block in RUN if block.text.startswith(">>> ")]
STATEMENTS = [block for block in BLOCKS if block.language == "sql" and "run" not in block.notes]

# Everything that isn't run, by page and heading; the reasons are in the pages.
NOT_RUN = [
    ("README.md", "Try it"),
    ("README.md", "Try it 2"),
    ("README.md", "Use it"),
    ("docs/benchmarks.md", "All drivers, each in an environment of its own"),
    ("docs/benchmarks.md", "One row by its primary key, again and again"),
    ("docs/embedded.md", "A server of your own 3"),
    ("docs/reliability.md", "Leaked connections"),
]
# Not for running, and tested by user_page.py.
EXAMPLES = [("docs/connection-pool.md", "All available ConnectionPool parameters")]

PAGE_DSN = re.compile(r'"postgres(?:ql)?://[^"\n]*"')
SAID = re.compile(r"print\(.*\)  # (.+)$", re.MULTILINE)
TABLES = """
CREATE TABLE users (id int4 PRIMARY KEY, username text);
INSERT INTO users VALUES (100, 'Alex'), (7, 'Robin');
CREATE TABLE accounts (id int4, balance int4);
INSERT INTO accounts VALUES (1, 100), (2, 100);
"""


def cases() -> Iterator[Any]:
    for block in RUN:
        if block in SESSIONS:
            continue
        for shell in shells_of(block):
            if (block.name, shell) in user_page.NOT_RUN and block.page == user_page.PAGE:
                continue
            marks = [pytest.mark.backend("sync" if shell == "threads" else shell)]
            if {"asyncio", "uvloop"} <= set(shells_of(block)) and shell == other_loop(block):
                marks.append(pytest.mark.long)
            yield pytest.param(block, shell, id=f"{block.page}-{block.name}-{shell}", marks=marks)


def other_loop(block: Block) -> str:
    """Of the two that share a driver, one for each block is enough: this is the one for the long tests."""
    return ("asyncio", "uvloop")[zlib.crc32(f"{block.page} {block.name}".encode()) % 2]


@pytest.fixture(scope="module")
def server(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning; SET synchronous_commit = off")
        yield connection


@pytest.fixture
def page_dsn(dsn: str, server: psycopg.Connection) -> Iterator[str]:
    """The server, with the tables that pages speak of in a schema of their own."""
    schema = f"page_{uuid4().hex}"
    server.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {TABLES}")
    yield f"{dsn}{'&' if '?' in dsn else '?'}options=-csearch_path%3D{schema}"
    server.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty directory, for pages that write files."""
    with tempfile.TemporaryDirectory(prefix="psqlpy-page-") as path:
        monkeypatch.chdir(path)
        yield


def pointed_at(text: str, dsn: str) -> str:
    """The text with the tests' server instead of the page's."""
    plan = PoolConfig.from_parameters(dsn).plan
    text = PAGE_DSN.sub(lambda _: repr(dsn), text)
    for literal, replacement in {
        'username="postgres"': f"username={plan.parameters['user']!r}",
        'password="postgres"': f"password={password_of(dsn)!r}",
        'host="localhost"': f"host={plan.endpoints[0].host!r}",
        "port=5432": f"port={plan.endpoints[0].port}",
        'db_name="postgres"': f"db_name={plan.parameters['dbname']!r}",
        '.user("postgres")': f".user({plan.parameters['user']!r})",
        '.password("postgres")': f".password({password_of(dsn)!r})",
        '.host("localhost")': f".host({plan.endpoints[0].host!r})",
        ".port(5432)": f".port({plan.endpoints[0].port})",
        '.dbname("postgres")': f".dbname({plan.parameters['dbname']!r})",
        '"secret"': repr(password_of(dsn)),
    }.items():
        text = text.replace(literal, replacement)
    return text


def execute(block: Block, shell: str, dsn: str) -> dict[str, Any]:
    """Run a block and its `main`; returns all their variables, with the pool that both names stand for."""
    module: Any = sync if shell == "threads" else psqlpy
    pool = module.ConnectionPool(dsn)
    namespace: dict[str, Any] = {
        "pool": pool,
        "db_pool": pool,
        "psqlpy": psqlpy,
        "Any": Any,
        "__name__": __name__,
    }
    namespace |= {name: getattr(module, name) for name in ("Connection", "ConnectionPool", "QueryResult")}
    given = block._replace(text=pointed_at(block.text, dsn))
    exec(compile(program(given, shell), f"{block.page}:{block.line}", "exec", dont_inherit=True), namespace)
    main = namespace.get("main")
    if main is not None and ".run(main" not in block.text:
        done = main() if not asyncio.iscoroutinefunction(main) else RUNNERS[shell](main)
        namespace |= done or {}
    return namespace


def check_printed(block: Block, printed: str) -> None:
    """What was printed is the text block behind the program or, line by line, the comments behind its prints."""
    said = block.output.splitlines() if block.output is not None else SAID.findall(block.text)
    lines = printed.splitlines()
    matching = len(said) == len(lines) and all(
        re.fullmatch(re.escape(line).replace(r"\.\.\.", ".*"), found)
        for line, found in zip(said, lines, strict=True)
    )
    assert matching, f"{block} prints {lines}, the page says {said}"


@pytest.mark.parametrize(("block", "shell"), list(cases()))
def test_a_program_runs(
    page_dsn: str, directory: None, block: Block, shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for needed in ("msgspec", "pydantic", "tqdm", "numpy"):
        if re.search(rf"^(?:import|from) {needed}\b", block.text, re.MULTILINE):
            pytest.importorskip(needed)
    found = execute(block, shell, page_dsn)
    pool = found["db_pool"]

    def call(method: Callable[..., Any], *arguments: object) -> Any:
        return method(*arguments) if shell == "threads" else RUNNERS[shell](lambda: method(*arguments))

    if block.page == user_page.PAGE:
        found["printed"] = capsys.readouterr().out.splitlines()
        user_page.CHECKS[block.name](found, call)
    else:
        check_printed(block, capsys.readouterr().out)
        if pool.status().available != pool.status().size:
            # A loop may end before a cancelled statement does; the next one finds the connection.
            assert call(pool.fetch_val, "SELECT 1") == 1
        assert pool.status().available == pool.status().size
    pool.close()


@pytest.mark.parametrize("page", sorted({block.page for block in SESSIONS}))
def test_the_sessions_of_a_page_run(page_dsn: str, page: str) -> None:
    report: list[str] = []
    text = "\n".join(block.text for block in SESSIONS if block.page == page)
    with sync.ConnectionPool(page_dsn) as pool:
        session = doctest.DocTestParser().get_doctest(text, {"pool": pool}, page, page, 0)
        outcome = doctest.DocTestRunner(verbose=False).run(session, out=report.append)
    assert not report and outcome.failed == 0 and outcome.attempted >= text.count(">>> ") > 0, "".join(report)


def test_statements_run(page_dsn: str) -> None:
    """Pages in SQL: blocks of one page see what those before them did."""
    for page in {block.page for block in STATEMENTS}:
        with sync.ConnectionPool(page_dsn) as pool, pool.acquire() as connection:
            connection.execute_batch("BEGIN")
            for block in STATEMENTS:
                if block.page == page:
                    connection.execute_batch(block.text)


# Nothing is left out


def test_every_block_is_run_or_says_why_not() -> None:
    left_out = [block for block in BLOCKS if "run" in block.notes]
    assert [(block.page, block.name) for block in left_out] == NOT_RUN
    assert all(len(reason) > 15 for block in BLOCKS for reason in block.notes.values())
    others = [block for block in BLOCKS if block not in [*left_out, *RUN, *STATEMENTS]]
    assert [(block.page, block.name) for block in others] == EXAMPLES


def test_every_page_is_read() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "docs/connection-pool.md", "docs/copy.md"} <= names
    for path in PAGES:
        fences = path.read_text(encoding="utf-8").count("\n```")
        blocks = [block for block in BLOCKS if block.page == path.relative_to(ROOT).as_posix()]
        assert fences == 2 * (len(blocks) + sum(block.output is not None for block in blocks)), path


def test_programs_in_a_block_for_threads_only_are_not_rewritten() -> None:
    text = "# A\n\n```python\nfrom psqlpy.sync import ConnectionPool\n```\n"
    [block] = blocks_of("page.md", text)
    assert shells_of(block) == ["threads"]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("```python\nprint(1)  # 2\n```\n", "1\n"),
        ("```python\nprint(1)\n```\n", "1\n"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "1\n"),
        ("```python\npass  # print(1)  # 1\n```\n", ""),
    ],
)
def test_a_page_that_says_something_else_is_noticed(text: str, printed: str) -> None:
    [block] = blocks_of("page.md", text)
    with pytest.raises(AssertionError, match=r"page.md:1 .*prints"):
        check_printed(block, printed)


def test_what_a_page_leaves_open_may_be_anything() -> None:
    [block] = blocks_of("page.md", "```python\nprint(1)\n```\n\n```text\none ... three\n```\n")
    check_printed(block, "one two three\n")


def test_a_note_is_for_the_next_block_only() -> None:
    text = "<!-- not run: it needs a moon rocket -->\n\n```sh\nfly\n```\n\n```sh\nwalk\n```\n"
    first, second = blocks_of("page.md", text)
    assert first.notes == {"run": "it needs a moon rocket"} and second.notes == {}
    [other] = blocks_of("page.md", "<!-- not run: it needs a moon rocket -->\nText.\n```sh\nfly\n```\n")
    assert other.notes == {}


@pytest.mark.parametrize(
    ("text", "shells"),
    [
        ("```python\nawait one()\n```\n", ["asyncio", "uvloop", "trio", "threads"]),
        ("```python\nimport asyncio\nasyncio.run(main())\n```\nasync", ["asyncio", "threads"]),
        ("```python\nawait asyncio.sleep(1)\n```\n", ["asyncio", "uvloop"]),
        ("```python\nasyncio.run(other())\n```\n", ["asyncio"]),
        ("```python\nimport trio\nawait one()\n```\n", ["trio"]),
        ("```python\nimport anyio\nawait one()\n```\n", ["asyncio", "uvloop", "trio"]),
        ("```python\none()\n```\n", ["asyncio", "threads"]),
        (
            "<!-- not in threads: one of them waits -->\n```python\nawait one()\n```\n",
            ["asyncio", "uvloop", "trio"],
        ),
        (
            "<!-- not on trio: it has none of it -->\n\n```python\nawait one()\n```\n",
            ["asyncio", "uvloop", "threads"],
        ),
    ],
)
def test_a_program_runs_in_every_way_that_it_can(text: str, shells: list[str]) -> None:
    [block] = blocks_of("page.md", text)
    assert shells_of(block) == shells


def test_the_library_is_what_threads_import() -> None:
    text = "import psqlpy\nfrom psqlpy import ConnectionPool\nasync def main() -> None:\n    await one()\n"
    [block] = blocks_of("page.md", f"```python\n{text}```\n")
    import ast

    assert ast.unparse(program(block, "threads")) == (
        "import psqlpy.sync as psqlpy\nfrom psqlpy.sync import ConnectionPool\n\n"
        "def main() -> None:\n    one()\n    return locals()"
    )


def test_pages_name_files_that_are_there() -> None:
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#|\./\.\./)([^)#\s]+)", text):
            assert (path.parent / Path(target)).exists(), f"{path.name} leads to {target}"
