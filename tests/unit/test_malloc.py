"""What is free goes back to the system: glibc, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pyserve.web.malloc import keep_little

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

if "keep_little" in sys.argv:
    keep_little()
bytes(30 << 20)  # glibc learns from it that such blocks come and go
large, small = blocks()
del large
print(resident_mib())
"""


def _left_mib(*arguments: str) -> int:
    program = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_large_blocks_leave_no_holes() -> None:
    plain = _left_mib()
    if plain < 64:
        pytest.skip("this C library gives holes back anyway")
    assert _left_mib("keep_little") < plain - 32
