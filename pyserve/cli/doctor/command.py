"""`pyserve doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.cpu import cpu_name
from pyserve.cli.doctor import checks
from pyserve.cli.doctor.bandwidth import measure
from pyserve.cli.doctor.finding import Finding
from pyserve.cli.errors import explained
from pyserve.config import ServeConfig, read_config
from pyserve.models.fitting import this_machine
from pyserve.models.gallery import load_gallery
from pyserve.process.threads import usable_threads

STYLES = {"ok": "green", "advice": "yellow", "fault": "bold red"}


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look at this machine and the settings, and say what to change.

    Proves the kernels and measures how fast memory is read, which takes about two seconds. The
    status is 1 if pyserve could not work.
    """
    with explained():
        findings = [finding for finding in _findings(read_config({})) if finding]
    if as_json:
        print_json(findings)
    else:
        Console().print(_table(findings))
    sys.exit(any(finding.level == "fault" for finding in findings))


def _findings(config: ServeConfig) -> Iterator[Finding | None]:
    try:
        from pyserve.engine.native import report_cpu  # noqa: PLC0415  # it may not fit this CPU
    except ImportError as error:
        yield Finding("CPU", "fault", str(error), "build pyserve on this machine")
    else:
        yield checks.check_kernels(report_cpu(config.kernels), cpu_name())
    n_threads = config.threads or usable_threads()
    bandwidth = measure(n_threads)
    yield checks.check_cores(os.sched_getaffinity(0))
    yield checks.check_load(n_threads, os.getloadavg()[0])
    yield checks.check_governor()
    yield checks.check_memory(this_machine(config.memory_limit_mib), load_gallery())
    yield checks.check_bandwidth(bandwidth, n_threads)
    yield checks.check_huge_pages(bandwidth)
    yield checks.check_numa()
    yield checks.check_address(config)
    yield from checks.check_directories(config)
    yield checks.check_open_files()


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        style = STYLES[finding.level]
        text = Text(finding.what)
        if finding.todo:
            text.append(f"\n→ {finding.todo}", style=style)
        table.add_row(Text(finding.level, style=style), finding.subject, text)
    return table
