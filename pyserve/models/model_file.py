"""`ModelFile`: a model file with its settings, profile and limits, before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyserve.gguf.kind import is_gguf_name, split_name
from pyserve.models.gallery import Gallery, GalleryEntry
from pyserve.models.profile import PLAIN, ModelProfile, TemplateSource


@dataclass(frozen=True)
class Limits:
    """Limits on a model's requests, and the groups of models that exclude each other.

    max_concurrent: most requests in work or waiting, 0 = no limit; more are refused with
    `Retry-After` of `retry_after_s`. groups: models with a common group are not loaded together.
    """

    max_concurrent: int = 0
    retry_after_s: int = 1
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ModelFile:
    """A model to serve. ctx_size: tokens, the gallery's advice when the user names no size.

    settings: fields of the engine's configuration that the model's own says. jinja: the template of
    chats in place of the file's.
    """

    id: str
    path: Path
    ctx_size: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    profile: ModelProfile = PLAIN
    is_pinned: bool = False
    limits: Limits = Limits()
    jinja: TemplateSource | None = None


def gguf_files(directory: Path) -> Iterator[Path]:
    """The GGUF files in a directory, `.GGUF` too, and of a split model the first part.

    Some hold no model (`pyserve.gguf.kind`).
    """
    for path in directory.iterdir() if directory.is_dir() else ():
        part = split_name(path.name)
        if is_gguf_name(path.name) and (part is None or part[1] == 1):
            yield path


def entry_file(entry: GalleryEntry, path: Path) -> ModelFile:
    """The file of a gallery entry, with the sampling that its makers recommend."""
    defaults = entry.sampling.model_dump(exclude_none=True)
    profile = ModelProfile(defaults=defaults, description=entry.description)
    return ModelFile(entry.name, path, entry.defaults.ctx_size, profile=profile)


def named_file(path: Path, gallery: Gallery) -> ModelFile:
    """The model id of a gallery's file is its gallery name, of any other file its stem."""
    entry = gallery.find(path.name)
    if entry is not None:
        return entry_file(entry, path)
    return ModelFile(path.stem if is_gguf_name(path.name) else path.name, path)
