"""Jinja templates that take the place of a model file's own, and where they are found.

They are text here; the engine compiles and runs them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from pyserve.errors import ModelLoadError
from pyserve.gguf.head import check_gguf
from pyserve.gguf.reader import reading
from pyserve.models.localai.schema import Template
from pyserve.models.model_file import ModelFile
from pyserve.models.profile import TemplateSource
from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.paths import beside_names, file_inside

SUFFIX = ".jinja"
KEY = "tokenizer.chat_template"
# An engine is started with the template as a part of one argument, which has at most 128 KiB.
MAX_JSON_BYTES = 96 * 1024
BUILT_IN = {
    "chatml": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n'"
    " + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
}


def jinja_source(directory: Path, model: str, template: Template) -> TemplateSource | None:
    """The template of a model file `model` in `directory`: of its YAML, else `<model>.jinja`.

    None where there is none, and where the YAML has one in Go's syntax. Raises TemplateError.
    """
    has_go = bool(template.chat.strip() or template.chat_message.strip())
    given = [key for key in ("jinja", "jinja_file") if getattr(template, key).strip()]
    is_replaced = has_go and not template.use_tokenizer_template
    if len(given) > 1 or (given and is_replaced):
        other = given[1] if len(given) > 1 else "chat"
        raise TemplateError(f"template.{given[0]}", 1, f"there is template.{other} too")
    if template.jinja.strip():
        return _checked(TemplateSource("template.jinja", template.jinja))
    if template.jinja_file.strip():
        name = template.jinja_file.strip()
        found = file_inside(directory, name, f"{name}{SUFFIX}")
        if found is None:
            problem = f"there is no file {name} in the models directory"
            raise TemplateError("template.jinja_file", 1, problem)
        return read_jinja(found[0], f"template.jinja_file: {found[1]}")
    beside = None if is_replaced else file_inside(directory, *beside_names(model, SUFFIX))
    return None if beside is None else read_jinja(*beside)


def read_jinja(path: Path, name: str) -> TemplateSource:
    """The template in a file. name: for messages. Raises TemplateError."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_JSON_BYTES + 1).decode()
    except OSError as error:
        raise TemplateError(name, 1, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TemplateError(name, 1, "is no UTF-8") from error
    return _checked(TemplateSource(name, text))


def _checked(source: TemplateSource) -> TemplateSource:
    n_bytes = len(json.dumps(source.text))
    if n_bytes > MAX_JSON_BYTES:
        problem = f"has {n_bytes:,} bytes as JSON or more, at most {MAX_JSON_BYTES:,}"
        raise TemplateError(source.name, 1, problem)
    if not source.text.strip():
        raise TemplateError(source.name, 1, "is empty")
    return source


def with_chosen_templates(
    models: Iterable[ModelFile], template: str | None, files: Sequence[str]
) -> list[ModelFile]:
    """The models with the templates of the command line, unless their YAML has one.

    template: the text, or a name (`named_template`), for all models. files: `FILE[=MODEL]`; one
    that names the model goes before one that names none, and both before `template`.
    Raises ModelLoadError or TemplateError.
    """
    models = list(models)
    by_model = {model: file for file, model in map(_file_and_model, files)}
    unknown = by_model.keys() - {"", *(model.id for model in models)}
    if unknown:
        raise ModelLoadError(f"--chat-template-file: there is no model {min(unknown)!r}")
    chosen = []
    for model in models:
        file = by_model.get(model.id, by_model.get(""))
        if _is_settled(model) or not (file or template):
            chosen.append(model)
        elif file:
            source = read_jinja(Path(file).expanduser(), f"--chat-template-file: {file}")
            chosen.append(_with_template(model, source))
        else:
            chosen.append(_with_template(model, named_template(template or "", model.path)))
    return chosen


def _file_and_model(text: str) -> tuple[str, str]:
    file, sign, model = text.rpartition("=")
    return (file, model) if sign else (text, "")


def _is_settled(model: ModelFile) -> bool:
    """Whether the model's YAML says which template its chats have."""
    if model.jinja is not None and model.jinja.name.startswith("template."):
        return True
    prompt = model.profile.prompt
    beside = beside_names(model.path.name, ".tmpl")
    return prompt.has_chat and (prompt.chat is None or prompt.chat.name not in beside)


def _with_template(model: ModelFile, source: TemplateSource) -> ModelFile:
    prompt = msgspec.structs.replace(model.profile.prompt, chat=None)
    profile = msgspec.structs.replace(model.profile, prompt=prompt)
    return replace(model, jinja=source, profile=profile)


def named_template(text: str, path: Path) -> TemplateSource:
    """A template given as text, or by the name of a variant in the model file or a built-in one.

    Raises TemplateError.
    """
    if "{" in text:
        return _checked(TemplateSource("--chat-template", text))
    variants = file_templates(path)
    found = variants.get(text) or BUILT_IN.get(text)
    if found is None:
        known = ", ".join(sorted({*variants, *BUILT_IN}))
        problem = f"{text[:80]!r} is no template and none of {known}"
        raise TemplateError("--chat-template", 1, problem)
    return _checked(TemplateSource(f"--chat-template {text}", found))


def file_templates(path: Path) -> dict[str, str]:
    """The templates in a model file by their names; the one without a name is `default`.

    Raises ModelLoadError when the file is damaged.
    """
    check_gguf(path)
    with reading(path) as reader:
        metadata = reader.metadata()
    named = {
        key.removeprefix(KEY).removeprefix(".") or "default": value
        for key, value in metadata.items()
        if key == KEY or key.startswith(f"{KEY}.")
    }
    return {name: text for name, text in named.items() if isinstance(text, str)}
