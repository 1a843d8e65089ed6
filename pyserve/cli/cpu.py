"""`pyserve info --cpu`: shows the CPU's features and which kernels can be used on it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from pyserve.cli.as_json import print_json
from pyserve.cli.errors import explained
from pyserve.config import read_config
from pyserve.engine.kernels import CpuReport, KernelRung
from pyserve.process.threads import usable_threads

# Source: Arm's "Main ID Register" of each core; util-linux, sys-utils/lscpu-arm.c.
_ARM_CPUS = {
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",  # Raspberry Pi 5
    ("0x41", "0xd0c"): "Neoverse N1",  # Graviton 2, Ampere Altra
    ("0x41", "0xd40"): "Neoverse V1",  # Graviton 3
    ("0x41", "0xd49"): "Neoverse N2",
    ("0x41", "0xd4f"): "Neoverse V2",  # Graviton 4, Grace
    ("0xc0", "0xac3"): "AmpereOne",
}


def show_cpu(as_json: bool) -> None:
    """Print the CPU and its kernels; proves the kernels, which takes a fraction of a second."""
    with explained():
        wanted = read_config({}).kernels
        try:
            from pyserve.engine.native import report_cpu  # noqa: PLC0415  # it may not fit this CPU
        except ImportError as error:
            raise click.ClickException(f"the native engine cannot be used: {error}") from error
        report = report_cpu(wanted)
    name, n_cores = cpu_name(), usable_threads()
    if as_json:
        facts = {"cpu": name, "usable_cores": n_cores, **msgspec.to_builtins(report)}
        print_json(facts)
        return
    click.echo(f"{name}, {n_cores} usable cores; llama.cpp compiled for: {report.level}\n")
    click.echo("Kernels, the best ones first")
    for rung in report.ladder:
        click.echo(f"  {rung.kernels:11} {_state(rung, report)}")
    click.echo("\nInstructions")
    for line in _features(report):
        click.echo(line)


def cpu_name(facts: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name in /proc/cpuinfo, which has numbers instead on ARM."""
    found: dict[str, str] = {}
    for line in facts.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    part = (found.get("CPU implementer", ""), found.get("CPU part", ""))
    if "model name" in found or not all(part):
        return found.get("model name", "unknown CPU")
    return _ARM_CPUS.get(part, f"ARM CPU, implementer {part[0]}, part {part[1]}")


def _state(rung: KernelRung, report: CpuReport) -> str:
    """The state of one set of kernels, in words."""
    if rung.missing:
        return rung.missing
    if rung.failure:
        return f"failed its proof: {rung.failure}"
    return "used" if rung.kernels == report.choice.kernels else "can be used"


def _features(report: CpuReport) -> list[str]:
    granted = [feature.name for feature in report.features if feature.is_granted]
    denied = [f.name for f in report.features if f.is_shown and not f.is_granted]
    lines = [f"  {', '.join(granted) or 'none that are looked for'}"]
    if denied:
        lines.append(f"  not granted by the system: {', '.join(denied)}")
    return lines
