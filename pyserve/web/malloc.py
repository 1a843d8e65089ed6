"""How much memory threads keep that they no longer use."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8  # of glibc's malloc.h
_N_ARENAS = 2


def keep_few_arenas() -> None:
    """Call it before threads are started.

    glibc gives threads up to 8 arenas for each core, and each keeps what its largest bodies took:
    100 MiB of a front. Python's threads take turns, so they lose nothing with fewer. Other C
    libraries have no such setting.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _N_ARENAS)
