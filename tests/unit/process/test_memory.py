from __future__ import annotations

from pathlib import Path

from pyserve.process.memory import available_bytes, total_bytes

MIB = 2**20


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def system(mib: int) -> dict[str, str]:
    return {"proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable: {mib * 1024} kB\nBuffers: 1 kB"}


def test_without_limits_it_is_what_the_system_has(tmp_path):
    write(tmp_path, system(700))
    assert available_bytes(tmp_path) == 700 * MIB


def test_nothing_known_is_zero(tmp_path):
    assert available_bytes(tmp_path) == 0


def test_the_tightest_cgroup_above_counts(tmp_path):
    write(
        tmp_path,
        system(5000)
        | {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/b/memory.max": "max",
            "sys/fs/cgroup/a/b/memory.current": "5",
            "sys/fs/cgroup/a/memory.max": str(900 * MIB),
            "sys/fs/cgroup/a/memory.current": str(300 * MIB),
            "sys/fs/cgroup/a/memory.stat": f"anon 7\ninactive_file {100 * MIB}",
        },
    )
    assert available_bytes(tmp_path) == (900 - 300 + 100) * MIB


def test_version_1_with_a_limit_and_without(tmp_path):
    limit = "sys/fs/cgroup/memory/box/memory.limit_in_bytes"
    write(
        tmp_path,
        system(5000)
        | {
            "proc/self/cgroup": "7:memory:/box",
            limit: str(800 * MIB),
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": str(500 * MIB),
            "sys/fs/cgroup/memory/box/memory.stat": f"total_inactive_file {50 * MIB}",
        },
    )
    assert available_bytes(tmp_path) == 350 * MIB
    write(tmp_path, {limit: str(2**63 - 4096)})
    assert available_bytes(tmp_path) == 5000 * MIB


def test_more_used_than_allowed_leaves_nothing_rather_than_less(tmp_path):
    write(
        tmp_path,
        system(5000)
        | {
            "proc/self/cgroup": "0::/a",
            "sys/fs/cgroup/a/memory.max": "1000",
            "sys/fs/cgroup/a/memory.current": "2000",
        },
    )
    assert available_bytes(tmp_path) == 0


def test_all_memory_is_the_systems_or_the_tightest_cgroups(tmp_path):
    assert total_bytes(tmp_path) == 0
    write(tmp_path, system(700))
    assert total_bytes(tmp_path) == 99999999 * 1024
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/m\n0::/a/b",
            "sys/fs/cgroup/a/b/memory.max": "max",
            "sys/fs/cgroup/a/memory.max": str(900 * MIB),
            "sys/fs/cgroup/memory/m/memory.limit_in_bytes": str(2**63 - 4096),
        },
    )
    assert total_bytes(tmp_path) == 900 * MIB
