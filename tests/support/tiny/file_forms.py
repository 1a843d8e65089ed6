"""A model file in other forms: in parts, with weights of several types, or without any."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import gguf
import numpy as np

from tests.support.gguf_edit import ALIGNMENT, GgufEdit, TensorHead, string, taken_apart, u32

UINT16, INT32 = 2, 5
F32, Q4_K_M = 0, 15
MIX = {"attn": gguf.GGMLQuantizationType.Q4_0, "ffn": gguf.GGMLQuantizationType.Q8_0,
       "token_embd": gguf.GGMLQuantizationType.Q5_1}  # fmt: skip


def split_in_two(path: Path) -> list[Path]:
    """Two parts beside the file, named as llama.cpp names them; the file itself is removed."""
    whole = taken_apart(path.read_bytes())
    tensors = sorted(whole.tensors, key=lambda tensor: tensor.offset)
    cut = tensors[len(tensors) // 2].offset
    first = GgufEdit(keys=dict(whole.keys), data=whole.data[:cut])
    second = GgufEdit(data=whole.data[cut:])
    for tensor in tensors:
        target, start = (first, 0) if tensor.offset < cut else (second, cut)
        head = TensorHead(tensor.name, tensor.shape, tensor.kind, tensor.offset - start)
        target.tensors.append(head)
    paths = []
    for i, part in enumerate((first, second)):
        part.keys |= {
            "split.no": struct.pack("<IH", UINT16, i),
            "split.count": struct.pack("<IH", UINT16, 2),
            "split.tensors.count": struct.pack("<Ii", INT32, len(tensors)),
        }
        paths.append(path.with_name(f"{path.stem}-{i + 1:05}-of-00002.gguf"))
        paths[-1].write_bytes(part.to_bytes())
    path.unlink()
    return paths


def with_mixed_types(path: Path, target: Path) -> Path:
    """The weights in a type per kind of tensor, in a file that says Q4_K_M, as dynamic mixes do."""
    edit = taken_apart(path.read_bytes())
    data = b""
    for tensor in sorted(edit.tensors, key=lambda each: each.offset):
        n_bytes = 4 * math.prod(tensor.shape)
        content = edit.data[tensor.offset : tensor.offset + n_bytes]
        kind = next((kind for word, kind in MIX.items() if word in tensor.name), None)
        if kind is not None and len(tensor.shape) > 1:
            rows = np.frombuffer(content, np.float32).reshape(-1, tensor.shape[0])
            content, tensor.kind = gguf.quants.quantize(rows, kind).tobytes(), int(kind)
        tensor.offset = len(data)
        data += content + bytes(-len(content) % ALIGNMENT)
    edit.data = data
    edit.keys["general.file_type"] = u32(Q4_K_M)
    target.write_bytes(edit.to_bytes())
    return target


def as_vocabulary(path: Path, target: Path) -> Path:
    """The keys of the file without its tensors, as llama.cpp's vocabularies for tests are."""
    target.write_bytes(GgufEdit(keys=taken_apart(path.read_bytes()).keys).to_bytes())
    return target


def of_type(target: Path, kind: str, architecture: str = "") -> Path:
    """A file without tensors that says what it holds."""
    keys = {"general.type": string(kind)}
    if architecture:
        keys = {"general.architecture": string(architecture), **keys}
    target.write_bytes(GgufEdit(keys=keys).to_bytes())
    return target
