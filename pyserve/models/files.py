"""Which model files a server serves, and under which ids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyserve.config import ServeConfig
from pyserve.errors import ModelLoadError, ModelNotFoundError
from pyserve.models.gallery import Gallery, GalleryEntry, load_gallery
from pyserve.models.gguf import check_gguf
from pyserve.models.pull import PullOptions, pull_entry

logger = logging.getLogger(__name__)

# Gets the file of a gallery entry into the directory and returns its path.
Pull = Callable[[GalleryEntry, Path], Path]


@dataclass(frozen=True)
class ModelFile:
    """A model to serve. ctx_size: tokens, the gallery's advice when the user names no size."""

    id: str
    path: Path
    ctx_size: int | None = None


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
    if config.models:
        files = [_resolve(name, directory, known, get) for name in config.models]
    else:
        files = _usable(directory, known) or [_from_gallery(known.default_entry(), directory, get)]
    _refuse_duplicates(files)
    return files


def local_models(directory: Path, gallery: Gallery) -> list[ModelFile]:
    """The GGUF files in the directory, by id, without looking into them."""
    if not directory.is_dir():
        return []
    return sorted((_named(path, gallery) for path in _gguf_files(directory)), key=lambda f: f.id)


def _resolve(name: str, directory: Path, gallery: Gallery, pull: Pull) -> ModelFile:
    if "/" not in name:
        entry = gallery.find(name)
        if entry is not None:
            return _from_gallery(entry, directory, pull)
        for path in (directory / name, directory / f"{name}.gguf"):
            if path.is_file():
                return _checked(_named(path, gallery))
    path = Path(name).expanduser().absolute()
    if path.exists():
        return _checked(_named(path, gallery))
    known = ", ".join(entry.name for entry in gallery.models)
    raise ModelNotFoundError(
        f"no model {name!r}: not in the gallery ({known}), not in {directory}, not a file. "
        "`pyserve models` lists what there is; `pyserve pull URL` gets another one"
    )


def _from_gallery(entry: GalleryEntry, directory: Path, pull: Pull) -> ModelFile:
    path = directory / entry.file
    if not path.exists():
        path = pull(entry, directory)
    size_bytes = path.stat().st_size
    if size_bytes != entry.size_bytes:
        raise ModelLoadError(
            f"{path} is damaged: {size_bytes:,} bytes instead of {entry.size_bytes:,}; "
            f"repair it with: pyserve pull {entry.name}"
        )
    return _checked(ModelFile(entry.name, path, entry.defaults.ctx_size))


def _usable(directory: Path, gallery: Gallery) -> list[ModelFile]:
    """The loadable files of the directory; a bad one is reported and must not stop the others."""
    files, failures = [], []
    for file in local_models(directory, gallery):
        try:
            files.append(_checked(file))
        except ModelLoadError as error:
            failures.append(error)
            logger.warning("not served: %s", error.message)
    if failures and not files:
        raise failures[0]
    return files


def _gguf_files(directory: Path) -> Iterator[Path]:
    """Model files only: no projector files, and of a split model the first part."""
    for path in directory.glob("*.gguf"):
        head, _, n_parts = path.stem.rpartition("-of-")
        is_later_part = n_parts.isdigit() and head[-5:].isdigit() and int(head[-5:]) > 1
        if not is_later_part and not path.name.startswith(("mmproj", ".")):
            yield path


def _named(path: Path, gallery: Gallery) -> ModelFile:
    """The model id of a gallery's file is its gallery name, of any other file its stem."""
    entry = gallery.find(path.name)
    if entry is not None:
        return ModelFile(entry.name, path, entry.defaults.ctx_size)
    return ModelFile(path.stem if path.suffix == ".gguf" else path.name, path)


def _checked(file: ModelFile) -> ModelFile:
    check_gguf(file.path)
    return file


def _refuse_duplicates(files: list[ModelFile]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        if file.id in seen:
            raise ModelLoadError(
                f"two models have the id {file.id!r}: {seen[file.id]} and {file.path}; "
                "name one of them, or rename a file"
            )
        seen[file.id] = file.path


def _pull(entry: GalleryEntry, directory: Path) -> Path:
    return pull_entry(entry, PullOptions(directory))
