"""`ModelFile`: a model file with its settings, profile and limits, before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyserve.models.gallery import Gallery
from pyserve.models.profile import PLAIN, ModelProfile


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

    settings: fields of the engine's configuration that the model's own says.
    """

    id: str
    path: Path
    ctx_size: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    profile: ModelProfile = PLAIN
    is_pinned: bool = False
    limits: Limits = Limits()


def model_files(directory: Path) -> Iterator[Path]:
    """Model files only: no projector files, and of a split model the first part."""
    for path in directory.glob("*.gguf"):
        head, _, n_parts = path.stem.rpartition("-of-")
        is_later_part = n_parts.isdigit() and head[-5:].isdigit() and int(head[-5:]) > 1
        if not is_later_part and not path.name.startswith(("mmproj", ".")):
            yield path


def named_file(path: Path, gallery: Gallery) -> ModelFile:
    """The model id of a gallery's file is its gallery name, of any other file its stem."""
    entry = gallery.find(path.name)
    if entry is not None:
        return ModelFile(entry.name, path, entry.defaults.ctx_size)
    return ModelFile(path.stem if path.suffix == ".gguf" else path.name, path)
