"""The official client as a judge of shapes, over the app without sockets."""

from __future__ import annotations

import openai
import pytest

from tests.support.client import client_of

USER = {"role": "user", "content": "one two three"}


def test_chat(client):
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[USER], logprobs=True, top_logprobs=2, n=2
    )
    assert [choice.message.content for choice in answer.choices] == ["one two three"] * 2
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 6
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


def test_streamed_chat(client):
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o", messages=[USER], stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one two three"
    assert chunks[-1].usage.completion_tokens == 3


def test_the_streaming_helper(client):
    with client.chat.completions.stream(model="gpt-4o", messages=[USER]) as stream:
        assert stream.get_final_completion().choices[0].message.content == "one two three"


def test_completions(client):
    answer = client.completions.create(model="x", prompt=["a b", "c"], logprobs=1)
    assert [choice.text for choice in answer.choices] == ["a b", "c"]
    assert answer.choices[0].logprobs.tokens == ["a", " b"]


def test_streamed_completions(front):
    # The types do not know that the finish_reason of a chunk is null until the last.
    with client_of(front, is_strict=False) as client:
        chunks = list(client.completions.create(model="x", prompt="a b", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "a b"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]


def test_models(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "pyserve"


def test_errors_are_typed(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="x", messages=[USER], temperature=3)
    assert caught.value.param == "temperature"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("x")
    assert missing.value.code == "model_not_found"


def test_an_error_in_mid_stream_raises(client):
    message = {"role": "user", "content": "a b #fail=1"}
    chunks = client.chat.completions.create(model="x", messages=[message], stream=True)
    with pytest.raises(openai.APIError, match="the script says so"):
        list(chunks)
