"""Tiny random models of families whose memory is that of others: same bytes every time.

phi3: queries, keys and values in one matrix, as gates and what they gate. mistral3: LLaMA's layers
under a name of their own. rwkv6: one state per sequence. As in `memories`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.tiny.memories import (
    HEAD_DIM,
    LORA_RANK,
    N_EMBD,
    N_FF,
    N_HEAD,
    N_HEAD_KV,
    WKV_HEAD,
    Writer,
)

N_LAYER = 2


def _attention_sizes(writer: Writer) -> None:
    writer.gguf.add_head_count(N_HEAD)
    writer.gguf.add_head_count_kv(N_HEAD_KV)
    writer.gguf.add_rope_dimension_count(HEAD_DIM)
    writer.gguf.add_rope_freq_base(10000.0)
    writer.head()


def _phi3(writer: Writer) -> None:
    _attention_sizes(writer)
    for layer in range(N_LAYER):
        block = f"blk.{layer}"
        writer.norm(f"{block}.attn_norm")
        n_qkv = N_EMBD + 2 * HEAD_DIM * N_HEAD_KV
        writer.matrix(f"{block}.attn_qkv.weight", n_qkv, N_EMBD, scale=2.0)
        writer.matrix(f"{block}.attn_output.weight", N_EMBD, N_EMBD)
        writer.norm(f"{block}.ffn_norm")
        writer.matrix(f"{block}.ffn_up.weight", 2 * N_FF, N_EMBD)
        writer.matrix(f"{block}.ffn_down.weight", N_EMBD, N_FF)


def _mistral3(writer: Writer) -> None:
    _attention_sizes(writer)
    for layer in range(N_LAYER):
        block = f"blk.{layer}"
        writer.norm(f"{block}.attn_norm")
        writer.attention(block)
        writer.feed_forward(block)


def _rwkv6(writer: Writer) -> None:
    writer.gguf.add_head_count(0)
    writer.gguf.add_layer_norm_eps(1e-5)
    writer.gguf.add_wkv_head_size(WKV_HEAD)
    writer.gguf.add_time_mix_extra_dim(LORA_RANK)
    writer.gguf.add_time_decay_extra_dim(LORA_RANK)
    writer.gguf.add_token_shift_count(2)
    writer.head(bias=True)
    writer.norm("token_embd_norm", bias=True)
    for layer in range(N_LAYER):
        _rwkv6_block(writer, f"blk.{layer}")


def _rwkv6_block(writer: Writer, block: str) -> None:
    for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
        writer.norm(f"{block}.{name}", bias=True)
    writer.matrix(f"{block}.time_mix_w1.weight", 5 * LORA_RANK, N_EMBD)
    writer.random(f"{block}.time_mix_w2.weight", 5, N_EMBD, LORA_RANK, scale=0.1)
    writer.random(f"{block}.time_mix_lerp_x.weight", 1, 1, N_EMBD, scale=0.3)
    writer.random(f"{block}.time_mix_lerp_fused.weight", 5, 1, 1, N_EMBD, scale=0.3)
    writer.random(f"{block}.time_mix_first.weight", N_EMBD // WKV_HEAD, WKV_HEAD, scale=0.5)
    writer.random(f"{block}.time_mix_decay.weight", N_EMBD, scale=0.5)
    writer.matrix(f"{block}.time_mix_decay_w1.weight", LORA_RANK, N_EMBD)
    writer.matrix(f"{block}.time_mix_decay_w2.weight", N_EMBD, LORA_RANK)
    for name in ("key", "value", "receptance", "gate", "output"):
        writer.matrix(f"{block}.time_mix_{name}.weight", N_EMBD, N_EMBD)
    for letter in "kr":
        writer.random(f"{block}.channel_mix_lerp_{letter}.weight", 1, 1, N_EMBD, scale=0.3)
    writer.matrix(f"{block}.channel_mix_key.weight", N_FF, N_EMBD)
    writer.matrix(f"{block}.channel_mix_value.weight", N_EMBD, N_FF)
    writer.matrix(f"{block}.channel_mix_receptance.weight", N_EMBD, N_EMBD)


_FAMILIES: dict[str, Callable[[Writer], None]] = {
    "mistral3": _mistral3,
    "phi3": _phi3,
    "rwkv6": _rwkv6,
}
FAMILIES = tuple(_FAMILIES)


def write_family(path: Path, name: str, *, n_ctx: int = 1024) -> Path:
    """Write the model of a family to `path` and return it. n_ctx: trained context in tokens."""
    writer = Writer(path, name, n_ctx)
    writer.gguf.add_block_count(N_LAYER)
    _FAMILIES[name](writer)
    writer.close()
    return path
