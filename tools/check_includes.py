#!/usr/bin/env python3
"""Checks which C++ room includes what: the directions of the design, as a command.

pure rooms (base kv sched sample text)   the standard library, base/, pyserve/
kernels                                  base/ and the vendor's headers
ladder                                   also kernels/, sample/
llama                                    the vendor's headers, kv/, text/, sample/, kernels/
engine                                   every room but the vendor; alone includes <thread>
bindings                                 pyserve/ and pybind11
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Set
from pathlib import Path

PURE_ROOMS = {"base", "kv", "sched", "sample", "text"}
ROOMS = {*PURE_ROOMS, "kernels", "ladder", "llama", "engine"}

# What a room may include of other rooms; its own headers, pyserve/ and the standard library always.
ALLOWED: dict[str, set[str]] = {
    "include": set(),
    **{room: {"base"} for room in PURE_ROOMS},
    "kernels": {"base", "vendor"},
    "ladder": {"base", "sample", "kernels", "vendor"},
    "llama": {"base", "kv", "text", "sample", "kernels", "vendor"},
    "engine": {"base", "kv", "sched", "sample", "text", "kernels", "ladder", "llama"},
    "bindings": {"base", "pybind11", "generated"},
}
THREAD_HEADERS = {"thread", "stop_token", "pthread.h"}
GENERATED = {"build_info.h"}
THREAD_ROOMS = {"engine"}
VENDOR = re.compile(r"^(llama(-[a-z]+)*|ggml(-[a-z]+)*|gguf)\.h$|^(common|jinja|nlohmann|ggml)/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def check_tree(native: Path) -> list[str]:
    """One line per forbidden include in `native`, as `file:line: reason`."""
    problems = []
    for path in sorted(native.rglob("*")):
        room = room_of(path.relative_to(native))
        if path.suffix in (".h", ".cc") and room in ALLOWED:
            text = path.read_text(encoding="utf-8")
            siblings = {sibling.name for sibling in path.parent.iterdir()}
            found = check_file(room, text, siblings)
            problems += [f"{path}:{line}: {reason}" for line, reason in found]
    return problems


def check_file(room: str, text: str, siblings: Set[str] = frozenset()) -> Iterator[tuple[int, str]]:
    """The forbidden includes of a file of `room`: line number and reason.

    siblings: the names of the files beside it.
    """
    for match in INCLUDE.finditer(text):
        is_local = match[1] == '"' and match[2] in siblings
        reason = None if is_local else _reason(room, match[2], is_quoted=match[1] == '"')
        if reason:
            yield text.count("\n", 0, match.start(2)) + 1, reason


def room_of(path: Path) -> str:
    """The room of a path below native/; src/x/... is room x. "" for tests and fast."""
    top, *rest = path.parts
    if top == "src":
        return rest[0] if rest[1:] else ""
    return top if top in ("include", "bindings") else ""


def _reason(room: str, header: str, *, is_quoted: bool) -> str | None:
    if header in THREAD_HEADERS:
        return None if room in THREAD_ROOMS else f"{room} must not include <{header}>"
    target = _target(header, is_quoted=is_quoted)
    if target is None or target == room or target in ALLOWED[room]:
        return None
    return f"{room} must not include {header} ({target})"


def _target(header: str, *, is_quoted: bool) -> str | None:
    """The room or library of a header; None: allowed everywhere."""
    if VENDOR.match(header):
        return "vendor"
    first, slash, _ = header.partition("/")
    if not slash:
        quoted = "generated" if header in GENERATED else "vendor"
        return quoted if is_quoted else None
    if first in ("pyserve", "sys", "linux"):
        return None
    return first if first in ROOMS or first == "pybind11" else f"unknown library {first}"


def main() -> int:
    native = Path(__file__).resolve().parents[1] / "native"
    problems = check_tree(native)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
