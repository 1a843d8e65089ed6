"""Resolves the models that the settings name to model files and ids."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError, ModelLoadError, ModelNotFoundError
from pyserve.gguf.kind import file_kind
from pyserve.models.adapters import parsed_adapter, with_lora
from pyserve.models.catalog import Catalog, read_catalog, with_template_beside
from pyserve.models.download.hub import parse_reference
from pyserve.models.download.pull import PullOptions, pull_entry
from pyserve.models.gallery import Gallery, GalleryEntry, load_gallery
from pyserve.models.localai.profiles import with_aliases
from pyserve.models.model_file import ModelFile, entry_file, gguf_files, named_file
from pyserve.models.templates.jinja import with_chosen_templates
from pyserve.schemas.fields.reasoning import ReasoningFields
from pyserve.spelling import did_you_mean

logger = logging.getLogger(__name__)

# Gets the file of a gallery entry into the directory and returns its path.
Pull = Callable[[GalleryEntry, Path], Path]


def resolve_models(
    config: ServeConfig, *, gallery: Gallery | None = None, pull: Pull | None = None
) -> list[ModelFile]:
    """The models that `config` names, in its order; see ServeConfig.models.

    A gallery model that is not there yet is pulled (progress on stderr, may take minutes). Every
    path is absolute and starts like a GGUF. Raises ModelNotFoundError or ModelLoadError.
    """
    known = gallery or load_gallery()
    directory = config.models_dir.expanduser().absolute()
    get = pull or _pull
    catalog = read_catalog(directory, known, config_file(config))
    _log_notes(catalog)
    if config.models:
        files = [_resolve(name, directory, known, get, catalog) for name in config.models]
    else:
        files = _usable(catalog) or [_from_gallery(known.default_entry(), directory, get)]
    if config.lora:
        if len(files) != 1:
            raise ModelLoadError(f"--lora needs one model, {len(files)} are served")
        files = [with_lora(files[0], map(parsed_adapter, config.lora), directory)]
    _refuse_duplicates(files)
    files = with_chosen_templates(files, config.chat_template, config.chat_template_file)
    if config.chat_template_kwargs:
        variables = default_variables(config.chat_template_kwargs)
        files = [_with_variables(file, variables) for file in files]
    if config.verbosity_hints:
        files = [_with_hints(file) for file in files]
    return _with_file_names(files)


def _with_hints(file: ModelFile) -> ModelFile:
    return replace(file, profile=msgspec.structs.replace(file.profile, has_verbosity_hints=True))


def default_variables(text: str) -> dict[str, Any]:
    """The variables of `--chat-template-kwargs`. Raises InvalidRequestError."""
    try:
        given = ReasoningFields.model_validate({"chat_template_kwargs": json.loads(text)})
    except (ValidationError, ValueError, RecursionError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InvalidRequestError(f"--chat-template-kwargs: {problem}") from error
    return given.chat_template_kwargs or {}


def _with_variables(file: ModelFile, variables: dict[str, Any]) -> ModelFile:
    """The model with defaults of its template's variables; its own come first."""
    defaults = file.profile.defaults
    merged = {**variables, **defaults.get("chat_template_kwargs", {})}
    defaults = {**defaults, "chat_template_kwargs": merged}
    return replace(file, profile=msgspec.structs.replace(file.profile, defaults=defaults))


def config_file(config: ServeConfig) -> Path | None:
    """The file of `models_config_file`. Raises ModelLoadError if it is not there."""
    path = config.models_config_file
    if path is None:
        return None
    path = path.expanduser().absolute()
    if not path.is_file():
        raise ModelLoadError(f"--models-config-file: there is no file {path}")
    return path


def local_files(directory: Path, gallery: Gallery) -> list[ModelFile]:
    """The GGUF files in the directory, by id, also those that hold no model."""
    files = (named_file(path, gallery) for path in gguf_files(directory))
    return sorted(files, key=lambda file: file.id)


def local_models(directory: Path, gallery: Gallery) -> list[ModelFile]:
    """The model files in the directory, by id; a damaged one is there too."""
    files = local_files(directory, gallery)
    return [file for file in files if file_kind(file.path) == "model"]


