"""Each code block of docs/connection-pool.md runs, under each event loop and, where it is that easily said, in threads.

A block is completed by what the page leaves out: the names of other blocks, a body for `main`, the tests' server. Every
block has a check of what it did.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest

import psqlpy
from psqlpy import sync
from psqlpy._config import PoolConfig
from tests.shells.running import RUNNERS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "connection-pool.md"

PAGE_DSN = "postgres://postgres:postgres@localhost:5432/postgres"
HEADING = re.compile(r"^#{1,3} (.+)$")
FENCE = re.compile(r"^```(\w*)$")

Namespace = dict[str, Any]


class Block(NamedTuple):
    """A fenced block; `name` is its heading, with a number from the second of one heading on."""

    name: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    heading, language = "", None
    lines: list[str] = []
    names: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        fence = FENCE.match(line)
        if language is not None:
            if fence:
                names.append(heading)
                number = names.count(heading)
                yield Block(
                    heading if number == 1 else f"{heading} {number}", language, "\n".join(lines) + "\n"
                )
                language = None
            else:
                lines.append(line)
        elif fence:
            language, lines = fence[1], []
        elif found := HEADING.match(line):
            heading = found[1]


PYTHON = {block.name: block for block in blocks() if block.language in ("python", "py")}
PLAIN = [block for block in blocks() if not block.language]


# Completing a block


@pytest.fixture
def page_dsn(dsn: str) -> Iterator[str]:
    """The server, with a table `users` that the page speaks of, in a schema of its own."""
    schema = f"page_{uuid4().hex}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE TABLE {schema}.users (id int4 PRIMARY KEY, username text)")
        connection.execute(f"INSERT INTO {schema}.users VALUES (100, 'Alex'), (7, 'Robin')")
        yield f"{dsn}{'&' if '?' in dsn else '?'}options=-csearch_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


def pointed_at(text: str, dsn: str) -> str:
    """The block's text with the tests' server instead of the page's."""
    plan = PoolConfig.from_parameters(dsn).plan
    literals = {
        f'"{PAGE_DSN}"': repr(dsn),
        'username="postgres"': f"username={plan.parameters['user']!r}",
        'password="postgres"': f"password={plan.parameters.get('password')!r}",
        'host="localhost"': f"host={plan.endpoints[0].host!r}",
        "port=5432": f"port={plan.endpoints[0].port}",
        'db_name="postgres"': f"db_name={plan.parameters['dbname']!r}",
        '.user("postgres")': f".user({plan.parameters['user']!r})",
        '.password("postgres")': f".password({plan.parameters.get('password', '')!r})",
        '.host("localhost")': f".host({plan.endpoints[0].host!r})",
        ".port(5432)": f".port({plan.endpoints[0].port})",
        '.dbname("postgres")': f".dbname({plan.parameters['dbname']!r})",
    }
    for literal, replacement in literals.items():
        text = text.replace(literal, replacement)
    assert "localhost" not in text
    return text


def in_threads(text: str) -> str:
    """The block's text for psqlpy.sync."""
    text = re.sub(r"\b(?:async (?=def|with)|await )", "", text)
    return text.replace("from psqlpy import", "from psqlpy.sync import")


def completed(text: str) -> ast.Module:
    """The block as a module. `main` gets a body if it has none, and returns its variables."""
    if text.rstrip().endswith("-> None:"):
        text = f"{text.rstrip()}\n    ...\n"
    module = ast.parse(text)
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body += ast.parse("return locals()").body
            node.returns = None
    return ast.fix_missing_locations(module)


def execute(block: Block, dsn: str, shell: str) -> Namespace:
    """Run a block and its `main`; returns all their variables, with the pool among them."""
    is_sync = shell == "threads"
    text = pointed_at(in_threads(block.text) if is_sync else block.text, dsn)
    pool_class: Any = sync.ConnectionPool if is_sync else psqlpy.ConnectionPool
    namespace: Namespace = {"db_pool": pool_class(dsn, max_db_pool_size=10), "Any": Any}
    namespace["QueryResult"] = psqlpy.QueryResult
    exec(compile(completed(text), f"{PAGE.name}: {block.name}", "exec"), namespace)
    main = namespace.get("main")
    if main is not None:
        is_plain = is_sync or "async def" not in text
        namespace.update(main() if is_plain else RUNNERS[shell](main))
    return namespace


# What each block must have done. `call` runs a method of the pool or of a connection under the block's shell.

Call = Callable[..., Any]


def is_pool_of_ten(found: Namespace, call: Call) -> None:
    pool = found["db_pool"]
    assert pool.status() == (10, 0, 0, 0)
    assert call(pool.fetch_val, "SELECT 1") == 1
    assert pool.status() == (10, 1, 1, 0)


