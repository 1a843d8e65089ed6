"""Reads the head of a GGUF file: is it one, and what does its metadata say.

Source: the GGUF specification, versions 2 and 3 (little-endian). Every count and length is checked
against the size of the file before it is used.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Final

from pyserve.errors import ModelLoadError

MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_HEAD: Final = struct.Struct("<4sIQQ")  # magic, version, n_tensors, n_keys
_STRING: Final = 8
_ARRAY: Final = 9
_SCALARS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_OTHER_FORMATS: Final = {
    b"lmgg": "the old GGML format",
    b"fmgg": "the old GGMF format",
    b"tjgg": "the old GGJT format",
    b"algg": "a GGML adapter (LoRA)",
    b"PK\x03\x04": "a PyTorch checkpoint",
    b"<!DO": "a web page, not a model",
    b"<htm": "a web page, not a model",
    b"vers": "a Git LFS pointer, not the file itself",
}
# general.file_type, as llama.cpp numbers them.
_QUANTIZATIONS: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
}  # fmt: skip

Value = int | float | bool | str


def check_gguf(path: Path) -> None:
    """Raise ModelLoadError unless `path` is a regular file that starts like a GGUF we can load."""
    if not path.exists():
        raise ModelLoadError(f"{path} does not exist")
    if not path.is_file():
        raise ModelLoadError(f"{path} is not a regular file")
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD.size)
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror}") from error
    if not head:
        raise ModelLoadError(f"{path} is empty; get the file again")
    if head[:4] != MAGIC:
        raise ModelLoadError(_explain_format(path, head))
    if len(head) < _HEAD.size:
        raise ModelLoadError(f"{path} is cut off after {len(head)} bytes; get the file again")
    version = _HEAD.unpack(head)[1]
    if version & 0xFFFF == 0:
        raise ModelLoadError(f"{path} is a big-endian GGUF; convert it to little-endian")
    if version not in _VERSIONS:
        raise ModelLoadError(f"{path} is GGUF version {version}; versions 2 and 3 are supported")


def read_metadata(path: Path, keys: Collection[str]) -> dict[str, Value]:
    """The values of those `keys` that the file has; arrays are left out.

    Stops as soon as all are found. Raises ModelLoadError when the metadata is damaged.
    """
    check_gguf(path)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _Reader(data).find(keys)
        except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
            raise ModelLoadError(f"the metadata of {path} is damaged; get it again") from error


def quantization(path: Path) -> str | None:
    """How the weights are stored, by the file's own word; None if it does not say."""
    value = read_metadata(path, ["general.file_type"]).get("general.file_type")
    return _QUANTIZATIONS.get(value) if isinstance(value, int) else None


def trained_context(path: Path) -> int | None:
    """The context in tokens that the model was trained for; None if the file does not say."""
    architecture = read_metadata(path, ["general.architecture"]).get("general.architecture")
    key = f"{architecture}.context_length"
    value = read_metadata(path, [key]).get(key)
    return value if isinstance(value, int) and value > 0 else None


def _explain_format(path: Path, head: bytes) -> str:
    name = _OTHER_FORMATS.get(head[:4])
    if name is None:
        return f"{path} is not a GGUF file (it starts with {head[:4]!r})"
    return f"{path} is {name}; pyserve serves GGUF files only: get or convert the model as GGUF"


class _Reader:
    """Walks the key-value section. IndexError or struct.error mean that it leaves the file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._pos = _HEAD.size

    def find(self, keys: Collection[str]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        n_keys = _HEAD.unpack_from(self._data)[3]
        for _ in range(n_keys):
            if len(found) == len(keys):
                break
            key = self._string()
            value = self._value(self._scalar(4))
            if key in keys and value is not None:
                found[key] = value
        return found

    def _value(self, kind: int) -> Value | None:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._skip_array()
            return None
        return self._scalar(kind)

    def _scalar(self, kind: int) -> int:
        layout = _SCALARS[kind]
        value: int = layout.unpack_from(self._data, self._pos)[0]  # or float or bool, by `kind`
        self._pos += layout.size
        return value

    def _string(self) -> str:
        length = self._scalar(10)
        start = self._pos
        self._advance(length)
        return str(self._data[start : self._pos], "utf-8")

    def _skip_array(self) -> None:
        kind, length = self._scalar(4), self._scalar(10)
        if kind == _ARRAY:
            raise KeyError("nested array")
        if kind != _STRING:
            self._advance(length * _SCALARS[kind].size)
            return
        for _ in range(length):
            self._advance(self._scalar(10))

    def _advance(self, n_bytes: int) -> None:
        self._pos += n_bytes
        if self._pos > len(self._data):
            raise IndexError("past the end")
