from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyserve.config import ServeConfig
from pyserve.supervisor.processes import (
    engine_environ,
    front_environ,
    start_front,
    waiting_front,
)

# A process that inherits orphans, as process 1 does, with a child of its own that has ended.
INHERITOR = """
import ctypes, os, subprocess, time
from pyserve.supervisor.processes import reap_orphans
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
mine = subprocess.Popen(["sh", "-c", "sleep 0.05 & exit 7"])

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as stream:
        return set(map(int, stream.read().split()))

while children() == {mine.pid}:  # the orphan has another parent until `mine` ends
    time.sleep(0.01)
deadline = time.monotonic() + 20
while children() - {mine.pid} and time.monotonic() < deadline:
    reap_orphans({mine.pid})
    if mine.poll() is not None:
        reap_orphans(set())
    time.sleep(0.01)
assert children() == set(), children()
assert mine.returncode == 7, mine.returncode
reap_orphans(set())
"""


def test_orphans_are_reaped_and_known_children_left_to_their_owner():
    result = subprocess.run(
        [sys.executable, "-c", INHERITOR], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_front_that_is_not_let_serve_ends_with_the_start(tmp_path):
    control = tmp_path / "control.sock"
    with socket.socket() as listener:
        with (
            pytest.raises(RuntimeError, match="no model"),
            waiting_front(ServeConfig(), listener, control) as given_up,
        ):
            raise RuntimeError("no model")
        assert given_up.returncode is not None
        front = start_front(ServeConfig(), listener, control)
        front.communicate()  # says nothing: as when the supervisor has been killed
    assert front.returncode == 0


def test_engines_get_no_secrets_and_little_else():
    given = {
        "PATH": "/bin",
        "PYSERVE_KERNELS": "stock",
        "PYSERVE_API_KEY": "sk-secret",
        "AWS_SESSION": "x",
        "LD_LIBRARY_PATH": "/lib",
    }
    needed = {"PATH", "PYSERVE_KERNELS", "LD_LIBRARY_PATH"}
    assert set(engine_environ(given)) == needed | {"GLIBC_TUNABLES"}


# The blocks that a thread has freed, by how much of the memory in use they are.
FREED = """
import ctypes, threading
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

libc.mallinfo2.restype = Mallinfo

def in_use():
    return libc.mallinfo2().h  # uordblks

blocks = [libc.malloc(1000) for _ in range(7)]
before = in_use()
for block in blocks:
    libc.free(block)
print(before - in_use())
"""


def test_threads_of_a_front_keep_no_freed_blocks():
    environ = front_environ(dict(os.environ))
    done = subprocess.run(
        [sys.executable, "-c", FREED], env=environ, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) >= 7000


# Whether the pages of a large block may be huge ones ("hg", see proc_pid_smaps(5)).
HUGE = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
block = libc.malloc(64 << 20)
is_here = False
for line in open("/proc/self/smaps"):
    name = line.split()[0]
    if "-" in name:
        begin, end = (int(x, 16) for x in name.split("-"))
        is_here = begin <= block < end
    elif is_here and name == "VmFlags:":
        print("hg" in line.split())
"""
# Where the system grants huge pages to those that ask, and the C library can ask.
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
GLIBC = tuple(int(x) for x in platform.libc_ver()[1].split(".") if x)
IS_ON_DEMAND = THP.exists() and "[madvise]" in THP.read_text() and GLIBC >= (2, 35)


@pytest.mark.parametrize(
    ("theirs", "is_asked_for"), [({}, True), ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}, False)]
)
def test_an_engine_asks_for_huge_pages(theirs, is_asked_for):
    environ = engine_environ(dict(os.environ) | theirs)
    done = subprocess.run(
        [sys.executable, "-c", HUGE], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(is_asked_for and IS_ON_DEMAND)]


@pytest.mark.parametrize("environ_of", [front_environ, engine_environ])
def test_tunables_of_the_user_are_kept_and_win(environ_of):
    theirs = "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=3"
    environ = environ_of({"GLIBC_TUNABLES": theirs, "LANG": "b"})
    assert environ["GLIBC_TUNABLES"].endswith(f":{theirs}")
    assert environ["LANG"] == "b"
