"""Absurd texts, for every kind of vocabulary: answered, and soon, whatever the vendor does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import gguf
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest
from pyserve.errors import ContextLengthExceededError
from tests.support.tiny import vocabularies
from tests.support.tiny.llama import add_tokenizer, write_tiny_llama

N_VOCAB = 320
MAX_TEXT_BYTES = 2 * 1024 * 1024

# Pre-tokenizers that recurse per character, that take time with the square of a run or more, that
# fail on spaces, and that do none of this.
PRE_TOKENIZERS = (
    "gpt-2", "default", "tekken", "gpt-4o", "deepseek-llm", "deepseek-v3", "jais-2", "superbpe",
    "whitespace", "bloom", "exaone-moe", "afmoe", "youtu", "gemma4",
)  # fmt: skip
VOCABULARIES: dict[str, Callable[[gguf.GGUFWriter, int], None]] = {
    "sentencepiece": vocabularies.add_sentencepiece,
    "unigram": vocabularies.add_unigram,
    "plamo2": vocabularies.add_plamo2,
    "wordpiece": vocabularies.add_wordpiece,
    "rwkv": vocabularies.add_rwkv,
    **{pre: partial(add_tokenizer, pre=pre) for pre in PRE_TOKENIZERS},
}
LOSSLESS = {*PRE_TOKENIZERS} - {"whitespace", "gemma4"}

RUNS = ("A", " ", "\n", "1", "!", "\t", "é", "中", "\u0301", "👩\u200d🚀", "\u202eא", "\ue000")
MIXED = "a\n\nIt's 12,345.6 (or so)…  文字。x\t "


@pytest.fixture(scope="module", params=VOCABULARIES)
def vocabulary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(vocabulary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    path = tmp_path_factory.mktemp("vocabulary") / f"{vocabulary}.gguf"
    write_tiny_llama(path, n_vocab=N_VOCAB, add_vocabulary=VOCABULARIES[vocabulary])
    local = LocalEngine(EngineConfig(model_id=vocabulary, model_path=str(path)))
    yield local
    local.close()


def _tokenize(engine: LocalEngine, text: str) -> list[int]:
    return engine.tokenize(text, add_special=False, parse_special=False)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", RUNS)
def test_a_long_run_is_tokenized(engine: LocalEngine, vocabulary: str, unit: str) -> None:
    text = unit * (100_000 // len(unit.encode())) + "x"
    tokens = _tokenize(engine, text)
    if vocabulary in LOSSLESS:
        assert engine.detokenize(tokens) == text


@pytest.mark.timeout(60)
def test_a_long_mixed_text_is_tokenized(engine: LocalEngine, vocabulary: str) -> None:
    text = "".join(f"{MIXED}{index}" for index in range(100_000 // len(MIXED.encode())))
    tokens = _tokenize(engine, text)
    if vocabulary in LOSSLESS:
        assert engine.detokenize(tokens) == text


@pytest.mark.timeout(60)
def test_the_longest_text_does_not_fit_the_context(engine: LocalEngine) -> None:
    request = GenerateRequest(prompt="A" * MAX_TEXT_BYTES, max_tokens=1)
    with pytest.raises(ContextLengthExceededError):
        list(engine.submit(request))
