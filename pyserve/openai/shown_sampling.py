"""Sampling parameters as llama-server shows them: in the settings of answers and in /props."""

from __future__ import annotations

import msgspec

from pyserve.engine.protocol import SamplerValues, SamplingParams

RANDOM_SEED = 2**32 - 1
NAMES = {
    "e": "penalties",
    "d": "dry",
    "s": "top_n_sigma",
    "k": "top_k",
    "y": "typ_p",
    "p": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
    "a": "adaptive_p",
}


class TokenBias(msgspec.Struct, frozen=True):
    """What is added to the logit of a token; null: it is never said."""

    bias: float | None
    token: int


class ShownSampling(SamplerValues, frozen=True, kw_only=True):
    """samplers: their names in the order of use. seed: 4294967295 where a random one is drawn."""

    samplers: list[str]
    logit_bias: list[TokenBias]
    seed: int


def shown_sampling(sampling: SamplingParams) -> ShownSampling:
    values = {name: getattr(sampling, name) for name in SamplerValues.__struct_fields__}
    return ShownSampling(
        **values,
        samplers=[NAMES[letter] for letter in sampling.samplers],
        logit_bias=[
            TokenBias(None if bias == float("-inf") else bias, token)
            for token, bias in sampling.logit_bias.items()
        ],
        seed=RANDOM_SEED if sampling.seed is None else sampling.seed,
    )
