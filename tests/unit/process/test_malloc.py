"""What is free goes back to the system: glibc, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from pyserve.process.malloc import keep_little

BLOCK = 1 << 20
N_BLOCKS = 64

def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

def blocks():
    '''Blocks with small ones between them, which stay.'''
    large, small = [], []
    for _ in range(N_BLOCKS):
        large.append(b"x" * BLOCK)
        small.append(bytes(4000))
    return large, small

keep_little()
bytes(30 << 20)  # glibc learns from it that such blocks come and go
large, small = blocks()
del large
print(resident_mib())
"""


def test_large_blocks_leave_no_holes() -> None:
    """Without the call glibc keeps 74 MiB here."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) < 48
