"""The tensors of a model of a geometry, as llama.cpp names them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.random_model.geometry import Geometry
from bench.random_model.recurrence import Rwkv7
from bench.random_model.roles import Part, Role


@dataclass(frozen=True)
class Spec:
    """shape: the fastest dimension first; that of experts is the third."""

    name: str
    shape: tuple[int, ...]
    role: Role
    layer: int = 0


def tensors_of(geometry: Geometry) -> Iterator[Spec]:
    """All tensors, in the order of the file."""
    g = geometry
    yield Spec("token_embd.weight", (g.n_embd, g.n_vocab), Role.EMBEDDING)
    for name in _NORMS.get(g.architecture, ("output_norm.weight",)):
        yield Spec(name, (g.n_embd,), Role.SMALL if name.endswith("bias") else Role.NORM)
    if not g.is_tied:
        yield Spec("output.weight", (g.n_embd, g.n_vocab), Role.OUTPUT)
    for layer in range(g.n_layers):
        for name, shape, role in _layer(g, layer):
            yield Spec(f"blk.{layer}.{name}", shape, role, layer)


# Outside of layers, where they are not as in others.
_NORMS: Final = {
    "lfm2": ("token_embd_norm.weight",),
    "rwkv7": (
        *("output_norm.weight", "output_norm.bias"),
        *("token_embd_norm.weight", "token_embd_norm.bias"),
    ),
}


def _layer(g: Geometry, layer: int) -> Iterator[Part]:
    if isinstance(g.recurrence, Rwkv7):
        yield from g.recurrence.parts(g.n_embd, g.n_ff, layer)
        return
    if g.recurrence and g.is_recurrent(layer):
        yield from g.recurrence.parts(g.n_embd)
    else:
        yield from _attention(g)
    yield from _experts(g) if g.experts else _feed_forward(g)


def _attention(g: Geometry) -> Iterator[Part]:
    n_q, n_kv = g.n_head * g.head_dim, g.n_head_kv * g.head_dim
    n_gates = n_q if g.architecture == "qwen35" else 0
    yield "attn_norm.weight", (g.n_embd,), Role.NORM
    yield "attn_q.weight", (g.n_embd, n_q + n_gates), Role.MATRIX
    yield "attn_k.weight", (g.n_embd, n_kv), Role.MATRIX
    yield "attn_v.weight", (g.n_embd, n_kv), Role.ATTN_V
    yield "attn_output.weight", (n_q, g.n_embd), Role.ATTN_OUTPUT
    if g.architecture in ("qwen3", "qwen3moe", "qwen35", "lfm2"):
        yield "attn_q_norm.weight", (g.head_dim,), Role.NORM
        yield "attn_k_norm.weight", (g.head_dim,), Role.NORM
    if g.architecture == "olmoe":
        yield "attn_q_norm.weight", (n_q,), Role.NORM
        yield "attn_k_norm.weight", (n_kv,), Role.NORM
    if g.architecture == "gpt-oss":
        for name, n in (("attn_q", n_q), ("attn_k", n_kv), ("attn_v", n_kv)):
            yield f"{name}.bias", (n,), Role.SMALL
        yield "attn_output.bias", (g.n_embd,), Role.SMALL
        yield "attn_sinks.weight", (g.n_head,), Role.SMALL


def _feed_forward(g: Geometry) -> Iterator[Part]:
    name = "post_attention_norm" if g.architecture == "qwen35" else "ffn_norm"
    yield f"{name}.weight", (g.n_embd,), Role.NORM
    yield "ffn_gate.weight", (g.n_embd, g.n_ff), Role.MATRIX
    yield "ffn_up.weight", (g.n_embd, g.n_ff), Role.MATRIX
    yield "ffn_down.weight", (g.n_ff, g.n_embd), Role.FFN_DOWN


def _experts(g: Geometry) -> Iterator[Part]:
    """REQUIRES: it has some."""
    assert g.experts
    has_biases = g.architecture == "gpt-oss"
    yield ("post_attention_norm" if has_biases else "ffn_norm") + ".weight", (g.n_embd,), Role.NORM
    yield "ffn_gate_inp.weight", (g.n_embd, g.experts.n), Role.SMALL
    for name, role in (("gate", Role.MATRIX), ("up", Role.MATRIX), ("down", Role.FFN_DOWN)):
        n_in, n_out = g.n_embd, g.experts.n_ff
        if name == "down":
            n_in, n_out = n_out, n_in
        yield f"ffn_{name}_exps.weight", (n_in, n_out, g.experts.n), role
        if has_biases:
            yield f"ffn_{name}_exps.bias", (n_out, g.experts.n), Role.SMALL
    if g.experts.n_ff_shared:
        yield "ffn_gate_shexp.weight", (g.n_embd, g.experts.n_ff_shared), Role.MATRIX
        yield "ffn_up_shexp.weight", (g.n_embd, g.experts.n_ff_shared), Role.MATRIX
        yield "ffn_down_shexp.weight", (g.experts.n_ff_shared, g.n_embd), Role.FFN_DOWN
    if has_biases:
        yield "ffn_gate_inp.bias", (g.experts.n,), Role.SMALL
