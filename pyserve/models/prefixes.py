"""The directory of computed prefixes, as the engines keep it: what is there, and deleting it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ABOUT = "about.json"
SUFFIX = ".prefix"
TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class PrefixFolder:
    """The prefixes of one model with its settings. used_at: seconds since 1970, 0 = never.

    file: the model's, as far as is known; about: what else the prefixes depend on.
    """

    path: Path
    file: str
    about: dict[str, str]
    n_files: int
    n_bytes: int
    used_at: float


def list_folders(root: Path) -> list[PrefixFolder]:
    """The folders of a directory, those used last first; none if it cannot be read."""
    folders = [_describe(path) for path in _folders(root)]
    return sorted(folders, key=lambda folder: -folder.used_at)


def clear_prefixes(root: Path, model: str = "") -> int:
    """Delete what engines wrote, all or of model files with this in their path; returns the bytes.

    Files of others stay. Engines may run: what is gone is computed again.
    """
    n_bytes = 0
    for folder in list_folders(root):
        if model not in folder.file:
            continue
        for path in _pieces(folder.path, with_temporary=True):
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                n_bytes += size
        with contextlib.suppress(OSError):
            (folder.path / ABOUT).unlink(missing_ok=True)
            folder.path.rmdir()
    return n_bytes


def _folders(root: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (path for path in root.iterdir() if path.is_dir() and not path.is_symlink())


def _pieces(folder: Path, *, with_temporary: bool = False) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            is_temporary = with_temporary and path.name.startswith(TEMPORARY)
            if path.suffix == SUFFIX or is_temporary:
                yield path


def _describe(folder: Path) -> PrefixFolder:
    n_files = n_bytes = 0
    used_at = 0.0
    for path in _pieces(folder):
        with contextlib.suppress(OSError):
            facts = path.stat(follow_symlinks=False)
            n_files += 1
            n_bytes += facts.st_size
            used_at = max(used_at, facts.st_mtime)
    about = _read_about(folder / ABOUT)
    return PrefixFolder(folder, about.get("file", ""), about, n_files, n_bytes, used_at)


def _read_about(path: Path) -> dict[str, str]:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in about.items()} if about else {}
