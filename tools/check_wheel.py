#!/usr/bin/env python3
"""Says what of a wheel is not for all x86-64 machines.

    python tools/check_wheel.py BUILD_DIR WHEEL

BUILD_DIR: where it was compiled. Exit status 1 when something is wrong.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

MAX_BYTES = 40 * 1024**2
_TAG = re.compile(r"-manylinux_2_\d+_x86_64\.whl$")
_LEVEL = re.compile(r"pyserve/levels/([^/]+)/_native\.[^/]+\.so")
_NATIVE_FLAG = re.compile(r"-m(?:arch|cpu|tune)=native")


def find_problems(name: str, n_bytes: int, members: Iterable[str]) -> list[str]:
    """What is wrong with a wheel of that name, size and content."""
    members = set(members)
    problems = []
    if not _TAG.search(name):
        problems.append(f"{name} is for no manylinux of x86-64")
    if n_bytes > MAX_BYTES:
        problems.append(f"it has {n_bytes:,} bytes, the limit is {MAX_BYTES:,}")
    if not any(_LEVEL.fullmatch(member) for member in members):
        problems.append("it has no native modules for levels")
    problems += [
        f"it has {member}, which is of a build for one machine"
        for member in sorted(members)
        if re.fullmatch(r"pyserve/_native\.[^/]+\.so", member)
    ]
    return problems


def native_commands(commands: Iterable[dict[str, str]]) -> list[str]:
    """The files that were compiled for the CPU of the machine that did it."""
    return [entry["file"] for entry in commands if _NATIVE_FLAG.search(entry["command"])]


def main(argv: Sequence[str]) -> int:
    build_dir, wheel = Path(argv[0]), Path(argv[1])
    with zipfile.ZipFile(wheel) as archive:
        members = archive.namelist()
    n_bytes = wheel.stat().st_size
    problems = find_problems(wheel.name, n_bytes, members)
    commands = json.loads((build_dir / "compile_commands.json").read_text(encoding="utf-8"))
    problems += [f"{file} is compiled for this CPU" for file in native_commands(commands)]
    for problem in problems:
        sys.stderr.write(f"wheel: {problem}\n")
    levels = sorted(match[1] for member in members if (match := _LEVEL.fullmatch(member)))
    print(f"{wheel}: {n_bytes / 1024**2:.1f} MiB, for {', '.join(levels)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
