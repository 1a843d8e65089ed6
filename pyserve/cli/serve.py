"""`pyserve serve`: serves models over HTTP; `launch` starts the processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pyserve.cli.options import with_options


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@with_options
def serve(models: tuple[str, ...], **options: Any) -> None:
    """Serve models: gallery names, names in the models directory, or GGUF files.

    A directory in place of a MODEL is the models directory. Without a MODEL: every model in the
    models directory, or the default one of the gallery.
    Each option can also be set in the environment: --ctx-size is PYSERVE_CTX_SIZE.
    """
    from pyserve.cli.errors import explained  # noqa: PLC0415  # --help stays fast
    from pyserve.cli.launch import launch  # noqa: PLC0415
    from pyserve.config import read_config  # noqa: PLC0415

    given = {name: value for name, value in options.items() if value not in (None, ())}
    if len(models) == 1 and Path(models[0]).is_dir():
        given.setdefault("models_dir", models[0])
    elif models:
        given["models"] = list(models)
    with explained():
        code = launch(read_config(given))
    sys.exit(code)
