r"""psql, PostgreSQL's own program: only `\copy`, in one session that stays open; its own start isn't measured."""

from __future__ import annotations

import os
import subprocess
import tempfile

DONE = b"benchmark: done\n"


class Connection:
    def __init__(self, dsn: str) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="psqlpy-bench-", suffix=".csv")  # noqa: SIM115  (see close)
        self._program = subprocess.Popen(
            [os.environ["PSQLPY_BENCH_PSQL"], "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", dsn],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _run(self, command: str) -> None:
        assert self._program.stdin and self._program.stdout
        self._program.stdin.write(command.encode() + b"\n\\echo " + DONE)
        self._program.stdin.flush()
        for line in self._program.stdout:
            if line == DONE:
                return
        raise RuntimeError(f"psql ended with status {self._program.wait()}: {command}")

    async def execute(self, query: str) -> None:
        self._run(f"{query};")

    async def copy_csv(self, table: str, data: bytes) -> None:
        # The first, uncounted turn writes the file.
        if self._file.tell() != len(data):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(data)
            self._file.flush()
        self._run(f"\\copy {table} FROM '{self._file.name}' (FORMAT csv)")

    async def close(self) -> None:
        assert self._program.stdin and self._program.stdout
        self._program.stdin.close()
        self._program.wait()
        self._program.stdout.close()
        self._file.close()


class Driver:
    def versions(self) -> dict[str, str]:
        said = subprocess.run(
            [os.environ["PSQLPY_BENCH_PSQL"], "--version"], check=True, capture_output=True, text=True
        )
        return {"psql": said.stdout.split()[2]}

    async def connect(self, dsn: str) -> Connection:
        return Connection(dsn)


def make(loop: str) -> Driver:
    return Driver()
