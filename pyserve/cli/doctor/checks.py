"""The checks; those of the system take the root of the file system, so that tests can make one."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyserve.backend.local_servers import local_servers
from pyserve.cli.announce import front_url, url_host
from pyserve.cli.doctor.bandwidth import Bandwidth
from pyserve.cli.doctor.finding import Finding
from pyserve.config import ServeConfig, default_store_dir
from pyserve.engine.kernels import CpuReport
from pyserve.models.download.progress import format_bytes
from pyserve.models.fitting import Machine, suitable
from pyserve.models.gallery import Gallery
from pyserve.process.cgroups import ROOT, read_text
from pyserve.process.memory import available_bytes
from pyserve.process.threads import count_cores, cpu_quota

GB = 1e9
MIN_OPEN_FILES = 1024
MIN_FREE_BYTES = 2 * 2**30
MIN_GAIN = 1.03  # less than that is not worth a word
BUSY_LOAD = 0.5  # of the cores, in programs of others
N_SUITABLE = 3


def check_kernels(report: CpuReport, name: str) -> Finding:
    """The kernels that will be used, and those that failed their proof."""
    what = f"{name}; llama.cpp compiled for {report.level}; kernels: {report.choice.kernels}"
    failed = [rung for rung in report.ladder if rung.failure]
    if failed:
        faults = "; ".join(f"{rung.kernels}: {rung.failure}" for rung in failed)
        return Finding("CPU", "advice", what, f"kernels failed their proof, report this: {faults}")
    denied = [f.name for f in report.features if f.is_shown and not f.is_granted]
    if denied:
        todo = f"the system does not grant {', '.join(denied)}: have the machine set up so"
        return Finding("CPU", "advice", what, todo)
    return Finding("CPU", "ok", what)


def check_cores(cpus: Iterable[int], root: Path = ROOT) -> Finding:
    """The cores that compute, and a quota that is no whole number of them."""
    cpus = list(cpus)
    n_cores, quota = count_cores(root, cpus), cpu_quota(root)
    what = f"{n_cores} cores of {len(cpus)} CPUs may be used"
    if quota is None or quota >= n_cores:
        return Finding("cores", "ok", what)
    what += f", {quota:g} at once by the cgroup's quota"
    if quota < 1 or quota != int(quota):
        n = max(int(quota), 1)
        todo = f"make the quota a whole number: {n} threads will compute" + (
            f", {quota - n:.1f} of a core is not used" if quota > 1 else " and be paused often"
        )
        return Finding("cores", "advice", what, todo)
    return Finding("cores", "ok", what)


def check_load(n_cores: int, load: float) -> Finding:
    """What other programs take. load: that of the last minute."""
    what = f"load of the last minute {load:.1f} on {n_cores} cores"
    if load > BUSY_LOAD * n_cores:
        return Finding("load", "advice", what, "other programs compute here: tokens come later")
    return Finding("load", "ok", what)


def check_governor(root: Path = ROOT) -> Finding | None:
    """None where the system does not say."""
    governor = read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor is None:
        return None
    what = f"frequency governor: {governor}"
    if governor == "powersave":
        todo = "cpupower frequency-set -g performance: cores stay at their highest clock"
        return Finding("clock", "advice", what, todo)
    return Finding("clock", "ok", what)


def check_memory(machine: Machine, gallery: Gallery, root: Path = ROOT) -> Finding:
    """The memory, and the best models of the gallery that it is enough for."""
    if not machine.n_bytes:
        return Finding("memory", "advice", "the system does not say how much there is")
    available = available_bytes(root)
    names = [entry.name for entry in suitable(gallery, machine)][:N_SUITABLE]
    what = f"{format_bytes(machine.n_bytes)}, available {format_bytes(available)}"
    if not names:
        return Finding("memory", "advice", what, "too little for every model of the gallery")
    what += f"; enough for {', '.join(names)}"
    if available < machine.n_bytes // 4:
        return Finding("memory", "advice", what, "other programs hold most of it")
    return Finding("memory", "ok", what)


def check_huge_pages(bandwidth: Bandwidth, root: Path = ROOT) -> Finding:
    """Whether weights may lie in huge pages, and what that gains in reading."""
    text = read_text(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    state = text.partition("[")[2].partition("]")[0] or "not there"
    gain = bandwidth.one_thread / bandwidth.small_pages
    what = f"transparent huge pages: {state}"
    if state in ("always", "madvise"):
        said = f"; reading is {gain:.2f} times as fast with them" if gain > MIN_GAIN else ""
        return Finding("huge pages", "ok", what + said)
    todo = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
    return Finding("huge pages", "advice", what, todo)


def check_bandwidth(bandwidth: Bandwidth, n_threads: int) -> Finding:
    """What one token costs at least: the weights are read for each."""
    one, all_ = bandwidth.one_thread / GB, bandwidth.all_threads / GB
    what = (
        f"memory is read at {one:.0f} GB/s by one thread, {all_:.0f} by {n_threads}: a model of "
        f"4 GB gives at most about {all_ / 4:.0f} tokens/s to one stream"
    )
    return Finding("bandwidth", "ok", what)


def check_numa(root: Path = ROOT) -> Finding | None:
    """None with one memory for all cores."""
    nodes = list((root / "sys/devices/system/node").glob("node[0-9]*"))
    if len(nodes) <= 1:
        return None
    todo = "try --numa distribute, or bind a server to each node with numactl"
    return Finding("NUMA", "advice", f"{len(nodes)} nodes of memory", todo)


def check_address(config: ServeConfig) -> Finding:
    """Whether the server could listen where the settings say."""
    path = config.socket_path
    if path is not None:
        if os.access(path.parent, os.W_OK | os.X_OK):
            return Finding("address", "ok", f"{path} can be made")
        return Finding("address", "fault", f"{path.parent} may not be written")
    ours = {server.url: server.pid for server in local_servers()}
    url = front_url(config)
    if url in ours:
        return Finding("address", "ok", f"{url}: a server of yours runs there, process {ours[url]}")
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            where = f"{url_host(config.host)}:{config.port}"
            todo = "stop the other program, or choose --port"
            return Finding("address", "fault", f"{where}: {error.strerror}", todo)
    return Finding("address", "ok", f"{url} is free")


def check_directories(config: ServeConfig) -> Iterator[Finding]:
    """Those of the models and of what the server remembers."""
    for subject, directory in (("models", config.models_dir), ("state", default_store_dir())):
        place = directory.expanduser().absolute()
        there = next(path for path in (place, *place.parents) if path.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            yield Finding(subject, "advice", f"{place} may not be written", "nothing can be pulled")
            continue
        free = shutil.disk_usage(there).free
        n_models = len(list(place.glob("**/*.gguf"))) if place.exists() else 0
        what = f"{place}: {format_bytes(free)} free"
        what += f", {n_models} GGUF files" if subject == "models" else ""
        if free < MIN_FREE_BYTES:
            yield Finding(subject, "advice", what, "too little for most models")
        else:
            yield Finding(subject, "ok", what)


def check_open_files() -> Finding:
    """Each client takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= MIN_OPEN_FILES:
        n = "any number" if most == resource.RLIM_INFINITY else f"{most:,}"
        return Finding("open files", "ok", f"{n} may be open")
    todo = f"raise the limit (ulimit -n, LimitNOFILE=): {most} clients at most can be connected"
    return Finding("open files", "advice", f"{most} may be open", todo)
