"""Further names of models, each in a YAML file of the models directory, as LocalAI has aliases."""

from __future__ import annotations

import json
import re
from pathlib import Path

SUFFIX = ".alias.yaml"


def add_name(directory: Path, name: str, model_id: str) -> None:
    """Have `name` mean a model when the directory is read again. Raises OSError."""
    text = f"name: {json.dumps(name)}\nalias: {json.dumps(model_id)}\n"
    path = _path(directory, name)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def has_name(directory: Path, name: str) -> bool:
    """Whether `add_name` has given it. Raises OSError."""
    try:
        text = _path(directory, name).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return text.startswith(f"name: {json.dumps(name)}\n")


def remove_name(directory: Path, name: str) -> bool:
    """Undo `add_name`; whether there was such a name. Raises OSError."""
    is_ours = has_name(directory, name)
    if is_ours:
        _path(directory, name).unlink()
    return is_ours


def _path(directory: Path, name: str) -> Path:
    return directory / f"{re.sub('[^A-Za-z0-9._-]+', '_', name)}{SUFFIX}"
