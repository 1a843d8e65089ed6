"""How much of a text is embedded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pyserve.engine.calls import Askable, GetInfo, Tokenize
from pyserve.ollama.embeddings import embed_requests
from pyserve.schemas.ollama import OllamaEmbedRequest
from tests.support.scripted_core import MODEL


class Sized(Askable):
    """A model that reads at most `n_pooled` tokens at once, each a byte, between two others."""

    def __init__(self, n_pooled: int) -> None:
        self._n_pooled = n_pooled
        self.n_tokenized = 0

    def ask(self, call: Any) -> Any:
        if isinstance(call, GetInfo):
            return msgspec.structs.replace(MODEL, n_pooled=self._n_pooled)
        assert isinstance(call, Tokenize)
        self.n_tokenized += 1
        return [1, *call.text.encode(), 2] if call.add_special else list(call.text.encode())


@pytest.mark.parametrize(
    ("fields", "n_pooled", "length"),
    [
        ({}, 32, 32),
        ({"options": {"num_ctx": 16}}, 32, 16),
        ({"options": {"num_ctx": 64}}, 32, 32),
        ({}, 0, MODEL.n_ctx),
    ],
)
def test_as_much_as_the_model_reads_with_what_stands_around_it(fields, n_pooled, length):
    engine = Sized(n_pooled)
    body = OllamaEmbedRequest.model_validate({"model": "m", "input": "x" * 200, **fields})
    tokens = embed_requests(body, engine)[0].tokens
    assert tokens == [1, *b"x" * (length - 2), 2]


def test_a_text_that_is_surely_short_enough_is_not_counted():
    engine = Sized(32)
    body = OllamaEmbedRequest.model_validate({"model": "m", "input": ["x" * 20, "y"]})
    assert [request.prompt for request in embed_requests(body, engine)] == ["x" * 20, "y"]
    assert engine.n_tokenized == 0
