"""What is found on made-up machines."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyserve.cli.doctor import checks
from pyserve.cli.doctor.bandwidth import Bandwidth
from pyserve.config import read_config
from pyserve.models.fitting import GIB, Machine
from pyserve.models.gallery import load_gallery

FAST = Bandwidth(one_thread=20e9, all_threads=40e9, small_pages=10e9)


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("quota", "level", "said"),
    [
        ("max 100000", "ok", "2 cores of 2 CPUs"),
        ("100000 100000", "ok", "1 at once"),
        ("150000 100000", "advice", "0.5 of a core is not used"),
        ("50000 100000", "advice", "paused often"),
    ],
)
def test_a_quota_of_part_of_a_core_is_advised_against(
    quota: str, level: str, said: str, tmp_path: Path
) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/box")
    write(tmp_path, "sys/fs/cgroup/box/cpu.max", quota)
    found = checks.check_cores([0, 1], tmp_path)
    assert found.level == level
    assert said in found.what + found.todo


def test_huge_pages_that_are_off_are_told_with_the_way_to_turn_them_on(tmp_path: Path) -> None:
    assert checks.check_huge_pages(FAST, tmp_path).level == "advice"
    path = "sys/kernel/mm/transparent_hugepage/enabled"
    write(tmp_path, path, "always [madvise] never")
    assert "2.00 times" in checks.check_huge_pages(FAST, tmp_path).what
    write(tmp_path, path, "always madvise [never]")
    found = checks.check_huge_pages(FAST, tmp_path)
    assert (found.level, "echo madvise" in found.todo) == ("advice", True)


def test_the_governor_and_the_nodes_are_told_where_there_are_any(tmp_path: Path) -> None:
    assert checks.check_governor(tmp_path) is None
    assert checks.check_numa(tmp_path) is None
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    write(tmp_path, "sys/devices/system/node/node0/x", "")
    write(tmp_path, "sys/devices/system/node/node1/x", "")
    governor, numa = checks.check_governor(tmp_path), checks.check_numa(tmp_path)
    assert governor is not None
    assert numa is not None
    assert (governor.level, "2 nodes" in numa.what) == ("advice", True)


def test_memory_names_the_models_that_it_is_enough_for(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n")
    gallery = load_gallery()
    assert "enough for" in checks.check_memory(Machine(8 * GIB, 4), gallery, tmp_path).what
    assert "too little" in checks.check_memory(Machine(GIB // 2, 4), gallery, tmp_path).todo
    write(tmp_path, "proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 70000 kB\n")
    assert "hold most" in checks.check_memory(Machine(8 * GIB, 4), gallery, tmp_path).todo


def test_a_taken_port_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = read_config({"port": taken.getsockname()[1]})
        assert checks.check_address(config).level == "fault"
    assert checks.check_address(config).level == "ok"


def test_other_programs_load_is_told() -> None:
    assert checks.check_load(2, 0.9).level == "ok"
    assert checks.check_load(2, 1.1).level == "advice"


def test_directories_that_may_be_made_are_well(tmp_path: Path) -> None:
    config = read_config({"models_dir": str(tmp_path / "a" / "b")})
    models, _state = checks.check_directories(config)
    assert "0 GGUF files" in models.what
