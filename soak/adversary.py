"""The other process: servers, proxies and a pooler (scene.py), and what goes wrong with them at random.

In a process of its own, so that what it does takes nothing from those who are measured. It writes lines of JSON: first
its DSNs, then each fault when it is over, `{"calm": true}` when asked to mend everything (a line on standard input),
and ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NamedTuple

import psycopg

from psqlpy import embedded
from soak.scene import Scene
from tests.hostile.proxy import Proxy

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 90.0


class Fault(NamedTuple):
    """What was done, and from when to when by time.monotonic(), which all processes of a machine share."""

    name: str
    begun: float
    ended: float


class Opponent:
    """The process, as those see it who ask for it; a context manager."""

    def __init__(self, seed: int, pause: float) -> None:
        """With about `pause` seconds between two faults."""
        self._command = [sys.executable, "-m", "soak.adversary", str(seed), str(pause)]
        self.faults: list[Fault] = []
        self._calm = threading.Event()

    def __enter__(self) -> Opponent:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self._end()
            raise RuntimeError("the server didn't start")
        said = json.loads(line)
        #: Through the proxy, and to the server itself.
        self.dsn: str = said["dsn"]
        self.direct: str = said["direct"]
        #: Through PgBouncer; None without it.
        self.pooled: str | None = said["pooled"]
        self._reader = threading.Thread(target=self._read, name="faults", daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "calm" in said:
                self.direct = said["direct"]
                self._calm.set()
            else:
                self.faults.append(Fault(**said))

    def begin(self) -> None:
        """From now on things go wrong."""
        self._say("begin")

    def calm(self) -> None:
        """Mend everything, and leave it so."""
        self._say("calm")
        if not self._calm.wait(PATIENCE):
            raise RuntimeError("the server didn't come back")

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if hasattr(self, "_reader"):
            self._reader.join(5)
        self._process.stdout.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


class Adversary:
    """What goes wrong: one method each. A method returns when it is mended."""

    def __init__(self, scene: Scene, random: Random) -> None:
        self._scene = scene
        self._random = random
        #: Name, how often compared to the others, what to do.
        self.faults: list[tuple[str, int, Callable[[], None]]] = [
            ("slow wire", 4, self.slow_wire),
            ("single bytes", 3, self.single_bytes),
            ("black hole", 5, self.black_hole),
            ("reset", 6, lambda: self._wires(Proxy.reset_all)),
            ("closed", 4, lambda: self._wires(Proxy.close_all)),
            ("half-closed to client", 3, lambda: self._wires(lambda wire: wire.half_close(to_client=True))),
            ("half-closed to server", 3, lambda: self._wires(lambda wire: wire.half_close(to_client=False))),
            ("one terminated", 6, lambda: self._backends("pg_terminate_backend", 1)),
            ("all terminated", 4, lambda: self._backends("pg_terminate_backend", 1000)),
            ("all cancelled", 4, lambda: self._backends("pg_cancel_backend", 1000)),
            ("backend killed", 2, self.kill_backend),
            ("server killed", 1, self.kill_server),
            ("main process killed", 1, self.kill_postmaster),
            ("restart", 1, self.restart),
            ("failover", 2, scene.fail_over),
            ("out of connections", 2, self.out_of_connections),
            ("read-only", 2, self.read_only),
            ("idle timeouts", 2, self.idle_timeouts),
        ]
        if scene.primary.disk.mounted:
            self.faults.append(("disk full", 2, self.disk_full))
        if scene.pooler is not None:
            self.faults.append(("PgBouncer killed", 2, self.kill_pooler))

    def choose(self) -> tuple[str, Callable[[], None]]:
        names = [(name, act) for name, _, act in self.faults]
        return self._random.choices(names, [weight for _, weight, _ in self.faults])[0]

    def _pause(self, least: float, most: float) -> None:
        time.sleep(self._random.uniform(least, most))

    # The wire

    def _wires(self, act: Callable[[Proxy], None]) -> None:
        for proxy in self._scene.proxies:
            act(proxy)

    def slow_wire(self) -> None:
        there, back = self._random.uniform(0, 0.1), self._random.uniform(0, 0.1)
        self._wires(lambda wire: wire.delay(to_server=there, to_client=back))
        self._pause(0.3, 1.5)
        self._wires(Proxy.delay)

    def single_bytes(self) -> None:
        self._wires(lambda wire: wire.split(1))
        self._pause(0.2, 0.6)
        self._wires(lambda wire: wire.split(0))

    def black_hole(self) -> None:
        """Now and then for longer than the timeout of a call."""
        self._wires(Proxy.black_hole)
        self._pause(0.1, 1.0) if self._random.random() < 0.7 else self._pause(1.0, 4.0)
        self._wires(Proxy.restore)

    # The server

    def _backends(self, function: str, most: int) -> None:
        with self._scene.server.observe() as observer:
            observer.execute(
                f"SELECT {function}(pid) FROM (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                f"AND pid <> pg_backend_pid() ORDER BY random() LIMIT {most}) AS chosen".encode()
            )

    def kill_backend(self) -> None:
        """The server then ends all others, and recovers."""
        with self._scene.server.observe() as observer:
            row = observer.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
            ).fetchone()
        if row is not None:
            _kill(row[0])
        time.sleep(0.1)
        self._scene.server.await_ready()

    def kill_server(self) -> None:
        self._scene.server.kill()
        self._pause(0, 1)
        self._scene.start()

    def kill_postmaster(self) -> None:
        self._scene.server.kill_postmaster()
        self._pause(0, 0.5)
        self._scene.server.stop()
        self._scene.start()

    def restart(self) -> None:
        self._scene.server.stop()
        self._pause(0, 1)
        self._scene.start()

    def disk_full(self) -> None:
        """The primary's. It may end itself for want of room for its log."""
        self._scene.primary.disk.fill()
        self._pause(0.5, 2.0)
        self._scene.primary.disk.make_room()
        self._scene.mend()

    def kill_pooler(self) -> None:
        assert self._scene.pooler is not None
        self._scene.pooler.kill()
        self._pause(0, 0.5)
        self._scene.pooler.start()

    def out_of_connections(self) -> None:
        held: list[psycopg.Connection[Any]] = []
        try:
            while len(held) < 100:
                held.append(self._scene.server.observe())
        except psycopg.OperationalError:
            pass
        # Those that break now can't be replaced.
        self._wires(Proxy.reset_all)
        self._pause(0.2, 1.5)
        for connection in held:
            connection.close()

    def read_only(self) -> None:
        self._setting("default_transaction_read_only", "on", 1.0)

    def idle_timeouts(self) -> None:
        self._setting("idle_in_transaction_session_timeout", "'5ms'", 0.5)

    def _setting(self, name: str, value: str, seconds: float) -> None:
        with self._scene.server.observe() as observer:
            observer.execute(f"SET {name} TO DEFAULT".encode())
            observer.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
            observer.execute("SELECT pg_reload_conf()")
            time.sleep(seconds)
            observer.execute(f"ALTER SYSTEM RESET {name}".encode())
            observer.execute("SELECT pg_reload_conf()")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def await_word(over: threading.Event) -> None:
    sys.stdin.readline()
    over.set()


def harm(scene: Scene, adversary: Adversary, random: Random, pause: float, over: threading.Event) -> None:
    while not over.wait(random.expovariate(1 / pause)):
        name, act = adversary.choose()
        begun = time.monotonic()
        try:
            act()
        except psycopg.OperationalError as error:
            # It had no connection itself, since the server still suffers from what was done before.
            print(f"{name}: {error}", file=sys.stderr)
            scene.mend()
        tell(name=name, begun=begun, ended=time.monotonic())


def main() -> None:
    random, pause = Random(int(sys.argv[1])), float(sys.argv[2])
    with embedded.start() as origin, Scene(origin) as scene:
        tell(dsn=scene.dsn, direct=scene.direct, pooled=scene.pooler and scene.pooler.dsn)
        over = threading.Event()
        adversary = Adversary(scene, random)
        if sys.stdin.readline():
            threading.Thread(target=await_word, args=(over,), daemon=True).start()
            # Here, since PgBouncer ends with the thread that has started it (prctl(2), PR_SET_PDEATHSIG).
            harm(scene, adversary, random, pause, over)
            scene.mend()
            tell(calm=True, direct=scene.direct)
            sys.stdin.read()


if __name__ == "__main__":
    main()
