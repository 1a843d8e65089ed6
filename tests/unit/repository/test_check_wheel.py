"""tools/check_wheel.py: what makes a wheel one for all x86-64 machines."""

from __future__ import annotations

import pytest

from tests.support.scripts import load_script

wheel = load_script("tools/check_wheel.py")

NAME = "pyserve-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"
MEMBERS = (
    "pyserve/_native.py",
    "pyserve/levels/x86-64-v2/_native.cpython-311-x86_64-linux-gnu.so",
)


def test_a_wheel_of_levels_has_no_problem() -> None:
    assert wheel.find_problems(NAME, 1000, MEMBERS) == []


@pytest.mark.parametrize(
    ("name", "n_bytes", "members", "problem"),
    [
        (NAME.replace("manylinux_2_34", "linux"), 1000, MEMBERS, "for no manylinux"),
        (NAME, 41 * 1024**2, MEMBERS, "42,991,616 bytes, the limit is 41,943,040"),
        (NAME, 1000, ["pyserve/__init__.py"], "no native modules for levels"),
        (NAME, 1000, [*MEMBERS, "pyserve/_native.cpython-311.so"], "of a build for one machine"),
    ],
)
def test_what_is_wrong_is_said(name: str, n_bytes: int, members: list[str], problem: str) -> None:
    (found,) = wheel.find_problems(name, n_bytes, members)
    assert problem in found


def test_files_compiled_for_the_builder_are_found() -> None:
    commands = [
        {"file": "a.cc", "command": "g++ -march=x86-64-v3 -c a.cc"},
        {"file": "b.cc", "command": "g++ -march=native -c b.cc"},
        {"file": "c.cc", "command": "g++ -O3 -mtune=native -c c.cc"},
    ]
    assert wheel.native_commands(commands) == ["b.cc", "c.cc"]
