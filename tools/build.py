#!/usr/bin/env python3
"""Builds pyserve, showing how far the build is.

    python tools/build.py BUILD_DIR [pip option ...]  installs it into the running environment
    python tools/build.py --wheel BUILD_DIR           makes a wheel for all x86-64: BUILD_DIR/*.whl

Everything the build says goes to BUILD_DIR.log; its end is shown when the build fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

_STEP = re.compile(r"^\s*\[(\d+)/(\d+)\]\s+(.*)")
_VENDOR = re.compile(r"^\s*(vendor: .*)")
_N_TAIL_LINES = 60


class Display:
    """Shows build steps: one live line on a terminal, every tenth part elsewhere.

    has_explained: the build has said in words for people why it fails.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._last_tenth = -1
        self.has_explained = False

    def show(self, line: str) -> None:
        """Takes any line of the build's output; most are not for people."""
        step = _STEP.match(line)
        if step:
            self._show_step(int(step[1]), int(step[2]), step[3].strip())
            return
        note = _VENDOR.match(line)
        if note:
            self.has_explained = self.has_explained or _is_error(note[1])
            self._write(f"\r\x1b[K{note[1]}\n" if self._is_live else f"{note[1]}\n")

    def end(self) -> None:
        if self._is_live:
            self._write("\r\x1b[K")

    def _show_step(self, n_done: int, n_all: int, what: str) -> None:
        if self._is_live:
            name = what.rsplit("/", 1)[-1].removesuffix(".o")
            self._write(f"\r\x1b[Kbuilding [{n_done}/{n_all}] {name[-60:]}")
            return
        tenth = 10 * n_done // n_all
        if tenth != self._last_tenth:
            self._last_tenth = tenth
            self._write(f"building [{n_done}/{n_all}]\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _is_error(note: str) -> bool:
    return note.startswith("vendor: error: ")


def follow(lines: Iterable[str], log: TextIO, show: Callable[[str], None]) -> list[str]:
    """Write all lines to the log, show each, and return the last ones."""
    tail: list[str] = []
    for line in lines:
        log.write(line)
        show(line)
        tail = [*tail[1 - _N_TAIL_LINES :], line]
    return tail


def pip_command(argv: Sequence[str]) -> tuple[Path, list[str]]:
    """The build directory, and what makes pip build there what the arguments ask for."""
    is_wheel = argv[0] == "--wheel"
    build_dir, *options = argv[1:] if is_wheel else argv
    verb = ["wheel", "--no-deps", "--no-cache-dir", "-w", build_dir] if is_wheel else ["install"]
    command = [sys.executable, "-m", "pip", *verb, "-v", "--no-build-isolation"]
    command += ["--disable-pip-version-check", f"-Cbuild-dir={build_dir}", *options]
    command += ["-Ccmake.define.PYSERVE_LEVELS=ON", "."] if is_wheel else ["-e", "."]
    return Path(build_dir), command


def main(argv: Sequence[str]) -> int:
    build_dir, command = pip_command(argv)
    log_path = build_dir.with_name(build_dir.name + ".log")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    display = Display(sys.stderr)
    started_s = time.monotonic()
    print("building pyserve (the first time takes some minutes)", file=sys.stderr, flush=True)
    with (
        log_path.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        assert process.stdout is not None
        tail = follow(process.stdout, log, display.show)
    display.end()
    if process.returncode != 0:
        if not display.has_explained:
            print("".join(tail), file=sys.stderr)
        print(f"the build failed; the whole log: {log_path}", file=sys.stderr)
        return 1
    print(f"built in {time.monotonic() - started_s:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
