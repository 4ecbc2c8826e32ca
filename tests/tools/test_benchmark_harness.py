"""The benchmarks' statistics, goals, page and processes. What the figures are is nobody's business here."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import page, plots, rows, server, tracing, worker
from benchmarks.conductor import Conductor
from benchmarks.drivers import ADAPTERS
from benchmarks.environments import PEERS, Environment, home_of, import_path, requirements
from benchmarks.figures import CaseResult, Goal, Ratio, Summary, Turn, percentile, ratio, summarize, value_of
from benchmarks.parts import PARTS, Part
from benchmarks.processes import Process, WorkerFailed
from benchmarks.work import QUERIES, WORKS, allocated, size_of_rows

ROOT = Path(__file__).resolve().parents[2]
HERE = Environment(sys.executable, str(ROOT))


# -- statistics


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([7.0], 50, 7.0), ([4.0, 1.0, 3.0, 2.0], 50, 2.0), (range(1, 101), 99, 99), (range(1, 101), 10, 10)],
)
def test_percentile(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine is four times as slow in the second round: the ratio of the medians would be 1.
    assert ratio([1.0, 4.0, 1.0], [2.0, 8.0, 0.5]) == Ratio(0.5, 0.5, 2.0)
    with pytest.raises(ValueError, match="argument 2"):
        ratio([1.0], [1.0, 2.0])


def test_what_turns_come_to() -> None:
    turns = [
        Turn(2.0, 1.0, 2, [0.5, 1.5], None, {"round_trips": 3.0}),
        Turn(12.0, 3.0, 4, [2.5, 3.5], None, {"round_trips": 2.0}),
        Turn(2.0, 8.0, 4, [], 0.25, {"round_trips": 2.0}),
    ]
    summary = summarize(turns, stalls=[0.125], peak=100.0, calls=5.0)
    assert summary == Summary(1.0, 0.75, 1.5, 3.5, 0.25, 100.0, 5.0, {"round_trips": 2.0})
    assert summarize(turns[:1]).stall is None
    assert summarize(turns[2:]).p99 is None


def case(drivers: dict[str, Summary], **walls: tuple[float, float, float]) -> CaseResult:
    ratios = {f"psqlpy/{peer}": {"wall": wall, "cpu": (0.8, 0.7, 0.9)} for peer, wall in walls.items()}
    return {
        "drivers": {name: asdict(summary) for name, summary in drivers.items()},
        "ratios": ratios,
        "versions": {"psqlpy": {"psqlpy": "1.0", "libpq": "15.18"}},
        "notes": [],
    }


RESULTS = {
    "a": case(
        {"psqlpy": Summary(1.0, 0.5, p99=2.0, stall=0.03), "asyncpg": Summary(2.0, 1.0, p99=8.0)},
        asyncpg=(0.5, 0.4, 0.6),
    ),
    "b": case({"psqlpy": Summary(1.0, 1.5, stall=0.01, extra={"above": 5.0})}, asyncpg=(0.125, 0.1, 0.2)),
}


@pytest.mark.parametrize(
    ("goal", "expected", "verdict"),
    [
        (Goal("", "wall", 1.0, ("a",), "asyncpg"), 0.5, "reached"),
        (Goal("", "wall", 0.4, ("a",), "asyncpg"), 0.5, "**short by 25%**"),
        (Goal("", "cpu", 0.8, ("a",), "asyncpg"), 0.8, "reached"),
        (Goal("", "speed", 2.0, ("a",), "asyncpg"), 2.0, "reached"),
        (Goal("", "speed", 4.0, ("a",), "asyncpg"), 2.0, "**short by 50%**"),
        (Goal("", "speed", 4.0, ("a", "b"), "asyncpg"), 4.0, "reached"),
        (Goal("", "p99", 1.0, ("a",), "asyncpg"), 0.25, "reached"),
        (Goal("", "cpu", 1.25, ("b",), against="a"), 3.0, "**2.40 times the limit**"),
        (Goal("", "stall", 0.02, ("a", "b")), 0.03, "**short by 50%**"),
        (Goal("", "above", 5.0, ("b",)), 5.0, "reached"),
    ],
)
def test_goals(goal: Goal, expected: float, verdict: str) -> None:
    value = value_of(goal, RESULTS)
    assert value == pytest.approx(expected)
    assert page.verdict(goal, expected) == verdict


@pytest.mark.parametrize(
    "goal",
    [
        Goal("", "wall", 1.0, ("a",), "psycopg"),
        Goal("", "wall", 1.0, ("a", "missing"), "asyncpg"),
        Goal("", "above", 1.0, ("a",)),
        Goal("", "above", 1.0, ("b",), "asyncpg"),
    ],
)
def test_a_goal_of_which_a_part_is_missing_is_not_reached(goal: Goal) -> None:
    assert value_of(goal, RESULTS) is None


def test_rounding_is_what_the_allocator_adds() -> None:
    rows = [(f"{number:0100d}",) for number in range(1000)]
    # Pythons differ in how many bytes a text or a tuple has: a text of 100 149 or 141, of which it gets 160 or 144.
    lost = sum(-sys.getsizeof(each) % 16 for each in (rows[0], rows[0][0]))
    assert lost > 0 and allocated(rows[0][0]) in (160, 144)
    assert size_of_rows(rows, allocated) - size_of_rows(rows) == pytest.approx(1000 * lost, abs=16)


def test_shared_values_count_once_in_the_size_of_rows() -> None:
    text = "x" * 1000
    one = size_of_rows([(text,)] * 100)
    assert sys.getsizeof(text) * 100 < one
    different = size_of_rows([(f"{number:01000d}",) for number in range(1000)])
    assert size_of_rows([(text,)] * 1000) < different


class Stuck:
    """A work that holds the loop, at its beginning and at its end."""

    latencies: tuple[float, ...] = ()

    def __init__(self, *seconds: float) -> None:
        self._seconds = seconds

    async def prepare(self) -> None: ...

    async def turn(self) -> int:
        for seconds in self._seconds:
            await asyncio.sleep(0.005)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
        return 1

    async def finish(self) -> dict[str, float]:
        return {}


@pytest.mark.parametrize("seconds", [(0.06, 0.0), (0.0, 0.06)])
def test_the_heartbeat_notices_who_holds_the_loop(seconds: tuple[float, ...]) -> None:
    busy = worker.Worker(cast(Any, None))
    busy._work = cast(Any, Stuck(*seconds))
    answer = asyncio.run(busy.answer({"do": "turn", "heartbeat": True}))
    assert 0.05 <= answer["stall"] <= answer["wall"]
    assert asyncio.run(busy.answer({"do": "turn", "heartbeat": False}))["stall"] is None


# -- system calls


NEW = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 83.97    0.379684        4746        80        40 wait4
------ ----------- ----------- --------- --------- ----------------
100.00    0.452146          49      9052{errors} total
"""
OLD = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
100.00    0.000000                   123         4 total
"""


@pytest.mark.parametrize(
    ("table", "calls"),
    [
        (NEW.format(errors="      1357"), 9052),
        (NEW.format(errors="          "), 9052),
        (OLD, 123),
        ("", None),
        ("strace: attach: Operation not permitted\n", None),
    ],
)
def test_the_number_of_system_calls(table: str, calls: int | None) -> None:
    assert tracing.total_calls(table) == calls


# -- the table of what is measured


def test_parts_and_adapters_fit_together() -> None:
    pinned = requirements(PEERS.read_text(encoding="utf-8"))
    packages = [package for line in pinned.values() for package in line]
    assert packages
    assert all(package.count("==") == 1 for package in packages)
    for part in PARTS.values():
        names = {case.name for case in part.cases}
        for goal in part.goals:
            assert {*goal.cases, *([goal.against] if goal.against else [])} <= names, goal.text
            assert goal.peer is None or all(
                {goal.peer, goal.ours} <= set(case.drivers) for case in part.cases if case.name in goal.cases
            )
        for case in part.cases:
            assert set(case.drivers) <= set(ADAPTERS)
            assert case.work in WORKS or case.work == f"startup {case.name}"
            assert case.options.get("query", "bulk") in QUERIES
    assert {home_of(name) for name in ADAPTERS} - set(pinned) == {"psql", "libpq", "none"}


def test_csv_and_records_are_the_same_rows() -> None:
    [line, *_] = reversed(rows.csv(8).decode().splitlines())
    [*_, last] = rows.records(8)
    assert line == f"7,{last[1]},name number 7,1.0,f,2024-01-01T00:00:07.000007+00:00"
    assert len(last) == len(rows.COLUMNS)


def test_workers_find_the_benchmarks_and_not_this_psqlpy(tmp_path: Path) -> None:
    directory = import_path(tmp_path)
    assert [path.name for path in directory.iterdir()] == ["benchmarks"]
    assert (import_path(tmp_path) / "benchmarks" / "worker.py").exists()


# -- the page


def test_the_page_says_what_was_reached_and_what_was_not(tmp_path: Path) -> None:
    part = PARTS["acquire"]
    measured = {
        "asyncio": case(
            {"psqlpy": Summary(6e-5, 2e-5), "asyncpg": Summary(2e-4, 1e-4)}, asyncpg=(0.3, 0.25, 0.4)
        ),
        "uvloop": {**case({}), "notes": ["asyncpg failed: ended with status 1"]},
    }
    result = {"date": "2026-01-01", "where": "PostgreSQL 18", "cases": measured}
    target = tmp_path / "page.md"
    target.write_text("before\n<!-- bench -->\nof the last run\n<!-- /bench -->\nafter\n", encoding="utf-8")
    results = {"acquire": result}
    page.write_results(results, tmp_path / "results.json")
    assert page.read_results(tmp_path / "results.json") == results
    page.write_page(results, target, tmp_path)
    text = target.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- bench -->\n\n")
    assert text.endswith("\n<!-- /bench -->\nafter\n")
    assert "of the last run" not in text
    assert "| asyncio: time ≤ 0.6 of asyncpg's | 0.30 | reached |" in text
    assert "| uvloop: time ≤ 0.6 of asyncpg's | – | not measured |" in text
    assert "|  | asyncpg | 200 µs | 100 µs | **0.30** | 0.25–0.40 | 0.80 |" in text
    assert "uvloop: asyncpg failed: ended with status 1." in text
    assert "`make bench ONLY=acquire`, 2026-01-01; PostgreSQL 18." in text
    assert "`make bench ONLY=bulk`" in text
    assert all(f"What is unfair about it: {part.unfair}" in text for part in PARTS.values())
    picture = ElementTree.parse(tmp_path / "acquire.svg").getroot()
    assert [part.title, "asyncio: time for a query", "psqlpy", "60.0 µs"] == [
        element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")
    ][:4]


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "page.md"
    target.write_text("<!-- bench -->\nno end\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="the page has no marks"):
        page.write_page({}, target, tmp_path)
    assert target.read_text(encoding="utf-8") == "<!-- bench -->\nno end\n"


def test_the_page_is_what_the_results_say() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    sections = [page.section(part, page.read_results().get(name)) for name, part in PARTS.items()]
    assert all(section in text for section in sections), "python -m benchmarks --page"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1.5, "1.50 s"), (0.0123, "12.3 ms"), (0.000278, "278 µs"), (4.2e-8, "42.0 ns")],
)
def test_times(seconds: float, expected: str) -> None:
    assert page.show_time(seconds) == expected


def test_names_in_plots_are_escaped() -> None:
    picture = plots.bars("<&>", {'a "b"': {"x<y": 0.0}}, str, str)
    assert "<&>" in [element.text for element in ElementTree.fromstring(picture).iter()]


# -- processes


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says everything back; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            while data := client.recv(65536):
                client.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(10)
    listener.close()


def test_the_proxy_delays_and_counts_round_trips(echo: int, tmp_path: Path) -> None:
    command = HERE.command("proxy", "127.0.0.1", str(echo), "0.05")
    with (
        (tmp_path / "log").open("wb") as log,
        Process(command, str(ROOT), HERE.variables(), log) as proxy,
        socket.create_connection(("127.0.0.1", proxy.hello["port"])) as client,
    ):
        for _ in range(2):
            begun = time.monotonic()
            client.sendall(b"1")
            client.sendall(b"2")
            assert receive(client, 2) == b"12"
            assert time.monotonic() - begun >= 0.05
            assert proxy.ask(do="take") == {"round_trips": 1}
        # Much at once, in both directions.
        data = bytes(range(256)) * 20_000
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert receive(client, len(data)) == data
        sender.join()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def receive(client: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        parts += client.recv(1 << 20)
    return bytes(parts)


def test_a_process_that_ends_or_complains(tmp_path: Path) -> None:
    hello = "print('{\"pid\": 1}', flush=True); "
    with (tmp_path / "log").open("wb") as log:
        for code, message in {
            hello + "input(); raise SystemExit(3)": "ended with status 3",
            hello + 'input(); print(\'{"error": "no such thing"}\')': "no such thing",
        }.items():
            process = Process([sys.executable, "-c", code], str(tmp_path), HERE.variables(), log)
            with process, pytest.raises(WorkerFailed, match=message):
                process.ask(do="turn")
        with pytest.raises(WorkerFailed, match="ended with status 0"):
            Process([sys.executable, "-c", "pass"], str(tmp_path), HERE.variables(), log)


def only_here(name: str) -> Environment:
    if name in {"psqlpy", "proxy"}:
        return HERE
    raise WorkerFailed("isn't installed")


@pytest.fixture
def bench_server(dsn: str) -> Iterator[server.Server]:
    """The tests' server, with the tables in a schema of their own."""
    import psycopg

    schema = f"bench_{id(dsn):x}_{time.monotonic_ns()}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        path = f"{dsn}{'&' if '?' in dsn else '?'}options=-csearch_path%3D{schema}"
        yield server.prepare(server.without_tls(path), 50, None)
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def run_part(part: Part, bench_server: server.Server, log_path: Path) -> dict[str, Any]:
    with log_path.open("wb") as log:
        return Conductor(bench_server, only_here, log, quick=True).run(part)


def test_a_part_runs_from_end_to_end(bench_server: server.Server, tmp_path: Path) -> None:
    later = replace(
        PARTS["transaction"].cases[1], drivers=("psqlpy", "asyncpg"), traced=False, heartbeat=True
    )
    part = replace(PARTS["transaction"], cases=(later,))
    [result] = run_part(part, bench_server, tmp_path / "log").values()
    assert result["notes"] == ["asyncpg failed: isn't installed"], (tmp_path / "log").read_text(
        encoding="utf-8"
    )
    [(driver, summary)] = result["drivers"].items()
    assert driver == "psqlpy"
    assert summary["extra"] == {"round_trips": 2.0}
    assert 0.002 < summary["p50"] <= summary["p99"]
    assert 0 < summary["cpu"] < summary["wall"]
    assert summary["peak"] > 10_000_000
    assert summary["stall"] is not None
    assert "2 round trips | 2.00 | reached" in page.goals_table(part, {"later": result})
