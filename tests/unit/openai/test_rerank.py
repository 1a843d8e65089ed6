from __future__ import annotations

import msgspec
import pytest

from pyserve.engine.protocol import Delta, Finish, TokenLogprob, Usage
from pyserve.errors import InvalidRequestError
from pyserve.openai.answer import Output
from pyserve.openai.document.examples import INFO
from pyserve.openai.rerank import RerankAnswer
from pyserve.openai.scoring import check_generates
from pyserve.schemas.rerank import RerankRequest


def output_of(logprob):
    output = Output()
    finish = Finish(reason="length", usage=Usage(n_prompt_tokens=2, n_completion_tokens=1))
    output.push(Delta(logprobs=[TokenLogprob(7, b"", logprob, [])], finish=finish))
    return output


def test_the_best_document_is_first_and_ties_keep_their_order():
    body = RerankRequest.model_validate({"query": "q", "documents": ["a", "b", "c", "d"]})
    prompts = [[1, 2], [1, 3], [1, 4], [1, 5]]
    answer = RerankAnswer(body, "m", INFO, prompts, [[7], [8]])
    logprobs = [-2.0, -1.0, -1.0, -2.0, -2.0, -1.0, -9.0, -0.1]
    results = answer.response([output_of(each) for each in logprobs]).results
    assert [result.index for result in results] == [1, 0, 2, 3]
    assert results[0].relevance_score == pytest.approx(1 - results[1].relevance_score)
    assert all(0 <= result.relevance_score <= 1 for result in results)


def test_a_model_for_embeddings_has_no_probabilities():
    with pytest.raises(InvalidRequestError) as caught:
        check_generates(msgspec.structs.replace(INFO, can_generate=False))
    assert caught.value.param == "model"
