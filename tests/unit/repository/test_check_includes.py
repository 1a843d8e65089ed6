"""tools/check_includes.py: what each C++ room and folder may include."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import REPOSITORY, load_script

rules = load_script("tools/check_includes.py")


@pytest.mark.parametrize(
    ("folder", "header"),
    [
        ("kv", "<vector>"),
        ("kv", '"base/check.h"'),
        ("sched", '"pyserve/types.h"'),
        ("llama", '"llama.h"'),
        ("llama", "<nlohmann/json.hpp>"),
        ("llama", '"json.h"'),
        ("engine", "<thread>"),
        ("engine", '"llama/model/model.h"'),
        ("engine/batch", '"llama/model/model.h"'),
        ("engine/batch", '"engine/batch/admission.h"'),
        ("engine/batch", '"engine/request/answer.h"'),
        ("bindings", "<pybind11/stl.h>"),
        ("bindings", '"build_info.h"'),
    ],
)
def test_allowed_includes(folder: str, header: str) -> None:
    assert list(rules.check_file(folder, f"#include {header}\n")) == []


@pytest.mark.parametrize(
    ("folder", "header"),
    [
        ("kv", '"sched/step/plan.h"'),
        ("sched/step", '"llama/model/model.h"'),
        ("engine/request", '"engine/batch/admission.h"'),
        ("engine/request", '"engine/step_loop.h"'),
        ("kernels/matmul/int8", '"kernels/matmul/panels.h"'),
        ("sample", '"llama.h"'),
        ("grammar", '"sample/row/logits.h"'),
        ("text", "<ggml-cpu.h>"),
        ("text", '"json.h"'),
        ("kv", "<thread>"),
        ("llama", "<pthread.h>"),
        ("llama", '"engine/step_loop.h"'),
        ("engine", '"llama.h"'),
        ("engine", "<pybind11/pybind11.h>"),
        ("bindings", '"engine/request/registry.h"'),
        ("include", '"base/queue.h"'),
        ("base", "<boost/any.hpp>"),
    ],
)
def test_forbidden_includes(folder: str, header: str) -> None:
    ((line, reason),) = rules.check_file(folder, f"// first\n\n  # include {header}\n")
    assert line == 3
    assert reason.startswith(folder)


def write(source: Path, **includes: list[str]) -> None:
    for name, headers in includes.items():
        path = source / "room" / name.replace("__", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f'#include "room/{header}"\n' for header in headers))


def test_files_that_include_each_other_are_found(tmp_path: Path) -> None:
    write(tmp_path, a__h=["b.h"], a__cc=["a.h"], b__h=[], b__cc=["b.h", "c.h"], c__h=[])
    assert rules.find_circle(tmp_path) == []
    write(tmp_path, c__h=["a.h"])
    circle = rules.find_circle(tmp_path)
    assert circle[0] == circle[-1]
    assert set(circle) == {"room/a", "room/b", "room/c"}


def test_private_headers_and_further_sources_are_a_part_of_their_unit(tmp_path: Path) -> None:
    write(tmp_path, a__h=[], a__cc=["a.h", "a_node.h"], a_node__h=["a.h"], a_wide__cc=["a_node.h"])
    assert rules.find_circle(tmp_path) == []


def test_a_file_beside_it_is_allowed() -> None:
    assert list(rules.check_file("bindings", '#include "bindings.h"\n', {"bindings.h"})) == []
    assert list(rules.check_file("bindings", '#include "bindings.h"\n', set())) != []


def test_a_tree_is_walked_by_room(tmp_path: Path) -> None:
    for name in ("src/kv/pool.cc", "tests/pool_test.cc", "include/pyserve/types.h"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text('#include "llama.h"\n')
    problems = rules.check_tree(tmp_path)
    assert [problem.split(": ")[0].removeprefix(f"{tmp_path}/") for problem in problems] == [
        "include/pyserve/types.h:1",
        "src/kv/pool.cc:1",
    ]


def test_the_folders_that_the_rules_name_exist() -> None:
    named = {*rules.FOLDERS, *(each for known in rules.FOLDERS.values() for each in known)}
    assert [each for each in sorted(named) if not (REPOSITORY / "native/src" / each).is_dir()] == []


def test_our_rooms_keep_the_directions() -> None:
    assert rules.check_tree(REPOSITORY / "native") == []
