"""Which type each tensor of a quantized file has. Pure.

Source: llama.cpp's `llama-quant.cpp`, for models of neither 8 experts nor 70 billion weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.random_model.geometry import Geometry
from bench.random_model.roles import Role
from bench.random_model.tensors import Spec
from pyserve.gguf.tensor_types import block_values, type_name

KINDS: Final = {type_name(number): number for number in range(40)}  # by name
EXPERT_DIMS = 3
MIN_GQA = 4  # whose V is small enough to have more bits
# What takes the place of types whose blocks do not divide a row.
_FALLBACKS: Final = {
    "Q2_K": "Q4_0", "Q3_K": "Q4_0", "IQ4_XS": "IQ4_NL", "Q4_K": "Q5_0", "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}  # fmt: skip
_AS_OUTPUT: Final = ("F16", "BF16", "Q8_0")  # the output has the type of the others

Rule = Callable[[Spec, Geometry], str]


@dataclass(frozen=True)
class Mixture:
    """base: the type of what no rule is for. file_type: llama.cpp's number of the mixture."""

    base: str
    file_type: int
    rules: Mapping[Role, Rule] = field(default_factory=dict)


def _more_bits(more: str, base: str) -> Mapping[Role, Rule]:
    def rule(spec: Spec, geometry: Geometry) -> str:
        n, eighth = geometry.n_layers, geometry.n_layers // 8
        is_edge = spec.layer < eighth or spec.layer >= 7 * n // 8
        return more if is_edge or (spec.layer - eighth) % 3 == 2 else base  # noqa: PLR2004

    return {Role.ATTN_V: rule, Role.FFN_DOWN: rule}


def _iq4(base: str) -> Mapping[Role, Rule]:
    return {
        Role.ATTN_V: lambda _, g: "Q5_K" if g.n_gqa >= MIN_GQA else base,
        Role.FFN_DOWN: lambda spec, g: "Q5_K" if spec.layer < g.n_layers // 8 else base,
    }


_Q3_K_M: Final[Mapping[Role, Rule]] = {
    Role.ATTN_V: lambda spec, _: "Q5_K" if spec.layer < 2 else "Q4_K",  # noqa: PLR2004
    Role.FFN_DOWN: lambda spec, g: "Q5_K" if spec.layer < g.n_layers // 16 else "Q4_K",
    Role.ATTN_OUTPUT: lambda *_: "Q4_K",
}
_Q2_K: Final[Mapping[Role, Rule]] = {
    Role.ATTN_V: lambda _, g: "Q4_K" if g.n_gqa >= MIN_GQA else "Q3_K",
    Role.FFN_DOWN: lambda *_: "Q3_K",
    Role.ATTN_OUTPUT: lambda *_: "Q3_K",
}
MIXTURES: Final = {
    "F16": Mixture("F16", 1),
    "BF16": Mixture("BF16", 32),
    "Q8_0": Mixture("Q8_0", 7),
    "Q4_0": Mixture("Q4_0", 2),
    "Q4_1": Mixture("Q4_1", 3),
    "Q5_0": Mixture("Q5_0", 8),
    "Q5_1": Mixture("Q5_1", 9),
    "Q2_K": Mixture("Q2_K", 10, _Q2_K),
    "Q3_K_M": Mixture("Q3_K", 12, _Q3_K_M),
    "Q4_K_M": Mixture("Q4_K", 15, _more_bits("Q6_K", "Q4_K")),
    "Q5_K_M": Mixture("Q5_K", 17, _more_bits("Q6_K", "Q5_K")),
    "Q6_K": Mixture("Q6_K", 18),
    "IQ4_NL": Mixture("IQ4_NL", 25, _iq4("IQ4_NL")),
    "IQ4_XS": Mixture("IQ4_XS", 30, _iq4("IQ4_XS")),
    "MXFP4": Mixture("MXFP4", 38),
}


def type_of(spec: Spec, geometry: Geometry, mixture: Mixture) -> str:
    """The name of the tensor's type."""
    if spec.role in (Role.NORM, Role.SMALL, Role.DECAY):
        return "F32"
    if mixture.base == "MXFP4":  # of experts alone
        return "MXFP4" if len(spec.shape) == EXPERT_DIMS else "Q8_0"
    wanted = _wanted(spec, geometry, mixture)
    n_block = block_values(KINDS[wanted])
    assert n_block
    return wanted if spec.shape[0] % n_block == 0 else _FALLBACKS[wanted]


def _wanted(spec: Spec, geometry: Geometry, mixture: Mixture) -> str:
    is_output = spec.role is Role.OUTPUT or (spec.role is Role.EMBEDDING and geometry.is_tied)
    if is_output and mixture.base not in _AS_OUTPUT:
        return "Q6_K"
    rule = mixture.rules.get(spec.role)
    return rule(spec, geometry) if rule else mixture.base
