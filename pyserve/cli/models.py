"""`pyserve pull`, `pyserve rm` and `pyserve models`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.completion import local_names, model_names
from pyserve.cli.errors import explained
from pyserve.cli.stopping import stoppable
from pyserve.config import read_config
from pyserve.errors import ModelLoadError
from pyserve.gguf.head import quantization
from pyserve.models.download.progress import format_bytes
from pyserve.models.download.pull import PullOptions
from pyserve.models.download.pull import pull as pull_model
from pyserve.models.files import local_models
from pyserve.models.fitting import Machine, memory_bytes, runs_well, this_machine, tokens_per_s
from pyserve.models.gallery import Gallery, GalleryEntry, load_gallery
from pyserve.models.model_file import named_file
from pyserve.models.remove import remove_model

CONTEXTS = (8192, 32768)

models_dir_option = click.option(
    "--models-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the model files [default: $PYSERVE_MODELS_DIR or the data directory].",
)


@click.command()
@click.argument("what", metavar="[NAME|REPO|URL|FILE]", required=False, shell_complete=model_names)
@click.option("--sha256", help="Expected sha256 of a URL's or file's content.")
@click.option("--accept-license", is_flag=True, help="Accept the terms of the model.")
@json_option
@models_dir_option
def pull(
    what: str | None,
    sha256: str | None,
    accept_license: bool,
    as_json: bool,
    models_dir: Path | None,
) -> None:
    """Get a model: a gallery name, a repository of the Hugging Face hub (owner/name[:QUANT] or
    owner/name/FILE.gguf), a URL of a GGUF file, or a file to copy.

    Without an argument, the default model. Of a repository without QUANT, a quantization that this
    machine has the memory for. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured.

    Downloads continue where they broke off, and are verified before they are used.
    """
    with explained(), stoppable():
        machine = this_machine(read_config({}).memory_limit_mib)
        options = PullOptions(
            _directory(models_dir),
            accept=_acceptance(accept_license),
            room=machine.room if machine.n_bytes else None,
        )
        path = pull_model(what or load_gallery().default, options, sha256=sha256)
    if as_json:
        model = named_file(path, load_gallery())
        print_json({"id": model.id, "file": str(path), "size_bytes": path.stat().st_size})
    else:
        click.echo(str(path))


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=local_names)
@json_option
@models_dir_option
def rm(names: tuple[str, ...], as_json: bool, models_dir: Path | None) -> None:
    """Remove models from the models directory, by the names that `pyserve models` lists."""
    removed = []
    with explained():
        for name in names:
            for path in remove_model(name, _directory(models_dir), load_gallery()):
                removed.append({"id": name, "file": str(path)})
                if not as_json:
                    click.echo(f"removed {path}")
    if as_json:
        print_json(removed)


@click.command()
@json_option
@click.option("--fits", is_flag=True, help="Those of the gallery that this machine runs well.")
@models_dir_option
def models(as_json: bool, fits: bool, models_dir: Path | None) -> None:
    """List the models that are here, and those that can be pulled by name."""
    with explained():
        machine = this_machine(read_config({}).memory_limit_mib)
        rows = list_models(_directory(models_dir), load_gallery(), machine)
    if fits:
        rows = [row for row in rows if row.get("fits")]
        rows.sort(key=lambda row: (-row["rank"], row["size_bytes"]))
    if as_json:
        print_json(rows)
    elif fits:
        _print_fitting(rows, machine)
    else:
        _print_table(rows)


def list_models(directory: Path, gallery: Gallery, machine: Machine) -> list[dict[str, Any]]:
    """One row per model: id, file, size_bytes, quantization (None: unknown), state, description.

    state is "local" (in the directory), "damaged" (there, but not loadable) or "gallery". Models of
    the gallery have what it knows of them, and whether the machine runs them well (`fits`).
    """
    rows = [_local_row(file.id, file.path, gallery) for file in local_models(directory, gallery)]
    here = {row["id"] for row in rows}
    rows += [_gallery_row(entry) for entry in gallery.models if entry.name not in here]
    entries = {entry.name: entry for entry in gallery.models}
    return [
        row | (_known(entries[row["id"]], machine) if row["id"] in entries else {}) for row in rows
    ]


def _known(entry: GalleryEntry, machine: Machine) -> dict[str, Any]:
    """What the gallery knows of a model, and what this machine makes of it."""
    return {
        "license": entry.license,
        "task": entry.task,
        "context": entry.context,
        "tools": entry.has_tools,
        "thinking": entry.thinking,
        "sampling": entry.sampling.model_dump(exclude_none=True),
        "rank": entry.rank,
        "memory_bytes": {str(n_ctx): memory_bytes(entry, n_ctx) for n_ctx in CONTEXTS},
        "tokens_per_s": round(tokens_per_s(entry, machine), 1),
        "fits": runs_well(entry, machine),
    }


def _print_fitting(rows: list[dict[str, Any]], machine: Machine) -> None:
    cells = [("ID", "STATE", "QUANT", "SIZE", "MEMORY AT 8K", "32K", "TOKENS/S", "TOOLS",
              "THINKING", "LICENSE")]  # fmt: skip
    for row in rows:
        memory = [format_bytes(row["memory_bytes"][str(n_ctx)]) for n_ctx in CONTEXTS]
        speed = "" if row["task"] == "embeddings" else f"~{row['tokens_per_s']:.0f}"
        cells.append((row["id"], row["state"], row["quantization"] or "?",
                      format_bytes(row["size_bytes"]), *memory, speed,
                      "yes" if row["tools"] else "", row["thinking"].replace("no", ""),
                      row["license"]))  # fmt: skip
    click.echo(
        f"This machine: {format_bytes(machine.n_bytes)} of memory, {machine.n_cores} cores; best "
        "first. Memory and speed are estimates.\n"
    )
    _print_columns(cells)
    click.echo("\nGet one with: pyserve pull ID; serve it with: pyserve serve ID")


def _local_row(model_id: str, path: Path, gallery: Gallery) -> dict[str, Any]:
    entry = gallery.find(model_id)
    size_bytes = path.stat().st_size
    try:
        kind, state = quantization(path), "local"
    except ModelLoadError:
        kind, state = None, "damaged"
    if entry is not None and not entry.is_whole(size_bytes):
        state = "damaged"
    return {
        "id": model_id,
        "file": str(path),
        "size_bytes": size_bytes,
        "quantization": kind,
        "state": state,
        "description": entry.description if entry else None,
    }


def _gallery_row(entry: GalleryEntry) -> dict[str, Any]:
    return {
        "id": entry.name,
        "file": entry.file,
        "size_bytes": entry.size_bytes,
        "quantization": entry.quantization,
        "state": "gallery",
        "description": entry.description,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells = [("ID", "STATE", "QUANT", "SIZE", "FILE")]
    for row in rows:
        size = format_bytes(row["size_bytes"])
        cells.append((row["id"], row["state"], row["quantization"] or "?", size, row["file"]))
    _print_columns(cells)


def _print_columns(cells: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(cell[column]) for cell in cells) for column in range(len(cells[0]) - 1)]
    for cell in cells:
        fixed = "  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=False))
        click.echo(f"{fixed}  {cell[-1]}")


def _directory(models_dir: Path | None) -> Path:
    return (models_dir or read_config({}).models_dir).expanduser().absolute()


def _acceptance(is_accepted: bool) -> Callable[[GalleryEntry], bool]:
    """Shows the notice; the flag accepts, else a person at a terminal is asked."""

    def accept(entry: GalleryEntry) -> bool:
        click.echo(f"{entry.name} ({entry.license})\n{entry.notice}", err=True)
        if is_accepted:
            return True
        return sys.stdin.isatty() and click.confirm("Do you accept these terms?", err=True)

    return accept
