"""Tiny random models of other kinds of memory than plain attention: same bytes every time.

gemma3: two of three layers look back N_SWA tokens. mamba, mamba2, rwkv7: one state per sequence.
jamba: a recurrent layer below an attention layer. qwen3: plain attention with normed heads.
Vocabulary and chat template are those of `llama`. `write_tiny_bert` has no KV cache at all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.support.tiny.llama import CHAT_TEMPLATE, N_VOCAB, add_tokenizer

N_SWA = 16
N_EMBD, N_HEAD, N_HEAD_KV, N_FF = 64, 4, 2, 128
HEAD_DIM = N_EMBD // N_HEAD
_D_CONV, _D_INNER, _D_STATE, _DT_RANK = 4, 2 * N_EMBD, 16, 8
# NOTE: the kernel of RWKV works on 64 values at a time and checks nothing.
LORA_RANK, WKV_HEAD = 16, 64
BERT_CTX = 128


class Writer:
    """Writes one model; `matrix` has rows of outputs, as in the file."""

    def __init__(self, path: Path, arch: str, n_ctx: int) -> None:
        self.gguf = gguf.GGUFWriter(path, arch)
        self._rng = np.random.default_rng(0)
        self.gguf.add_name(
            "tiny"
        )  # llama.cpp takes a vocabulary for Phi 3's by the name of its model
        self.gguf.add_file_type(gguf.LlamaFileType.ALL_F32)
        self.gguf.add_vocab_size(N_VOCAB)
        self.gguf.add_context_length(n_ctx)
        self.gguf.add_embedding_length(N_EMBD)
        self.gguf.add_feed_forward_length(N_FF)
        self.gguf.add_layer_norm_rms_eps(1e-5)
        add_tokenizer(self.gguf)
        self.gguf.add_chat_template(CHAT_TEMPLATE)

    def random(self, name: str, *shape: int, scale: float = 1.0) -> None:
        values = self._rng.standard_normal(shape, dtype=np.float32)
        self.gguf.add_tensor(name, values * np.float32(scale))

    def matrix(self, name: str, n_out: int, n_in: int, scale: float = 1.0) -> None:
        self.random(name, n_out, n_in, scale=scale / n_in**0.5)

    def full(self, name: str, n: int, value: float = 1.0) -> None:
        values: NDArray[np.float32] = np.full(n, value, dtype=np.float32)
        self.gguf.add_tensor(name, values)

    def norm(self, name: str, n: int = N_EMBD, *, bias: bool = False) -> None:
        self.full(f"{name}.weight", n)
        if bias:
            self.full(f"{name}.bias", n, 0.0)

    def head(self, *, bias: bool = False) -> None:
        self.matrix("token_embd.weight", N_VOCAB, N_EMBD, scale=N_EMBD**0.5)
        self.norm("output_norm", bias=bias)
        self.matrix("output.weight", N_VOCAB, N_EMBD, scale=3.0)

    def attention(self, block: str, *, scale: float = 2.0) -> None:
        n_kv = HEAD_DIM * N_HEAD_KV
        self.matrix(f"{block}.attn_q.weight", N_EMBD, N_EMBD, scale=scale)
        self.matrix(f"{block}.attn_k.weight", n_kv, N_EMBD, scale=scale)
        self.matrix(f"{block}.attn_v.weight", n_kv, N_EMBD)
        self.matrix(f"{block}.attn_output.weight", N_EMBD, N_EMBD)

    def feed_forward(self, block: str) -> None:
        self.norm(f"{block}.ffn_norm")
        self.matrix(f"{block}.ffn_gate.weight", N_FF, N_EMBD)
        self.matrix(f"{block}.ffn_up.weight", N_FF, N_EMBD)
        self.matrix(f"{block}.ffn_down.weight", N_EMBD, N_FF)

    def state_space(self, block: str, *, norms: bool = False) -> None:
        self.matrix(f"{block}.ssm_in.weight", 2 * _D_INNER, N_EMBD)
        self.matrix(f"{block}.ssm_conv1d.weight", _D_INNER, _D_CONV)
        self.full(f"{block}.ssm_conv1d.bias", _D_INNER, 0.0)
        self.matrix(f"{block}.ssm_x.weight", _DT_RANK + 2 * _D_STATE, _D_INNER)
        self.matrix(f"{block}.ssm_dt.weight", _D_INNER, _DT_RANK)
        self.full(f"{block}.ssm_dt.bias", _D_INNER, -2.0)
        decay = -np.tile(np.arange(1, _D_STATE + 1, dtype=np.float32), (_D_INNER, 1))
        self.gguf.add_tensor(f"{block}.ssm_a", decay)
        self.full(f"{block}.ssm_d", _D_INNER)
        self.matrix(f"{block}.ssm_out.weight", N_EMBD, _D_INNER)
        if norms:
            self.norm(f"{block}.ssm_dt_norm", _DT_RANK)
            self.norm(f"{block}.ssm_b_norm", _D_STATE)
            self.norm(f"{block}.ssm_c_norm", _D_STATE)

    def state_space_sizes(self) -> None:
        self.gguf.add_ssm_conv_kernel(_D_CONV)
        self.gguf.add_ssm_inner_size(_D_INNER)
        self.gguf.add_ssm_state_size(_D_STATE)
        self.gguf.add_ssm_time_step_rank(_DT_RANK)

    def close(self) -> None:
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()


def _gemma3(writer: Writer) -> None:
    writer.gguf.add_block_count(3)
    writer.gguf.add_head_count(N_HEAD)
    writer.gguf.add_head_count_kv(N_HEAD_KV)
    writer.gguf.add_key_length(HEAD_DIM)
    writer.gguf.add_value_length(HEAD_DIM)
    writer.gguf.add_rope_freq_base(10000.0)
    writer.gguf.add_sliding_window(N_SWA)
    writer.gguf.add_sliding_window_pattern([True, False, True])
    writer.head()
    for layer in range(3):
        block = f"blk.{layer}"
        writer.norm(f"{block}.attn_norm")
        writer.attention(block)
        writer.norm(f"{block}.attn_q_norm", HEAD_DIM)
        writer.norm(f"{block}.attn_k_norm", HEAD_DIM)
        writer.norm(f"{block}.post_attention_norm")
        writer.feed_forward(block)
        writer.norm(f"{block}.post_ffw_norm")


def _mamba(writer: Writer) -> None:
    writer.gguf.add_block_count(2)
    writer.gguf.add_head_count(0)
    writer.state_space_sizes()
    writer.head()
    for layer in range(2):
        writer.norm(f"blk.{layer}.attn_norm")
        writer.state_space(f"blk.{layer}")


def _mamba2(writer: Writer) -> None:
    n_heads, n_groups = 4, 1
    n_conv = _D_INNER + 2 * n_groups * _D_STATE
    writer.gguf.add_block_count(2)
    writer.gguf.add_head_count(0)
    writer.gguf.add_ssm_conv_kernel(_D_CONV)
    writer.gguf.add_ssm_inner_size(_D_INNER)
    writer.gguf.add_ssm_state_size(_D_STATE)
    writer.gguf.add_ssm_time_step_rank(n_heads)
    writer.gguf.add_ssm_group_count(n_groups)
    writer.head()
    for layer in range(2):
        block = f"blk.{layer}"
        writer.norm(f"{block}.attn_norm")
        writer.matrix(f"{block}.ssm_in.weight", _D_INNER + n_conv + n_heads, N_EMBD)
        writer.matrix(f"{block}.ssm_conv1d.weight", n_conv, _D_CONV)
        writer.full(f"{block}.ssm_conv1d.bias", n_conv, 0.0)
        writer.full(f"{block}.ssm_dt.bias", n_heads, -2.0)
        decay = -np.arange(1, n_heads + 1, dtype=np.float32).reshape(n_heads, 1)
        writer.gguf.add_tensor(f"{block}.ssm_a", decay)
        writer.gguf.add_tensor(f"{block}.ssm_d", np.ones((n_heads, 1), dtype=np.float32))
        ones = np.ones((n_groups, _D_INNER // n_groups), dtype=np.float32)
        writer.gguf.add_tensor(f"{block}.ssm_norm.weight", ones)
        writer.matrix(f"{block}.ssm_out.weight", N_EMBD, _D_INNER)


def add_qwen3(writer: Writer) -> None:
    writer.gguf.add_block_count(2)
    writer.gguf.add_head_count(N_HEAD)
    writer.gguf.add_head_count_kv(N_HEAD_KV)
    writer.gguf.add_key_length(HEAD_DIM)
    writer.gguf.add_value_length(HEAD_DIM)
    writer.gguf.add_rope_freq_base(10000.0)
    writer.head()
    for layer in range(2):
        block = f"blk.{layer}"
        writer.norm(f"{block}.attn_norm")
        writer.attention(block)
        writer.norm(f"{block}.attn_q_norm", HEAD_DIM)
        writer.norm(f"{block}.attn_k_norm", HEAD_DIM)
        writer.feed_forward(block)


def add_bert(writer: Writer, pooling: gguf.PoolingType) -> None:
    writer.gguf.add_block_count(2)
    writer.gguf.add_head_count(N_HEAD)
    writer.gguf.add_layer_norm_eps(1e-5)
    writer.gguf.add_causal_attention(False)
    writer.gguf.add_pooling_type(pooling)
    writer.gguf.add_token_type_count(2)
    writer.matrix("token_embd.weight", N_VOCAB, N_EMBD, scale=N_EMBD**0.5)
    writer.matrix("token_types.weight", 2, N_EMBD)
    writer.matrix("position_embd.weight", BERT_CTX, N_EMBD)
    writer.norm("token_embd_norm", bias=True)
    for layer in range(2):
        block = f"blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.matrix(f"{block}.{name}.weight", N_EMBD, N_EMBD)
            writer.full(f"{block}.{name}.bias", N_EMBD, 0.0)
        writer.norm(f"{block}.attn_output_norm", bias=True)
        writer.matrix(f"{block}.ffn_up.weight", N_FF, N_EMBD)
        writer.full(f"{block}.ffn_up.bias", N_FF, 0.0)
        writer.matrix(f"{block}.ffn_down.weight", N_EMBD, N_FF)
        writer.full(f"{block}.ffn_down.bias", N_EMBD, 0.0)
        writer.norm(f"{block}.layer_output_norm", bias=True)


def _jamba(writer: Writer, heads: tuple[int, int] = (0, N_HEAD_KV)) -> None:
    writer.gguf.add_block_count(2)
    writer.gguf.add_head_count(N_HEAD)
    writer.gguf.add_head_count_kv(heads)
    writer.state_space_sizes()
    writer.head()
    for layer in range(2):
        block = f"blk.{layer}"
        writer.norm(f"{block}.attn_norm")
        if not heads[layer]:
            writer.state_space(block, norms=True)
        else:
            writer.attention(block)
        writer.feed_forward(block)


def _rwkv7(writer: Writer) -> None:
    writer.gguf.add_block_count(2)
    writer.gguf.add_head_count(0)
    writer.gguf.add_layer_norm_eps(1e-5)
    writer.gguf.add_wkv_head_size(WKV_HEAD)
    writer.gguf.add_decay_lora_rank(LORA_RANK)
    writer.gguf.add_iclr_lora_rank(LORA_RANK)
    writer.gguf.add_value_residual_mix_lora_rank(LORA_RANK)
    writer.gguf.add_gate_lora_rank(LORA_RANK)
    writer.gguf.add_token_shift_count(2)
    writer.head(bias=True)
    writer.norm("token_embd_norm", bias=True)
    for layer in range(2):
        _rwkv7_block(writer, f"blk.{layer}")


def _rwkv7_block(writer: Writer, block: str) -> None:
    for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
        writer.norm(f"{block}.{name}", bias=True)
    for letter in "wav":
        writer.random(f"{block}.time_mix_{letter}0.weight", N_EMBD, scale=0.5)
    for letter in "wavg":
        writer.matrix(f"{block}.time_mix_{letter}1.weight", LORA_RANK, N_EMBD)
        writer.matrix(f"{block}.time_mix_{letter}2.weight", N_EMBD, LORA_RANK)
    writer.random(f"{block}.time_mix_lerp_fused.weight", 6, 1, 1, N_EMBD, scale=0.3)
    for name in ("k_k", "k_a", "r_k"):
        writer.random(f"{block}.time_mix_{name}.weight", N_EMBD, scale=0.5)
    for name in ("key", "value", "receptance", "output"):
        writer.matrix(f"{block}.time_mix_{name}.weight", N_EMBD, N_EMBD)
    writer.random(f"{block}.channel_mix_lerp_k.weight", 1, 1, N_EMBD, scale=0.3)
    writer.matrix(f"{block}.channel_mix_key.weight", N_FF, N_EMBD)
    writer.matrix(f"{block}.channel_mix_value.weight", N_EMBD, N_FF)


_KINDS: dict[str, Callable[[Writer], None]] = {
    "gemma3": _gemma3,
    "jamba": _jamba,
    "mamba": _mamba,
    "mamba2": _mamba2,
    "qwen3": add_qwen3,
    "rwkv7": _rwkv7,
}
KINDS = tuple(_KINDS)


def write_tiny(path: Path, kind: str, *, n_ctx: int = 1024) -> Path:
    """Write the model of a kind to `path` and return it. n_ctx: trained context in tokens."""
    writer = Writer(path, kind, n_ctx)
    _KINDS[kind](writer)
    writer.close()
    return path


def write_tiny_without_attention(path: Path) -> Path:
    """Write a model of a hybrid architecture that is only recurrent, and return its path."""
    writer = Writer(path, "jamba", 1024)
    _jamba(writer, (0, 0))
    writer.close()
    return path


def write_tiny_bert(path: Path) -> Path:
    """Write a model that only makes embeddings, of at most 128 tokens, and return its path."""
    writer = Writer(path, "bert", BERT_CTX)
    add_bert(writer, gguf.PoolingType.MEAN)
    writer.close()
    return path
