"""What streams and answers tell of the time that they take."""

from __future__ import annotations

import json

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.web.answer.sse import KEEP_ALIVE
from tests.support.front import CHAT, COMPLETIONS, EDITS, RESPONSES, chat_body, error_of

BODIES = {CHAT: chat_body("a b c d"), COMPLETIONS: {"prompt": "a b c d"}}


def chunks_of(response):
    assert response.status_code == 200
    lines = response.text.splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


@pytest.mark.parametrize("path", BODIES)
def test_progress_grows_to_the_whole_prompt_before_the_first_token(front, path):
    body = {**BODIES[path], "stream": True, "return_progress": True}
    chunks = chunks_of(front.post(path, body))
    told = [chunk["prompt_progress"] for chunk in chunks if "prompt_progress" in chunk]
    processed = [progress["processed"] for progress in told]
    (total,) = {progress["total"] for progress in told}
    assert processed == sorted(processed)
    assert processed[-1] == total
    last = max(i for i, chunk in enumerate(chunks) if "prompt_progress" in chunk)
    texts = [
        choice.get("text") or choice.get("delta", {}).get("content")
        for chunk in chunks[: last + 1]
        for choice in chunk["choices"]
    ]
    assert not any(texts)


def test_progress_begins_the_stream_at_once(start):
    front = start(FakeScript(texts=("one",), hold_after=0), keep_alive_s=3600.0)
    body = chat_body(stream=True, return_progress=True)
    response = front.post(CHAT, body, buffered=False)
    parts = iter(response.response)
    assert b"assistant" in next(parts)
    first = json.loads(next(parts).removeprefix(b"data: "))["prompt_progress"]
    assert first["processed"] < first["total"]
    front.core.release()
    assert b"one" in b"".join(parts)


@pytest.mark.parametrize("path", [*BODIES, RESPONSES])
def test_timings_come_by_request_or_by_option(start, path):
    for front, fields, has_them in (
        (start(), {}, False),
        (start(), {"timings": True}, True),
        (start(timings=True), {}, True),
    ):
        body = {**BODIES.get(path, {"input": "a b c d"}), **fields}
        plain = front.post(path, body).get_json()
        assert ("timings" in plain) is has_them
        *_, last = chunks_of(front.post(path, {**body, "stream": True}))
        assert ("timings" in last) is has_them


def test_every_delta_of_a_response_has_timings_where_that_is_asked_for(front):
    body = {"input": "a b c d", "stream": True, "timings_per_token": True}
    told = chunks_of(front.post(RESPONSES, body))
    timed = [event for event in told if "timings" in event]
    counts = [event["timings"]["predicted_n"] for event in timed]
    assert counts == sorted(counts)
    assert {event["type"] for event in timed[:-1]} == {"response.output_text.delta"}
    assert [event for event in told if event["type"].endswith("text.delta")] == timed[:-1]
    assert timed[-1] is told[-1]
    assert counts[-1] == told[-1]["response"]["usage"]["output_tokens"]


@pytest.mark.parametrize("path", BODIES)
def test_every_chunk_of_text_has_timings_where_that_is_asked_for(front, path):
    body = {**BODIES[path], "stream": True, "timings_per_token": True}
    chunks = chunks_of(front.post(path, body))
    counts = [chunk["timings"]["predicted_n"] for chunk in chunks if "timings" in chunk]
    assert counts == sorted(counts)
    assert len(counts) == 4


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("path", BODIES)
def test_every_chunk_has_the_counts_up_to_it_where_that_is_asked_for(front, path, n):
    body = {**BODIES[path], "n": n}
    whole = front.post(path, body).get_json()["usage"]
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = chunks_of(front.post(path, {**body, "stream": True, "stream_options": options}))
    told = [chunk["usage"] for chunk in chunks]
    assert {usage["prompt_tokens"] for usage in told} == {whole["prompt_tokens"]}
    assert all(
        usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        for usage in told
    )
    counts = [usage["completion_tokens"] for usage in told]
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    assert counts[-1] == whole["completion_tokens"]
    assert not any("timings" in chunk for chunk in chunks)


