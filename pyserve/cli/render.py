"""`pyserve render`: shows the prompts that a model's templates make, without loading it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.completion import local_names
from pyserve.cli.errors import explained
from pyserve.config import read_config
from pyserve.engine.config import EngineConfig
from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.models.files import resolve_models
from pyserve.models.model_file import ModelFile
from pyserve.models.templates.prompter import Prompter
from pyserve.openai.chat.chat import template_messages
from pyserve.openai.chat.conversation import offer_of
from pyserve.openai.configured.defaults import with_defaults
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.validate import validate

SAMPLE = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hi, how can I help?"},
    {"role": "user", "content": "What is the capital of France?"},
]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SAMPLE_TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "The weather now", "parameters": CITY},
    }
]
N_CTX = 64  # nothing is computed


@click.command()
@click.argument("model", shell_complete=local_names)
@click.option(
    "--messages",
    "file",
    type=click.File("r", encoding="utf-8"),
    help="JSON: a list of messages, or a chat request; - is the standard input.",
)
@click.option(
    "--template",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Jinja template to try in place of the model's.",
)
@click.option(
    "--models-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the model files.",
)
@json_option
def render(
    model: str, file: Any, template: Path | None, models_dir: Path | None, as_json: bool
) -> None:
    """Render the prompts of a conversation with the templates of MODEL.

    First those of its configuration, then the Jinja template: the model file's, or the one in its
    place. Completions and edits get the last message. Functions are those of the request, or a
    sample.
    """
    with explained():
        given: dict[str, Any] = {"models": [model]}
        if models_dir is not None:
            given["models_dir"] = models_dir
        if template is not None:
            given["chat_template_file"] = [str(template)]
        (found,) = resolve_models(read_config(given))
        body = with_defaults(read_messages(file), found.profile)
        tools = offer_of(body).tools() or SAMPLE_TOOLS
        rendered = []
        for title, prompt in prompts(found, template_messages(body), tools):
            rendered.append({"template": title, "prompt": prompt})
            if not as_json:
                click.secho(f"--- {title}", fg="cyan", err=True)
                click.echo(prompt)
    if as_json:
        print_json(rendered)


def read_messages(file: Any) -> ChatRequest:
    """The conversation in a file, or the sample. Raises InvalidRequestError."""
    try:
        data = json.load(file) if file else SAMPLE
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{file.name} is no JSON: {error}") from error
    return validate(ChatRequest, data if isinstance(data, dict) else {"messages": data})


def prompts(
    model: ModelFile, messages: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """The kind of each template, and its prompt. Raises TemplateError or ModelLoadError."""
    profile, last = model.profile.prompt, str(messages[-1]["content"])
    prompter = Prompter(profile)
    if prompter.has_chat:
        source = profile.chat or profile.chat_message
        yield f"chat, by {source.name if source else ''}", str(prompter.chat(messages))
    if profile.function_text:
        source = profile.function or profile.chat or profile.chat_message
        title = f"chat with functions, by {source.name if source else ''}"
        yield title, str(prompter.chat(messages, tools))
    if profile.completion is not None:
        yield f"completion, by {profile.completion.name}", str(prompter.completion(last))
    if profile.edit is not None:
        yield f"edit, by {profile.edit.name}", str(prompter.edit("Correct it.", last))
    note = " (not used: the configuration has a template)" if prompter.has_chat else ""
    name = "the model file" if model.jinja is None else model.jinja.name
    text = "" if model.jinja is None else model.jinja.text
    yield f"chat, by {name}{note}", _by_jinja(model.path, text, messages)


def _by_jinja(path: Path, template: str, messages: list[dict[str, Any]]) -> str:
    """The prompt by a Jinja template, "" is the model file's own."""
    try:
        from pyserve.engine.native import LocalEngine  # noqa: PLC0415  # loads the native module
    except ImportError as error:
        raise ModelLoadError(f"the native engine cannot be used: {error}") from error
    config = EngineConfig(
        model_id="", model_path=str(path), chat_template=template, n_ctx=N_CTX, n_seq_max=1
    )
    engine = LocalEngine(config)
    try:
        return engine.render(messages)
    finally:
        engine.close()
