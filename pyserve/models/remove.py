"""`pyserve rm`: removes model files from the models directory, and nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

from pyserve.errors import ModelNotFoundError
from pyserve.models.files import local_models
from pyserve.models.gallery import Gallery


def remove_model(name: str, directory: Path, gallery: Gallery) -> list[Path]:
    """Remove the model of that id or file name, with all parts of a split one; returns its files.

    Only files that lie in the directory itself have such names. Raises ModelNotFoundError, OSError.
    """
    for file in local_models(directory, gallery):
        if name in (file.id, file.path.name):
            removed = [file.path, *later_parts(file.path)]
            for path in removed:
                path.unlink()
            for leftover in (directory / ".incoming").glob(f"{file.path.name}.part*"):
                leftover.unlink(missing_ok=True)
            return removed
    known = ", ".join(file.id for file in local_models(directory, gallery)) or "nothing"
    raise ModelNotFoundError(f"no model {name!r} in {directory}; it has: {known}")


def later_parts(path: Path) -> list[Path]:
    """The other files of a split model, whose first one is `path`; of others none."""
    head, separator, n_parts = path.stem.rpartition("-of-")
    if not (separator and n_parts.isdigit() and head[-5:].isdigit()):
        return []
    names = (f"{head[:-5]}{part:05}-of-{n_parts}.gguf" for part in range(2, int(n_parts) + 1))
    return [path.with_name(name) for name in names if path.with_name(name).is_file()]
