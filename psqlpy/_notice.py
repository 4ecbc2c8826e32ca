"""Notice: a message that the server sends beside a statement's result, such as RAISE NOTICE or a warning."""

from __future__ import annotations

from collections.abc import Mapping

from psqlpy._naming import public


@public
class Notice:
    """A notice or warning of the server; the attributes are those of `Error`.

    `severity` is the server's word in its own language, `level` PostgreSQL's: DEBUG, LOG, INFO, NOTICE, WARNING, or
    FATAL for its last word before it hangs up. `backend_pid` is the connection's.
    """

    __slots__ = (
        "backend_pid",
        "column_name",
        "constraint_name",
        "context",
        "datatype_name",
        "detail",
        "hint",
        "level",
        "message",
        "schema_name",
        "severity",
        "sqlstate",
        "table_name",
    )

    def __init__(self, fields: Mapping[str, str | None], backend_pid: int) -> None:
        self.backend_pid: int = backend_pid
        self.severity: str | None = fields.get("severity")
        self.level: str | None = fields.get("severity_nonlocalized") or self.severity
        self.message: str = fields.get("message_primary") or ""
        self.sqlstate: str | None = fields.get("sqlstate")
        self.detail: str | None = fields.get("detail")
        self.hint: str | None = fields.get("hint")
        self.context: str | None = fields.get("context")
        self.schema_name: str | None = fields.get("schema_name")
        self.table_name: str | None = fields.get("table_name")
        self.column_name: str | None = fields.get("column_name")
        self.datatype_name: str | None = fields.get("datatype_name")
        self.constraint_name: str | None = fields.get("constraint_name")

    def __str__(self) -> str:
        return f"{self.severity}: {self.message}"

    def __repr__(self) -> str:
        return f"<Notice {self.severity}: {self.message!r}, backend {self.backend_pid}>"
