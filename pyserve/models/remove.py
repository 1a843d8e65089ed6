"""`pyserve rm`: removes model files from the models directory, and nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

from pyserve.errors import ModelNotFoundError
from pyserve.gguf.kind import split_name
from pyserve.models.download.incoming import WORK
from pyserve.models.files import local_files
from pyserve.models.gallery import Gallery


def remove_model(name: str, directory: Path, gallery: Gallery) -> list[Path]:
    """Remove the model of that id or file name, with all parts of a split one; returns its files.

    Only files that lie in the directory itself have such names. Raises ModelNotFoundError, OSError.
    """
    for file in local_files(directory, gallery):
        if name in (file.id, file.path.name):
            removed = [file.path, *later_parts(file.path)]
            for path in removed:
                path.unlink()
            work = directory / WORK
            work = directory / WORK
            kept = work / f"{file.path.name}.sha256"
            for leftover in (kept, *work.glob(f"{file.path.name}.part*")):
                leftover.unlink(missing_ok=True)
            return removed
    known = ", ".join(file.id for file in local_files(directory, gallery)) or "nothing"
    raise ModelNotFoundError(f"no model {name!r} in {directory}; it has: {known}")


def later_parts(path: Path) -> list[Path]:
    """The other files of a split model, whose first one is `path`; of others none."""
    part = split_name(path.name)
    if part is None:
        return []
    stem, _, n_parts = part
    names = (f"{stem}-{i:05}-of-{n_parts:05}{path.suffix}" for i in range(2, n_parts + 1))
    return [path.with_name(name) for name in names if path.with_name(name).is_file()]
