"""Name resolution that never blocks the caller: getaddrinfo in a daemon thread, its end announced through a pipe."""

from __future__ import annotations

import os
import threading

from psqlpy._io import background


class Resolution:
    """One name being resolved: `fd` is readable when `result` may be called."""

    __slots__ = ("_addresses", "_begun", "_error", "_read_end", "_write_end", "fd")

    def __init__(self, host: str, port: str) -> None:
        self._addresses: list[str] = []
        self._error: OSError | None = None
        # Taken by the thread when it begins, or before that by whoever gives the resolution up; never waited for.
        self._begun = threading.Lock()
        self._read_end, self._write_end = os.pipe()
        self.fd = self._read_end
        background.start(lambda: self._resolve(host, port))

    def _resolve(self, host: str, port: str) -> None:
        if not self._begun.acquire(blocking=False):
            # Given up while all threads were busy: the next name needs this one.
            return
        try:
            import socket

            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            # Each address once, in the resolver's order (RFC 6724).
            self._addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        except OSError as error:
            self._error = error
        except UnicodeError as error:
            self._error = OSError(f"not a host name: {error}")
        finally:
            # The end of the pipe is the message; its reader may be gone.
            os.close(self._write_end)

    def result(self) -> list[str]:
        """The numeric addresses; raises OSError when the name can't be resolved."""
        if self._error is not None:
            raise self._error
        return self._addresses

    def close(self) -> None:
        if self._begun.acquire(blocking=False):
            os.close(self._write_end)
        if self._read_end >= 0:
            os.close(self._read_end)
            self._read_end = -1

    def __del__(self) -> None:
        try:
            self.close()
        except AttributeError:
            # There were no descriptors left for a pipe.
            pass


class Resolver:
    """Starts resolutions; see psqlpy._protocol.connect."""

    __slots__ = ()

    def start(self, host: str, port: str) -> Resolution:
        return Resolution(host, port)
