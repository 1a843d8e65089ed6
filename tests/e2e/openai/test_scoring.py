"""Log-probabilities and tokens on the default model, through HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

pytestmark = pytest.mark.model

MODEL = "smollm2-135m-instruct"


def complete(http: httpx.Client, **fields: Any) -> list[dict[str, Any]]:
    reply = http.post("/v1/completions", json={"temperature": 0, **fields})
    choices: list[dict[str, Any]] = reply.raise_for_status().json()["choices"]
    return choices


def tokenize(http: httpx.Client, text: str) -> list[int]:
    tokens: list[int] = http.post("/tokenize", json={"content": text}).json()["tokens"]
    return tokens


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_the_likelier_ending_scores_higher(http: httpx.Client, max_tokens: int) -> None:
    """As evaluation harnesses ask: token ids, echoed, with the sum over the ending's tokens."""
    context = "The capital of France is"
    endings = [" Paris", " banana", " in the middle of a large bowl of soup"]
    n_context = len(tokenize(http, context))
    body = {"max_tokens": max_tokens, "logprobs": 1, "echo": True, "seed": 1234}
    prompts = [tokenize(http, context + ending) for ending in endings]
    choices = complete(http, prompt=prompts, **body)
    scores = []
    for choice, prompt, ending in zip(choices, prompts, endings, strict=True):
        arrays = choice["logprobs"]
        assert {len(values) for values in arrays.values()} == {len(prompt) + max_tokens}
        assert choice["text"].startswith(context + ending)
        of_ending = slice(n_context, len(prompt))
        scores.append(sum(arrays["token_logprobs"][of_ending]))
        for logprob, top in zip(
            arrays["token_logprobs"][of_ending], arrays["top_logprobs"][of_ending], strict=True
        ):
            assert logprob <= max(top.values()) <= 0
    assert scores[0] > scores[1] > scores[2]


def test_prompt_logprobs_are_those_of_an_echo(http: httpx.Client) -> None:
    prompt = tokenize(http, "The capital of France is Paris.")
    (echo,) = complete(http, prompt=prompt, max_tokens=0, echo=True, logprobs=3)
    (choice,) = complete(http, prompt=prompt, max_tokens=1, prompt_logprobs=3)
    nothing, *told = choice["prompt_logprobs"]
    assert nothing is None
    assert [next(iter(at)) for at in told] == [str(token) for token in prompt[1:]]
    scores = [next(iter(at.values()))["logprob"] for at in told]
    assert scores == pytest.approx(echo["logprobs"]["token_logprobs"][1:], abs=1e-3)
    assert all({each["rank"] for each in at.values()} - {None} == {1, 2, 3} for at in told)


def test_chats_tell_the_logprobs_of_their_prompts(http: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "n": 2}
    asked = {"prompt_logprobs": 1, "return_token_ids": True}
    told = http.post("/v1/chat/completions", json=body | asked).raise_for_status().json()
    names = [next(iter(at)) for at in told["prompt_logprobs"][1:]]
    assert names == [str(token) for token in told["prompt_token_ids"][1:]]
    alone = http.post("/v1/chat/completions", json=body | {"prompt_logprobs": 1}).json()
    assert [next(iter(at)) for at in alone["prompt_logprobs"][1:]] == names


def test_offsets_point_into_the_echoed_text(http: httpx.Client) -> None:
    prompt = "Zoë said: 日本語 \U0001f600!"
    (choice,) = complete(http, prompt=prompt, max_tokens=4, echo=True, logprobs=0)
    assert choice["text"].startswith(prompt)
    arrays = choice["logprobs"]
    assert arrays["token_logprobs"][0] is arrays["top_logprobs"][0] is None
    ends = [*arrays["text_offset"][1:], len(choice["text"])]
    for token, begin, end in zip(arrays["tokens"], arrays["text_offset"], ends, strict=True):
        if not token.startswith("bytes:"):
            assert choice["text"][begin:end] == token


