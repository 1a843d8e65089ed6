"""Fields of chats and completions, one wrong at a time."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.hostile.conftest import CHAT, COMPLETIONS, Target, check_refusal
from tests.support.server import sse_events
from tests.support.tiny.llama import N_VOCAB

TYPE, VALUE = "invalid_type", "invalid_value"
CONTENT, FIELD = "unsupported_content", "unsupported_parameter"
BOTH = (CHAT, COMPLETIONS)
BIG = 2**31
URLS = (
    *("http://169.254.169.254/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/"),
    *("http://127.0.0.1:{port}/", "http://[::]:{port}", "http://0.0.0.0:{port}"),
    *("http://ok.com\\@127.0.0.1:{port}", "data:image/png;base64,AA"),
)
LLAMA_FIELDS: list[tuple[str, Any]] = [
    *((name, value) for name in ("n_discard", "n_keep", "id_slot") for value in (-1, BIG)),
    *(("cache_prompt", False), ("cache_prompt", "x"), ("samplers", ["temperature"])),
    *(("grammar_lazy", False), ("n_predict", -1)),
]
WRONG: dict[str, list[Any]] = {
    "model": [5, [], "a" * 10**6, "x\0"],
    "max_tokens": [-2, BIG, 2**63, 2**64, 1e30, "10", 1.5, True],
    "n": [0, -1, 129, 10**9],
    "temperature": [-1, 2.1, 1e308, "hot", True],
    "top_p": [1.1, -1],
    "top_k": [-5, BIG],
    "min_p": [2, -1],
    "frequency_penalty": [3, -3],
    "presence_penalty": [3, -3],
    "repeat_penalty": [0, 5e-324, 1e-40, -1, 1e9],
    "repeat_last_n": [-2, 10**9],
    "dry_multiplier": [-1],
    "xtc_probability": [2],
    "mirostat": [3],
    "samplers": [["x"], "zzz", [1], {}],
    "seed": [2**63, 2**64, 1.5, "x"],
    "stop": ["", [""], "x" * 10**6, [1], [["x"]], ["x"] * 65, 5, {}],
    "stream": ["yes", 1],
    "stream_options": [{"include_usage": True}, [], "x"],
    "logit_bias": [
        *({str(i): 1 for i in range(50_000)}, {"abc": 1}, {"-1": 1}, {"999999999": 1}, {"1": 101}),
        *({"1": "x"}, {"1": None}, {"": 1}, {"\u0663": 1}, {"1.0": 1}, [[1]], [[None, 1]], "x", 5),
        [[token, False] for token in range(N_VOCAB)],
    ],
    "user": [5, "x" * 513],
    "n_predict": [-2, BIG],
    "chat_template": ["{{ messages }}"],
}  # fmt: skip
MESSAGES: list[Any] = [
    *("x", [], [1], [{}], [None], [[]], {"role": "user"}, [{"role": 1}], [{"role": "user"}]),
    *([{"role": "user", "content": content}] for content in (123, [], None, {}, [None], [1])),
    [{"role": "root", "content": "x"}],
    [{"role": "x" * 10**6, "content": "x"}],
    [{"role": "user", "content": "x"}] * 10_000,
    [{"role": "user", "content": "x" * (2**21 + 1)}],
]
PARTS: list[Any] = [
    *({"type": "x"}, {"text": "x"}, {"type": ["text"]}, {"type": "file"}, {"type": None}),
    {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
]
PROMPTS: list[Any] = [
    *([], [[]], [[-1]], [[N_VOCAB]], [[BIG]], [[2**64]], ["a", 1], [1, "a"], [[1], "a"], [None]),
    *([True], [1.5], [[1.5]], [[[1]]], 5, {}, ["a"] * 10_000, [[1]] * 10_000, "x" * (2**21 + 1)),
]
COMBINATIONS: list[tuple[str, dict[str, Any], str]] = [
    (COMPLETIONS, {"best_of": 1, "n": 2}, "best_of"),
    (COMPLETIONS, {"best_of": 10**9}, "best_of"),
    (COMPLETIONS, {"best_of": 2, "stream": True}, "best_of"),
    (COMPLETIONS, {"logprobs": 10**6}, "logprobs"),
    (COMPLETIONS, {"logprobs": True}, "logprobs"),
    (COMPLETIONS, {"echo": True, "suffix": "x"}, "suffix"),
    (COMPLETIONS, {"suffix": "x"}, "suffix"),
    (COMPLETIONS, {"prompt": ["x"] * 64, "n": 3}, "n"),
    (COMPLETIONS, {"messages": []}, "messages"),
    (CHAT, {"top_logprobs": 2}, "top_logprobs"),
    (CHAT, {"prompt_logprobs": 21}, "prompt_logprobs"),
    (CHAT, {"prompt_logprobs": 0, "stream": True}, "prompt_logprobs"),
    (COMPLETIONS, {"prompt_logprobs": -1}, "prompt_logprobs"),
    (COMPLETIONS, {"truncate_prompt_tokens": 2**62}, "truncate_prompt_tokens"),
    (CHAT, {"truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
    (CHAT, {"truncation_side": "up"}, "truncation_side"),
    (CHAT, {"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    (CHAT, {"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
    (CHAT, {"logprobs": 5}, "logprobs"),
    (CHAT, {"stream": True, "stream_options": {"include_usage": 1}}, "stream_options"),
    (CHAT, {"chat_template_kwargs": {"bos_token": "x"}}, "chat_template_kwargs"),
    (CHAT, {"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
    (CHAT, {"chat_template_kwargs": {"a": "x" * 5000}}, "chat_template_kwargs"),
    (CHAT, {"modalities": ["audio"]}, "modalities"),
    (CHAT, {"best_of": 2}, "best_of"),
]  # fmt: skip
HARMLESS: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"chat_template_kwargs": {"tokenize": True, "a": [{"b": {}}, None, 1.5]}}),
    *((path, {"seed": seed}) for path in BOTH for seed in (-1, 2**63 - 1, -(2**63))),
    *((path, {"stop": stop}) for path in BOTH for stop in ([], ["a"] * 16, None)),
    *((path, {"n": 128, "max_tokens": 1}) for path in BOTH),
    *((path, {"max_tokens": -1, "stop": ["a", "e", " "]}) for path in BOTH),
    *((path, {"max_tokens": 2.0, "top_p": 0}) for path in BOTH),
    *((path, {"logit_bias": [["x", 1], ["y", False]]}) for path in BOTH),
    (CHAT, {"max_tokens": 0}),
    (CHAT, {"wish" * 1000: 1, "a\r\nb": [[]], **{str(i): i for i in range(5000)}}),
    *((path, {name: value}) for path in BOTH for name, value in LLAMA_FIELDS),
    (COMPLETIONS, {"prompt": ""}),
    (COMPLETIONS, {"prompt": [""]}),
    (COMPLETIONS, {"prompt": None}),
    (COMPLETIONS, {"prompt": [[N_VOCAB - 1]]}),
    (COMPLETIONS, {"max_tokens": 0}),
    (CHAT, {"logprobs": True, "top_logprobs": 20}),
    (CHAT, {"logit_bias": {str(token): -100 for token in range(N_VOCAB)}}),
    (CHAT, {"grammar": 'root ::= "a"', "logit_bias": {"64": -100}, "temperature": 0}),
]  # fmt: skip


def shown(value: object) -> str:
    return json.dumps(value)[:40]


def cases(values: list[Any]) -> list[Any]:
    return [pytest.param(value, id=f"{i}: {shown(value)}") for i, value in enumerate(values)]


@pytest.mark.parametrize("messages", cases(MESSAGES))
def test_messages_that_are_none(target: Target, messages: Any) -> None:
    response = target.ask(CHAT, messages=messages)
    check_refusal(response, 400)
    assert response.json()["error"]["param"].startswith("messages")


@pytest.mark.parametrize("part", cases(PARTS))
def test_parts_that_are_no_text(target: Target, part: Any) -> None:
    response = target.ask(CHAT, messages=[{"role": "user", "content": [part]}])
    check_refusal(response, 400, CONTENT, "messages.0.content.0")


@pytest.fixture(scope="module")
def canary() -> Iterator[socket.socket]:
    """Listens, and is never called."""
    with socket.create_server(("", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("url", URLS)
def test_no_url_is_followed(target: Target, canary: socket.socket, url: str) -> None:
    link = {"url": url.format(port=canary.getsockname()[1])}
    part = {"type": "image_url", "image_url": link}
    response = target.ask(CHAT, messages=[{"role": "user", "content": [part]}])
    check_refusal(response, 400, CONTENT, "messages.0.content.0")
    with pytest.raises(BlockingIOError):
        canary.accept()


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("model", ["nope", "../../etc/passwd", "/etc/passwd", "x\n", "\u202etiny"])
def test_models_that_are_none(target: Target, path: str, model: str) -> None:
    check_refusal(target.ask(path, model=model), 404, "model_not_found", "model")


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name} {i}: {shown(value)}")
        for name, values in WRONG.items()
        for i, value in enumerate(values)
    ],
)
def test_wrong_values(target: Target, path: str, name: str, value: Any) -> None:
    response = target.ask(path, **{name: value})
    check_refusal(response, 400)
    error = response.json()["error"]
    assert error["param"].split(".")[0] == name
    assert error["code"] in (TYPE, VALUE, FIELD)
    assert len(error["message"]) < 500


@pytest.mark.parametrize("prompt", cases(PROMPTS))
def test_prompts_that_are_none(target: Target, prompt: Any) -> None:
    response = target.ask(COMPLETIONS, prompt=prompt)
    check_refusal(response, 400)
    assert response.json()["error"]["param"].startswith("prompt")


@pytest.mark.parametrize(("path", "fields", "param"), COMBINATIONS, ids=shown)
def test_fields_that_do_not_go_together(
    target: Target, path: str, fields: dict[str, Any], param: str
) -> None:
    response = target.ask(path, **fields)
    check_refusal(response, 400)
    assert response.json()["error"]["param"].split(".")[0] == param


@pytest.mark.parametrize(("path", "fields"), HARMLESS, ids=shown)
def test_odd_but_allowed(target: Target, path: str, fields: dict[str, Any]) -> None:
    response = target.ask(path, **fields)
    assert response.status_code == 200, response.text


def test_choices_of_a_stream_keep_their_indexes(target: Target) -> None:
    body = {"n": 4, "stream": True, "max_tokens": 40, "ignore_eos": True, "temperature": 1}
    messages = [{"role": "user", "content": "hi"}]
    request = {"model": "tiny", "messages": messages, **body}
    with target.client.stream("POST", CHAT, json=request) as left:
        next(left.iter_lines())  # and goes
    with target.client.stream("POST", CHAT, json=request) as response:
        events = list(sse_events(response))
    assert events.pop() == "[DONE]"
    finished = [c["index"] for e in events for c in e["choices"] if c["finish_reason"]]
    assert sorted(finished) == [0, 1, 2, 3]


@pytest.mark.parametrize("unit", ["A", " ", "\n", "1", "!", "\u00e9", "\u4e2d", "\t"])
@pytest.mark.parametrize("n", [27_000, 200_000, 650_000])
def test_long_runs_of_one_character(target: Target, unit: str, n: int) -> None:
    response = target.ask(COMPLETIONS, prompt=unit * n)
    check_refusal(response, 400, "context_length_exceeded", "prompt")


@pytest.mark.parametrize(
    "unit", ["\u0301", "\U0001f469\u200d\U0001f467", "\u05d0\u202e", "\U0010ffff", "\ue000"]
)
def test_odd_characters(target: Target, unit: str) -> None:
    check_refusal(target.ask(COMPLETIONS, prompt=unit * 10**5), 400, "context_length_exceeded")
    tokens = target.post("/tokenize", {"model": "tiny", "content": unit}).json()["tokens"]
    text = target.post("/detokenize", {"model": "tiny", "tokens": tokens}).json()["content"]
    assert text == unit
    assert target.ask(CHAT, messages=[{"role": "user", "content": unit}]).status_code == 200


@pytest.mark.parametrize("text", ["<|im_end|>", "<|im_start|>system\n", "<|endoftext|>"])
def test_names_of_control_tokens_are_text(target: Target, text: str) -> None:
    plain = {"messages": [{"role": "user", "content": "x" * len(text)}]}
    named = {"messages": [{"role": "user", "content": text}]}
    n_plain, n_named = (
        target.ask(CHAT, **fields).json()["usage"]["prompt_tokens"] for fields in (plain, named)
    )
    n_merged = 4  # what " system" and the like save at most
    assert n_plain - n_merged <= n_named <= n_plain


def test_prompts_as_long_as_the_context(target: Target) -> None:
    def ask(n_tokens: int) -> Any:
        return target.ask(COMPLETIONS, prompt=[65] * n_tokens, max_tokens=9, ignore_eos=True)

    for n_tokens, n_left in ((510, 2), (511, 1)):
        choice = ask(n_tokens).json()
        assert choice["usage"]["completion_tokens"] == n_left
        assert choice["choices"][0]["finish_reason"] == "length"
    for n_tokens in (512, 513):
        response = ask(n_tokens)
        check_refusal(response, 400, "context_length_exceeded", "prompt")
        assert str(n_tokens) in response.json()["error"]["message"]


def test_answers_of_many_clients_are_their_own(target: Target) -> None:
    def ask(i: int) -> tuple[int, str]:
        response = target.post(CHAT, body(i), **{"X-Request-Id": f"nonce-{i}"})
        assert response.headers["X-Request-Id"] == f"nonce-{i}"
        return i, str(response.json()["choices"][0]["message"]["content"])

    def body(i: int) -> dict[str, Any]:
        return {
            **{"model": "tiny", "grammar": f'root ::= "n{i}"', "max_tokens": 9},
            "messages": [{"role": "user", "content": "hi"}],
        }

    def leave(i: int) -> None:
        with target.client.stream("POST", CHAT, json={**body(i), "stream": True}) as response:
            next(response.iter_raw())

    with ThreadPoolExecutor(16) as pool:
        gone = [pool.submit(leave, i) for i in range(0, 60, 3)]
        answers = list(pool.map(ask, range(60)))
        for future in gone:
            future.result()
    assert answers == [(i, f"n{i}") for i in range(60)]
