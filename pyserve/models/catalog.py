"""Catalog of a models directory: models of its YAML files, and the other GGUF files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from pyserve.errors import ModelLoadError
from pyserve.gguf.head import is_old_model
from pyserve.gguf.kind import WORDS, check_is_model, file_kind
from pyserve.models.adapters import with_lora, yaml_adapters
from pyserve.models.gallery import Gallery
from pyserve.models.localai.diagnostics import Level, Note
from pyserve.models.localai.profiles import bad_patterns, engine_settings, profile_of, with_aliases
from pyserve.models.localai.reader import TEXT_BACKENDS, LocalEntry, read_models
from pyserve.models.localai.schema import LocalModel
from pyserve.models.localai.yaml_file import MAX_BYTES
from pyserve.models.model_file import Limits, ModelFile, gguf_files, named_file
from pyserve.models.templates.go.errors import TemplateError
from pyserve.models.templates.jinja import jinja_source
from pyserve.models.templates.paths import file_inside, inside
from pyserve.models.templates.sources import prompt_profile

MAX_FILES = 1000


@dataclass
class Catalog:
    """models: those that can be served, YAML files' first. notes: on everything else.

    described: ids of those of YAML files. hidden: GGUF files that YAML files name.
    """

    models: list[ModelFile] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    described: set[str] = field(default_factory=set)
    hidden: set[Path] = field(default_factory=set)


def read_catalog(directory: Path, gallery: Gallery, config_file: Path | None = None) -> Catalog:
    """Everything in `directory`; `config_file` is one more YAML file, and comes first.

    Files that are damaged are notes, not errors. REQUIRES: an absolute directory.
    """
    catalog = Catalog()
    aliases: list[LocalEntry] = []
    for path in _yaml_files(directory, config_file):
        entries, notes = _read(path)
        catalog.notes += notes
        for entry in entries:
            if entry.values.alias:
                aliases.append(entry)
            else:
                _add(catalog, directory, entry)
    _add_loose_files(catalog, directory, gallery)
    for entry in aliases:
        _add_alias(catalog, entry)
    return catalog


def _yaml_files(directory: Path, config_file: Path | None) -> Iterator[Path]:
    if config_file is not None:
        yield config_file
    paths = sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")])
    yield from (
        path
        for path in paths[:MAX_FILES]
        if not path.name.startswith(".") and path.is_file() and path != config_file
    )


def _read(path: Path) -> tuple[list[LocalEntry], list[Note]]:
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        return [], [Note("error", path.name, 0, "", f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return [], [Note("error", path.name, 0, "", "is no UTF-8")]
    return read_models(path.name, text)


def _add(catalog: Catalog, directory: Path, entry: LocalEntry) -> None:
    """Add the model of a YAML entry, or note why it is not served."""

    def note(level: Level, text: str) -> None:
        catalog.notes.append(Note(level, entry.file, entry.line, entry.name, text))

    values = entry.values
    path = _model_path(directory, entry)
    if path is not None:
        catalog.hidden.add(path)
    if values.backend.strip().lower() not in TEXT_BACKENDS:
        note("note", f"not served: the backend {values.backend!r} is for other kinds of models")
        return
    if values.disabled:
        note("note", "not served: it is disabled")
        return
    if any(model.id == entry.name for model in catalog.models):
        note("error", "another model has this name; the first one is served")
        return
    try:
        served = _checked(directory, entry, path)
    except (ModelLoadError, TemplateError) as error:
        note("error", error.message)
        return
    for pattern, problem in bad_patterns(served.profile):
        note("error", f"the regular expression {pattern[:80]!r} cannot be used: {problem}")
        return
    catalog.models.append(served)
    catalog.described.add(served.id)


def _model_path(directory: Path, entry: LocalEntry) -> Path | None:
    """The path of the model file; None if it lies outside of the directory.

    People link to model files that lie elsewhere; what is no model is refused anyway.
    """
    model = entry.values.parameters.model or entry.name
    if "://" in model:
        model = model.split("?")[0].rsplit("/", 1)[-1]
    found = file_inside(directory, model, f"{model}.gguf", may_link_out=True)
    return inside(directory, model) if found is None else found[0]


def _checked(directory: Path, entry: LocalEntry, path: Path | None) -> ModelFile:
    """The model file. Raises ModelLoadError or TemplateError."""
    values = entry.values
    model = values.parameters.model or entry.name
    if path is None:
        raise ModelLoadError(f"parameters.model: {model!r} is not in the models directory")
    source = _source(values, path.name)
    if not path.is_file() and source:
        raise ModelLoadError(f"parameters.model: get it first, with: pyserve pull {source}")
    check_is_model(path)
    adapters = yaml_adapters(directory, values)
    name = str(path.relative_to(directory))
    jinja = jinja_source(directory, name, values.template)
    prompt = prompt_profile(
        directory,
        name,
        values.template,
        roles=values.roles,
        system_prompt=values.system_prompt,
        has_jinja=jinja is not None,
    )
    file = ModelFile(
        entry.name,
        path,
        settings=engine_settings(values, entry.options) | _draft_model(directory, values),
        profile=profile_of(values, prompt),
        is_pinned=values.pinned,
        limits=_limits(values),
        jinja=jinja,
    )
    return with_lora(file, adapters, directory)


def _limits(values: LocalModel) -> Limits:
    return Limits(
        max_concurrent=values.limits.max_concurrent,
        retry_after_s=values.limits.retry_after_seconds or 1,
        groups=frozenset(values.concurrency_groups),
    )


def _draft_model(directory: Path, values: LocalModel) -> dict[str, str]:
    """The setting that names the draft model's file. Raises ModelLoadError."""
    name = values.draft_model
    if not name:
        return {}
    found = file_inside(directory, name, f"{name}.gguf", may_link_out=True)
    if found is None:
        raise ModelLoadError(f"draft_model: {name!r} is not in the models directory")
    check_is_model(found[0])
    return {"draft_model_path": str(found[0])}


