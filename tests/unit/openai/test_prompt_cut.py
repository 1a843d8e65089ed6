"""`truncate_prompt_tokens`: what is kept of prompts. Each byte is a token, between two others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pyserve.engine.calls import Askable, Tokenize
from pyserve.errors import InvalidRequestError
from pyserve.openai.document.examples import INFO
from pyserve.openai.prompt_cut import PromptCut, answered_cut, cut_inputs, pooled_cut
from tests.support.bodies import completion


class Bytes(Askable):
    """A vocabulary of bytes, of which each text has 1 before it and 2 behind it."""

    def ask(self, call: Any) -> Any:
        assert isinstance(call, Tokenize)
        return [1, *call.text.encode(), 2] if call.add_special else list(call.text.encode())


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        (PromptCut(2), [5, 6]),
        (PromptCut(2, at_begin=True), [7, 8]),
        (PromptCut(4), [5, 6, 7, 8]),
        (PromptCut(9, at_begin=True), [5, 6, 7, 8]),
    ],
)
def test_the_tokens_at_one_end_are_kept(cut: PromptCut, kept: list[int]) -> None:
    assert cut.of([5, 6, 7, 8]) == kept
    assert cut_inputs(Bytes(), [[5, 6, 7, 8]], cut) == [kept]


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        (PromptCut(6), [1, *b"abcd", 2]),
        (PromptCut(4), [1, *b"ab", 2]),
        (PromptCut(4, at_begin=True), [1, *b"cd", 2]),
        (PromptCut(2), [1, *b"a"]),
        (PromptCut(1, at_begin=True), [2]),
    ],
)
def test_what_stands_around_a_text_stays_while_there_is_room(
    cut: PromptCut, kept: list[int]
) -> None:
    assert cut_inputs(Bytes(), ["abcd"], cut) == [kept]


@pytest.mark.parametrize(
    ("fields", "answered", "pooled"),
    [
        ({}, None, None),
        ({"truncation_side": "left"}, None, None),
        ({"truncate_prompt_tokens": 3}, PromptCut(3, at_begin=True), PromptCut(3)),
        (
            {"truncate_prompt_tokens": 3, "truncation_side": "left"},
            PromptCut(3, at_begin=True),
            PromptCut(3, at_begin=True),
        ),
        ({"truncate_prompt_tokens": 3, "truncation_side": "right"}, PromptCut(3), PromptCut(3)),
        ({"truncate_prompt_tokens": -1}, PromptCut(7, at_begin=True), PromptCut(8)),
        ({"truncate_prompt_tokens": 8}, PromptCut(7, at_begin=True), PromptCut(8)),
    ],
)
def test_an_answer_has_room_and_the_usual_side_is_vllms(
    fields: dict[str, Any], answered: PromptCut | None, pooled: PromptCut | None
) -> None:
    body = completion(prompt="p", **fields)
    info = msgspec.structs.replace(INFO, n_ctx=8)
    assert answered_cut(body, 8) == answered
    assert pooled_cut(body, info, None) == pooled
    assert pooled_cut(body, msgspec.structs.replace(INFO, n_pooled=8), 99) == pooled


def test_more_than_fits_is_refused_with_the_numbers() -> None:
    body = completion(prompt="p", truncate_prompt_tokens=1009)
    for cut in (
        lambda: answered_cut(body, 1008),
        lambda: pooled_cut(body, msgspec.structs.replace(INFO, n_ctx=2000, n_pooled=0), 1008),
    ):
        with pytest.raises(InvalidRequestError, match=r"1,009.*1,008") as caught:
            cut()
        assert caught.value.param == "truncate_prompt_tokens"
