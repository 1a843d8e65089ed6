from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.scripts import REPOSITORY

# Ends with its first argument unless it was given folders, and with its second if it was.
HALF = """
import sys
print("half", *sys.argv[3:])
sys.exit(int(sys.argv[1 + ("tests/e2e" in sys.argv)]))
"""


@pytest.mark.parametrize(("codes", "status"), [("00", 0), ("10", 1), ("01", 1), ("52", 5)])
def test_both_halves_are_run_shown_and_needed(codes: str, status: int) -> None:
    tool = REPOSITORY / "tools/side_by_side.py"
    command = [sys.executable, str(tool), sys.executable, "-c", HALF, *codes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines() == [
        "half tests/e2e tests/hostile",
        "half --ignore=tests/e2e --ignore=tests/hostile",
    ]
