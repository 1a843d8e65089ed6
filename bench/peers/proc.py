"""What the kernel knows about processes and the machine (Linux, /proc)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
KERNEL_FEATURES = frozenset(
    (
        *("avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vbmi", "avx512_vnni", "avx512_bf16"),
        *("amx_int8", "amx_bf16"),
    )
)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Positions in /proc/PID/stat after the name, which may itself hold spaces and brackets.
_PPID, _UTIME, _STIME, _CUTIME, _CSTIME = 1, 11, 12, 13, 14
# Positions in the first line of /proc/stat.
_IDLE, _IOWAIT, _STEAL = 3, 4, 7


@dataclass(frozen=True)
class MachineTimes:
    """CPU seconds of all cores since boot. steal_s: taken by the host."""

    busy_s: float
    steal_s: float


def tree(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    children = defaultdict(list)
    for child, stat in _stats():
        children[int(stat[_PPID])].append(child)
    found = [pid]
    for parent in found:
        found.extend(children[parent])
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of the process tree, with those of children that have ended."""
    pids = set(tree(pid))
    fields = (_UTIME, _STIME, _CUTIME, _CSTIME)
    ticks = sum(int(stat[i]) for child, stat in _stats() if child in pids for i in fields)
    return ticks / _TICKS_PER_S


def peak_rss_mib(pid: int) -> float:
    """Sum of the peaks of the tree's processes; shared pages count once for each of them."""
    return round(sum(_status_kib(child, "VmHWM") for child in tree(pid)) / 1024, 1)


def machine_times() -> MachineTimes:
    ticks = [int(text) for text in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    busy = sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]
    return MachineTimes(busy / _TICKS_PER_S, ticks[_STEAL] / _TICKS_PER_S)


def cpu_model() -> str:
    """The processor's name, "unknown" where the kernel does not say."""
    for line in (PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def cpu_features() -> list[str]:
    """Those of the processor that decide which kernels an engine has, as the kernel names them."""
    for line in (PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return sorted(set(line.split()) & KERNEL_FEATURES)
    return []


def _stats() -> Iterator[tuple[int, list[str]]]:
    for path in PROC.iterdir():
        if path.name.isdigit():
            try:
                text = (path / "stat").read_text()
            except OSError:  # it has ended
                continue
            yield int(path.name), text.rpartition(")")[2].split()


def _status_kib(pid: int, name: str) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), 0)
