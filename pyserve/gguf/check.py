"""Validates a GGUF head before llama.cpp reads it: every count, length, offset and product.

Source: the GGUF specification, versions 2 and 3. Reads the head alone, in bounded time; what a
newer format may have (unknown tensor types) is left to the loader. Independent of it on purpose:
files come from strangers, and a loader that trusts a length reads or writes where it must not.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Final

from pyserve.errors import ModelLoadError
from pyserve.gguf.check_vocabulary import (
    Damage,
    Scalar,
    check_vocabulary,
    check_vocabulary_array,
    require,
)
from pyserve.gguf.tensor_types import block_values, n_tensor_bytes

HEAD: Final = struct.Struct("<4sIQQ")
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 16
MAX_STRINGS = 1 << 24  # of one array
MAX_NAME_BYTES = 1024
MAX_DIMS = 4
MAX_VALUES = 1 << 62
MAX_LAYERS = 1 << 14
MAX_ALIGNMENT = 1 << 16
SMALLEST_KEY, SMALLEST_TENSOR = 8 + 4 + 1, 8 + 4 + 8 + 4 + 8
STRING, ARRAY = 8, 9
FORMATS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
SIZES: Final = {kind: struct.calcsize(layout) for kind, layout in FORMATS.items()}
U32: Final = struct.Struct("<I")
U64: Final = struct.Struct("<Q")
POSITIVE: Final = (".block_count", ".embedding_length", ".context_length")


def check_model_file(path: Path) -> None:
    """Raises ModelLoadError, naming the field, for a file that llama.cpp must not be given."""
    try:
        with path.open("rb") as stream:
            if stream.seek(0, 2) < HEAD.size:
                raise Damage("it is cut off in its head")
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                FileCheck(data).run()
    except Damage as damage:
        raise ModelLoadError(f"{path} is damaged: {damage}; get the file again") from None
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{path} cannot be read: {error}") from error


class FileCheck:
    """Walks the head of a file once. Raises Damage."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._n = len(data)
        self._pos = HEAD.size
        self._where = "the head"
        self._values: dict[str, Scalar] = {}
        self._lengths: dict[str, int] = {}

    def run(self) -> None:
        magic, version, n_tensors, n_keys = HEAD.unpack_from(self._data)
        require(magic == b"GGUF" and version in (2, 3), "it is no GGUF of version 2 or 3")
        self._check_count("n_kv", n_keys, MAX_KEYS, SMALLEST_KEY)
        self._check_count("n_tensors", n_tensors, MAX_TENSORS, SMALLEST_TENSOR)
        for index in range(n_keys):
            self._key(index)
        self._check_values()
        ranges = [self._tensor(index) for index in range(n_tensors)]
        self._check_ranges([found for found in ranges if found is not None])

    def _check_count(self, name: str, n: int, most: int, n_bytes_each: int) -> None:
        fits = n <= most and n * n_bytes_each <= self._n
        require(fits, f"{name} is {n}, more than {most} or than fit into {self._n} bytes")

    def _key(self, index: int) -> None:
        self._where = f"key {index}"
        key = self._string(MAX_NAME_BYTES)
        self._where = f"the key {key!r}"
        require(key != "", f"key {index} has no name")
        is_new = key not in self._values and key not in self._lengths
        require(is_new, f"the key {key!r} is there twice")
        kind = self._u32()
        if kind == ARRAY:
            begin = self._pos
            self._lengths[key] = self._array()
            check_vocabulary_array(key, self._data, begin)
        else:
            self._values[key] = self._scalar(kind)

    def _array(self) -> int:
        kind, n = self._u32(), self._u64()
        if kind == STRING:
            n_max = min(self._n // U64.size, MAX_STRINGS)
            require(n <= n_max, f"{self._where} has {n} strings, more than {n_max}")
            self._skip_strings(n)
            return n
        require(kind in SIZES, f"{self._where} is an array of type {kind}")
        self._advance(n * SIZES[kind])
        return n

    def _skip_strings(self, n: int) -> None:
        """Skips an array of strings. The hot loop: vocabularies have hundreds of thousands."""
        data, pos, end = self._data, self._pos, self._n
        unpack = U64.unpack_from
        for _ in range(n):
            if pos + 8 > end:
                pos = end + 1
                break
            pos += 8 + unpack(data, pos)[0]
        self._pos = pos
        self._advance(0)

    def _scalar(self, kind: int) -> Scalar:
        if kind == STRING:
            return self._string(self._n)
        require(kind in SIZES, f"{self._where} has the unknown type {kind}")
        begin = self._pos
        self._advance(SIZES[kind])
        value: int | float = struct.unpack_from(FORMATS[kind], self._data, begin)[0]
        require(math.isfinite(value), f"{self._where} is {value}")
        return value

    def _check_values(self) -> None:
        self._alignment = self._values.get("general.alignment", 32)
        alignment = self._alignment
        is_power = isinstance(alignment, int) and alignment > 0 and not alignment & (alignment - 1)
        is_sane = is_power and isinstance(alignment, int) and alignment <= MAX_ALIGNMENT
        require(is_sane, f"general.alignment is {alignment}")
        for key, value in self._values.items():
            if key.endswith(POSITIVE):
                is_count = isinstance(value, int) and 0 < value < 1 << 31
                require(is_count, f"{key} is {value}")
            if key.endswith(".block_count"):
                require(isinstance(value, int) and value <= MAX_LAYERS, f"{key} is {value}")
        check_vocabulary(self._values, self._lengths)

    def _tensor(self, index: int) -> tuple[int, int, str] | None:
        """The range of its data in the file; None for a type that is not known here."""
        self._where = f"tensor {index}"
        name = self._string(MAX_NAME_BYTES)
        self._where = f"the tensor {name!r}"
        n_dims = self._u32()
        require(n_dims <= MAX_DIMS, f"{self._where} has {n_dims} dimensions")
        shape = [self._u64() for _ in range(n_dims)]
        n_values = math.prod(shape)
        require(0 < n_values < MAX_VALUES, f"{self._where} has the shape {shape}")
        kind, offset = self._u32(), self._u64()
        assert isinstance(self._alignment, int)
        require(offset % self._alignment == 0, f"{self._where} begins at {offset}")
        n_block = block_values(kind)
        if n_block is None:
            return None
        row = shape[0] if shape else 1
        require(row % n_block == 0, f"{self._where} has rows of {row}, its type {n_block}")
        return offset, offset + n_tensor_bytes(kind, n_values), name

    def _check_ranges(self, ranges: list[tuple[int, int, str]]) -> None:
        assert isinstance(self._alignment, int)
        n_data = self._n - -(-self._pos // self._alignment) * self._alignment
        names = {name for _, _, name in ranges}
        require(len(names) == len(ranges), "two tensors have the same name")
        end_before = 0
        for begin, end, name in sorted(ranges):
            require(end <= n_data, f"the tensor {name!r} ends at {end} of {max(n_data, 0)} bytes")
            require(begin >= end_before, f"the tensor {name!r} lies within another one")
            end_before = end

    def _u32(self) -> int:
        self._advance(U32.size)
        value: int = U32.unpack_from(self._data, self._pos - U32.size)[0]
        return value

    def _u64(self) -> int:
        self._advance(U64.size)
        value: int = U64.unpack_from(self._data, self._pos - U64.size)[0]
        return value

    def _string(self, n_max: int) -> str:
        n = self._u64()
        require(n <= n_max, f"{self._where} has a string of {n} bytes")
        self._advance(n)
        return str(self._data[self._pos - n : self._pos], "utf-8", "replace")

    def _advance(self, n_bytes: int) -> None:
        self._pos += n_bytes
        require(self._pos <= self._n, f"{self._where} goes past the end of the file")