def find_local(name: str, directory: Path, gallery: Gallery) -> Path:
    """The file of a model: by its id or file name in the directory, else a path to a file.

    Raises ModelNotFoundError.
    """
    files = local_files(directory, gallery)
    for file in files:
        if name in (file.id, file.path.name):
            return file.path
    path = Path(name).expanduser().absolute()
    if path.is_file():
        return path
    hint = did_you_mean(name, [file.id for file in files])
    if not hint and gallery.find(name) is not None:
        hint = f"get it with `pyserve pull {name}`"
    text = f"no model {name!r}: not in {directory}, not a file"
    raise ModelNotFoundError(f"{text}; {hint}" if hint else text)


def _resolve(
    name: str, directory: Path, gallery: Gallery, pull: Pull, catalog: Catalog
) -> ModelFile:
    for model in catalog.models:
        if model.id in catalog.described and name in (model.id, *model.profile.aliases):
            return model
    if "/" not in name:
        entry = gallery.find(name)
        if entry is not None:
            return _from_gallery(entry, directory, pull)
        for file in local_files(directory, gallery):
            if name in (file.path.name, file.path.stem):
                return with_template_beside(file)
        if (directory / name).is_file():
            return with_template_beside(named_file(directory / name, gallery))
    path = Path(name).expanduser().absolute()
    if path.exists():
        return with_template_beside(named_file(path, gallery))
    known = [model.id for model in catalog.models] + [entry.name for entry in gallery.models]
    hint = did_you_mean(name, known)
    what = "URL" if parse_reference(name) is None else name
    raise ModelNotFoundError(
        f"no model {name!r}: {hint or f'not in the gallery, not in {directory}, not a file.'} "
        f"`pyserve models` lists what there is; `pyserve pull {what}` gets another one"
    )


def _from_gallery(entry: GalleryEntry, directory: Path, pull: Pull) -> ModelFile:
    path = directory / entry.file
    if not path.exists():
        path = pull(entry, directory)
    size_bytes = path.stat().st_size
    if not entry.is_whole(size_bytes):
        raise ModelLoadError(
            f"{path} is damaged: {size_bytes:,} bytes instead of {entry.size_bytes:,}; "
            f"repair it with: pyserve pull {entry.name}"
        )
    return with_template_beside(entry_file(entry, path))


def _with_file_names(files: Sequence[ModelFile]) -> list[ModelFile]:
    """Models by their ids and file names, with and without suffix, as far as these are unused."""
    taken = {file.id for file in files} | {name for file in files for name in file.profile.aliases}
    named = []
    for file in files:
        names = [name for name in (file.path.name, file.path.stem) if name not in taken]
        taken.update(names)
        named.append(replace(file, profile=with_aliases(file.profile, names)))
    return named


def _usable(catalog: Catalog) -> list[ModelFile]:
    """The models of the directory; a bad one is reported and must not stop the others."""
    failures = [note for note in catalog.notes if note.level == "error"]
    if failures and not catalog.models:
        raise ModelLoadError(str(failures[0]))
    return catalog.models


def _log_notes(catalog: Catalog) -> None:
    for note in catalog.notes:
        if note.level != "note":
            logger.warning("%s", note)


def _refuse_duplicates(files: list[ModelFile]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        adapted = [(adapter.model_id, Path(adapter.path)) for adapter in file.profile.adapters]
        for model_id, path in [(file.id, file.path), *adapted]:
            if model_id in seen:
                raise ModelLoadError(
                    f"two models have the id {model_id!r}: {seen[model_id]} and {path}; "
                    "name one of them, or rename a file"
                )
            seen[model_id] = path


def no_pull(entry: GalleryEntry, directory: Path) -> Path:
    """A `pull` for callers that cannot wait for a download. Raises ModelNotFoundError."""
    raise ModelNotFoundError(
        f"{entry.file} is not in {directory}; get it with: pyserve pull {entry.name}"
    )


def _pull(entry: GalleryEntry, directory: Path) -> Path:
    return pull_entry(entry, PullOptions(directory))
