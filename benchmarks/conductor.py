"""Lets the drivers of a case work in turns, and collects what they say.

In a round every driver has one turn; nobody always goes first. Each has one turn before the first round, which doesn't
count. Afterwards come the turns that would disturb a clock: with a heartbeat, and under strace. A driver that
fails is left out of its case, and the results say so.
"""

from __future__ import annotations

import ctypes.util
import json
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import build_ffi
from benchmarks.environments import Environment
from benchmarks.figures import CaseResult, Summary, Turn, cpus, ratio, summarize, walls
from benchmarks.parts import Case, Part
from benchmarks.processes import PATIENCE, Process, WorkerFailed, keep_apart
from benchmarks.server import Server
from benchmarks.tracing import count_calls

OURS = ("psqlpy", "psqlpy-libpq18")
# Their adapters wait by themselves, whatever the case's loop.
NEVER_ASYNC = ("psql", "libpq")


class Contender:
    """One driver in one case: its process, or one for each turn, and its turns so far."""

    def __init__(
        self, name: str, case: Case, options: dict[str, Any], start: Callable[[str, Case], Process]
    ) -> None:
        self.name = name
        self._case = case
        self._options = options
        self._start = start
        self.turns: list[Turn] = []
        self.stalls: list[float] = []
        self.peaks: list[float] = []
        self.calls: float | None = None
        self.versions: dict[str, str] = {}
        self.process: Process | None = None

    def open(self, dsn: str) -> None:
        self.process = self._start(self.name, self._case)
        self.versions = self.process.hello["versions"]
        self.process.ask(do="open", work=self._case.work, dsn=dsn, options=self._options)

    def turn(self, *, heartbeat: bool = False) -> Turn:
        assert self.process is not None
        return Turn(**self.process.ask(do="turn", heartbeat=heartbeat))

    def count_calls(self) -> None:
        """System calls of one operation; the few that the question and the answer take are among them."""
        assert self.process is not None
        seen: list[Turn] = []
        calls = count_calls(self.process.pid, lambda: seen.append(self.turn()))
        self.calls = None if calls is None else calls / seen[0].operations

    def close(self) -> None:
        if self.process is not None:
            self.peaks.append(self.process.ask(do="close")["peak"])
        self.end()

    def end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.end()

    def summary(self) -> Summary:
        return summarize(self.turns, stalls=self.stalls, peak=max(self.peaks, default=None), calls=self.calls)


