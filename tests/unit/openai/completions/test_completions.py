from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from pyserve.engine.protocol import Delta, TokenLogprob, TopLogprob
from pyserve.openai.completions.completions import CompletionAnswer, completion_requests
from pyserve.openai.completions.logprobs import LegacyLogprobsWriter, PromptEcho
from pyserve.openai.logprobs import PromptLogprob, prompt_logprobs
from tests.support.answers import INFO, as_json, chunks_of, last, output, token
from tests.support.bodies import completion

PROMPT = [token(b"<s>", 0.0), token(b" ab", -2.0), token("é".encode(), -3.0)]
BEST = [TopLogprob(8, b"b", -1.0), TopLogprob(7, b"\xc3", -3.0)]
WORDS = [Delta(text="x", logprobs=[token(b"x")]), Delta(text="yz", logprobs=[token(b"yz")])]


def answer_of(**fields: Any) -> CompletionAnswer:
    return CompletionAnswer(completion(**fields), "m", INFO, lambda ids: "é" * len(ids))


def joined(chunks: Sequence[Any]) -> dict[str, Any]:
    """The arrays of all chunks, one after the other."""
    parts = [c["choices"][0]["logprobs"] for c in chunks if c["choices"][0]["logprobs"]]
    return {key: [x for part in parts for x in part[key]] for key in parts[0]}


def test_prompts_expand_prompt_by_prompt():
    requests = completion_requests(completion(prompt=["a", "b"], n=2, seed=1), INFO)
    assert [(r.prompt, r.sampling.seed) for r in requests] == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
        ("b", 2),
    ]
    assert {r.max_tokens for r in requests} == {16}


def test_token_prompts_stay_tokens():
    (request,) = completion_requests(completion(prompt=[1, 2], max_tokens=3), INFO)
    assert (request.tokens, request.prompt, request.max_tokens) == ([1, 2], None, 3)


@pytest.mark.parametrize(
    ("fields", "n_logprobs", "n_prompt_logprobs"),
    [
        ({}, None, None),
        ({"echo": True}, None, None),
        ({"logprobs": 2}, 2, None),
        ({"logprobs": 0, "echo": True}, 0, 0),
        ({"prompt_logprobs": 0}, None, 1),
        ({"prompt_logprobs": 3, "logprobs": 5}, 5, 3),
        ({"prompt_logprobs": 3, "logprobs": 5, "echo": True}, 5, 5),
        ({"best_of": 2}, 0, None),
        ({"best_of": 2, "n": 2}, None, None),
        ({"best_of": 2, "logprobs": 3}, 3, None),
    ],
)
def test_the_engine_is_asked_for_the_logprobs_that_are_needed(
    fields, n_logprobs, n_prompt_logprobs
):
    request = completion_requests(completion(prompt="p", **fields), INFO)[0]
    assert (request.n_logprobs, request.n_prompt_logprobs) == (n_logprobs, n_prompt_logprobs)


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({}, 16),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": 0, "n_predict": 5}, 0),
        ({"n_predict": 5}, 5),
        ({"n_predict": -1}, None),
    ],
)
def test_the_limit_is_told_to_the_engine(fields, max_tokens):
    (request,) = completion_requests(completion(prompt="p", **fields), INFO)
    assert request.max_tokens == max_tokens


def test_offsets_count_characters_and_go_on_over_pieces():
    writer = LegacyLogprobsWriter(3)
    first = writer.write([token(b"a\xc3"), token(b"\xa9b")])
    second = writer.write([token("€".encode()), token(b"c")])
    assert first.text_offset + second.text_offset == [3, 4, 6, 7]
    assert first.tokens == ["bytes:\\x61\\xc3", "bytes:\\xa9\\x62"]


@pytest.mark.parametrize("logprob", [-math.inf, math.nan, -1e9])
def test_impossible_tokens_have_a_finite_logprob(logprob):
    tokens = [token(b"a", logprob, TopLogprob(2, b"b", logprob))]
    for arrays in (
        LegacyLogprobsWriter(0).write(tokens),
        PromptEcho("xa", is_tokens=False).write([token(b"x"), *tokens])[1],
    ):
        assert arrays.token_logprobs[-1] == -9999.0
        assert arrays.top_logprobs[-1] == {"a": -9999.0, "b": -9999.0}


