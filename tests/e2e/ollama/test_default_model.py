"""The default model through the official client of Ollama."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import DEFAULT_MODEL

pytestmark = pytest.mark.model

GREEDY = {"temperature": 0, "num_predict": 12}
HELLO = [{"role": "user", "content": "Say hello."}]


def test_a_chat_is_the_same_streamed_and_plain(client):
    plain = client.chat(DEFAULT_MODEL, HELLO, options=GREEDY)
    *parts, last = client.chat(DEFAULT_MODEL, HELLO, options=GREEDY, stream=True)
    assert plain.message.content
    assert "".join(part.message.content for part in parts) == plain.message.content
    for end in (plain, last):
        assert (end.done, end.done_reason, end.eval_count) == (True, "length", 12)
        assert end.prompt_eval_count > 12
        assert end.total_duration >= end.eval_duration > 0


def test_a_prompt_is_the_same_chat(client):
    chat = client.chat(DEFAULT_MODEL, HELLO, options=GREEDY)
    text = client.generate(f"{DEFAULT_MODEL}:latest", "Say hello.", options=GREEDY)
    assert text.response == chat.message.content


def test_raw_prompts_and_templates_make_the_same_prompt(client):
    framed = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    raw = client.generate(DEFAULT_MODEL, framed.format("Say hello."), raw=True, options=GREEDY)
    own = client.generate(
        DEFAULT_MODEL, "Say hello.", template=framed.format("{{ .Prompt }}"), options=GREEDY
    )
    assert raw.response
    assert (own.response, own.prompt_eval_count) == (raw.response, raw.prompt_eval_count)


def test_the_model_is_listed_and_described(client):
    (listed,) = [each for each in client.list().models if DEFAULT_MODEL in each.model]
    assert listed.model == f"{DEFAULT_MODEL}:latest"
    assert (listed.details.parameter_size, listed.details.quantization_level) == ("134.52M", "Q4_1")
    assert len(listed.digest) == 64
    shown = client.show(listed.model)
    assert shown.modelinfo["llama.context_length"] == 8192
    assert shown.capabilities == ["completion", "tools"]
    (running,) = client.ps().models
    assert (running.model, running.context_length) == (listed.model, 8192)
