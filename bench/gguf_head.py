"""What a GGUF file says before its weights, whole: vocabularies, too."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyserve.gguf.check import MAX_STRINGS
from pyserve.gguf.reader import GgufReader, LongArray, Value


@dataclass(frozen=True)
class Head:
    """metadata: with all elements of its arrays. tensors: their names."""

    metadata: Mapping[str, Any]
    tensors: frozenset[str]


def read_head(path: Path) -> Head:
    """REQUIRES: a whole file that is not damaged."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader = _WholeArrays(data)
        metadata = reader.metadata()
        return Head(metadata, frozenset(tensor.name for tensor in reader.tensors()))


class _WholeArrays(GgufReader):
    """Reads the elements of long arrays as those of short ones."""

    def _array(self, n_max: int, *, may_stop: bool) -> list[Value] | LongArray:
        return super()._array(max(n_max, MAX_STRINGS), may_stop=may_stop)