class Conductor:
    """Runs cases against one server. `environment_of` gives a driver's interpreter, `log` takes workers' complaints."""

    def __init__(
        self,
        server: Server,
        environment_of: Callable[[str], Environment],
        log: IO[bytes],
        *,
        quick: bool = False,
        only: Sequence[str] = (),
    ) -> None:
        self._server = server
        self._environment_of = environment_of
        self._log = log
        self._quick = quick
        self._only = only
        # One shuffling for all runs.
        self._random = random.Random(20)
        self._proxy: Process | None = None
        self._programs = programs(server)

    def run(self, part: Part) -> dict[str, CaseResult]:
        return {case.name: self.run_case(case) for case in part.cases}

    def run_case(self, case: Case) -> CaseResult:
        options = {**case.options, **(case.quick if self._quick else {})}
        rounds = 2 if self._quick else case.rounds
        names = [name for name in case.drivers if not self._only or name in self._only]
        contenders = [Contender(name, case, options, self._start) for name in names]
        notes: list[str] = []
        if options.get("connections", 0) + 20 > self._server.max_connections:
            notes.append(f"not measured: the server takes {self._server.max_connections} connections")
            contenders = []
        with ExitStack() as stack:
            dsn = stack.enter_context(self._network(case))
            for contender in contenders:
                stack.callback(contender.end)
            run = self._run_fresh if case.fresh else self._run_held
            done = run(case, contenders, rounds, dsn, notes)
        return result_of(done, notes)

    # -- the two ways

    def _run_held(
        self, case: Case, contenders: list[Contender], rounds: int, dsn: str, notes: list[str]
    ) -> list[Contender]:
        before = self._server.backends() if case.apart else set()
        self._each(contenders, notes, lambda contender: contender.open(dsn))
        if case.apart:
            pids = [contender.process.pid for contender in contenders if contender.process]
            if not keep_apart(pids, self._server.backends() - before):
                notes.append("client and server wherever the kernel put them")
        self._each(contenders, notes, lambda contender: contender.turn())
        for _ in range(rounds):
            self._shuffled(contenders, notes, self._count_turn)
        if case.heartbeat:
            self._each(contenders, notes, beat)
        if case.traced:
            self._each(contenders, notes, Contender.count_calls)
        self._each(contenders, notes, Contender.close)
        return contenders

    def _run_fresh(
        self, case: Case, contenders: list[Contender], rounds: int, dsn: str, notes: list[str]
    ) -> list[Contender]:
        def turn(contender: Contender) -> None:
            if case.work.startswith("startup "):
                contender.turns.append(self._startup(contender.name, case, dsn))
                return
            contender.open(dsn)
            self._count_turn(contender, heartbeat=case.heartbeat)
            contender.close()

        if case.work.startswith("startup "):
            # Whose files are compiled and cached is not what is asked.
            self._each(contenders, notes, lambda contender: self._startup(contender.name, case, dsn))
        for _ in range(rounds):
            self._shuffled(contenders, notes, turn)
        return contenders

    def _startup(self, name: str, case: Case, dsn: str) -> Turn:
        environment = self._environment_of(name)
        try:
            done = subprocess.run(
                environment.command("startup", name, case.name, *([dsn] if case.name == "script" else [])),
                cwd=environment.directory,
                env=environment.variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"took longer than {PATIENCE:.0f} s") from None
        if done.returncode:
            raise WorkerFailed(f"ended with status {done.returncode}")
        return Turn(**json.loads(done.stdout))

    def _count_turn(self, contender: Contender, *, heartbeat: bool = False) -> None:
        if self._proxy is None:
            contender.turns.append(contender.turn(heartbeat=heartbeat))
            return
        self._proxy.ask(do="take")
        turn = contender.turn(heartbeat=heartbeat)
        round_trips = self._proxy.ask(do="take")["round_trips"]
        turn.extra["round_trips"] = round_trips / turn.operations
        contender.turns.append(turn)

    # -- who takes part, and where

    def _each(self, contenders: list[Contender], notes: list[str], do: Callable[[Contender], object]) -> None:
        """For each that hasn't failed; those that fail now are out."""
        for contender in list(contenders):
            try:
                do(contender)
            except WorkerFailed as error:
                notes.append(f"{contender.name} failed: {error}")
                contenders.remove(contender)
                contender.end()

    def _shuffled(
        self, contenders: list[Contender], notes: list[str], do: Callable[[Contender], object]
    ) -> None:
        order = self._random.sample(contenders, len(contenders))
        self._each(order, notes, do)
        contenders[:] = [contender for contender in contenders if contender in order]

    def _start(self, name: str, case: Case) -> Process:
        environment = self._environment_of(name)
        loop = "sync" if name in NEVER_ASYNC else case.loop
        variables = {**environment.variables(), **self._programs}
        return Process(environment.command("worker", name, loop), environment.directory, variables, self._log)

    @contextmanager
    def _network(self, case: Case) -> Iterator[str]:
        """The DSN for a case: the server's, or that of a proxy which delays."""
        if case.delay is None:
            yield self._server.dsn
            return
        host, port = self._server.address
        environment = self._environment_of("proxy")
        command = environment.command("proxy", host, str(port), str(case.delay))
        with Process(command, environment.directory, environment.variables(), self._log) as self._proxy:
            try:
                yield self._server.through(self._proxy.hello["port"])
            finally:
                self._proxy = None


def programs(server: Server) -> dict[str, str]:
    """Where the adapters of what is no Python package find it."""
    try:
        directory = Path(build_ffi.find_libpq().libraries[0])
        libraries = [directory / name for name in ("libpq.so.5", "libpq.5.dylib")]
        library = next((str(path) for path in libraries if path.exists()), None)
    except (build_ffi.LibpqNotFound, IndexError):
        library = None
    found = {
        "PSQLPY_BENCH_PSQL": server.psql,
        "PSQLPY_BENCH_LIBPQ": library or ctypes.util.find_library("pq"),
    }
    return {name: path for name, path in found.items() if path}


def beat(contender: Contender) -> None:
    if contender.name in NEVER_ASYNC:
        return  # no loop that could stall
    stall = contender.turn(heartbeat=True).stall
    if stall is not None:
        contender.stalls.append(stall)


def result_of(contenders: Sequence[Contender], notes: list[str]) -> CaseResult:
    by_name = {contender.name: contender for contender in contenders if contender.turns}
    ratios = {}
    for ours in OURS:
        for peer in by_name:
            if ours in by_name and peer not in OURS:
                mine, theirs = by_name[ours].turns, by_name[peer].turns
                ratios[f"{ours}/{peer}"] = {
                    "wall": ratio(walls(mine), walls(theirs)),
                    "cpu": ratio(cpus(mine), cpus(theirs)),
                }
    return {
        "drivers": {name: asdict(contender.summary()) for name, contender in by_name.items()},
        "ratios": ratios,
        "versions": {name: contender.versions for name, contender in by_name.items() if contender.versions},
        "notes": notes,
    }
