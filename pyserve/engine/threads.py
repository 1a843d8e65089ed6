"""How many threads to compute with: physical cores that this process may use, never more.

The functions take the root of the file system, so that they can be tested on a made-up tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


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
    siblings = {_read(base / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in cpus}
    return len(siblings)


def cpu_quota(root: Path) -> float | None:
    """CPUs that the cgroups of this process may use at once; None without a limit."""
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return min(quotas, default=None)


def parse_cpu_max(text: str) -> float | None:
    """The CPUs of a cgroup v2 `cpu.max`: "200000 100000" is 2.0, "max 100000" is None."""
    quota, _, period = text.partition(" ")
    return _ratio(quota, period or "100000")


def cgroup_paths(proc_cgroup: str) -> dict[str, str]:
    """The paths in /proc/self/cgroup by controller; that of cgroup v2 has the name ""."""
    paths = {}
    for line in proc_cgroup.splitlines():
        _hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _quotas_v2(root: Path) -> Iterator[float]:
    path = cgroup_paths(_read(root / "proc/self/cgroup") or "").get("")
    if path is None:
        return
    for directory in _ancestors(root / "sys/fs/cgroup", path):
        quota = parse_cpu_max(_read(directory / "cpu.max") or "")
        if quota is not None:
            yield quota


def _quotas_v1(root: Path) -> Iterator[float]:
    path = cgroup_paths(_read(root / "proc/self/cgroup") or "").get("cpu")
    if path is None:
        return
    for mount in ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
        for directory in _ancestors(root / "sys/fs/cgroup" / mount, path):
            quota = _ratio(
                _read(directory / "cpu.cfs_quota_us") or "",
                _read(directory / "cpu.cfs_period_us") or "",
            )
            if quota is not None:
                yield quota


def _ancestors(mount: Path, path: str) -> Iterator[Path]:
    """The cgroup's directory and all above it. Missing ones (a container's view) do no harm."""
    relative = PurePosixPath(path.lstrip("/"))
    yield mount / relative
    for parent in relative.parents:
        yield mount / parent


def _ratio(quota: str, period: str) -> float | None:
    """quota / period in microseconds; None for "max", -1, or text that is not two numbers."""
    if not (quota.isdecimal() and period.isdecimal()) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
