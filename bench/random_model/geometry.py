"""The geometries of real models: what their speed depends on besides the types of their weights.

Source: the configurations that the models are published with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Experts:
    """n_used: of a token. n_ff: the width of one."""

    n: int
    n_used: int
    n_ff: int


@dataclass(frozen=True)
class Geometry:
    """architecture: as llama.cpp names it. n_window: of sliding attention, 0 = none."""

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

    @property
    def n_gqa(self) -> int:
        """Heads that share one head of the cache."""
        return self.n_head // self.n_head_kv


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
}
