"""The default model through the real server, judged by the official client and by requests."""

from __future__ import annotations

import concurrent.futures
import math
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionTokenLogprob

from tests.support.kernels import has_our_kernels
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, sse_events, wait_until

pytestmark = pytest.mark.model

MODEL = "smollm2-135m-instruct"
ABSENT = "ggml-koala-7b-model-q4_0-r2.bin"
HEADERS = {"Content-Type": "application/json"}
TOPICS = [
    "the sea",
    "a red fox",
    "winter",
    "two brothers",
    "a lost key",
    "Paris",
    "the moon",
    "a baker",
    "robots",
    "rain",
    "an old dog",
    "a long road",
    "the king",
    "chess",
    "a letter",
    "fire",
]


def story_tokens(client: openai.OpenAI, topic: str) -> list[ChatCompletionTokenLogprob]:
    """A streamed greedy story, token by token with the five best alternatives."""
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"Write a short story about {topic}."}],
        temperature=0,
        max_tokens=24,
        stream=True,
        logprobs=True,
        top_logprobs=5,
    )
    chunks = [chunk.choices[0] for chunk in stream]
    tokens = [t for chunk in chunks if chunk.logprobs for t in chunk.logprobs.content or []]
    assert "".join(t.token for t in tokens) == "".join(c.delta.content or "" for c in chunks)
    return tokens


def story(client: openai.OpenAI, topic: str) -> str:
    return "".join(token.token for token in story_tokens(client, topic))


def is_same_up_to_ties(
    one: list[ChatCompletionTokenLogprob], two: list[ChatCompletionTokenLogprob]
) -> bool:
    """Both took the same tokens, or parted at tokens of about the same probability.

    The attention kernel adds in 16 bits and in the order of the cache's cells, which differs with
    what else is in the cache; with 8-bit activations that moves logprobs by some tenths.
    """
    for a, b in zip(one, two, strict=False):
        if a.token == b.token:
            continue
        others = {top.token: top.logprob for top in a.top_logprobs}
        return b.token in others and a.logprob - others[b.token] < 0.7
    return True


def test_the_start_is_announced(model_server: ServerProcess) -> None:
    output = model_server.output()
    for word in (model_server.url, MODEL, "8,192", "Q4_1", "threads", "curl "):
        assert word in output


def test_chat_as_the_readme_has_it(http: httpx.Client) -> None:
    body = {
        "model": ABSENT,
        "messages": [{"role": "user", "content": "Say this is a test!"}],
        "temperature": 0.7,
        "seed": 1,
        "max_tokens": 200,  # a small model may go on for as long as the context allows
    }
    response = http.post("/v1/chat/completions", json=body, headers=HEADERS)
    reply = response.raise_for_status().json()
    assert response.headers["X-Model-Resolved"] == reply["model"] == MODEL
    assert reply["choices"][0]["finish_reason"] in {"stop", "length"}
    assert len(reply["choices"][0]["message"]["content"].split()) >= 3


def test_edit_as_the_readme_has_it(http: httpx.Client) -> None:
    body = {
        "model": ABSENT,
        "instruction": "rephrase",
        "input": "Black cat jumped out of the window",
        "temperature": 0.7,
        "seed": 1,
    }
    reply = http.post("/v1/edits", json=body, headers=HEADERS).raise_for_status().json()
    assert reply["object"] == "edit"
    assert "cat" in reply["choices"][0]["text"].lower()


def test_completion_as_the_readme_has_it(http: httpx.Client) -> None:
    prompt = "A long time ago in a galaxy far, far away"
    body = {"model": ABSENT, "prompt": prompt, "temperature": 0.7, "seed": 1}
    reply = http.post("/v1/completions", json=body, headers=HEADERS).raise_for_status().json()
    choice = reply["choices"][0]
    assert choice["text"].strip()
    assert (choice["finish_reason"], reply["usage"]["completion_tokens"]) == ("length", 16)


def test_models_with_the_official_client(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


def test_a_stream_equals_the_plain_answer(client: openai.OpenAI) -> None:
    story(client, "the sea")  # both then find the same prompt computed: near ties fall alike
    plain = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Write a short story about the sea."}],
        temperature=0,
        max_tokens=24,
    )
    assert story(client, "the sea")[:40] == (plain.choices[0].message.content or "")[:40]


def test_completions_with_the_official_client(client: openai.OpenAI) -> None:
    reply = client.completions.create(
        model=MODEL, prompt=["one two three", "a b c"], max_tokens=8, temperature=0, logprobs=2, n=2
    )
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert reply.choices[0].text == reply.choices[1].text != reply.choices[2].text
    for choice in reply.choices:
        assert choice.logprobs is not None
        assert "".join(choice.logprobs.tokens or []) == choice.text


def test_responses_with_the_official_client(client: openai.OpenAI) -> None:
    def ask(**fields: Any) -> Any:
        return client.responses.create(
            model=MODEL,
            instructions="Answer in one short sentence.",
            input="What is the capital of France?",
            temperature=0,
            **fields,
        )

    ask(max_output_tokens=1)  # both then find the same prompt computed: near ties fall alike
    plain = ask()
    *_, last = ask(stream=True)
    assert "Paris" in plain.output_text
    assert last.type == "response.completed"
    assert last.response.output_text == plain.output_text
    assert last.response.usage.input_tokens == plain.usage.input_tokens


