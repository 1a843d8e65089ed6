"""`pyserve serve`: serves models over HTTP; `launch` starts the processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pyserve.cli.completion import model_names
from pyserve.cli.options import config_file_option, given_options, with_options


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...", shell_complete=model_names)
@with_options
@config_file_option
def serve(models: tuple[str, ...], config_file: Path | None, **options: Any) -> None:
    """Serve models: gallery names, names in the models directory, or GGUF files.

    A directory in place of a MODEL is the models directory. Without a MODEL: every model in the
    models directory, or the default one of the gallery.
    Each option can also be set in the environment: --ctx-size is PYSERVE_CTX_SIZE, or in a file:
    ctx_size = 4096 in ~/.config/pyserve/pyserve.toml.
    """
    from pyserve.cli.errors import explained  # noqa: PLC0415  # --help stays fast
    from pyserve.cli.launch import launch  # noqa: PLC0415
    from pyserve.config import read_config  # noqa: PLC0415

    given = given_options(models, options)
    with explained():
        code = launch(read_config(given, config_file))
    sys.exit(code)
