"""Prompts of pairs, and what is made of their numbers, on the fake engine: words are tokens."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.core import FakeCore
from pyserve.engine.fake.model import BOS, SEP
from pyserve.engine.protocol import Delta, Engine, Finish, Usage
from pyserve.engine.streams.hub import StreamEngine
from pyserve.errors import ContextLengthExceededError, InvalidRequestError
from pyserve.openai.answer import Output
from pyserve.openai.document.examples import INFO
from pyserve.openai.ranking.prompts import (
    QWEN3_TEMPLATE,
    Cut,
    PairPrompts,
    rank_template,
    template_pairs,
)
from pyserve.openai.ranking.scores import head_logit, pair_scores
from pyserve.openai.scoring import check_generates
from pyserve.schemas.rerank import RerankRequest

WORDS = " ".join(f"w{i}" for i in range(40))


@pytest.fixture
def ranker() -> Iterator[Engine]:
    engine = StreamEngine(FakeCore(EngineConfig(model_id="m", model_path="", n_ctx=16), n_ranks=1))
    yield engine
    engine.close()


def body_of(**fields: Any) -> RerankRequest:
    return RerankRequest.model_validate({"query": "q", "documents": ["d"], **fields})


def output_of(*numbers: float) -> Output:
    output = Output()
    finish = Finish(reason="stop", usage=Usage(n_prompt_tokens=2, n_completion_tokens=0))
    output.push(Delta(embedding=struct.pack(f"<{len(numbers)}f", *numbers), finish=finish))
    return output


def test_a_head_reads_both_texts_with_the_tokens_around_them(ranker: Engine) -> None:
    pairs = [("the query", "one"), ("the query", ""), ("the query", "three four")]
    scores = pair_scores(ranker, pairs, body_of(), Cut(), param="documents")
    query = ranker.tokenize("the query", add_special=False, parse_special=False)
    one = ranker.tokenize("one", add_special=False, parse_special=False)
    assert scores.requests[0].tokens == [BOS, *query, SEP, *one, SEP]
    assert scores.requests[1].tokens == [BOS, *query, SEP, SEP]
    assert all(request.wants_ranks for request in scores.requests)
    assert scores.n_prompt_tokens == 6 + 5 + 7
    assert scores.logits([output_of(1.5), output_of(-2), output_of(0)]) == [1.5, -2, 0]
    assert scores.cut_params == []


@pytest.mark.parametrize(
    ("cut", "n_left"),
    [(Cut(3), 3), (Cut(to_fit=True), 12), (Cut(30, to_fit=True), 12), (Cut(2, at_begin=True), 2)],
)
def test_a_long_text_is_cut_to_whole_tokens(ranker: Engine, cut: Cut, n_left: int) -> None:
    pairs = [("q", "w0"), ("q", WORDS)]
    scores = pair_scores(ranker, pairs, body_of(), cut, param="documents")
    words = WORDS.split()[-n_left:] if cut.at_begin else WORDS.split()[:n_left]
    prompt = scores.requests[1].tokens or []
    assert ranker.detokenize(prompt[3:-1]).split() == words
    assert len(prompt) == n_left + 4
    assert scores.cut_params == ["documents.1"]


@pytest.mark.parametrize(
    ("pair", "cut"),
    [(("q", WORDS), Cut()), (("q", WORDS), Cut(20)), ((WORDS, "d"), Cut(1, to_fit=True))],
)
def test_what_does_not_fit_is_named(ranker: Engine, pair: tuple[str, str], cut: Cut) -> None:
    with pytest.raises(ContextLengthExceededError) as caught:
        pair_scores(ranker, [("q", "d"), pair], body_of(), cut, param="texts")
    assert caught.value.param == "texts.1"
    assert caught.value.details["n_ctx"] == 16
    assert caught.value.details["n_prompt_tokens"] > 16


def test_a_request_has_a_smaller_context(ranker: Engine) -> None:
    with pytest.raises(ContextLengthExceededError, match=r"6 tokens.* 4 at most"):
        pair_scores(ranker, [("q", "d e")], body_of(num_ctx=4), Cut(), param="documents")


def test_the_number_of_yes_against_no() -> None:
    labels = msgspec.structs.replace(INFO, n_ranks=2, rank_labels=("no", "YES"))
    assert head_logit(labels)([0.25, 1.0]) == 0.75
    for n_ranks, names in ((2, ("cat", "dog")), (3, ()), (2, ())):
        info = msgspec.structs.replace(INFO, n_ranks=n_ranks, rank_labels=names)
        with pytest.raises(InvalidRequestError, match=rf"{n_ranks} labels"):
            head_logit(info)


def test_a_ranking_model_has_no_chat(ranker: Engine) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        pair_scores(ranker, [("q", "d")], body_of(), Cut(), param="documents", asks_chat=True)
    assert caught.value.param == "method"
    for n_ranks in (0, 1):
        info = msgspec.structs.replace(INFO, can_generate=False, n_ranks=n_ranks)
        with pytest.raises(InvalidRequestError) as caught:
            check_generates(info)
        assert caught.value.param == "model"


def test_a_template_is_the_files_or_that_of_a_known_model() -> None:
    assert rank_template(INFO) == ""
    known = msgspec.structs.replace(INFO, architecture="qwen3", name="Qwen3 Reranker 0.6B")
    assert rank_template(known) == QWEN3_TEMPLATE
    own = msgspec.structs.replace(known, rank_template="{query}{document}")
    assert rank_template(own) == "{query}{document}"


def test_texts_in_a_template_are_no_part_of_it() -> None:
    engine = StreamEngine(FakeCore(EngineConfig(model_id="m", model_path="")))
    make = template_pairs(engine, "<q>{query}</q> {document} {query}!")
    prompts = PairPrompts(engine, make, 100, Cut())
    tokens = prompts.prompt("a {document}", "{query} b", "documents.0")
    assert engine.detokenize(tokens) == "<q>a {document}</q> {query} b a {document}!"
    with pytest.raises(InvalidRequestError, match="document"):
        template_pairs(engine, "{query}")
    engine.close()
