"""Writes GGUF version 3: keys and values, then tensors whose bytes are given.

Source: the GGUF specification.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

ALIGNMENT: Final = 32
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


@dataclass(frozen=True)
class TensorData:
    """shape: the fastest dimension first. kind: ggml's number of its type. write: its bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    n_bytes: int
    write: Callable[[BinaryIO], None]


Scalar = bool | int | float | str | bytes
Metadata = Mapping[str, Scalar | Sequence[Scalar]]


def write_gguf(stream: BinaryIO, metadata: Metadata, tensors: Sequence[TensorData]) -> None:
    """Write a GGUF file. Integers become 32 bits, in lists signed; bytes are texts as they are."""
    stream.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        stream.write(_text(key) + _value(value))
    offset = 0
    for tensor in tensors:
        shape = struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        stream.write(_text(tensor.name) + struct.pack("<I", len(tensor.shape)) + shape)
        stream.write(struct.pack("<IQ", tensor.kind, offset))
        offset += tensor.n_bytes + _padding(tensor.n_bytes)
    stream.write(bytes(_padding(stream.tell())))
    for tensor in tensors:
        tensor.write(stream)
        stream.write(bytes(_padding(tensor.n_bytes)))


def _padding(n_bytes: int) -> int:
    return -n_bytes % ALIGNMENT


def _text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def _value(value: Scalar | Sequence[Scalar]) -> bytes:
    if isinstance(value, str | bytes | bool | int | float):
        kind, data = _scalar(value, _U32)
        return struct.pack("<I", kind) + data
    items = [_scalar(item, _I32) for item in value]
    kind = items[0][0] if items else _I32
    head = struct.pack("<IIQ", _ARRAY, kind, len(items))
    return head + b"".join(data for _kind, data in items)


def _scalar(value: Scalar, integer: int) -> tuple[int, bytes]:
    match value:
        case bool():
            return _BOOL, struct.pack("<?", value)
        case int():
            return integer, struct.pack("<I" if integer == _U32 else "<i", value)
        case float():
            return _F32, struct.pack("<f", value)
        case str() | bytes():
            return _STRING, _text(value)