def _source(values: LocalModel, name: str) -> str:
    """The source of a model's file, as an argument of `pyserve pull`; "" = unknown."""
    model = values.parameters.model or ""
    if "://" in model:
        return model
    for file in values.download_files:
        if file.filename.rsplit("/", 1)[-1] == name:
            return f"{file.uri} --sha256 {file.sha256}" if file.sha256 else file.uri
    return ""


def _add_loose_files(catalog: Catalog, directory: Path, gallery: Gallery) -> None:
    """Add model files that no YAML file names; note how old formats can be converted."""
    old = (path for path in directory.glob("*.bin") if is_old_model(path))
    for file in sorted(
        (named_file(path, gallery) for path in (*gguf_files(directory), *old)), key=lambda f: f.id
    ):
        if file.path in catalog.hidden or any(model.id == file.id for model in catalog.models):
            continue
        kind = file_kind(file.path)
        if kind != "model":
            text = f"not served by itself: it is {WORDS[kind]}"
            catalog.notes.append(Note("note", file.path.name, 0, file.id, text))
            continue
        try:
            catalog.models.append(with_template_beside(file))
        except (ModelLoadError, TemplateError) as error:
            text = f"not served: {error.message}"
            catalog.notes.append(Note("error", file.path.name, 0, file.id, text))


def with_template_beside(file: ModelFile) -> ModelFile:
    """The model with the templates beside its file. Raises ModelLoadError or TemplateError."""
    check_is_model(file.path)
    values, directory, name = LocalModel(), file.path.parent, file.path.name
    jinja = jinja_source(directory, name, values.template)
    prompt = prompt_profile(directory, name, values.template, has_jinja=jinja is not None)
    profile = msgspec.structs.replace(file.profile, prompt=prompt)
    return replace(file, profile=profile, jinja=jinja)


def _add_alias(catalog: Catalog, entry: LocalEntry) -> None:
    """Give a served model the alias of this entry."""
    target = str(entry.values.alias)
    if any(model.id == entry.name for model in catalog.models):
        text = "another model has this name; the alias is left out"
        catalog.notes.append(Note("error", entry.file, entry.line, entry.name, text))
        return
    for i, model in enumerate(catalog.models):
        if model.id == target:
            profile = with_aliases(model.profile, [entry.name])
            catalog.models[i] = replace(model, profile=profile)
            return
    text = f"alias: there is no model {target!r}"
    catalog.notes.append(Note("error", entry.file, entry.line, entry.name, text))
