"""Default of `--threads`: the physical cores that this process may use, within its cgroup quota.

The functions take the root of the file system, so that they can be tested on a made-up tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyserve.process.cgroups import ROOT, cgroup_directories, read_text


def usable_threads(root: Path = ROOT, cpus: Iterable[int] | None = None) -> int:
    """Physical cores among `cpus` (default: this process's), at most the cgroup's quota, not 0."""
    if cpus is None:
        cpus = os.sched_getaffinity(0)
    n_cores = count_cores(root, cpus)
    quota = cpu_quota(root)
    if quota is not None:
        n_cores = min(n_cores, int(quota))
    return max(n_cores, 1)


def count_cores(root: Path, cpus: Iterable[int]) -> int:
    """Physical cores that `cpus` lie on; a CPU of unknown topology counts as a core of its own."""
    base = root / "sys/devices/system/cpu"
    siblings = {
        read_text(base / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in cpus
    }
    return len(siblings)


def cpu_quota(root: Path) -> float | None:
    """CPUs that the cgroups of this process may use at once; None without a limit."""
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return min(quotas, default=None)


def parse_cpu_max(text: str) -> float | None:
    """The CPUs of a cgroup v2 `cpu.max`: "200000 100000" is 2.0, "max 100000" is None."""
    quota, _, period = text.partition(" ")
    return _ratio(quota, period or "100000")


def _quotas_v2(root: Path) -> Iterator[float]:
    for directory in cgroup_directories(root, ""):
        quota = parse_cpu_max(read_text(directory / "cpu.max") or "")
        if quota is not None:
            yield quota


def _quotas_v1(root: Path) -> Iterator[float]:
    for directory in cgroup_directories(root, "cpu"):
        quota = _ratio(
            read_text(directory / "cpu.cfs_quota_us") or "",
            read_text(directory / "cpu.cfs_period_us") or "",
        )
        if quota is not None:
            yield quota


def _ratio(quota: str, period: str) -> float | None:
    """quota / period in microseconds; None for "max", -1, or text that is not two numbers."""
    if not (quota.isdecimal() and period.isdecimal()) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)
