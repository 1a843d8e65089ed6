"""Layers that keep a state in place of a cache: their sizes, tensors and keys. Pure.

Short convolutions (LFM2), Mamba-2 (Granite 4 H), gated delta nets (Qwen3.5) and RWKV 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.random_model.roles import Part, Role


@dataclass(frozen=True)
class ShortConvolution:
    """n_conv: tokens that an output sees."""

    n_conv: int

    def parts(self, n_embd: int) -> Iterator[Part]:
        """The tensors of a layer."""
        yield "attn_norm.weight", (n_embd,), Role.NORM
        yield "shortconv.conv.weight", (self.n_conv, n_embd), Role.SMALL
        yield "shortconv.in_proj.weight", (n_embd, 3 * n_embd), Role.MATRIX
        yield "shortconv.out_proj.weight", (n_embd, n_embd), Role.MATRIX

    def keys(self) -> dict[str, int]:
        """What llama.cpp reads of it."""
        return {"shortconv.l_cache": self.n_conv}


@dataclass(frozen=True)
class StateSpace:
    """n_inner: numbers of all heads. n_state: what each of them keeps. n_group: of B and C."""

    n_conv: int
    n_inner: int
    n_state: int
    n_head: int
    n_group: int

    def keys(self) -> dict[str, int]:
        """What llama.cpp reads of it."""
        return {
            "ssm.conv_kernel": self.n_conv,
            "ssm.inner_size": self.n_inner,
            "ssm.state_size": self.n_state,
            "ssm.time_step_rank": self.n_head,
            "ssm.group_count": self.n_group,
        }

    @property
    def n_convolved(self) -> int:
        """Numbers of a token that the convolution sees."""
        return self.n_inner + 2 * self.n_group * self.n_state


class Mamba2(StateSpace):
    def parts(self, n_embd: int) -> Iterator[Part]:
        """The tensors of a layer."""
        yield "attn_norm.weight", (n_embd,), Role.NORM
        n_in = self.n_inner + self.n_convolved + self.n_head
        yield "ssm_in.weight", (n_embd, n_in), Role.MATRIX
        yield "ssm_conv1d.weight", (self.n_conv, self.n_convolved), Role.SMALL
        yield "ssm_conv1d.bias", (self.n_convolved,), Role.SMALL
        yield "ssm_dt.bias", (self.n_head,), Role.SMALL
        yield "ssm_a", (1, self.n_head), Role.DECAY
        yield "ssm_d", (1, self.n_head), Role.SMALL
        yield "ssm_norm.weight", (self.n_inner // self.n_group, self.n_group), Role.NORM
        yield "ssm_out.weight", (self.n_inner, n_embd), Role.MATRIX


class DeltaNet(StateSpace):
    """n_head: of values. n_group: heads of keys."""

    def parts(self, n_embd: int) -> Iterator[Part]:
        """The tensors of a layer."""
        yield "attn_norm.weight", (n_embd,), Role.NORM
        yield "attn_qkv.weight", (n_embd, self.n_convolved), Role.MATRIX
        yield "attn_gate.weight", (n_embd, self.n_inner), Role.MATRIX
        yield "ssm_conv1d.weight", (self.n_conv, self.n_convolved), Role.SMALL
        yield "ssm_dt.bias", (self.n_head,), Role.SMALL
        yield "ssm_a", (self.n_head,), Role.DECAY
        yield "ssm_beta.weight", (n_embd, self.n_head), Role.MATRIX
        yield "ssm_alpha.weight", (n_embd, self.n_head), Role.MATRIX
        yield "ssm_norm.weight", (self.n_state,), Role.NORM
        yield "ssm_out.weight", (self.n_inner, n_embd), Role.MATRIX


@dataclass(frozen=True)
class Rwkv7:
    """Ranks of the matrices that time mixing is adapted with. All its layers are such."""

    head_size: int
    n_decay: int
    n_rate: int
    n_value: int
    n_gate: int

    def parts(self, n_embd: int, n_ff: int, layer: int) -> Iterator[Part]:
        """The tensors of a layer, channel mixing in place of a feed-forward network too."""
        for norm in ("attn_norm", "attn_norm_2", "time_mix_ln"):
            yield f"{norm}.weight", (n_embd,), Role.NORM
            yield f"{norm}.bias", (n_embd,), Role.SMALL
        n_value = self.n_value if layer else self.n_rate  # the first layer's is there, but unused
        ranks = (("w", self.n_decay), ("a", self.n_rate), ("v", n_value), ("g", self.n_gate))
        for letter, n_rank in ranks:
            if letter != "g":
                yield f"time_mix_{letter}0.weight", (n_embd,), Role.SMALL
            yield f"time_mix_{letter}1.weight", (n_embd, n_rank), Role.MATRIX
            yield f"time_mix_{letter}2.weight", (n_rank, n_embd), Role.MATRIX
        yield "time_mix_lerp_fused.weight", (n_embd, 1, 1, 6), Role.SMALL
        for name in ("k_k", "k_a", "r_k"):
            yield f"time_mix_{name}.weight", (n_embd,), Role.SMALL
        for name in ("key", "value", "receptance", "output"):
            yield f"time_mix_{name}.weight", (n_embd, n_embd), Role.MATRIX
        yield "channel_mix_lerp_k.weight", (n_embd, 1, 1), Role.SMALL
        yield "channel_mix_key.weight", (n_embd, n_ff), Role.MATRIX
        yield "channel_mix_value.weight", (n_ff, n_embd), Role.FFN_DOWN

    def keys(self) -> dict[str, int | float]:
        """What llama.cpp reads of it."""
        return {
            "attention.layer_norm_epsilon": 1e-5,
            "wkv.head_size": self.head_size,
            "attention.decay_lora_rank": self.n_decay,
            "attention.iclr_lora_rank": self.n_rate,
            "attention.value_residual_mix_lora_rank": self.n_value,
            "attention.gate_lora_rank": self.n_gate,
            "token_shift_count": 2,
        }


Recurrence = ShortConvolution | Mamba2 | DeltaNet | Rwkv7
