"""The models of a comparison, by the names that people give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gallery import gallery_file
from bench.random_model.files import ROWS, cached, is_random_name, parse_name

RANDOM = "random"


@dataclass(frozen=True)
class Model:
    """is_random: its weights are, so that its speed alone says something."""

    path: Path
    is_random: bool = False


def resolve(names: Sequence[str]) -> list[Model]:
    """GGUF files, random models (GEOMETRY:QUANTIZATION; `random`: all rows) and gallery names.

    Raises ValueError for a random model that does not exist and LookupError for a gallery name.
    """
    every = [each for name in names for each in (ROWS if name == RANDOM else [name])]
    return [_model(name) for name in every]


def _model(name: str) -> Model:
    if Path(name).is_file():
        return Model(Path(name).resolve())
    if is_random_name(name):
        return Model(cached(parse_name(name)).resolve(), is_random=True)
    return Model(gallery_file("" if name == "default" else name))
