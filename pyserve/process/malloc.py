"""Tunes glibc malloc so that front workers return freed memory."""

from __future__ import annotations

import contextlib
import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_N_ARENAS = 2
_LARGE_BYTES = 128 << 10


def keep_little() -> None:
    """Make glibc return free memory. Call it before threads are started.

    glibc gives threads up to 8 arenas for each core, and each keeps what its largest bodies took:
    100 MiB of a front. Python's threads take turns, so they lose nothing with fewer.
    Large blocks have pages of their own, which return to the system with them. By default glibc
    raises that threshold up to 32 MiB once such a block is freed, and the heap fragments: another
    25 MiB, which grow for an hour.
    Other C libraries have no such settings. These work under any gunicorn; what only an environment
    can set is in `supervisor/processes.py`.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, _N_ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
