from __future__ import annotations

import pytest

from pyserve.engine.fake.core import FakeCore
from pyserve.errors import InvalidRequestError
from pyserve.openai.token_biases import with_token_ids
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.fields.logit_bias import BAN
from pyserve.schemas.validate import validate
from tests.support.bodies import USER


class Vocabulary(FakeCore):
    """Two words are a token each, everything else two."""

    def __init__(self) -> None:
        pass

    def tokenize(self, text, **_options):
        return {"yes": [7], "no": [8]}.get(text, [1, 2])


def biases(given):
    body = validate(ChatRequest, {"messages": [USER], "logit_bias": given})
    return with_token_ids(body, Vocabulary()).logit_bias


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"5": 1}, {5: 1}),
        ({"yes": 1, "no": -2.5}, {7: 1, 8: -2.5}),
        ({"yes": 1, "7": 2}, {7: 3}),
        ({"yes": False, "7": 100}, {7: BAN}),
        ([["yes", 1], [7, 1], ["no", False]], {7: 2, 8: BAN}),
        ([], {}),
    ],
)
def test_texts_become_the_ids_of_their_tokens(given, found):
    assert biases(given) == found


@pytest.mark.parametrize("given", [{"yes please": 1}, [["yes please", False]]])
def test_a_text_of_several_tokens_is_refused(given):
    with pytest.raises(InvalidRequestError) as caught:
        biases(given)
    assert caught.value.param == "logit_bias.yes please"
    assert "2 tokens" in caught.value.message
