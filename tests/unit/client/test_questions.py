"""Questions as data, prompts and lists of them, errors by code and by status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from pyserve.client import asks
from pyserve.client.batch import as_params, is_one_chat, is_one_prompt
from pyserve.client.client import Client
from pyserve.client.params import SamplingParams
from pyserve.client.server import NoServerError, Server, ServerAnswerError
from pyserve.errors import (
    ContextLengthExceededError,
    InvalidRequestError,
    NotFoundError,
    PyserveError,
    RateLimitError,
    UnavailableError,
)

HELLO = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    ("prompts", "is_one"),
    [
        ("a", True),
        ([1, 2], True),
        (np.array([1, 2]), True),
        ([], False),
        (["a"], False),
        ([[1]], False),
    ],
)
def test_texts_and_token_ids_are_one_prompt(prompts: Any, is_one: bool) -> None:
    assert is_one_prompt(prompts) is is_one


@pytest.mark.parametrize(
    ("chats", "is_one"),
    [("a", True), ([HELLO], True), ([[HELLO]], False), ([], False), (["a"], False)],
)
def test_a_list_of_messages_is_one_chat(chats: Any, is_one: bool) -> None:
    assert is_one_chat(chats) is is_one


def test_what_is_not_said_is_not_sent() -> None:
    assert SamplingParams().body() == {}
    assert SamplingParams(n=2, extra={"dry_base": 2}).body() == {"n": 2, "dry_base": 2}
    body = SamplingParams(logit_bias={np.int64(3): 1}, stop_token_ids=np.array([1, 2])).body()
    assert body == {"logit_bias": {"3": 1.0}, "stop_token_ids": [1, 2]}
    assert [type(token) for token in body["stop_token_ids"]] == [int, int]


def test_an_answer_without_details_is_read() -> None:
    choice = {"index": 0, "text": "x", "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    ask = asks.completion("a", SamplingParams(), None, {})
    output = ask.read({"choices": [choice], "usage": usage, "model": "m"})
    assert (output.text, output.usage.cached_tokens, output.outputs[0].token_ids) == ("x", 0, ())


@pytest.mark.parametrize(
    ("status", "body", "error", "details"),
    [
        (
            400,
            {"error": {"message": "m", "code": "context_length_exceeded", "n_ctx": 5}},
            ContextLengthExceededError,
            {"n_ctx": 5},
        ),
        (400, {"error": {"message": "m", "code": "theirs", "param": "p"}}, InvalidRequestError, {}),
        (404, {"error": {"message": "m", "code": None}}, NotFoundError, {}),
        (
            429,
            {"error": {"message": "m", "code": "slow_down"}},
            RateLimitError,
            {"retry_after_s": 7},
        ),
        (503, "no JSON", UnavailableError, {}),
        (502, "no JSON", ServerAnswerError, {}),
    ],
)
def test_errors_are_told_by_code_and_by_status(
    status: int, body: Any, error: type[PyserveError], details: dict[str, Any]
) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        headers = {"Retry-After": "7"} if status == 429 else {}
        if isinstance(body, str):
            return httpx.Response(status, text=body)
        return httpx.Response(status, json=body, headers=headers)

    server = Server("http://server", transport=httpx.MockTransport(answer))
    with pytest.raises(PyserveError) as caught, ServerAnswerError.told():
        server.post("/", {})
    server.close()

    assert type(caught.value) is error
    assert caught.value.details == details
    if isinstance(body, dict):
        assert caught.value.message == "m"
        assert caught.value.param == body["error"].get("param")


def test_a_client_takes_no_functions_of_this_program() -> None:
    params = SamplingParams(logits_processors=[lambda _tokens, _logits: None])
    with Client("http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequestError, match=r"use pyserve\.LLM"):
            client.generate("a", params)
        with pytest.raises(NoServerError, match="no server answers"):
            client.generate("a")


def test_what_others_call_it_is_taken_or_told() -> None:
    params = SamplingParams(max_tokens=3)
    more: dict[str, Any] = {"sampling_params": params, "seed": 1}
    assert (as_params(None, 2, more), more) == ([params, params], {"seed": 1})
    client = Client("http://127.0.0.1:9")
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: client.generate("a", stream=True), "stream and stream_chat"),
        (lambda: client.generate(None), "prompts: a text, or a list, not NoneType"),  # type: ignore[call-overload]
        (lambda: client.chat(5), "messages: a text, or a list, not int"),  # type: ignore[call-overload]
        (lambda: client.tokenize(b"a"), "written as JSON"),  # type: ignore[arg-type]
        (lambda: client.generate("a", temperature=float("nan")), "written as JSON"),
        (lambda: client.generate("\ud800"), "half of a character"),
    ]
    for ask, said in wrong:
        with pytest.raises(InvalidRequestError, match=said):
            ask()
    with pytest.raises(AttributeError, match="it is chat here"):
        getattr(client, "create_chat_completion")  # noqa: B009  # checkers know better
    client.close()
    with pytest.raises(NoServerError, match="it was closed"):
        client.generate("a")
