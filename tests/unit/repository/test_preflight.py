"""tools/preflight.py against made-up machines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scripts import REPOSITORY, load_script

preflight = load_script("tools/preflight.py")

GOOD = preflight.Probes(
    python_version=(3, 11),
    has_module=lambda _: True,
    find_program=lambda name: f"/usr/bin/{name}",
    python_header=Path("/usr/include/python3.11/Python.h"),
    file_exists=lambda _: True,
    free_bytes=3 * 1024**3,
    machine="x86_64",
    is_root=False,
    cxx="",
)


def test_a_good_machine_has_no_problems() -> None:
    assert preflight.check(GOOD) == []


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        ({"python_version": (3, 9)}, "Python 3.9 is too old, 3.11", "PYTHON=python3.12"),
        ({"has_module": lambda name: name != "ensurepip"}, "environments", "python3-venv"),
        ({"file_exists": lambda _: False}, "Python.h", "sudo apt-get install -y python3-dev"),
        ({"find_program": lambda _: None}, "g++ or clang++", "build-essential"),
        ({"free_bytes": 5}, "5 bytes free, 2,147,483,648 needed", "make room"),
        ({"machine": "riscv64"}, "riscv64", "x86-64"),
    ],
)
def test_each_lack_is_named_with_its_repair(
    change: dict[str, object], what: str, remedy: str
) -> None:
    (problem,) = preflight.check(GOOD._replace(**change))
    assert what in problem.what
    assert remedy in problem.remedy


def test_the_compiler_of_the_environment_is_the_one_looked_for() -> None:
    probes = GOOD._replace(cxx="g++-14", find_program={"g++": "/usr/bin/g++"}.get)
    (problem,) = preflight.check(probes)
    assert "g++-14" in problem.what


def test_root_needs_no_sudo_and_all_problems_are_listed() -> None:
    probes = GOOD._replace(
        is_root=True, find_program=lambda _: None, file_exists=lambda _: False, free_bytes=0
    )
    problems = preflight.check(probes)
    assert len(problems) == 3
    assert not any("sudo" in problem.remedy for problem in problems)


def test_this_machine_can_build() -> None:
    script = REPOSITORY / "tools/preflight.py"
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
