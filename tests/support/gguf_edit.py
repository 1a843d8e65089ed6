"""Takes a GGUF file apart and puts it together again with other values, valid or not."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

UINT32, INT32, FLOAT32, STRING, ARRAY, UINT64 = 4, 5, 6, 8, 9, 10
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
ALIGNMENT = 32


@dataclass
class TensorHead:
    """Where a tensor is and what shape it has. kind: ggml's number of its type."""

    name: str
    shape: list[int]
    kind: int
    offset: int


@dataclass
class GgufEdit:
    """The parts of a file. keys: name -> type and value, as bytes; they may be changed.

    n_keys, n_tensors: what the head says instead of the truth.
    """

    keys: dict[str, bytes] = field(default_factory=dict)
    tensors: list[TensorHead] = field(default_factory=list)
    data: bytes = b""
    magic: bytes = b"GGUF"
    version: int = 3
    n_keys: int | None = None
    n_tensors: int | None = None
    more_keys: bytes = b""

    def to_bytes(self) -> bytes:
        n_keys = len(self.keys) if self.n_keys is None else self.n_keys
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        head = self.magic + struct.pack("<IQQ", self.version, n_tensors, n_keys)
        keys = b"".join(text(name) + value for name, value in self.keys.items())
        tensors = b"".join(_tensor(tensor) for tensor in self.tensors)
        whole = head + keys + self.more_keys + tensors
        return whole + bytes(-len(whole) % ALIGNMENT) + self.data

    def tensor(self, name: str) -> TensorHead:
        return next(tensor for tensor in self.tensors if tensor.name == name)


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def u32(value: int) -> bytes:
    return struct.pack("<II", UINT32, value)


def f32(value: float) -> bytes:
    return struct.pack("<If", FLOAT32, value)


def string(value: str | bytes) -> bytes:
    return struct.pack("<I", STRING) + text(value)


def strings(values: list[str]) -> bytes:
    return struct.pack("<IIQ", ARRAY, STRING, len(values)) + b"".join(map(text, values))


def u32s(values: list[int]) -> bytes:
    return struct.pack(f"<IIQ{len(values)}I", ARRAY, UINT32, len(values), *values)


def i32s(values: list[int]) -> bytes:
    return struct.pack(f"<IIQ{len(values)}i", ARRAY, INT32, len(values), *values)


def taken_apart(content: bytes) -> GgufEdit:
    """The parts of a whole and valid file."""
    version, n_tensors, n_keys = struct.unpack_from("<IQQ", content, 4)
    edit = GgufEdit(version=version)
    at = 24
    for _ in range(n_keys):
        name, at = _read_text(content, at)
        end = _end_of_value(content, at)
        edit.keys[name] = content[at:end]
        at = end
    for _ in range(n_tensors):
        name, at = _read_text(content, at)
        (n_dims,) = struct.unpack_from("<I", content, at)
        *shape, kind, offset = struct.unpack_from(f"<{n_dims}QIQ", content, at + 4)
        at += 4 + 8 * n_dims + 12
        edit.tensors.append(TensorHead(name, shape, kind, offset))
    edit.data = content[at + -at % ALIGNMENT :]
    return edit


def _tensor(tensor: TensorHead) -> bytes:
    dims = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
    return text(tensor.name) + dims + struct.pack("<IQ", tensor.kind, tensor.offset)


def _read_text(content: bytes, at: int) -> tuple[str, int]:
    (n_bytes,) = struct.unpack_from("<Q", content, at)
    return content[at + 8 : at + 8 + n_bytes].decode(), at + 8 + n_bytes


def _end_of_value(content: bytes, at: int) -> int:
    (kind,) = struct.unpack_from("<I", content, at)
    at += 4
    if kind == STRING:
        return _read_text(content, at)[1]
    if kind != ARRAY:
        return at + SIZES[kind]
    item, n_items = struct.unpack_from("<IQ", content, at)
    at += 12
    for _ in range(n_items if item == STRING else 0):
        at = _read_text(content, at)[1]
    return at if item == STRING else at + n_items * SIZES[item]
