"""Names of files in a models directory, which must not lead out of it."""

from __future__ import annotations

from pathlib import Path


def beside_names(model: str, suffix: str) -> tuple[str, str]:
    """The names that a template beside the model file `model` may have."""
    stem = model[: -len(".gguf")] if model.lower().endswith(".gguf") else model
    return f"{model}{suffix}", f"{stem}{suffix}"


def inside(directory: Path, name: str, *, may_link_out: bool = False) -> Path | None:
    """The path of `name` in the directory; None if it leads out of it, or can be no path.

    may_link_out: a link in the directory may lead anywhere.
    """
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        return None
    path = directory / name
    try:
        path.lstat()
        is_inside = may_link_out or path.resolve().is_relative_to(directory.resolve())
    except FileNotFoundError:
        return path
    except (OSError, RuntimeError, ValueError):
        return None
    return path if is_inside else None


def file_inside(
    directory: Path, *names: str, may_link_out: bool = False
) -> tuple[Path, str] | None:
    """The first of the names that is a file in the directory, and its path; as of `inside`."""
    for name in names:
        path = inside(directory, name, may_link_out=may_link_out)
        if path is not None and path.is_file():
            return path, name
    return None
