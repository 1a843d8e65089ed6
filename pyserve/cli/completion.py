"""Names of models that the shell completes; imported with every command, works on a key alone."""

from __future__ import annotations

import contextlib

import click
from click.shell_completion import CompletionItem


def model_names(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    """Those of the models directory and the gallery, else files."""
    return _local(start, with_gallery=True)


def local_names(_ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    """Those of the models directory, else files."""
    return _local(start, with_gallery=False)


def served_names(ctx: click.Context, _param: click.Parameter, start: str) -> list[CompletionItem]:
    """Those of the running server; nothing where it cannot be asked."""
    from pyserve.cli.target import the_server  # noqa: PLC0415
    from pyserve.errors import PyserveError  # noqa: PLC0415

    with (
        contextlib.suppress(PyserveError),
        the_server(ctx.params.get("url"), ctx.params.get("key") or "") as server,
    ):
        models = server.get("/v1/models")["data"]
        return [CompletionItem(m["id"]) for m in models if m["id"].startswith(start)]
    return []


def _local(start: str, *, with_gallery: bool) -> list[CompletionItem]:
    from pyserve.config import read_config  # noqa: PLC0415
    from pyserve.errors import PyserveError  # noqa: PLC0415
    from pyserve.models.files import local_models  # noqa: PLC0415
    from pyserve.models.gallery import load_gallery  # noqa: PLC0415

    names: dict[str, None] = {}
    with contextlib.suppress(PyserveError, OSError):
        gallery = load_gallery()
        directory = read_config({}).models_dir.expanduser().absolute()
        names |= dict.fromkeys(file.id for file in local_models(directory, gallery))
        if with_gallery:
            names |= dict.fromkeys(entry.name for entry in gallery.models)
    found = [CompletionItem(name) for name in names if name.startswith(start)]
    return found or [CompletionItem(start, type="file")]
