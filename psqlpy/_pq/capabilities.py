"""What the loaded libpq can do, and which one it is: what belongs into a bug report.

Functions that libpq gained after 15 are found when the module is loaded, not when it was built.
"""

from __future__ import annotations

from psqlpy._pq.conninfo import keywords
from psqlpy._pq.module import lib


class Capabilities:
    """Everything is looked up when it is asked for, and is the same for the whole process."""

    __slots__ = ()

    @property
    def libpq_version(self) -> int:
        """The version of the loaded libpq, as libpq counts: 150018 is 15.18."""
        return int(lib.PQlibVersion())

    @property
    def built_with(self) -> int | None:
        """The version of libpq's headers that psqlpy was built with; None if they didn't say."""
        return int(lib.psq_built_with()) or None

    @property
    def tls(self) -> bool:
        """Whether libpq was built with TLS; otherwise every connection is in plain text."""
        # Without TLS the compiled-in default is another one: the only sign that libpq gives before it connects.
        return keywords().get("sslmode") not in (None, "disable")

    @property
    def encrypted_cancel(self) -> bool:
        """Whether cancel requests are encrypted like the connection (libpq 17); otherwise they travel in plain text."""
        return self._has(lib.PSQ_CAN_CANCEL_ENCRYPTED)

    @property
    def chunked_rows(self) -> bool:
        """Whether the rows of a result can be taken in chunks as they arrive (libpq 17)."""
        return self._has(lib.PSQ_CAN_CHUNK_ROWS)

    @property
    def buffered_sync(self) -> bool:
        """Whether pipelined requests can share a system call (libpq 17); otherwise each takes one of its own."""
        return self._has(lib.PSQ_CAN_BUFFER_SYNC)

    @property
    def close_prepared(self) -> bool:
        """Whether prepared statements are closed by a message (libpq 17); otherwise by DEALLOCATE."""
        return self._has(lib.PSQ_CAN_CLOSE_PREPARED)

    @property
    def full_protocol_version(self) -> bool:
        """Whether a connection knows the minor version of its protocol (libpq 18)."""
        return self._has(lib.PSQ_CAN_REPORT_PROTOCOL)

    def _has(self, bit: int) -> bool:
        return bool(lib.psq_capabilities() & bit)

    def as_dict(self) -> dict[str, int | bool | None]:
        """Everything by its name."""
        return {name: getattr(self, name) for name in _NAMES}

    def __repr__(self) -> str:
        built_with = "unknown headers" if self.built_with is None else f"libpq {_version(self.built_with)}"
        has = [name for name in _NAMES if name not in _VERSIONS and getattr(self, name)]
        lacks = [name for name in _NAMES if name not in _VERSIONS and not getattr(self, name)]
        return (
            f"<libpq {_version(self.libpq_version)}, built with {built_with}; "
            f"has {', '.join(has) or 'nothing more'}; lacks {', '.join(lacks) or 'nothing'}>"
        )


_NAMES = tuple(name for name, value in vars(Capabilities).items() if isinstance(value, property))
_VERSIONS = ("libpq_version", "built_with")

capabilities: Capabilities = Capabilities()


def _version(number: int) -> str:
    return f"{number // 10_000}.{number % 10_000}"
