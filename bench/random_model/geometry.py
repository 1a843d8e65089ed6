"""The geometries of real models: what their speed depends on besides the types of their weights.

Source: the configurations that the models are published with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.random_model.recurrence import DeltaNet, Mamba2, Recurrence, Rwkv7, ShortConvolution


@dataclass(frozen=True)
class Experts:
    """n_used: of a token. n_ff: the width of one. n_ff_shared: of one that all tokens use."""

    n: int
    n_used: int
    n_ff: int
    n_ff_shared: int = 0


@dataclass(frozen=True)
class Geometry:
    """architecture: as llama.cpp names it. n_window: of sliding attention, 0 = none.

    attention_layers: those of a model with recurrent ones that are not. n_rotated: numbers of a
    head that rotate, 0 = all.
    """

    architecture: str
    n_layers: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int
    head_dim: int
    n_vocab: int
    rope_base: float
    is_tied: bool = True
    experts: Experts | None = None
    n_window: int = 0
    recurrence: Recurrence | None = None
    attention_layers: Sequence[int] = ()
    n_rotated: int = 0

    def is_recurrent(self, layer: int) -> bool:
        """Whether the layer keeps a state in place of a cache."""
        return self.recurrence is not None and layer not in self.attention_layers

    @property
    def n_gqa(self) -> int:
        """Heads that share one head of the cache."""
        return self.n_head // self.n_head_kv if self.n_head_kv else 0


GEOMETRIES: Final = {
    "llama3.2-1b": Geometry("llama", 16, 2048, 8192, 32, 8, 64, 128_256, 5e5),
    "llama3.2-3b": Geometry("llama", 28, 3072, 8192, 24, 8, 128, 128_256, 5e5),
    "llama2-7b": Geometry("llama", 32, 4096, 11008, 32, 32, 128, 32_000, 1e4, is_tied=False),
    "qwen3-0.6b": Geometry("qwen3", 28, 1024, 3072, 16, 8, 128, 151_936, 1e6),
    "qwen3-4b": Geometry("qwen3", 36, 2560, 9728, 32, 8, 128, 151_936, 1e6),
    "qwen3-8b": Geometry("qwen3", 36, 4096, 12288, 32, 8, 128, 151_936, 1e6, is_tied=False),
    "qwen3-30b-a3b": Geometry(
        *("qwen3moe", 48, 2048, 6144, 32, 4, 128, 151_936, 1e6),
        is_tied=False,
        experts=Experts(128, 8, 768),
    ),
    "olmoe-1b-7b": Geometry(
        *("olmoe", 16, 2048, 1024, 16, 16, 128, 50_304, 1e4),
        is_tied=False,
        experts=Experts(64, 8, 1024),
    ),
    "gpt-oss-20b": Geometry(
        *("gpt-oss", 24, 2880, 2880, 64, 8, 64, 201_088, 150_000.0),
        is_tied=False,
        experts=Experts(32, 4, 2880),
        n_window=128,
    ),
    "lfm2-1.2b": Geometry(
        *("lfm2", 16, 2048, 8192, 32, 8, 64, 65_536, 1e6),
        recurrence=ShortConvolution(3),
        attention_layers=(2, 5, 8, 10, 12, 14),
    ),
    "granite-4-h-tiny": Geometry(
        *("granitehybrid", 40, 1536, 512, 12, 4, 128, 100_352, 1e4),
        experts=Experts(64, 6, 512, 1024),
        recurrence=Mamba2(4, 3072, 128, 48, 1),
        attention_layers=(5, 15, 25, 35),
    ),
    "granite-4-h-micro": Geometry(
        *("granitehybrid", 40, 2048, 8192, 32, 8, 64, 100_352, 1e4),
        recurrence=Mamba2(4, 4096, 128, 64, 1),
        attention_layers=(5, 15, 25, 35),
    ),
    "qwen3.5-2b": Geometry(
        *("qwen35", 24, 2048, 6144, 8, 2, 256, 248_320, 1e7),
        recurrence=DeltaNet(4, 2048, 128, 16, 16),
        attention_layers=range(3, 24, 4),
        n_rotated=64,
    ),
    "rwkv7-1.5b": Geometry(
        *("rwkv7", 24, 2048, 8192, 0, 0, 0, 65_536, 1e4),
        is_tied=False,
        recurrence=Rwkv7(64, 96, 96, 64, 256),
    ),
}
