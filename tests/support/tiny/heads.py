"""Tiny models with heads that guess what follows: MTP in the model's own file, EAGLE3 in another.

What the model says next depends nearly on its last token alone, for the branches of its layers are
weak. So a head that knows this (`knows`) is nearly always right; one of random weights never is.
One that knows and listens (`listens`) to what it has read is right at times, by what that was.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tests.support.tiny.memories import HEAD_DIM, N_EMBD, N_FF, N_HEAD, Writer

N_LAYER = 3
_N_EXPERT = 2
_WEAK = 0.1


def write_tiny_mtp(
    path: Path,
    *,
    knows: bool = True,
    listens: bool = False,
    n_ctx: int = 1024,
    has_head_tensors: bool = True,
) -> Path:
    """A model of GLM 4.5's architecture with one MTP head, and return its path.

    has_head_tensors: False: its metadata says that there is a head, and there is none.
    """
    writer = Writer(path, "glm4moe", n_ctx)
    out = writer.gguf
    out.add_block_count(N_LAYER + 1)
    out.add_nextn_predict_layers(1)
    out.add_leading_dense_block_count(N_LAYER)
    out.add_expert_count(_N_EXPERT)
    out.add_expert_used_count(1)
    out.add_expert_shared_count(1)
    out.add_expert_feed_forward_length(N_FF)
    out.add_expert_weights_scale(1.0)
    out.add_expert_weights_norm(True)
    _add_attention(out)
    writer.head()
    for layer in range(N_LAYER):
        _add_layer(writer, f"blk.{layer}", norm="post_attention_norm", scale=_WEAK)
    if has_head_tensors:
        _add_mtp(writer, f"blk.{N_LAYER}", knows=knows, listens=listens)
    writer.close()
    return path


def write_tiny_target(path: Path, *, n_ctx: int = 1024) -> Path:
    """A model for `write_tiny_eagle`, and return its path."""
    writer = Writer(path, "llama", n_ctx)
    writer.gguf.add_block_count(N_LAYER)
    _add_attention(writer.gguf)
    writer.head()
    for layer in range(N_LAYER):
        _add_layer(writer, f"blk.{layer}", norm="ffn_norm", scale=_WEAK)
    writer.close()
    return path


def write_tiny_eagle(
    path: Path,
    *,
    knows: bool = True,
    listens: bool = False,
    layers: tuple[int, int, int] = (0, 1, 2),
    n_target: int = N_EMBD,
    table: list[int] | None = None,
) -> Path:
    """A head for `write_tiny_target`'s model, and return its path.

    layers: of the model, whose inputs of `n_target` numbers it reads.
    table: the tokens that it knows; None: all.
    """
    writer = Writer(path, "eagle3", 1024)
    out = writer.gguf
    out.add_block_count(1)
    out.add_array("eagle3.target_layers", list(layers))
    out.add_uint32("eagle3.target_hidden_size", n_target)
    out.add_bool("eagle3.norm_before_residual", True)
    _add_attention(out, n_head_kv=N_HEAD)
    writer.head()
    if table is not None:
        writer.gguf.tensors[0].pop("output.weight")
        writer.matrix("output.weight", len(table), N_EMBD, scale=3.0)
        out.add_tensor("d2t", np.array(table, dtype=np.int64))
    block = "blk.0"
    writer.matrix("fc.weight", N_EMBD, 3 * n_target)
    writer.norm(f"{block}.attn_norm")
    writer.full(f"{block}.attn_norm_2.weight", N_EMBD, 1e-3 if knows else 1.0)
    half = np.eye(N_EMBD, 2 * N_EMBD, dtype=np.float32)
    alone = 1.0 if listens else 8.0
    for name, scale in (("attn_q", alone), ("attn_k", alone), ("attn_v", 1.0)):
        # Each token sees (almost) nothing but itself, so what comes out is its embedding.
        if knows:
            out.add_tensor(f"{block}.{name}.weight", half * np.float32(scale))
        else:
            writer.matrix(f"{block}.{name}.weight", N_EMBD, 2 * N_EMBD)
    out.add_tensor(f"{block}.attn_output.weight", np.eye(N_EMBD, dtype=np.float32))
    _add_feed_forward(writer, block, "ffn_norm", 0.0 if knows else 1.0)
    writer.close()
    return path


def _add_attention(out: gguf.GGUFWriter, *, n_head_kv: int = 2) -> None:
    out.add_head_count(N_HEAD)
    out.add_head_count_kv(n_head_kv)
    out.add_key_length(HEAD_DIM)
    out.add_value_length(HEAD_DIM)
    out.add_rope_dimension_count(HEAD_DIM)
    out.add_rope_freq_base(10000.0)


def _add_layer(writer: Writer, block: str, *, norm: str, scale: float) -> None:
    n_kv = HEAD_DIM * 2
    writer.norm(f"{block}.attn_norm")
    writer.matrix(f"{block}.attn_q.weight", N_EMBD, N_EMBD, 2.0)
    writer.matrix(f"{block}.attn_k.weight", n_kv, N_EMBD, 2.0)
    writer.matrix(f"{block}.attn_v.weight", n_kv, N_EMBD)
    writer.matrix(f"{block}.attn_output.weight", N_EMBD, N_EMBD, scale)
    _add_feed_forward(writer, block, norm, scale)


def _add_feed_forward(writer: Writer, block: str, norm: str, scale: float) -> None:
    writer.norm(f"{block}.{norm}")
    writer.matrix(f"{block}.ffn_gate.weight", N_FF, N_EMBD)
    writer.matrix(f"{block}.ffn_up.weight", N_FF, N_EMBD)
    writer.matrix(f"{block}.ffn_down.weight", N_EMBD, N_FF, scale)


def _add_mtp(writer: Writer, block: str, *, knows: bool, listens: bool) -> None:
    scale = (0.5 if listens else 0.0) if knows else 1.0
    n_kv = HEAD_DIM * 2
    writer.norm(f"{block}.attn_norm")
    writer.matrix(f"{block}.attn_q.weight", N_EMBD, N_EMBD, 2.0)
    writer.matrix(f"{block}.attn_k.weight", n_kv, N_EMBD, 2.0)
    writer.matrix(f"{block}.attn_v.weight", n_kv, N_EMBD)
    writer.matrix(f"{block}.attn_output.weight", N_EMBD, N_EMBD, scale)
    writer.norm(f"{block}.post_attention_norm")
    writer.matrix(f"{block}.ffn_gate_inp.weight", _N_EXPERT, N_EMBD)
    writer.full(f"{block}.exp_probs_b.bias", _N_EXPERT, 0.0)
    for name, n_out, n_in in (("gate", N_FF, N_EMBD), ("up", N_FF, N_EMBD), ("down", N_EMBD, N_FF)):
        part = (scale if name == "down" else 1.0) / n_in**0.5
        writer.random(f"{block}.ffn_{name}_exps.weight", _N_EXPERT, n_out, n_in, scale=part)
        writer.random(f"{block}.ffn_{name}_shexp.weight", n_out, n_in, scale=part)
    writer.norm(f"{block}.nextn.enorm")
    writer.norm(f"{block}.nextn.hnorm")
    if knows:
        # The token's embedding goes through; the state is left aside.
        token = np.eye(N_EMBD, 2 * N_EMBD, dtype=np.float32)
        state = np.eye(N_EMBD, 2 * N_EMBD, N_EMBD, dtype=np.float32)
        seen = token + state * np.float32(0.3 if listens else 0.0)
        writer.gguf.add_tensor(f"{block}.nextn.eh_proj.weight", seen)
    else:
        writer.matrix(f"{block}.nextn.eh_proj.weight", N_EMBD, 2 * N_EMBD)