def test_a_stop_string_never_leaks(client: openai.OpenAI) -> None:
    full = story(client, "the sea")
    stop = full[10:18]
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Write a short story about the sea."}],
        temperature=0,
        max_tokens=24,
        stop=stop,
        stream=True,
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == full[: full.index(stop)]
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.timeout(300)  # neighbours may take most of the machine
def test_sixteen_streams_at_once_answer_as_each_does_alone(client: openai.OpenAI) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(TOPICS)) as pool:
        together = list(pool.map(lambda topic: story_tokens(client, topic), TOPICS))
    alone = [story_tokens(client, topic) for topic in TOPICS]
    for one, two in zip(alone, together, strict=True):
        assert len(two) > 10
        assert is_same_up_to_ties(one, two)


def test_a_repeated_prompt_is_cached(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "How many legs does a spider have? " * 8}]

    def cached() -> int:
        reply = client.chat.completions.create(
            model=MODEL, messages=messages, max_tokens=2, temperature=0
        )
        assert reply.usage is not None
        assert reply.usage.prompt_tokens_details is not None
        return reply.usage.prompt_tokens_details.cached_tokens or 0

    cached()
    assert cached() > 60


def test_samplers_of_llama_server_reach_the_model(client: openai.OpenAI) -> None:
    def text(**fields: object) -> str:
        reply = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Repeat this for ever: the sun is hot."}],
            temperature=0,
            seed=1,
            max_tokens=4,
            extra_body=fields,
        )
        return (reply.choices[0].message.content or "").lower()

    dry = {"dry_multiplier": 5, "dry_penalty_last_n": -1}
    assert text() == "the sun is hot"
    assert text(mirostat=2, mirostat_tau=0) == "the sun is hot"
    assert text(**dry, samplers=["top_k", "temperature"]) == "the sun is hot"
    assert text(**dry) != "the sun is hot"
    assert text(xtc_probability=1, xtc_threshold=0.05) != "the sun is hot"


def test_a_prompt_over_the_context_is_refused_with_the_numbers(client: openai.OpenAI) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "word " * 9000}], stream=stream
            )
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.body["n_ctx"] == 8192
        assert caught.value.body["n_prompt_tokens"] > 9000


def test_an_answer_goes_on_with_what_the_assistant_has_begun(http: httpx.Client) -> None:
    messages = [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "The capital of France is the city of"},
    ]
    body = {"messages": messages, "temperature": 0, "max_tokens": 2}
    reply = http.post("/v1/chat/completions", json={**body, "continue_final_message": True})
    assert reply.raise_for_status().json()["choices"][0]["message"]["content"][:6] == " Paris"


def test_control_tokens_that_a_user_types_do_not_end_the_turn(http: httpx.Client) -> None:
    def n_prompt(content: str) -> int:
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": 1}
        reply = http.post("/v1/chat/completions", json=body).raise_for_status().json()
        return int(reply["usage"]["prompt_tokens"])

    assert n_prompt("a<|im_end|>b") - n_prompt("ab") > 3


def test_vectors_of_texts(client: openai.OpenAI) -> None:
    texts = ["A cat sleeps on the sofa.", "The cat is sleeping on a couch.", "word " * 2000]
    packed = client.embeddings.create(model=MODEL, input=texts)
    plain = client.embeddings.create(model=MODEL, input=texts[:2], encoding_format="float")
    short = client.embeddings.create(model=MODEL, input=texts[0], dimensions=64)
    vectors = [item.embedding for item in packed.data]
    for vector, other in zip(vectors, plain.data, strict=False):
        near = 1e-3 if has_our_kernels() else 1e-2  # llama.cpp's round by the company
        assert vector == pytest.approx(other.embedding, abs=near)
    for vector in [*vectors, short.data[0].embedding]:
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
    assert [len(vectors[0]), len(short.data[0].embedding)] == [576, 64]
    assert math.dist(vectors[0], vectors[1]) < math.dist(vectors[0], vectors[2])
    assert packed.usage.total_tokens > 2000
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, input=["a", "word " * 9000])
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")
    assert caught.value.body["n_ctx"] == 8192


def test_a_right_prediction_is_accepted_and_changes_nothing(client: openai.OpenAI) -> None:
    def write(**fields: Any) -> ChatCompletion:
        return client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Count from one to ten in words."}],
            temperature=0,
            max_tokens=40,
            **fields,
        )

    plain = write()
    text = plain.choices[0].message.content
    predicted = write(prediction={"type": "content", "content": text})
    assert predicted.choices[0].message.content
    details = predicted.usage.completion_tokens_details
    # How many at once depends on what steps were measured to cost.
    assert details.accepted_prediction_tokens > 0
    assert details.accepted_prediction_tokens < predicted.usage.completion_tokens
    assert plain.usage.completion_tokens_details.accepted_prediction_tokens == 0


def test_a_killed_engine_comes_back_and_its_streams_go_on(
    model_server: ServerProcess, http: httpx.Client
) -> None:
    engine, front = model_server.engine(), model_server.worker()
    body = {
        "messages": [{"role": "user", "content": "Tell me everything about the sea."}],
        "stream": True,
        "ignore_eos": True,
        "max_tokens": 300,
        "stream_options": {"include_usage": True},
    }
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        events = sse_events(response)
        for _ in range(5):
            next(events)
        engine.kill()
        rest = list(events)
    assert rest[-1] == "[DONE]"
    assert rest[-2]["usage"]["completion_tokens"] == 300
    wait_until(lambda: model_server.engine().pid != engine.pid, SOON_S, "a new engine")
    model_server.wait_healthy()
    assert model_server.worker().pid == front.pid
    answer = http.post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3},
    )
    assert answer.status_code == 200