def test_prompt_logprobs_are_asked_once_of_each_prompt_and_shown_by_each_choice():
    scored = [token(b"<s>", 0.0), TokenLogprob(7, b"\xc3", -3.0, BEST)]
    answer = answer_of(prompt=["p", "q"], n=2, best_of=3, prompt_logprobs=1, max_tokens=1)
    asked = [request.n_prompt_logprobs for request in answer.requests]
    assert asked == [1, None, None] * 2
    outputs = [output(*([Delta(prompt_logprobs=scored)] if n else []), last()) for n in asked]
    choices = as_json(answer.response(outputs))["choices"]
    shown = {
        "7": {"logprob": -3.0, "rank": 2, "decoded_token": "\ufffd"},
        "8": {"logprob": -1.0, "rank": 1, "decoded_token": "b"},
    }
    assert [choice["prompt_logprobs"] for choice in choices] == [[None, shown]] * 4
    assert [choice["logprobs"] for choice in choices] == [None] * 4


@pytest.mark.parametrize(
    ("n_top", "ranks"), [(0, {"7": 2}), (1, {"7": 2, "8": 1}), (2, {"7": 2, "8": 1})]
)
def test_a_prompts_token_stands_first_and_its_rank_is_told_where_it_is_known(n_top, ranks):
    seen = TokenLogprob(7, b"a", -3.0, BEST)
    (nothing, told) = prompt_logprobs([seen, seen], n_top)
    assert nothing is None
    assert told is not None
    assert [(name, at.rank) for name, at in told.items()] == list(ranks.items())
    unseen = TokenLogprob(9, b"c", -math.inf, BEST)
    (_, told) = prompt_logprobs([unseen, unseen], 0)
    assert told == {"9": PromptLogprob(-9999.0, None, "c")}


def test_an_echo_beside_prompt_logprobs_has_its_own_alternatives():
    scored = [token(b"<s>", 0.0), TokenLogprob(7, b"ab", -3.0, BEST)]
    told = output(Delta(prompt_logprobs=scored), last(text="x", logprobs=[token(b"x")]))
    (choice,) = as_json(
        answer_of(prompt="ab", echo=True, logprobs=0, prompt_logprobs=2).response([told])
    )["choices"]
    assert choice["logprobs"]["top_logprobs"][:2] == [None, {"ab": -3.0}]
    assert list(choice["prompt_logprobs"][1]) == ["7", "8"]


def test_the_sampled_token_is_among_the_alternatives():
    tokens = [token(b"a", -3.0, TopLogprob(2, b"b", -1.0))]
    assert LegacyLogprobsWriter(0).write(tokens).top_logprobs == [{"b": -1.0, "a": -3.0}]


def test_streamed_logprobs_join_to_the_plain_ones():
    fields = {"prompt": "xyz", "logprobs": 0, "stream": True}
    plain = as_json(answer_of(**fields).response([output(*WORDS, last())]))
    chunks = chunks_of(answer_of(**fields), [(0, delta) for delta in [*WORDS, last()]])
    assert joined(chunks) == plain["choices"][0]["logprobs"]
    assert joined(chunks)["text_offset"] == [3, 4]


def test_token_prompts_are_detokenized_for_offsets():
    answer = answer_of(prompt=[[1], [1, 2]], logprobs=0)
    outputs = [output(last(text="a", logprobs=[token(b"a")])) for _ in range(2)]
    choices = as_json(answer.response(outputs))["choices"]
    assert [choice["logprobs"]["text_offset"] for choice in choices] == [[1], [2]]


@pytest.mark.parametrize("prompt", [["p", "éé"], [[1], [1, 2]]])
@pytest.mark.parametrize("stream", [False, True])
def test_an_echo_precedes_the_answer(prompt, stream):
    answer = answer_of(prompt=prompt, echo=True, stream=stream)
    deltas = [Delta(text="x"), last(text="y")]
    shown = ["p" if prompt == ["p", "éé"] else "é", "éé"]
    if stream:
        chunks = chunks_of(answer, [(i, delta) for delta in deltas for i in (0, 1)])
        choices = [chunk["choices"][0] for chunk in chunks]
        assert [choice["text"] for choice in choices[:2]] == shown
        texts = ["".join(c["text"] for c in choices if c["index"] == i) for i in (0, 1)]
    else:
        choices = as_json(answer.response([output(*deltas), output(*deltas)]))["choices"]
        texts = [choice["text"] for choice in choices]
    assert texts == [f"{text}xy" for text in shown]
    assert {choice["logprobs"] for choice in choices} == {None}


