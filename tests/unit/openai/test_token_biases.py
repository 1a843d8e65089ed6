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
    """Two words are a token each, a blank is none, everything else three, two of them equal."""

    def __init__(self) -> None:
        pass

    def tokenize(self, text, **_options):
        return {"yes": [7], "no": [8], " ": []}.get(text, [1, 2, 1])


def biases(given, **options):
    body = validate(ChatRequest, {"messages": [USER], "logit_bias": given})
    return with_token_ids(body, Vocabulary(), **options).logit_bias


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


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"yes please": 1.5}, {1: 1.5, 2: 1.5}),
        ([["yes please", False], [2, 3], ["yes", 1]], {1: BAN, 2: BAN, 7: 1}),
    ],
)
def test_a_text_of_several_tokens_gives_each_its_bias_where_that_is_wanted(given, found):
    assert biases(given, splits_texts=True) == found


@pytest.mark.parametrize(
    ("given", "splits_texts", "n"),
    [({"yes please": 1}, False, 3), ([["yes please", False]], False, 3), ({" ": 1}, True, 0)],
)
def test_other_texts_are_refused(given, splits_texts, n):
    with pytest.raises(InvalidRequestError) as caught:
        biases(given, splits_texts=splits_texts)
    ((name, _),) = given.items() if isinstance(given, dict) else given
    assert caught.value.param == f"logit_bias.{name}"
    assert f"{n} tokens" in caught.value.message
