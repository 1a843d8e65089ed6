"""How positions are scaled, as the settings say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig, RopeConfig
from pyserve.engine.native import LocalEngine
from pyserve.errors import InvalidRequestError
from tests.native.helpers import ask

PROMPT = "a long time ago in a galaxy far away"


def first_logprobs(path: Path, rope: RopeConfig, **settings: bool) -> list[float]:
    """Of the likeliest next tokens after the prompt."""
    config = EngineConfig(model_id="tiny", model_path=str(path), rope=rope, **settings)
    engine = LocalEngine(config)
    answer = ask(engine, PROMPT, max_tokens=1, n_logprobs=5, deterministic=True)
    engine.close()
    return [top.logprob for top in answer.logprobs[0].top]


@pytest.mark.parametrize(
    ("rope", "is_same"),
    [
        (RopeConfig(freq_base=10_000.0, freq_scale=1.0), True),
        (RopeConfig(scaling="none", freq_scale=0.5), True),
        (RopeConfig(freq_base=500_000.0), False),
        (RopeConfig(scaling="linear", freq_scale=0.5), False),
        (RopeConfig(scaling="yarn", freq_scale=0.5, yarn_orig_ctx=64), False),
    ],
)
def test_scaled_positions_change_what_comes_next(
    tiny_model: Path, rope: RopeConfig, is_same: bool
) -> None:
    plain = first_logprobs(tiny_model, RopeConfig())
    assert (first_logprobs(tiny_model, rope) == plain) is is_same


def test_an_unknown_scaling_is_refused(tiny_model: Path) -> None:
    with pytest.raises(InvalidRequestError, match="yarn"):
        first_logprobs(tiny_model, RopeConfig(scaling="more"))


@pytest.mark.parametrize("use_mmap", [True, False])
def test_locked_weights_compute_the_same(tiny_model: Path, use_mmap: bool) -> None:
    plain = first_logprobs(tiny_model, RopeConfig())
    locked = first_logprobs(tiny_model, RopeConfig(), use_mlock=True, use_mmap=use_mmap)
    assert locked == plain
