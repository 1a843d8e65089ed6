"""Metadata that counts instead of the model file's, and memory that is near to some cores."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.overrides import parse_override
from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.models.memory import predict_memory
from tests.native.helpers import ask

PROMPT = "a long time ago in a galaxy far away"


def config(path: Path, *overrides: str, **settings: object) -> EngineConfig:
    parsed = tuple(parse_override(text) for text in overrides)
    return EngineConfig(model_id="tiny", model_path=str(path), overrides=parsed, **settings)


def started(path: Path, *overrides: str) -> LocalEngine:
    return LocalEngine(config(path, *overrides))


def test_the_first_of_two_counts_for_the_vocabulary(tiny_model: Path) -> None:
    key = "tokenizer.ggml.add_bos_token"
    engine = started(tiny_model, f"{key}=bool:true", f"{key}=bool:false")
    plain = started(tiny_model)
    with_bos = engine.tokenize("a", add_special=True, parse_special=False)
    assert with_bos[1:] == plain.tokenize("a", add_special=True, parse_special=False)
    assert len(with_bos) == 2
    engine.close()
    plain.close()


def test_numbers_change_what_is_computed(tiny_model: Path) -> None:
    answers = []
    for overrides in ([], ["llama.rope.freq_base=float:500000"], ["llama.context_length=int:64"]):
        engine = started(tiny_model, *overrides)
        answers.append((ask(engine, PROMPT, max_tokens=1, n_logprobs=5), engine.info().n_ctx))
        engine.close()
    plain, other_base, shorter = answers
    assert other_base[0].logprobs[0].top != plain[0].logprobs[0].top
    assert shorter[1] == 64
    assert plain[1] > 64


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("llama.rope.freq_base=int:5", "llama.rope.freq_base .* of type f32"),
        ("general.architecture=bool:true", "general.architecture .* of type str"),
        ("tokenizer.ggml.tokens=str:x", "tokenizer.ggml.tokens .* of type arr"),
    ],
)
def test_one_of_another_type_is_refused_by_its_name(
    tiny_model: Path, override: str, problem: str
) -> None:
    with pytest.raises(ModelLoadError, match=problem):
        started(tiny_model, override)


def test_the_draft_model_keeps_its_own(tiny_model: Path) -> None:
    overrides = ["llama.rope.freq_base=float:500000"]
    alone = started(tiny_model, *overrides)
    drafted = LocalEngine(config(tiny_model, *overrides, draft_model_path=str(tiny_model)))
    assert ask(drafted, PROMPT).text == ask(alone, PROMPT).text
    alone.close()
    drafted.close()


def test_predicted_memory_heeds_them(tiny_model: Path) -> None:
    short = predict_memory(config(tiny_model, "llama.context_length=int:64"))
    assert short.kv == predict_memory(config(tiny_model, n_ctx=64)).kv


def test_nodes_of_memory_change_no_answer(tiny_model: Path) -> None:
    plain = LocalEngine(config(tiny_model))
    spread = LocalEngine(config(tiny_model, numa="distribute"))
    assert ask(spread, PROMPT).text == ask(plain, PROMPT).text
    plain.close()
    spread.close()
    with pytest.raises(InvalidRequestError, match="numa is 'far'"):
        LocalEngine(config(tiny_model, numa="far"))
