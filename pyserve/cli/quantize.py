"""`pyserve quantize`: writes a model with smaller weights."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click
import msgspec

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.errors import explained
from pyserve.cli.stopping import stoppable
from pyserve.engine.quantize_job import QuantizeJob
from pyserve.models.download.progress import ProgressLine, format_bytes
from pyserve.models.quantize import BLOCK, quantize_file
from pyserve.process.threads import usable_threads


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("kind", metavar="TYPE")
@click.option("--threads", type=click.IntRange(1, 512), help="Threads [default: usable cores].")
@click.option(
    "--allow-requantize",
    is_flag=True,
    help="Also take weights that are quantized already, and lose more than the original would.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option
def quantize(  # options
    source: Path,
    target: Path,
    kind: str,
    threads: int | None,
    allow_requantize: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write the GGUF file IN with weights of TYPE to OUT.

    TYPE is llama.cpp's name: Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_1, Q4_0, F16 ...
    """
    job = QuantizeJob(
        path_in=str(source.absolute()),
        path_out=str(target.absolute()),
        type=kind.upper(),
        n_threads=threads or usable_threads(),
        allow_requantize=allow_requantize,
    )
    progress = ProgressLine(f"quantizing {source.name} to {job.type}", sys.stderr)
    with explained(), stoppable(), contextlib.closing(progress):
        written = quantize_file(job, progress, is_forced=force)
    n_bytes = [path.stat().st_size for path in (source, target)]
    if as_json:
        facts = {"file": str(target), "size_bytes": n_bytes[1], "size_bytes_before": n_bytes[0]}
        print_json(facts | {"type": job.type, **msgspec.to_builtins(written)})
        return
    sizes = [format_bytes(n) for n in n_bytes]
    click.echo(f"{target}: {sizes[0]} became {sizes[1]}")
    types = ", ".join(f"{n} of {name}" for name, n in written.n_by_type.items())
    click.echo(f"matrices: {types}")
    if written.n_wider:
        widths = ", ".join(f"{width:,}" for width in written.widths)
        click.echo(
            f"{written.n_wider} of them got wider types than {job.type} has: their rows have"
            f" {widths} values, which is no multiple of {BLOCK}"
        )
