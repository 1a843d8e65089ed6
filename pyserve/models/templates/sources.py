"""Finds a model's prompt templates: beside its file, by name, or inline in its YAML."""

from __future__ import annotations

from pathlib import Path

from pyserve.models.localai.schema import Template
from pyserve.models.profile import PromptProfile, TemplateSource
from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.go.lexer import MAX_TEMPLATE_CHARS
from pyserve.models.templates.go.parser import parse
from pyserve.models.templates.paths import beside_names, file_inside

KINDS = ("chat", "chat_message", "completion", "edit", "function")
SUFFIX = ".tmpl"


def prompt_profile(
    directory: Path,
    model: str,
    template: Template,
    *,
    roles: dict[str, str] | None = None,
    system_prompt: str = "",
    has_jinja: bool = False,
) -> PromptProfile:
    """The templates of a model file `model` in `directory`.

    Those of the YAML come first, then `<model>.tmpl` for what they leave open.
    has_jinja: a Jinja template makes the prompts of chats.
    Raises TemplateError when one cannot be found or read.
    """
    sources = {kind: _find(directory, kind, getattr(template, kind)) for kind in KINDS}
    beside = _beside(directory, model)
    if beside is not None:
        for kind in ("completion", "edit"):
            sources[kind] = sources[kind] or beside
        if not sources["chat_message"] and not has_jinja:
            sources["chat"] = sources["chat"] or beside
    if template.use_tokenizer_template:
        sources["chat"] = sources["chat_message"] = sources["function"] = None
    join = template.join_chat_messages_by_character
    return PromptProfile(
        **sources,
        join="\n" if join is None else join,
        roles=roles or {},
        system_prompt=system_prompt,
    )


def _beside(directory: Path, model: str) -> TemplateSource | None:
    """`<model>.tmpl`, also without the model's own ending."""
    found = file_inside(directory, *beside_names(model, SUFFIX))
    return None if found is None else _read(*found)


def _find(directory: Path, kind: str, value: str) -> TemplateSource | None:
    if not value.strip():
        return None
    if "\n" not in value and "{{" not in value and len(value) <= 255:  # noqa: PLR2004
        found = file_inside(directory, f"{value}{SUFFIX}", value)
        if found is not None:
            return _read(*found)
        if " " not in value:
            problem = f"there is no file {value}{SUFFIX} in the models directory"
            raise TemplateError(f"template.{kind}", 1, problem)
    return _checked(TemplateSource(f"template.{kind}", value))


def _read(path: Path, name: str) -> TemplateSource:
    try:
        data = path.read_bytes()[: 4 * MAX_TEMPLATE_CHARS + 1]
        return _checked(TemplateSource(name, data.decode()))
    except OSError as error:
        raise TemplateError(name, 1, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TemplateError(name, 1, "is no UTF-8") from error


def _checked(source: TemplateSource) -> TemplateSource:
    parse(source.name, source.text)
    return source
