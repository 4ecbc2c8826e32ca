"""The server that all drivers talk to, and the tables they read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psqlpy.sync
from psqlpy import embedded

CREATE = """
DROP TABLE IF EXISTS bench_keys, bench_bulk, bench_bytes, bench_arrays;
CREATE TABLE bench_keys (id int4 PRIMARY KEY, name text, balance int8, created timestamptz);
INSERT INTO bench_keys SELECT i, 'name ' || i, i * 1000, now() FROM generate_series(1, 10000) i;
CREATE TABLE bench_bulk (
    id int4, big int8, ratio float8, active bool, name text, note varchar(40), day date, created timestamptz,
    amount numeric(12, 2), token uuid
);
INSERT INTO bench_bulk
SELECT i, i * 1000003::int8, i / 7.0, i % 3 = 0, 'name number ' || i, CASE WHEN i % 10 > 0 THEN 'note ' || i % 100 END,
    date '2024-01-01' + i % 366, timestamptz '2024-01-01 00:00:00Z' + i * interval '1.001 s', i / 100.0,
    md5(i::text)::uuid
FROM generate_series(1, {rows}) i;
CREATE TABLE bench_bytes (data bytea);
INSERT INTO bench_bytes SELECT decode(repeat(lpad(to_hex(i), 2, '0'), 1024), 'hex') FROM generate_series(1, 100) i;
CREATE TABLE bench_arrays (numbers int4[]);
INSERT INTO bench_arrays SELECT array_agg(i * j) FROM generate_series(1, 100) i, generate_series(1, 100) j GROUP BY i;
"""
DROP = "DROP TABLE IF EXISTS bench_keys, bench_bulk, bench_bytes, bench_arrays"
TABLES = ("bench_keys", "bench_bulk", "bench_bytes", "bench_arrays")

BULK_ROWS = 100_000


@dataclass(frozen=True)
class Server:
    """`dsn` is a URL, since every driver reads those alike, with a host name or address, and without TLS."""

    dsn: str
    version: str
    max_connections: int
    psql: str | None

    def backends(self) -> set[int]:
        """Processes of the server that serve clients."""
        with psqlpy.sync.ConnectionPool(self.dsn, max_db_pool_size=1) as pool:
            query = (
                "SELECT pid FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            return {row["pid"] for row in pool.fetch(query).result()}

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.dsn)
        return parts.hostname or "127.0.0.1", parts.port or 5432

    def through(self, port: int) -> str:
        """The DSN by way of a proxy on this machine."""
        parts = urlsplit(self.dsn)
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return urlunsplit(parts._replace(netloc=f"{login}127.0.0.1:{port}"))


def without_tls(dsn: str) -> str:
    """Some would try TLS by default and others not."""
    parts = urlsplit(dsn)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname:
        raise SystemExit("--dsn: give a URL with a host, like postgresql://user:password@host:5432/database")
    if "sslmode=" in parts.query:
        return dsn
    query = f"{parts.query}&sslmode=disable" if parts.query else "sslmode=disable"
    return urlunsplit(parts._replace(query=query))


def prepare(dsn: str, rows: int, psql: str | None) -> Server:
    with psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1) as pool, pool.acquire() as connection:
        connection.execute_batch(CREATE.format(rows=rows))
        for table in TABLES:
            connection.execute(f"VACUUM (ANALYZE) {table}")
        limit = int(connection.fetch_val("SHOW max_connections"))
        return Server(dsn, connection.parameter_status("server_version") or "", limit, psql)


@contextmanager
def running(dsn: str | None, rows: int = BULK_ROWS) -> Iterator[Server]:
    """The one of `dsn`, or an embedded one; with the tables, until the end."""
    if dsn is None:
        with embedded.start(settings={"max_connections": 600}) as started:
            yield prepare(without_tls(started.dsn), rows, f"{started.bin_directory}/psql")
        return
    dsn = without_tls(dsn)
    try:
        yield prepare(dsn, rows, shutil.which("psql"))
    finally:
        with psqlpy.sync.ConnectionPool(dsn, max_db_pool_size=1) as pool:
            pool.execute(DROP)
