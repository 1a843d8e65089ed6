"""Ends a child process when its parent ends, and drops its privileges."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import threading

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
MAX_FILES = 1024


def die_with_parent(sig: signal.Signals) -> None:
    """Have the kernel send `sig` to this process when its parent process ends.

    The setting survives exec and is not inherited by fork. A parent that ended before the call is
    not noticed: compare `os.getppid()` afterwards, or watch a pipe as well.
    """
    _prctl(PR_SET_PDEATHSIG, int(sig))


def drop_privileges() -> None:
    """Drop for good what an engine never needs: set-uid programs, core files, many files.

    A core file would hold prompts.
    """
    with contextlib.suppress(OSError):
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_files = MAX_FILES if most == resource.RLIM_INFINITY else min(MAX_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, n_files))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
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