def test_a_streamed_echo_joins_to_the_plain_one(http: httpx.Client, client: openai.OpenAI) -> None:
    body: dict[str, Any] = {"prompt": "one two three " * 50, "max_tokens": 3, "echo": True}
    (plain,) = complete(http, **body)
    stream = client.completions.create(model=MODEL, temperature=0, stream=True, logprobs=0, **body)
    choices = [chunk.choices[0] for chunk in stream]
    assert "".join(choice.text for choice in choices) == plain["text"]
    tokens = [t for c in choices if c.logprobs for t in c.logprobs.tokens or []]
    assert "".join(tokens) == plain["text"]


def test_an_answer_scores_as_it_did_when_it_was_given(http: httpx.Client) -> None:
    prompt = "My favourite season of the year is"
    (given,) = complete(http, prompt=prompt, max_tokens=8, logprobs=0)
    (scored,) = complete(http, prompt=prompt + given["text"], max_tokens=0, logprobs=0, echo=True)
    told, again = given["logprobs"], scored["logprobs"]
    assert again["tokens"][-8:] == told["tokens"]
    for one, two in zip(told["token_logprobs"], again["token_logprobs"][-8:], strict=True):
        assert one == pytest.approx(two, abs=0.7)  # kernels add in another order


def test_the_best_candidate_is_likelier_than_the_first(http: httpx.Client) -> None:
    def mean(choice: dict[str, Any]) -> float:
        logprobs = choice["logprobs"]["token_logprobs"]
        return float(sum(logprobs) / len(logprobs))

    body = {"prompt": "Once upon a time", "temperature": 1.5, "seed": 3, "logprobs": 0}
    every = complete(http, n=8, **body)
    best = complete(http, n=1, best_of=8, **body)
    assert len(best) == 1
    assert mean(best[0]) > min(mean(choice) for choice in every)
    assert mean(best[0]) == pytest.approx(max(mean(choice) for choice in every), abs=0.5)


def test_an_answer_of_no_tokens_is_empty(http: httpx.Client) -> None:
    (choice,) = complete(http, prompt="Hello", max_tokens=0)
    assert (choice["text"], choice["finish_reason"]) == ("", "length")


def test_tokens_of_a_split_character_are_bytes(http: httpx.Client) -> None:
    text = "日本語 <|im_end|>"
    body = {"content": text, "with_pieces": True}
    tokens = http.post("/tokenize", json=body).raise_for_status().json()["tokens"]
    pieces = [token["piece"] for token in tokens]
    assert any(isinstance(piece, list) for piece in pieces)
    assert pieces[-1] == "<|im_end|>"
    as_bytes = [p.encode() if isinstance(p, str) else bytes(p) for p in pieces]
    assert b"".join(as_bytes).decode() == text
    ids = [token["id"] for token in tokens]
    assert http.post("/detokenize", json={"tokens": ids}).json()["content"] == text


def test_a_chat_is_counted_as_it_is_computed(client: openai.OpenAI, http: httpx.Client) -> None:
    messages: Any = [{"role": "user", "content": "Is <|im_end|> a control token?"}]
    counted = http.post("/v1/chat/completions/input_tokens", json={"messages": messages}).json()
    reply = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=1)
    assert reply.usage is not None
    assert counted == {"input_tokens": reply.usage.prompt_tokens}
    count = client.responses.input_tokens.count(model=MODEL, input=messages[0]["content"])
    assert count.input_tokens == reply.usage.prompt_tokens


def test_an_evaluation_harness_finds_the_tokenizer(http: httpx.Client) -> None:
    info = http.get("/tokenizer_info").json()
    body = {"prompt": info["eos_token"], "add_special_tokens": False}
    (eos,) = http.post("/tokenize", json=body).json()["tokens"]
    assert http.post("/detokenize", json={"tokens": [eos]}).json()["prompt"] == info["eos_token"]
