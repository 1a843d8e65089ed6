"""What all answers say of tokens used."""

from __future__ import annotations

import pytest

from pyserve.openai.chat.chat import ChatAnswer
from pyserve.openai.completions.completions import CompletionAnswer
from tests.support.answers import INFO, as_json, chunks_of, last, output
from tests.support.bodies import chat, completion


@pytest.mark.parametrize(
    "make",
    [
        lambda **f: ChatAnswer(chat(**f), "m", INFO),
        lambda **f: CompletionAnswer(completion(prompt="p", **f), "m", INFO, str),
    ],
)
def test_usage_comes_last_and_is_null_before(make):
    answer = make(stream=True, n=2, stream_options={"include_usage": True})
    chunks = chunks_of(answer, [(1, last(5, 2)), (0, last(5, 3))])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 10
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_prompts_count_once_and_choices_all():
    answer = CompletionAnswer(completion(prompt=["a", "b"], n=2), "m", INFO, str)
    usage = as_json(answer.response([output(last(n, 1)) for n in (5, 5, 7, 7)]))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (12, 4)