def is_resized(found: Namespace, call: Call) -> None:
    assert found["db_pool"].status().max_size == 15


def is_alex(found: Namespace, call: Call) -> None:
    assert found["dict_results"] == [{"id": 100, "username": "Alex"}]
    assert isinstance(found["results"], psqlpy.QueryResult)
    assert found["db_pool"].status() == (10, 1, 1, 0)


def is_given_back(found: Namespace, call: Call) -> None:
    assert isinstance(found["connection"], psqlpy.Connection | sync.Connection)
    assert found["connection"].is_closed()
    assert found["db_pool"].status() == (10, 1, 1, 0)


def is_connection(found: Namespace, call: Call) -> None:
    connection = found["connection"]
    assert call(connection.fetch_val, "SELECT 1") == 1
    assert found["db_pool"].status() == (10, 1, 0, 0)
    connection.close()


def is_closed(found: Namespace, call: Call) -> None:
    with pytest.raises(psqlpy.exceptions.BaseConnectionPoolError, match="closed"):
        call(found["db_pool"].fetch_val, "SELECT 1")


def is_count(found: Namespace, call: Call) -> None:
    assert found["number"] == 2
    assert found["sync_pool"].status().max_size == 0


def has_fetched(found: Namespace, call: Call) -> None:
    assert found["row"].result() == {"id": 100, "username": "Alex"}
    assert found["username"] == "Alex"
    assert call(found["db_pool"].fetch_val, "SELECT count(*) FROM users") == 4


def has_timed_out(found: Namespace, call: Call) -> None:
    pool = found["db_pool"]
    assert found["printed"][0].startswith("acquire_timeout: ")
    assert found["printed"][1].startswith("timeout: ")
    assert pool.timeout == 30
    assert call(pool.fetch_val, "SELECT 1") == 1


def is_one(found: Namespace, call: Call) -> None:
    assert found["number"] == 1
    assert found["connection"].is_closed()


CHECKS: dict[str, Callable[[Namespace, Call], None]] = {
    "Initialize Connection Pool with separate parameters": is_pool_of_ten,
    "Initialize Connection Pool with DSN": is_pool_of_ten,
    "Create Connection Pool with one function": is_pool_of_ten,
    "Resize": is_resized,
    "Execute": is_alex,
    "Fetch": is_alex,
    "Acquire": is_given_back,
    "Connection": is_connection,
    "Close": is_closed,
    "Event loops and threads": is_count,
    "Fetch row, fetch value, execute many": has_fetched,
    "Timeouts": has_timed_out,
    "Giving connections back": is_given_back,
    "Closing": is_closed,
    "Connect": is_one,
    "Builder": is_pool_of_ten,
}

# Says with `await` what the synchronous `connect` has no need of.
ASYNC_ONLY = {"Connect"}

CASES = [
    pytest.param(
        name, shell, id=f"{name}-{shell}", marks=pytest.mark.backend("sync" if shell == "threads" else shell)
    )
    for name in CHECKS
    for shell in (*RUNNERS, "threads")
    if not (shell == "threads" and name in ASYNC_ONLY)
]


def test_every_block_has_a_check() -> None:
    assert list(PYTHON) == list(CHECKS)


@pytest.mark.parametrize(("name", "shell"), CASES)
def test_a_block_runs(page_dsn: str, name: str, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = execute(PYTHON[name], page_dsn, shell)
    found["printed"] = capsys.readouterr().out.splitlines()

    def call(method: Callable[..., Any], *arguments: object) -> Any:
        return method(*arguments) if shell == "threads" else RUNNERS[shell](lambda: method(*arguments))

    CHECKS[name](found, call)
    found["db_pool"].close()


def test_the_example_dsns_are_understood() -> None:
    [examples] = PLAIN
    dsns = examples.text.split()
    assert len(dsns) == 4
    for dsn in dsns:
        for pool in (psqlpy.ConnectionPool(dsn), sync.ConnectionPool(dsn), psqlpy.connect(dsn)):
            pool.close()
    assert "port 1234" in repr(psqlpy.ConnectionPool(dsns[2]))


def test_all_parameters_of_the_page_are_there() -> None:
    """In the page's order but for `dsn`, which is first in both."""
    section = PAGE.read_text(encoding="utf-8").split("### All available ConnectionPool parameters")[1]
    named = re.findall(r"^- `(\w+)`:", section.split("Example of possible")[0], flags=re.MULTILINE)
    for make in (psqlpy.ConnectionPool, psqlpy.connect, sync.ConnectionPool, sync.connect):
        assert list(inspect.signature(make).parameters)[: len(named)] == named
