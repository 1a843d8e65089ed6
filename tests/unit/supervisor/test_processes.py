from __future__ import annotations

import subprocess
import sys

from pyserve.supervisor.processes import engine_environ

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


def test_engines_get_no_secrets_and_little_else():
    given = {
        "PATH": "/bin",
        "PYSERVE_KERNELS": "stock",
        "PYSERVE_API_KEY": "sk-secret",
        "AWS_SESSION": "x",
        "LD_LIBRARY_PATH": "/lib",
    }
    assert set(engine_environ(given)) == {"PATH", "PYSERVE_KERNELS", "LD_LIBRARY_PATH"}
