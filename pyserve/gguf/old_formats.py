"""Reads the LLaMA formats before GGUF: GGML, GGMF version 1, GGJT versions 1 to 3.

Every count is checked against the size of the file before it is used.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyserve.errors import ModelLoadError
from pyserve.gguf.tensor_types import n_tensor_bytes, type_name

MAGICS: Final = {b"lmgg": "GGML", b"fmgg": "GGMF", b"tjgg": "GGJT"}
FLOATS: Final = (0, 1)  # F32, F16: the same in all versions
# Quantized blocks are laid out in GGJT version 3 as they are today.
LASTING: Final = (*FLOATS, 2, 3, 6, 7, 8)
LASTING_VERSION: Final = 3
ALIGNMENT: Final = 32
_HPARAMS = struct.Struct("<7I")
_TENSOR = struct.Struct("<3I")
_MAX_DIMS = 2


@dataclass(frozen=True)
class OldTensor:
    """shape: the fastest dimension first. begin, end: its bytes in the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    begin: int
    end: int


@dataclass
class GgmlFile:
    """The contents of a file's head. tokens: text and score by id; GGML has no scores."""

    format: str
    version: int
    n_vocab: int
    n_embd: int
    n_head: int
    n_layer: int
    n_rot: int
    tokens: list[tuple[bytes, float]] = field(default_factory=list)
    tensors: list[OldTensor] = field(default_factory=list)


def describe_old(head: bytes) -> str | None:
    """The name of the old format that a file has by its first 8 bytes; None if it has none."""
    name = MAGICS.get(head[:4])
    if name is None:
        return None
    return name if name == "GGML" else f"{name} version {int.from_bytes(head[4:8], 'little')}"


def read_ggml(path: Path) -> GgmlFile:
    """The head of the file and where its tensors are. Raises ModelLoadError."""
    try:
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _Reader(data).read()
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror}") from error
    except (struct.error, IndexError, ValueError) as error:
        raise ModelLoadError(f"{path} is no old LLaMA file, or a damaged one: {error}") from error


class _Reader:
    """IndexError, ValueError or struct.error mean that the file is not what it seems."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._pos = 0

    def read(self) -> GgmlFile:
        name = MAGICS.get(self._take(4))
        if name is None:
            raise ValueError("its first bytes are of no known format")
        version = 0 if name == "GGML" else self._u32()
        if version > LASTING_VERSION:
            raise ValueError(f"{name} has no version {version}")
        n_vocab, n_embd, _n_mult, n_head, n_layer, n_rot, _ftype = self._unpack(_HPARAMS)
        file = GgmlFile(name, version, n_vocab, n_embd, n_head, n_layer, n_rot)
        for _ in range(n_vocab):
            text = self._take(self._u32())
            score = 0.0 if name == "GGML" else struct.unpack("<f", self._take(4))[0]
            file.tokens.append((text, score))
        file.tensors = list(self._tensors(is_aligned=name == "GGJT"))
        return file

    def _tensors(self, *, is_aligned: bool) -> Iterator[OldTensor]:
        while self._pos < len(self._data):
            n_dims, n_name, kind = self._unpack(_TENSOR)
            if not 1 <= n_dims <= _MAX_DIMS:
                raise ValueError(f"a tensor has {n_dims} dimensions")
            shape = tuple(self._u32() for _ in range(n_dims))
            name = self._take(n_name).decode("ascii")
            if is_aligned:
                self._pos += -self._pos % ALIGNMENT
            n_values = shape[0] * (shape[1] if n_dims > 1 else 1)
            n_bytes = n_tensor_bytes(kind, n_values)
            if n_bytes == 0:
                raise ValueError(f"{name} is of {type_name(kind)}")
            begin = self._pos
            self._skip(n_bytes)
            yield OldTensor(name, shape, kind, begin, self._pos)

    def _u32(self) -> int:
        return int.from_bytes(self._take(4), "little")

    def _unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self._take(layout.size))

    def _take(self, n_bytes: int) -> bytes:
        begin = self._pos
        self._skip(n_bytes)
        return self._data[begin : self._pos]

    def _skip(self, n_bytes: int) -> None:
        self._pos += n_bytes
        if self._pos > len(self._data):
            raise IndexError("it ends too early")
