"""Non-blocking standard output: text that cannot be written is dropped, and the server goes on.

A pipe that nobody reads would block whoever logs; a full disk or a closed terminal would raise.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading

STDOUT_FD, STDERR_FD = 1, 2
STDIO_FDS = (0, STDOUT_FD, STDERR_FD)


class LossyOutput(io.TextIOBase):
    """Writes text to a file descriptor without blocking; drops the rest. Any thread.

    When it takes text again a line says how many pieces were lost.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._own_fd = _reopen(fd)
        self._lock = threading.Lock()
        self._n_lost = 0
        self._is_cut = False

    def write(self, text: str) -> int:
        """Returns the number of characters, also when they were lost."""
        with self._lock:
            data = self._before() + text.encode(self.encoding, self.errors)
            n_written = self._try(data)
            if n_written == len(data):
                self._n_lost, self._is_cut = 0, False
            else:
                self._n_lost += 1
                self._is_cut = self._is_cut or n_written > 0
        return len(text)

    def _before(self) -> bytes:
        """The line that reports lost pieces; empty if none were lost."""
        if not self._n_lost:
            return b""
        line_break = "\n" if self._is_cut else ""
        return f"{line_break}({self._n_lost} pieces of output were lost)\n".encode()

    def _try(self, data: bytes) -> int:
        try:
            return os.write(self._own_fd, data) if data else 0
        except OSError:  # full, closed, or nobody reads
            return 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)


def protect_output() -> None:
    """Make this process's stdout and stderr lossy, and closed ones /dev/null.

    Call it before the process opens anything: what it opens would take the place of closed ones.
    """
    for fd in STDIO_FDS:
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is `fd`
    if sys.stdout is sys.__stdout__:  # nobody else has put something in its place
        sys.stdout = LossyOutput(STDOUT_FD)
    if sys.stderr is sys.__stderr__:
        sys.stderr = LossyOutput(STDERR_FD)


def _reopen(fd: int) -> int:
    """The same file, non-blocking; `fd` itself where that cannot be (a socket).

    Others that share `fd` still wait for it.
    """
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(f"/proc/self/fd/{fd}", flags)
    return fd
