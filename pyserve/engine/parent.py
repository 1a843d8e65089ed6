"""Never outliving the parent: what a child process does about it when it starts."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading

PR_SET_PDEATHSIG = 1


def die_with_parent(sig: signal.Signals) -> None:
    """Have the kernel send `sig` to this process when its parent process ends.

    The setting survives exec and is not inherited by fork. A parent that ended before the call is
    not noticed: compare `os.getppid()` afterwards, or watch a pipe as well.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def exit_on_eof(connection: socket.socket) -> None:
    """End this process at once when the other end of `connection` is closed. Starts a thread."""

    def watch() -> None:
        try:
            while connection.recv(1):
                pass
        finally:
            os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
