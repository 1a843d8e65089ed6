"""Writes tiny random LoRA adapters for the tiny models, and models with an adapter merged in."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

TARGETS = ("blk.0.attn_q.weight", "blk.0.ffn_down.weight", "blk.1.attn_v.weight", "output.weight")


@dataclass
class TinyLora:
    """An adapter. pairs: A (rank x in) and B (out x rank) by the name of their matrix."""

    alpha: float = 8.0
    pairs: dict[str, tuple[Matrix, Matrix]] = field(default_factory=dict)

    def delta(self, name: str, scale: float) -> Matrix:
        """What it adds to a matrix."""
        a, b = self.pairs[name]
        return np.float32(scale * self.alpha / len(a)) * (b @ a)


def make_lora(
    base: Path, *, seed: int = 1, rank: int = 4, targets: Sequence[str] = TARGETS
) -> TinyLora:
    """A random adapter of the `targets` of a model file, strong enough to change its answers."""
    rng = np.random.default_rng(seed)
    lora = TinyLora()
    shapes = {tensor.name: tensor.data.shape for tensor in gguf.GGUFReader(base).tensors}
    for name in targets:
        n_out, n_in = shapes[name]
        a = rng.standard_normal((rank, n_in), dtype=np.float32) / np.float32(n_in**0.5)
        b = rng.standard_normal((n_out, rank), dtype=np.float32)
        lora.pairs[name] = (a, b)
    return lora


def write_lora(
    path: Path,
    lora: TinyLora,
    *,
    architecture: str = "llama",
    general_type: str = "adapter",
    adapter_type: str = "lora",
    invocation: Sequence[int] = (),
) -> Path:
    """Write the adapter to `path` and return it. invocation: tokens that make it an aLoRA."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(general_type)
    writer.add_string("adapter.type", adapter_type)
    writer.add_float32("adapter.lora.alpha", lora.alpha)
    if invocation:
        writer.add_key_value(
            "adapter.alora.invocation_tokens",
            list(invocation),
            gguf.GGUFValueType.ARRAY,
            gguf.GGUFValueType.UINT32,
        )
    for name, (a, b) in lora.pairs.items():
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_merged(path: Path, base: Path, lora: TinyLora, scale: float = 1.0) -> Path:
    """Write the F32 model `base` with the adapter added to its weights, and return the path."""
    shutil.copyfile(base, path)
    reader = gguf.GGUFReader(path, "r+")
    for tensor in reader.tensors:
        if tensor.name in lora.pairs:
            tensor.data[:] += lora.delta(tensor.name, scale)
    reader.data.flush()
    return path
