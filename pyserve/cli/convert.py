"""`pyserve convert`: converts a LLaMA model of a format before GGUF to GGUF."""

from __future__ import annotations

from pathlib import Path

import click

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.errors import explained
from pyserve.gguf.convert import convert_file
from pyserve.models.download.progress import format_bytes


@click.command()
@click.argument("old", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("new", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace NEW if it exists.")
@json_option
def convert(old: Path, new: Path, force: bool, as_json: bool) -> None:
    """Convert the GGML, GGMF or GGJT file OLD of a LLaMA model to the GGUF file NEW.

    F32 and F16 weights of every version are kept, quantized ones of GGJT version 3 (Q8_0, Q5_0,
    Q5_1, Q4_0, Q4_1); older ones had other layouts.
    """
    with explained():
        file = convert_file(old, new, is_forced=force)
        n_bytes = new.stat().st_size
    n_tensors = len(file.tensors)
    if as_json:
        facts = {"file": str(new), "size_bytes": n_bytes, "format": file.format}
        print_json(facts | {"version": file.version, "n_tensors": n_tensors})
        return
    version = f" version {file.version}" if file.version else ""
    click.echo(f"{new}: {file.format}{version}, {n_tensors} tensors, {format_bytes(n_bytes)}")
