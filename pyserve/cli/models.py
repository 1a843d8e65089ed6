"""`pyserve pull`, `pyserve rm` and `pyserve models`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pyserve.cli.errors import explained
from pyserve.cli.stopping import stoppable
from pyserve.config import read_config
from pyserve.errors import ModelLoadError
from pyserve.gguf.head import quantization
from pyserve.models.download.progress import format_bytes
from pyserve.models.download.pull import PullOptions
from pyserve.models.download.pull import pull as pull_model
from pyserve.models.files import local_models
from pyserve.models.gallery import Gallery, GalleryEntry, load_gallery
from pyserve.models.remove import remove_model

models_dir_option = click.option(
    "--models-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the model files [default: $PYSERVE_MODELS_DIR or the data directory].",
)


@click.command()
@click.argument("what", metavar="[NAME|REPO|URL|FILE]", required=False)
@click.option("--sha256", help="Expected sha256 of a URL's or file's content.")
@click.option("--accept-license", is_flag=True, help="Accept the terms of the model.")
@models_dir_option
def pull(
    what: str | None, sha256: str | None, accept_license: bool, models_dir: Path | None
) -> None:
    """Get a model: a gallery name, a repository of the Hugging Face hub (owner/name[:QUANT] or
    owner/name/FILE.gguf), a URL of a GGUF file, or a file to copy.

    Without an argument, the default model. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured.

    Downloads continue where they broke off, and are verified before they are used.
    """
    with explained(), stoppable():
        options = PullOptions(_directory(models_dir), accept=_acceptance(accept_license))
        path = pull_model(what or load_gallery().default, options, sha256=sha256)
    click.echo(str(path))


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@models_dir_option
def rm(names: tuple[str, ...], models_dir: Path | None) -> None:
    """Remove models from the models directory, by the names that `pyserve models` lists."""
    with explained():
        for name in names:
            for path in remove_model(name, _directory(models_dir), load_gallery()):
                click.echo(f"removed {path}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@models_dir_option
def models(as_json: bool, models_dir: Path | None) -> None:
    """List the models that are here, and those that can be pulled by name."""
    with explained():
        rows = list_models(_directory(models_dir), load_gallery())
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    _print_table(rows)


def list_models(directory: Path, gallery: Gallery) -> list[dict[str, Any]]:
    """One row per model: id, file, size_bytes, quantization (None: unknown), state, description.

    state is "local" (in the directory), "damaged" (there, but not loadable) or "gallery".
    """
    rows = [_local_row(file.id, file.path, gallery) for file in local_models(directory, gallery)]
    here = {row["id"] for row in rows}
    rows += [_gallery_row(entry) for entry in gallery.models if entry.name not in here]
    return rows


def _local_row(model_id: str, path: Path, gallery: Gallery) -> dict[str, Any]:
    entry = gallery.find(model_id)
    size_bytes = path.stat().st_size
    try:
        kind, state = quantization(path), "local"
    except ModelLoadError:
        kind, state = None, "damaged"
    if entry is not None and size_bytes != entry.size_bytes:
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
    header = ("ID", "STATE", "QUANT", "SIZE", "FILE")
    cells = [header]
    for row in rows:
        size = format_bytes(row["size_bytes"])
        cells.append((row["id"], row["state"], row["quantization"] or "?", size, row["file"]))
    widths = [max(len(cell[column]) for cell in cells) for column in range(len(header) - 1)]
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
