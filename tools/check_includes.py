#!/usr/bin/env python3
"""Checks which C++ room and folder includes what, and that no files include each other in a circle.

pure rooms (base disk kv sched grammar text)  the standard library, base/, pyserve/
sample                                   also grammar/
kernels                                  base/ and the vendor's headers
ladder                                   also kernels/, sample/
llama                                    the vendor's headers, kv/, text/, sample/, kernels/
engine                                   every room but the vendor; alone includes <thread>
bindings                                 pyserve/ and pybind11
"""

from __future__ import annotations

import graphlib
import re
import sys
from collections.abc import Iterator, Set
from pathlib import Path

PURE_ROOMS = {"base", "disk", "kv", "sched", "grammar", "text"}
ROOMS = {*PURE_ROOMS, "sample", "kernels", "ladder", "llama", "engine"}

# What a room may include of other rooms; its own headers, pyserve/ and the standard library always.
ALLOWED: dict[str, set[str]] = {
    "include": set(),
    **{room: {"base"} for room in PURE_ROOMS},
    "sample": {"base", "grammar"},
    "kernels": {"base", "vendor"},
    "ladder": {"base", "sample", "kernels", "vendor"},
    "llama": {"base", "kv", "text", "grammar", "sample", "kernels", "vendor"},
    "engine": {
        *PURE_ROOMS,
        "sample",
        "kernels",
        "ladder",
        "llama",
    },
    "bindings": {"base", "pybind11", "generated"},
}
# The same for the folders of a room: which others of it each may include. Of a folder that is not
# here: none.
FOLDERS: dict[str, set[str]] = {
    "sched/admission": {"sched/step"},
    "sample": {"sample/edits", "sample/row"},
    "kernels": {"kernels/attention", "kernels/geglu", "kernels/matmul", "kernels/recurrence"},
    "kernels/matmul": {"kernels/matmul/int8"},
    "kernels/matmul/floats": {"kernels/matmul/int8"},
    "kernels/matmul/tables": {"kernels/matmul", "kernels/matmul/floats", "kernels/matmul/int8"},
    "ladder/checks": {"ladder"},
    "llama": {"llama/model", "llama/process"},
    "llama/context": {"llama/model", "llama/process"},
    "llama/model": {"llama/cutting", "llama/process"},
    "engine": {"engine/lanes", "engine/preparation", "engine/request"},
    "engine/lanes": {"engine/batch", "engine/prefixes", "engine/request"},
    "engine/batch": {"engine/prefixes", "engine/request"},
    "engine/preparation": {"engine/request"},
}
THREAD_HEADERS = {"thread", "stop_token", "pthread.h"}
GENERATED = {"build_info.h", "levels.h"}
THREAD_ROOMS = {"engine"}
VENDOR = re.compile(r"^(llama(-[a-z]+)*|ggml(-[a-z]+)*|gguf)\.h$|^(common|jinja|nlohmann|ggml)/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def check_tree(native: Path) -> list[str]:
    """One line per forbidden include in `native`, as `file:line: reason`."""
    problems = []
    for path in sorted(native.rglob("*")):
        folder = folder_of(path.relative_to(native))
        if path.suffix in (".h", ".cc") and _room_of(folder) in ALLOWED:
            text = path.read_text(encoding="utf-8")
            siblings = {sibling.name for sibling in path.parent.iterdir()}
            found = check_file(folder, text, siblings)
            problems += [f"{path}:{line}: {reason}" for line, reason in found]
    return problems


def check_file(
    folder: str, text: str, siblings: Set[str] = frozenset()
) -> Iterator[tuple[int, str]]:
    """The forbidden includes of a file of `folder`: line number and reason.

    siblings: the names of the files beside it.
    """
    for match in INCLUDE.finditer(text):
        is_local = match[1] == '"' and match[2] in siblings
        reason = None if is_local else _reason(folder, match[2], is_quoted=match[1] == '"')
        if reason:
            yield text.count("\n", 0, match.start(2)) + 1, reason


def find_circle(source: Path) -> list[str]:
    """Units below `source` that include each other in a circle; empty: there is none.

    A unit is a header with the file that implements it. What has only one of the two and begins as
    a unit beside it does is a part of that: `kernels_avx2.cc`, `prefix_tree_node.h`.
    """
    paths = {path for path in source.rglob("*") if path.suffix in (".h", ".cc")}
    graph: dict[str, set[str]] = {}
    for path in sorted(paths):
        unit = _unit_of(path, paths)
        needs = graph.setdefault(unit, set())
        for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
            header = source / match[2]
            if header in paths:
                needs.add(_unit_of(header, paths))
        needs.discard(unit)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [str(Path(unit).relative_to(source)) for unit in error.args[1]]
    return []


def _unit_of(path: Path, paths: Set[Path]) -> str:
    stem = path.with_suffix("")
    other = path.with_suffix(".cc" if path.suffix == ".h" else ".h")
    if other in paths:
        return str(stem)
    whole = [
        str(each.with_suffix(""))
        for each in path.parent.glob("*.h")
        if each.with_suffix(".cc") in paths and path.name.startswith(f"{each.stem}_")
    ]
    return max(whole, key=len, default=str(stem))


def folder_of(path: Path) -> str:
    """The folder of a path below native/: the room, or a path in it. "" for tests and fast."""
    top, *rest = path.parts
    if top == "src":
        return "/".join(rest[:-1])
    return top if top in ("include", "bindings") else ""


def _room_of(folder: str) -> str:
    return folder.partition("/")[0]


def _reason(folder: str, header: str, *, is_quoted: bool) -> str | None:
    room = _room_of(folder)
    if header in THREAD_HEADERS:
        return None if room in THREAD_ROOMS else f"{room} must not include <{header}>"
    target = _target(header, is_quoted=is_quoted)
    if target == room:
        target = header.rpartition("/")[0]
        is_allowed = target == folder or target in FOLDERS.get(folder, ())
    else:
        is_allowed = target is None or target in ALLOWED[room]
    return None if is_allowed else f"{folder} must not include {header} ({target})"


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
    circle = find_circle(native / "src")
    if circle:
        problems.append(f"{native / 'src'}: a circle of includes: {' -> '.join(circle)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
