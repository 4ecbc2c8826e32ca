"""The process that a server belongs to, as its supervisor sees it: a pipe, and the process itself."""

import contextlib
import os
import select
import signal
import socket
import sys


class OwnerGone(Exception):
    """Raised wherever the supervisor waits, once the owner has ended or asked for the end (`asked`)."""

    def __init__(self, asked: bool) -> None:
        super().__init__("the owner has ended")
        self.asked = asked


def detach(owner: int) -> int | None:
    """Leave the owner's family: end as its child, go on as init's; return a descriptor of the owner.

    Tools that kill a process with all its descendants would otherwise leave the directory behind.
    """
    process_fd = None
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # before Linux 5.3
            process_fd = os.pidfd_open(owner)
    if os.getppid() != owner or os.fork() != 0:
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN not inherited; Owner.wait reads what arrived
    return process_fd


class Owner:
    """The owner's end of our stdin, and its process: `wait` raises OwnerGone when either is gone.

    The process is watched too: a child that it forked in C, where no hook of Python's runs, keeps stdin open.
    """

    def __init__(self, pid: int, process_fd: int | None) -> None:
        self._pid, self._process_fd = pid, process_fd
        self._signals, write_end = socket.socketpair()
        for end in (self._signals, write_end):
            end.setblocking(False)
        signal.set_wakeup_fd(write_end.detach(), warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)
        self._poll.register(self._signals, select.POLLIN)
        if process_fd is not None:
            self._poll.register(process_fd, select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Wait `seconds`, or less if a signal arrives (a child's end is one)."""
        for fd, _ in self._poll.poll(seconds * 1000):
            if fd == 0:
                raise OwnerGone(asked=os.read(0, 4096).startswith(b"stop"))
            if fd == self._process_fd:
                raise OwnerGone(asked=False)
            received = self._signals.recv(4096)
            if signal.SIGTERM in received or signal.SIGHUP in received:
                raise OwnerGone(asked=False)
        if self._process_fd is None:
            try:
                os.kill(self._pid, 0)
            except ProcessLookupError:
                raise OwnerGone(asked=False) from None
            except PermissionError:  # it changed its user
                pass
