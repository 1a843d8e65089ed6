"""A tiny random model whose query heads share one key, as DeepSeek's, GLM 4.7's and Kimi's do."""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny.memories import N_EMBD, N_FF, Writer

N_HEAD = 72  # more than are computed at once
_N_LAYER, _N_ROT, _N_PLAIN, _N_VALUE, _N_KEPT, _N_QUERY = 2, 16, 16, 16, 32, 24


def write_tiny_latent(path: Path, *, n_ctx: int = 1024) -> Path:
    """Write the model and return its path."""
    writer = Writer(path, "deepseek2", n_ctx)
    writer.gguf.add_block_count(_N_LAYER)
    writer.gguf.add_leading_dense_block_count(_N_LAYER)
    writer.gguf.add_head_count(N_HEAD)
    writer.gguf.add_head_count_kv(1)
    writer.gguf.add_q_lora_rank(_N_QUERY)
    writer.gguf.add_kv_lora_rank(_N_KEPT)
    writer.gguf.add_key_length(_N_KEPT + _N_ROT)
    writer.gguf.add_value_length(_N_KEPT)
    writer.gguf.add_key_length_mla(_N_PLAIN + _N_ROT)
    writer.gguf.add_value_length_mla(_N_VALUE)
    writer.gguf.add_rope_dimension_count(_N_ROT)
    writer.gguf.add_rope_freq_base(10000.0)
    writer.gguf.add_expert_feed_forward_length(N_FF)
    writer.gguf.add_expert_shared_count(1)
    writer.head()
    for layer in range(_N_LAYER):
        block = f"blk.{layer}"
        writer.norm(f"{block}.attn_norm")
        writer.norm(f"{block}.attn_q_a_norm", _N_QUERY)
        writer.norm(f"{block}.attn_kv_a_norm", _N_KEPT)
        writer.matrix(f"{block}.attn_q_a.weight", _N_QUERY, N_EMBD)
        writer.matrix(f"{block}.attn_q_b.weight", N_HEAD * (_N_PLAIN + _N_ROT), _N_QUERY, 2.0)
        writer.matrix(f"{block}.attn_kv_a_mqa.weight", _N_KEPT + _N_ROT, N_EMBD, 2.0)
        writer.random(f"{block}.attn_k_b.weight", N_HEAD, _N_KEPT, _N_PLAIN, scale=0.25)
        writer.random(f"{block}.attn_v_b.weight", N_HEAD, _N_VALUE, _N_KEPT, scale=0.25)
        writer.matrix(f"{block}.attn_output.weight", N_EMBD, N_HEAD * _N_VALUE)
        writer.feed_forward(block)
    writer.close()
    return path
