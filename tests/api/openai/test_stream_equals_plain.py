"""A streamed answer, put together, is the plain one, whatever the model says."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyserve.engine.fake.script import FakeScript
from tests.support.front import CHAT, COMPLETIONS, RESPONSES, Front, chat_body, events_of

WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=3).map(tuple)
OPTIONS = st.fixed_dictionaries(
    {"stop": st.sampled_from([None, [" "], ["a", "\n"]]), "seed": st.just(1)},
    optional={"max_tokens": st.integers(1, 4), "n": st.integers(1, 3), "logprobs": st.just(1)},
)
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def plain_choices(front: Front, path: str, body: dict[str, Any]) -> tuple[Any, Any]:
    """Text, end and log-probabilities of each choice, and the usage."""
    answer = front.post(path, body).get_json()
    choices = {}
    for choice in answer["choices"]:
        text = choice["text"] if "text" in choice else choice["message"]["content"]
        choices[choice["index"]] = [text, choice["finish_reason"], tokens_of(choice)]
    return choices, answer["usage"]


def streamed_choices(front: Front, path: str, body: dict[str, Any]) -> tuple[Any, Any]:
    """The same, put together from chunks."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *events, last, done = events_of(front.post(path, {**body, **options}))
    assert done == "[DONE]"
    choices: dict[int, list[Any]] = defaultdict(lambda: ["", None, []])
    for (choice,) in (event["choices"] for event in events):
        found = choices[choice["index"]]
        assert found[1] is None  # nothing follows the end
        found[0] += choice["text"] if "text" in choice else choice["delta"].get("content", "")
        found[1] = choice["finish_reason"]
        found[2] += tokens_of(choice)
    return choices, last["usage"]


def tokens_of(choice: dict[str, Any]) -> list[Any]:
    """Token and log-probability, of either shape."""
    logprobs = choice["logprobs"] or {}
    if "content" in logprobs:
        return [(token["token"], token["logprob"]) for token in logprobs["content"]]
    return list(zip(logprobs.get("tokens", []), logprobs.get("token_logprobs", []), strict=True))


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@FEW
@given(texts=TEXTS, options=OPTIONS)
def test_chunks_are_the_choices(front, path, texts, options):
    body = chat_body("x") if path == CHAT else {"prompt": "x"}
    body |= options
    if path == CHAT and "logprobs" in body:
        body["logprobs"] = True
    front.core.play(FakeScript(texts=texts))
    plain = plain_choices(front, path, body)
    front.core.play(FakeScript(texts=texts))
    assert streamed_choices(front, path, body) == plain


@FEW
@given(texts=TEXTS, n_tokens=st.none() | st.integers(1, 4))
def test_events_are_the_response(front, texts, n_tokens):
    body = {"input": "x", "max_output_tokens": n_tokens, "top_logprobs": 1}
    front.core.play(FakeScript(texts=texts))
    plain = front.post(RESPONSES, body).get_json()
    front.core.play(FakeScript(texts=texts))
    streamed = front.post(RESPONSES, {**body, "stream": True})
    lines = [line for line in streamed.text.split("\n") if line.startswith("data: {")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    last = events[-1]["response"]
    assert last["output"][0]["content"] == plain["output"][0]["content"]
    assert (last["status"], last["usage"]) == (plain["status"], plain["usage"])
    assert "".join(event["delta"] for event in deltas) == plain["output"][0]["content"][0]["text"]