def test_an_echo_with_logprobs_has_the_tokens_of_prompt_and_answer():
    answer = answer_of(prompt="abé", echo=True, logprobs=0)
    told = [Delta(prompt_logprobs=PROMPT[:2]), Delta(prompt_logprobs=PROMPT[2:])]
    (choice,) = as_json(answer.response([output(*told, *WORDS, last())]))["choices"]
    assert choice["text"] == "abéxyz"
    assert choice["logprobs"] == {
        "tokens": ["<s>", " ab", "é", "x", "yz"],
        "token_logprobs": [None, -2.0, -3.0, -1.0, -1.0],
        "top_logprobs": [None, {" ab": -2.0}, {"é": -3.0}, {"x": -1.0}, {"yz": -1.0}],
        "text_offset": [0, 0, 2, 3, 4],
    }


def test_logprobs_may_name_tokens_by_their_ids():
    answer = answer_of(prompt="abé", echo=True, logprobs=1, return_tokens_as_token_ids=True)
    best = TokenLogprob(7, b"x", -1.0, [TopLogprob(7, b"x", -1.0), TopLogprob(9, b"x", -2.0)])
    deltas = [Delta(prompt_logprobs=PROMPT), Delta(text="x", logprobs=[best]), last()]
    (choice,) = as_json(answer.response([output(*deltas)]))["choices"]
    names = [f"token_id:{told.token}" for told in PROMPT]
    assert choice["logprobs"]["tokens"] == [*names, "token_id:7"]
    assert choice["logprobs"]["top_logprobs"][-1] == {"token_id:7": -1.0, "token_id:9": -2.0}
    assert choice["text"] == "abéx"


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
@pytest.mark.parametrize("answer_deltas", [[], WORDS])
def test_a_streamed_echo_with_logprobs_joins_to_the_plain_one(cut, answer_deltas):
    fields = {"prompt": "abé", "echo": True, "logprobs": 0, "stream": True}
    told = [Delta(prompt_logprobs=part) for part in (PROMPT[:cut], PROMPT[cut:]) if part]
    deltas = [*told, *answer_deltas, last(reason="length")]
    plain = as_json(answer_of(**fields).response([output(*deltas)]))["choices"][0]
    chunks = chunks_of(answer_of(**fields), [(0, delta) for delta in deltas])
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == plain["text"]
    assert joined(chunks) == plain["logprobs"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == (
        [None] * (len(chunks) - 1)
    )
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    for chunk in chunks[: len(told)]:  # each text stands beside its own tokens
        (choice,) = chunk["choices"]
        n_before = choice["logprobs"]["text_offset"][0]
        assert choice["text"] == plain["text"][n_before:][: len(choice["text"])]


def test_the_pieces_of_a_token_prompt_are_its_text():
    echo = PromptEcho("<s>a\ufffdb", is_tokens=True)
    text, arrays = echo.write([token(b"<s>"), token(b"a"), token(b"\xff"), token(b"b")])
    assert text == "<s>a\ufffdb"
    assert arrays.text_offset == [0, 3, 4, 5]


def likely(text: str, *logprobs: float) -> Any:
    tokens: list[TokenLogprob] = [token(b"x", logprob) for logprob in logprobs]
    return output(last(5, len(logprobs), text=text, logprobs=tokens))


def test_the_best_by_mean_logprob_are_the_choices_and_all_are_counted():
    answer = answer_of(prompt=["p", "q"], n=2, best_of=3)
    outputs = [
        likely("long and likely", -1.0, -1.0, -1.0),
        likely("short", -2.0),
        likely("best", -0.5, -0.5),
        likely("nothing said"),
        likely("impossible", -math.inf),
        likely("possible", -900.0),
    ]
    body = as_json(answer.response(outputs))
    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [
        (0, "best"),
        (1, "long and likely"),
        (2, "possible"),
        (3, "impossible"),
    ]
    assert {choice["logprobs"] for choice in body["choices"]} == {None}
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (10, 8)


def test_as_many_candidates_as_choices_keep_their_order():
    answer = answer_of(prompt="p", n=2, best_of=2)
    choices = as_json(answer.response([likely("a", -9.0), likely("b", -1.0)]))["choices"]
    assert [choice["text"] for choice in choices] == ["a", "b"]
