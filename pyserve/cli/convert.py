"""`pyserve convert`: converts a LLaMA model of a format before GGUF to GGUF."""

from __future__ import annotations

from pathlib import Path

import click

from pyserve.cli.errors import explained
from pyserve.gguf.convert import convert_file
from pyserve.models.download.progress import format_bytes


@click.command()
@click.argument("old", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("new", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace NEW if it exists.")
def convert(old: Path, new: Path, force: bool) -> None:
    """Convert the GGML, GGMF or GGJT file OLD of a LLaMA model to the GGUF file NEW.

    F32 and F16 weights of every version are kept, quantized ones of GGJT version 3 (Q8_0, Q5_0,
    Q5_1, Q4_0, Q4_1); older ones had other layouts.
    """
    with explained():
        file = convert_file(old, new, is_forced=force)
        size = format_bytes(new.stat().st_size)
    version = f" version {file.version}" if file.version else ""
    click.echo(f"{new}: {file.format}{version}, {len(file.tensors)} tensors, {size}")
