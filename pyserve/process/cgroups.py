"""This process's control groups, versions 1 and 2: the directories with its limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
_V1_MOUNTS = {
    "cpu": ("cpu", "cpu,cpuacct", "cpuacct,cpu"),
    "memory": ("memory",),
}


def cgroup_directories(root: Path, controller: str) -> Iterator[Path]:
    """The directory of this process's cgroup and all above it; "" is version 2.

    Some may not exist: a container sees a part of the tree.
    """
    path = cgroup_paths(read_text(root / "proc/self/cgroup") or "").get(controller)
    if path is None:
        return
    mounts = _V1_MOUNTS[controller] if controller else ("",)
    for mount in mounts:
        yield from _ancestors(root / "sys/fs/cgroup" / mount, path)


def cgroup_paths(proc_cgroup: str) -> dict[str, str]:
    """The paths in /proc/self/cgroup by controller; that of cgroup v2 has the name ""."""
    paths = {}
    for line in proc_cgroup.splitlines():
        _hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def read_text(path: Path) -> str | None:
    """The text of a small file of the system; None when there is none."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _ancestors(mount: Path, path: str) -> Iterator[Path]:
    relative = PurePosixPath(path.lstrip("/"))
    yield mount / relative
    for parent in relative.parents:
        yield mount / parent
