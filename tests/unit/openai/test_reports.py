"""Times, token ids and progress beside an answer."""

from __future__ import annotations

import pytest

from pyserve.engine.protocol import Delta, Finish, Timings, Usage
from pyserve.openai.chat.chat import ChatAnswer, chat_requests
from pyserve.openai.completions.completions import CompletionAnswer
from pyserve.openai.reports import PromptProgress, answer_timings
from tests.support.answers import INFO, as_json, last, output
from tests.support.bodies import chat, completion


def finish(n_completion: int = 21) -> Finish:
    return Finish(
        reason="stop",
        usage=Usage(
            n_prompt_tokens=110,
            n_completion_tokens=n_completion,
            n_cached_tokens=10,
            n_draft_accepted=3,
            n_draft_rejected=2,
        ),
        timings=Timings(queue_ms=5.0, prompt_ms=200.0, decode_ms=400.0),
    )


def test_timings_are_counts_times_and_rates():
    timings = as_json(answer_timings([finish()]))
    assert timings == {
        "cache_n": 10,
        "prompt_n": 100,
        "prompt_ms": 200.0,
        "prompt_per_token_ms": 2.0,
        "prompt_per_second": 500.0,
        "predicted_n": 21,
        "predicted_ms": 400.0,
        "predicted_per_token_ms": 20.0,
        "predicted_per_second": 50.0,
        "draft_n": 5,
        "draft_n_accepted": 3,
        "queue_ms": 5.0,
    }


def test_timings_of_several_choices_add_counts_and_take_the_longest_time():
    both = answer_timings([finish(), finish(10)])
    assert (both.predicted_n, both.predicted_ms, both.prompt_n) == (31, 400.0, 200)
    assert both.predicted_per_second == 1000 * (20 + 9) / 400.0
    assert answer_timings([]).prompt_per_second == 0


def test_a_single_token_has_no_rate():
    timings = answer_timings([finish(1)])
    assert (timings.predicted_per_second, timings.predicted_per_token_ms) == (0.0, 0.0)


def answers_of(**fields):
    return [
        ChatAnswer(chat(**fields), "m", INFO),
        CompletionAnswer(completion(prompt="p", **fields), "m", INFO, str),
    ]


DELTAS = [Delta(text="a", tokens=[5]), Delta(tokens=[6]), last(text="b", tokens=[7])]


@pytest.mark.parametrize("name", ["tokens", "token_ids"])
def test_choices_and_chunks_have_the_tokens_that_were_asked_for(name):
    wanted = {"tokens": "return_tokens", "token_ids": "return_token_ids"}
    for answer in answers_of(**{wanted[name]: True}, stream=True):
        assert answer.text_chunk(0, "x") is None
        chunks = [as_json(c) for delta in DELTAS for c in answer.push(0, delta)]
        told = [choice.get(name, []) for chunk in chunks for choice in chunk["choices"]]
        assert [token for tokens in told for token in tokens] == [5, 6, 7]
        whole = as_json(answer.response([output(*DELTAS)]))["choices"][0]
        assert whole[name] == [5, 6, 7]


def test_nothing_is_told_that_was_not_asked_for():
    names = {"tokens", "token_ids", "timings", "prompt_progress"}
    for answer in answers_of(stream=True):
        chunks = [as_json(chunk) for delta in DELTAS for chunk in answer.push(0, delta)]
        whole = as_json(answer.response([output(*DELTAS)]))
        for told in (*chunks, whole):
            assert names.isdisjoint(told)
            assert names.isdisjoint(told["choices"][0])


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_last_chunk_has_the_timings(include_usage):
    options = {"stream_options": {"include_usage": include_usage}}
    for answer in answers_of(timings=True, stream=True, **options):
        chunks = [as_json(chunk) for delta in DELTAS for chunk in answer.push(0, delta)]
        chunks += as_json(answer.close())
        assert [("timings" in chunk) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert "timings" in as_json(answer.response([output(*DELTAS)]))


def test_each_chunk_has_timings_where_that_was_asked_for():
    for answer in answers_of(timings_per_token=True, stream=True):
        assert answer.requests[0].wants_timings
        assert answer.text_chunk(0, "x") is None
        (chunk,) = as_json(answer.push(0, Delta(text="a", so_far=finish(1))))
        assert chunk["timings"]["predicted_n"] == 1


def test_progress_is_a_chunk_that_adds_nothing():
    for answer in answers_of(return_progress=True, stream=True):
        assert answer.requests[0].wants_progress
        (chunk,) = as_json(answer.progress(PromptProgress(10, 2, 5, 1.5)))
        progress = {"total": 10, "cache": 2, "processed": 5, "time_ms": 1.5}
        assert chunk["prompt_progress"] == progress
        (choice,) = chunk["choices"]
        assert choice["finish_reason"] is None
        assert not choice.get("text")
        assert not choice.get("delta")


def test_a_plain_answer_has_no_progress_and_no_times_of_chunks():
    (request,) = chat_requests(chat(return_progress=True, timings_per_token=True), INFO)
    assert (request.wants_progress, request.wants_timings) == (False, False)
