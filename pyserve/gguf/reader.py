"""Reads a GGUF head in order: keys and values, then the tensors' descriptions.

Source: the GGUF specification, versions 2 and 3 (little-endian). Every count and length is checked
against the size of the file before it is used.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyserve.errors import ModelLoadError
from pyserve.gguf.check import MAX_KEYS, MAX_STRINGS, MAX_TENSORS

HEAD: Final = struct.Struct("<4sIQQ")  # magic, version, n_tensors, n_keys
MAX_SHOWN = 1024  # of longer arrays only the length is given
MAX_DIMS = 4
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

Value = int | float | bool | str


@dataclass(frozen=True)
class LongArray:
    """An array whose elements were not read."""

    n: int


@dataclass(frozen=True)
class Tensor:
    """The head's description of a tensor. kind: ggml's number of its type."""

    name: str
    shape: tuple[int, ...]
    kind: int


AnyValue = Value | list[Value] | LongArray


@contextlib.contextmanager
def reading(path: Path) -> Iterator[GgufReader]:
    """A reader of a file that starts like a GGUF.

    Raises ModelLoadError when what is read in the block is damaged.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            yield GgufReader(data)
        except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
            raise ModelLoadError(f"the metadata of {path} is damaged; get it again") from error


class GgufReader:
    """Reads on from where it is. IndexError, KeyError or struct.error mean a damaged file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._pos = HEAD.size
        self.n_tensors: int = HEAD.unpack_from(data)[2]
        self.n_keys: int = HEAD.unpack_from(data)[3]
        if self.n_keys > MAX_KEYS or self.n_tensors > MAX_TENSORS:
            raise IndexError("too many keys or tensors")

    def find(self, keys: Collection[str]) -> dict[str, Value]:
        """The values of those `keys` that the file has, without arrays; stops when it has all."""
        found: dict[str, Value] = {}
        for _ in range(self.n_keys):
            if len(found) == len(keys):
                break
            key = self._string()
            value = self._value(self._scalar(4), n_max=0)
            if key in keys and not isinstance(value, list | LongArray):
                found[key] = value
        return found

    def metadata(self, *, until: str | None = None) -> dict[str, AnyValue]:
        """All keys and values, or those up to the key `until`."""
        found: dict[str, AnyValue] = {}
        for _ in range(self.n_keys):
            key = self._string()
            is_last = key == until
            found[key] = self._value(self._scalar(4), n_max=MAX_SHOWN, may_stop=is_last)
            if is_last:
                break
        return found

    def tensors(self) -> list[Tensor]:
        """REQUIRES: all metadata has been read, and nothing else."""
        return [self._tensor() for _ in range(self.n_tensors)]

    def _tensor(self) -> Tensor:
        name = self._string()
        n_dims = self._scalar(4)
        if n_dims > MAX_DIMS:
            raise KeyError("dimensions")
        shape = tuple(self._scalar(10) for _ in range(n_dims))
        kind = self._scalar(4)
        self._advance(8)  # the offset of its data
        return Tensor(name, shape, kind)

    def _value(self, kind: int, *, n_max: int, may_stop: bool = False) -> AnyValue:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(n_max, may_stop=may_stop)
        return self._scalar(kind)

    def _array(self, n_max: int, *, may_stop: bool) -> list[Value] | LongArray:
        kind, length = self._scalar(4), self._scalar(10)
        if kind == _ARRAY:
            raise KeyError("nested array")
        if length <= n_max:
            if kind == _STRING:
                return [self._string() for _ in range(length)]
            return [self._scalar(kind) for _ in range(length)]
        if kind != _STRING:
            self._advance(length * _SCALARS[kind].size)
        elif length > MAX_STRINGS:
            raise IndexError("too many strings")
        elif not may_stop:
            for _ in range(length):
                self._advance(self._scalar(10))
        return LongArray(length)

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

    def _advance(self, n_bytes: int) -> None:
        self._pos += n_bytes
        if self._pos > len(self._data):
            raise IndexError("past the end")
