"""What tools/build.py asks pip for, and what it shows of a build."""

from __future__ import annotations

import io
from pathlib import Path

from tests.support.scripts import load_script

build = load_script("tools/build.py")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LINES = [
    "  vendor: getting llama-cpp-python\n",
    "  -- Configuring done\n",
    *[f"  [{step}/100] Building CXX object a/{step}.cc.o\n" for step in range(1, 101)],
]


def test_without_a_terminal_every_tenth_part_is_a_line() -> None:
    stream, log = io.StringIO(), io.StringIO()
    build.follow(LINES, log, build.Display(stream).show)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "vendor: getting llama-cpp-python"
    assert lines[1:3] == ["building [1/100]", "building [10/100]"]
    assert lines[-1] == "building [100/100]"
    assert len(lines) == 12
    assert log.getvalue() == "".join(LINES)


def test_a_terminal_shows_one_live_line() -> None:
    stream = Terminal()
    build.follow(LINES, io.StringIO(), build.Display(stream).show)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("building [100/100] 100.cc")


def test_it_is_known_whether_the_build_explained_its_failure() -> None:
    display = build.Display(io.StringIO())
    build.follow(LINES, io.StringIO(), display.show)
    assert not display.has_explained
    display.show("  vendor: error: cannot download it\n")
    assert display.has_explained


def test_the_end_of_the_output_is_kept() -> None:
    tail = build.follow(LINES, io.StringIO(), lambda _: None)
    assert tail == LINES[-60:]


def test_an_installation_is_editable_and_for_this_machine() -> None:
    directory, command = build.pip_command(["build/release", "--quiet"])
    assert directory == Path("build/release")
    assert command[2:4] == ["pip", "install"]
    assert command[-3:] == ["--quiet", "-e", "."]
    assert "-Cbuild-dir=build/release" in command


def test_a_wheel_is_for_all_levels() -> None:
    directory, command = build.pip_command(["--wheel", "build/wheel"])
    assert directory == Path("build/wheel")
    assert command[2:4] == ["pip", "wheel"]
    assert command[-2:] == ["-Ccmake.define.PYSERVE_LEVELS=ON", "."]
    assert "-Cbuild-dir=build/wheel" in command
