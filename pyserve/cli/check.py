"""`pyserve check`: lists the models of a directory, and its unused or invalid settings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from pyserve.cli.answer_format import answer_format
from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.errors import explained
from pyserve.config import read_config
from pyserve.engine.config import Adapter, Override
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
@json_option
def check(directory: Path | None, models_config_file: Path | None, as_json: bool) -> None:
    """Check the models in DIRECTORY and their configuration, without loading one.

    The exit code is 1 when there are errors; the models they are about are not served.
    """
    with explained():
        given = {"models_config_file": models_config_file} if models_config_file else {}
        config = read_config(given)
        where = (directory or config.models_dir).expanduser().absolute()
        catalog = read_catalog(where, load_gallery(), config_file(config))
    served = {model.id for model in catalog.models}
    others = [note for note in catalog.notes if note.model not in served]
    n_errors = sum(note.level == "error" for note in catalog.notes)
    models = [
        (facts_of(model), [note for note in catalog.notes if note.model == model.id])
        for model in catalog.models
    ]
    if as_json:
        rows = [{**facts, "notes": notes} for facts, notes in models]
        print_json({"models": rows, "notes": others, "n_errors": n_errors})
        sys.exit(1 if n_errors else 0)
    for facts, notes in models:
        click.echo("\n".join(_lines(facts)))
        _print_notes(notes)
    if others:
        click.echo("Not served, or about no model:")
        _print_notes(others)
    click.echo(f"{len(models)} models can be served; errors: {n_errors}")
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


def facts_of(model: ModelFile) -> dict[str, Any]:
    """A model's name, file, and all that its configuration sets; only what is not empty."""
    profile, prompt = model.profile, model.profile.prompt
    templates = [kind for kind in KINDS if getattr(prompt, kind) is not None]
    if model.jinja is not None:
        templates.append(f"chat in Jinja, by {model.jinja.name}")
    unset = CallProfile()
    facts = {
        "id": model.id,
        "file": str(model.path),
        "engine": {name: value for name, value in model.settings.items() if name != "adapters"},
        "max_concurrent": model.limits.max_concurrent,
        "groups": sorted(model.limits.groups),
        "adapters": profile.adapters,
        "defaults": profile.defaults,
        "stop": profile.stop,
        "system_prompt": prompt.system_prompt,
        "templates": templates,
        "answer_format": _format(model),
        "shaping": [
            name for name in profile.shape.__struct_fields__ if getattr(profile.shape, name)
        ],
        "calls": [
            name
            for name in unset.__struct_fields__
            if getattr(profile.calls, name) != getattr(unset, name)
        ],
        "aliases": profile.aliases,
        "usecases": profile.usecases,
    }
    return {name: value for name, value in facts.items() if value}


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    """The facts in words."""
    yield f"{facts['id']} ({Path(facts['file']).name})"
    for name, title, in_text in LINES:
        text = in_text(facts[name]) if name in facts else "the model file's own"
        if name in facts or name == "templates":
            yield f"  {title}: {text}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def _adapter(adapter: Adapter) -> str:
    return (
        f"{adapter.name} ({Path(adapter.path).name}, scale {adapter.scale:g}) as {adapter.model_id}"
    )


LINES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("engine", "engine", _pairs),
    ("max_concurrent", "requests at once", str),
    ("groups", "not loaded together with others of", ", ".join),
    ("adapters", "adapters", lambda adapters: ", ".join(map(_adapter, adapters))),
    ("defaults", "defaults", _pairs),
    ("stop", "stop", lambda texts: ", ".join(map(repr, texts))),
    ("system_prompt", "system prompt", lambda text: text[:60]),
    ("templates", "templates", ", ".join),
    ("answer_format", "format of answers", str),
    ("shaping", "answers are shaped by", ", ".join),
    ("calls", "calls are read by", ", ".join),
    ("aliases", "aliases", ", ".join),
    ("usecases", "for", ", ".join),
)
