#!/usr/bin/env python3
"""Says before the first build what this machine lacks, and the command that repairs it.

Runs with the standard library and, so that an old interpreter gets as far as our message, any
Python >= 3.7. Exit status 1 when something is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 * 1024**3
COMPILERS = ("g++", "clang++")


class Problem(NamedTuple):
    """What is missing, and the command (or advice) that repairs it."""

    what: str
    remedy: str


class Probes(NamedTuple):
    """How this machine is looked at; tests replace it."""

    python_version: tuple[int, int]
    has_module: Callable[[str], bool]
    find_program: Callable[[str], str | None]
    python_header: Path
    file_exists: Callable[[Path], bool]
    free_bytes: int
    machine: str
    is_root: bool
    cxx: str


def check(probes: Probes) -> list[Problem]:
    """All problems, in the order in which to repair them."""
    problems = []
    problems += _check_python(probes)
    problems += _check_compiler(probes)
    problems += _check_space(probes)
    problems += _check_machine(probes)
    return problems


def _check_python(probes: Probes) -> list[Problem]:
    if probes.python_version < MIN_PYTHON:
        found, wanted = (".".join(map(str, v)) for v in (probes.python_version, MIN_PYTHON))
        what = f"Python {found} is too old, {wanted} or newer is needed"
        return [Problem(what, "install a newer Python, then: make PYTHON=python3.12 ...")]
    problems = []
    if not (probes.has_module("venv") and probes.has_module("ensurepip")):
        problems.append(Problem("Python cannot make environments", _apt(probes, "python3-venv")))
    if not probes.file_exists(probes.python_header):
        problems.append(Problem("Python.h is missing", _apt(probes, "python3-dev")))
    return problems


def _check_compiler(probes: Probes) -> list[Problem]:
    names = (probes.cxx,) if probes.cxx else COMPILERS
    if any(probes.find_program(name) for name in names):
        return []
    what = " or ".join(names)
    return [Problem(f"no C++ compiler ({what})", _apt(probes, "build-essential"))]


def _check_space(probes: Probes) -> list[Problem]:
    if probes.free_bytes >= MIN_FREE_BYTES:
        return []
    what = f"the disk is too full: {probes.free_bytes:,} bytes free, {MIN_FREE_BYTES:,} needed"
    return [Problem(what, "make room; `make clean` removes the build")]


def _check_machine(probes: Probes) -> list[Problem]:
    if probes.machine in ("x86_64", "AMD64", "aarch64", "arm64"):
        return []
    what = f"the processor is {probes.machine}"
    return [Problem(what, "use an x86-64 or 64-bit ARM machine")]


def _apt(probes: Probes, package: str) -> str:
    sudo = "" if probes.is_root else "sudo "
    return f"{sudo}apt-get install -y {package}"


def _probe() -> Probes:
    return Probes(
        python_version=(sys.version_info[0], sys.version_info[1]),
        has_module=_has_module,
        find_program=shutil.which,
        python_header=Path(sysconfig.get_paths()["include"], "Python.h"),
        file_exists=Path.exists,
        free_bytes=shutil.disk_usage(Path.cwd()).free,
        machine=platform.machine(),
        is_root=os.geteuid() == 0,
        cxx=os.environ.get("CXX", "").split(" ")[0],
    )


def _has_module(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def main() -> int:
    problems = check(_probe())
    for problem in problems:
        sys.stderr.write(f"preflight: {problem.what}\n    repair: {problem.remedy}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