def test_counts_of_several_prompts_are_theirs_together(front):
    body = {"prompt": ["a b c", "d"], "stream": True}
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = chunks_of(front.post(COMPLETIONS, {**body, "stream_options": options}))
    assert len({chunk["usage"]["prompt_tokens"] for chunk in chunks}) == 1


@pytest.mark.parametrize("path", BODIES)
def test_running_counts_need_the_last_ones(front, path):
    options = {"include_usage": False, "continuous_usage_stats": True}
    body = {**BODIES[path], "stream": True, "stream_options": options}
    assert not any("usage" in chunk for chunk in chunks_of(front.post(path, body)))


@pytest.mark.parametrize("path", BODIES)
def test_the_tokens_of_a_stream_are_those_of_the_answer(front, path):
    body = {**BODIES[path], "return_token_ids": True}
    (choice,) = front.post(path, body).get_json()["choices"]
    chunks = chunks_of(front.post(path, {**body, "stream": True}))
    told = [each.get("token_ids", []) for chunk in chunks for each in chunk["choices"]]
    assert [token for tokens in told for token in tokens] == choice["token_ids"]
    assert len(choice["token_ids"]) > 1


def test_the_tokens_of_a_prompt_are_those_that_the_engine_gets(front):
    body = {"return_token_ids": True, "n": 2}
    answer = front.post(CHAT, chat_body(**body)).get_json()
    assert answer["prompt_token_ids"] == front.core.requests[-1].tokens
    first, *others = chunks_of(front.post(CHAT, chat_body(**body, stream=True)))
    assert first["prompt_token_ids"] == answer["prompt_token_ids"]
    assert not any("prompt_token_ids" in chunk for chunk in others)
    body["prompt"] = ["a b", "c"]
    choices = front.post(COMPLETIONS, body).get_json()["choices"]
    assert [each["prompt_token_ids"] for each in choices] == [
        request.tokens for request in front.core.requests[-4:]
    ]
    body["prompt"] = [[1, 2, 3]]
    (one, _) = front.post(COMPLETIONS, body).get_json()["choices"]
    assert one["prompt_token_ids"] == [1, 2, 3]
    chunks = chunks_of(front.post(COMPLETIONS, {**body, "stream": True}))
    told = [each for chunk in chunks for each in chunk["choices"] if "prompt_token_ids" in each]
    assert sorted(each["index"] for each in told) == [0, 1]
    assert "prompt_token_ids" not in front.post(CHAT, chat_body()).get_json()


@pytest.mark.parametrize(("ping_s", "n_comments"), [(1, 1), (0, 0), (-1, 0)])
def test_a_request_chooses_when_a_silent_stream_speaks(start, ping_s, n_comments):
    front = start(FakeScript(texts=("one two",), hold_after=1), keep_alive_s=0.0)
    body = chat_body(stream=True, sse_ping_interval=ping_s)
    response = front.post(CHAT, body, buffered=False)
    parts = iter(response.response)
    while b"one" not in next(parts):
        pass
    if n_comments:
        assert next(parts) == KEEP_ALIVE
    front.core.release()
    rest = b"".join(parts)
    assert KEEP_ALIVE not in rest or n_comments


@pytest.mark.parametrize("path", [*BODIES, RESPONSES])
@pytest.mark.parametrize("value", [-2, 3601, 0.5, "1"])
def test_a_bad_interval_is_refused_by_name(front, path, value):
    body = BODIES.get(path, {"input": "i"})
    response = front.post(path, {**body, "sse_ping_interval": value})
    assert (response.status_code, error_of(response)["param"]) == (400, "sse_ping_interval")


def test_where_nothing_is_streamed_reports_are_named(front):
    response = front.post(EDITS, {"instruction": "i", "timings_per_token": True})
    assert response.headers["X-Ignored-Fields"] == "timings_per_token"
