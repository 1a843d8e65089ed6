from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.process.cgroups import cgroup_paths
from pyserve.process.threads import (
    count_cores,
    cpu_quota,
    parse_cpu_max,
    usable_threads,
)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def siblings(*groups: str) -> dict[str, str]:
    return {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": group
        for group in groups
        for cpu in group.split(",")
    }


@pytest.mark.parametrize(
    ("text", "quota"),
    [("max 100000", None), ("200000 100000", 2.0), ("50000 100000", 0.5), ("150000", 1.5)]
    + [(text, None) for text in ("", "max", "x y", "-1 100000", "1000 0", "0 100000")],
)
def test_parse_cpu_max(text, quota):
    assert parse_cpu_max(text) == quota


def test_cgroup_paths_of_both_versions():
    text = "4:cpu,cpuacct:/docker/a:b\n1:name=systemd:/\n0::/user.slice\n"
    paths = cgroup_paths(text)
    assert paths["cpu"] == paths["cpuacct"] == "/docker/a:b"
    assert paths[""] == "/user.slice"
    assert cgroup_paths("") == {}


def test_siblings_are_one_core(tmp_path):
    write(tmp_path, siblings("0,4", "1,5", "2,6", "3,7"))
    assert count_cores(tmp_path, range(8)) == 4
    assert count_cores(tmp_path, [0, 4]) == 1
    assert count_cores(tmp_path, [0, 1, 5]) == 2


def test_without_topology_every_cpu_is_a_core(tmp_path):
    assert count_cores(tmp_path, [0, 1, 2]) == 3


def test_the_smallest_quota_on_the_way_up_counts_v2(tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/kube/pod/app",
            "sys/fs/cgroup/kube/cpu.max": "300000 100000",
            "sys/fs/cgroup/kube/pod/cpu.max": "150000 100000",
            "sys/fs/cgroup/kube/pod/app/cpu.max": "max 100000",
        },
    )
    assert cpu_quota(tmp_path) == 1.5


def test_quota_v1_with_a_path_that_only_the_host_sees(tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/docker/0123",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert cpu_quota(tmp_path) == 2.5


def test_no_limit(tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "3:cpu:/\n0::/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert cpu_quota(tmp_path) is None
    assert cpu_quota(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("quota_us", "n_threads"),
    [("350000", 3), ("150000", 1), ("900000", 4), ("100000", 1), ("20000", 1)],
)
def test_quota_is_rounded_down_but_never_to_nothing(tmp_path, quota_us, n_threads):
    write(tmp_path, siblings("0,4", "1,5", "2,6", "3,7"))
    write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": f"{quota_us} 100000"})
    assert usable_threads(tmp_path, range(8)) == n_threads


def test_on_this_machine_it_is_at_least_one():
    assert usable_threads() >= 1
