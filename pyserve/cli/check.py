"""`pyserve check`: lists the models of a directory, and its unused or invalid settings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pyserve.cli.answer_format import answer_format
from pyserve.cli.errors import explained
from pyserve.config import read_config
from pyserve.engine.config import Override
from pyserve.gguf.texts import CHAT_TEMPLATE, find_texts
from pyserve.models.catalog import read_catalog
from pyserve.models.files import config_file
from pyserve.models.gallery import load_gallery
from pyserve.models.localai.diagnostics import Note
from pyserve.models.model_file import ModelFile
from pyserve.models.profile import CallProfile
from pyserve.models.templates.sources import KINDS
from pyserve.openai.tools.recognition import in_words


@click.command()
@click.argument(
    "directory", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--models-config-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML file of models in LocalAI's format.",
)
def check(directory: Path | None, models_config_file: Path | None) -> None:
    """Check the models in DIRECTORY and their configuration, without loading one.

    The exit code is 1 when there are errors; the models they are about are not served.
    """
    with explained():
        given = {"models_config_file": models_config_file} if models_config_file else {}
        config = read_config(given)
        where = (directory or config.models_dir).expanduser().absolute()
        catalog = read_catalog(where, load_gallery(), config_file(config))
    for model in catalog.models:
        click.echo(described(model))
        _print_notes([note for note in catalog.notes if note.model == model.id])
    served = {model.id for model in catalog.models}
    others = [note for note in catalog.notes if note.model not in served]
    if others:
        click.echo("Not served, or about no model:")
        _print_notes(others)
    n_errors = sum(note.level == "error" for note in catalog.notes)
    click.echo(f"{len(catalog.models)} models can be served; errors: {n_errors}")
    sys.exit(1 if n_errors else 0)


def _print_notes(notes: list[Note]) -> None:
    for note in notes:
        click.echo(f"  {note}")


def _shown(value: object) -> str:
    """A setting of the engine in words."""
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return f"{value.key}={value.value}" if isinstance(value, Override) else str(value)


def _format(model: ModelFile) -> str:
    """How the model's template writes calls and thoughts."""
    if model.profile.prompt.function_text:
        return "by the configuration's templates"
    replaced = model.settings.get("chat_template")
    own = find_texts(model.path, CHAT_TEMPLATE)
    source = str(replaced) if replaced else own[0] if own else ""
    found = answer_format(source) if source else None
    return in_words(found) if found else ""


def described(model: ModelFile) -> str:
    """A model's name, file, and all that its configuration sets."""
    profile, prompt = model.profile, model.profile.prompt
    templates = [kind for kind in KINDS if getattr(prompt, kind) is not None]
    if model.jinja is not None:
        templates.append(f"chat in Jinja, by {model.jinja.name}")
    shaping = [name for name in profile.shape.__struct_fields__ if getattr(profile.shape, name)]
    unset = CallProfile()
    calls = [
        name
        for name in unset.__struct_fields__
        if getattr(profile.calls, name) != getattr(unset, name)
    ]
    facts = {
        "engine": ", ".join(
            f"{name} {_shown(value)}"
            for name, value in model.settings.items()
            if name != "adapters"
        ),
        "requests at once": str(model.limits.max_concurrent or ""),
        "not loaded together with others of": ", ".join(sorted(model.limits.groups)),
        "adapters": ", ".join(
            f"{adapter.name} ({Path(adapter.path).name}, scale {adapter.scale:g}) as "
            f"{adapter.model_id}"
            for adapter in profile.adapters
        ),
        "defaults": ", ".join(f"{name} {value}" for name, value in profile.defaults.items()),
        "stop": ", ".join(repr(text) for text in profile.stop),
        "system prompt": prompt.system_prompt[:60],
        "templates": ", ".join(templates) or "the model file's own",
        "format of answers": _format(model),
        "answers are shaped by": ", ".join(shaping),
        "calls are read by": ", ".join(calls),
        "aliases": ", ".join(profile.aliases),
        "for": ", ".join(profile.usecases or ()),
    }
    lines = [f"  {name}: {text}" for name, text in facts.items() if text]
    return "\n".join([f"{model.id} ({model.path.name})", *lines])
