"""Memory for this process, all and available: the system's, within its cgroups' limits.

The functions take the root of the file system, so that they can be tested on a made-up tree.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from pyserve.process.cgroups import ROOT, cgroup_directories, read_text

_V1_UNLIMITED = 2**60


def available_bytes(root: Path = ROOT) -> int:
    """Available bytes; 0 if the system does not say.

    Pages of files count as available, since the system can reclaim them: a cached model file is not
    counted twice.
    """
    return min([*_system(root), *_cgroups_v2(root), *_cgroups_v1(root)], default=0)


def total_bytes(root: Path = ROOT) -> int:
    """Bytes that there are, used or not; 0 if the system does not say."""
    limits = [_number(directory / "memory.max") for directory in cgroup_directories(root, "")]
    for directory in cgroup_directories(root, "memory"):
        limits.append(_number(directory / "memory.limit_in_bytes"))
    return min([*_system(root, "MemTotal"), *(limit for limit in limits if limit)], default=0)


def resident_bytes(root: Path = ROOT) -> int:
    """Memory of this process now, with the pages of files that it has mapped; 0 if unknown."""
    fields = (read_text(root / "proc/self/statm") or "").split()
    return int(fields[1]) * resource.getpagesize() if len(fields) > 1 else 0


def _system(root: Path, wanted: str = "MemAvailable") -> Iterator[int]:
    for line in (read_text(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        if name == wanted:
            yield int(rest.split()[0]) * 1024


def _cgroups_v2(root: Path) -> Iterator[int]:
    for directory in cgroup_directories(root, ""):
        limit = _number(directory / "memory.max")
        used = _number(directory / "memory.current")
        if limit is not None and used is not None:
            yield max(limit - used + _cached(directory / "memory.stat", "inactive_file"), 0)


def _cgroups_v1(root: Path) -> Iterator[int]:
    for directory in cgroup_directories(root, "memory"):
        limit = _number(directory / "memory.limit_in_bytes")
        used = _number(directory / "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < _V1_UNLIMITED:
            yield max(limit - used + _cached(directory / "memory.stat", "total_inactive_file"), 0)


def _number(path: Path) -> int | None:
    text = read_text(path) or ""
    return int(text) if text.isdecimal() else None


def _cached(path: Path, name: str) -> int:
    """Bytes of file pages that the cgroup can give back."""
    for line in (read_text(path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return 0
