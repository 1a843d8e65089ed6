"""How fast this machine reads memory: the limit of every token's time.

libc's memchr looks for a byte that is not there, with the CPU's widest registers; ctypes lets go of
the interpreter meanwhile, so threads read at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import threading
import time
from collections.abc import Iterator

import msgspec

BLOCK_BYTES = 192 << 20  # beyond every cache
N_ROUNDS = 4
_ABSENT = 1
_libc = ctypes.CDLL(None)
_libc.memchr.restype = ctypes.c_void_p
_libc.memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


class Bandwidth(msgspec.Struct, frozen=True):
    """Bytes per second, the best of some rounds. small_pages: of one thread without huge pages."""

    one_thread: float
    all_threads: float
    small_pages: float


def measure(n_threads: int) -> Bandwidth:
    """Takes about a second, and 192 MiB of memory."""
    with _block(mmap.MADV_NOHUGEPAGE) as small:
        small_pages = _best(small, 1)
    with _block(mmap.MADV_HUGEPAGE) as huge:
        return Bandwidth(_best(huge, 1), _best(huge, n_threads), small_pages)


def _block(advice: int) -> mmap.mmap:
    block = mmap.mmap(-1, BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages
        block.madvise(advice)
    for at in range(0, BLOCK_BYTES, mmap.PAGESIZE):
        block[at] = 0  # untouched pages would all be the same one
    return block


def _best(block: mmap.mmap, n_threads: int) -> float:
    first = ctypes.c_char.from_buffer(block)
    try:
        base = ctypes.addressof(first)
        return BLOCK_BYTES / min(_seconds(base, n_threads) for _ in range(N_ROUNDS))
    finally:
        del first  # else the block cannot be closed


def _seconds(base: int, n_threads: int) -> float:
    parts = list(_parts(n_threads))
    threads = [
        threading.Thread(target=_libc.memchr, args=(base + begin, _ABSENT, size))
        for begin, size in parts[1:]
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    begin, size = parts[0]
    _libc.memchr(base + begin, _ABSENT, size)
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _parts(n: int) -> Iterator[tuple[int, int]]:
    size = BLOCK_BYTES // n
    return ((part * size, size) for part in range(n))
