from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.model import fake_info
from pyserve.engine.protocol import Delta, Finish, FinishReason, SamplingParams, Usage
from pyserve.openai.responses.events import ResponsesAnswer
from pyserve.openai.responses.responses import response_request
from pyserve.schemas.responses import ResponseRequest

INFO = fake_info(EngineConfig(model_id="m", model_path=""), has_chat_template=True)


def body(**fields: Any) -> ResponseRequest:
    return ResponseRequest.model_validate({"input": "hi", **fields})


def last(reason: FinishReason = "stop", **fields: Any) -> Delta:
    usage = Usage(n_prompt_tokens=5, n_completion_tokens=2, n_cached_tokens=3)
    return Delta(finish=Finish(reason=reason, usage=usage), **fields)


def events(answer: ResponsesAnswer, *deltas: Delta) -> list[dict[str, Any]]:
    """All events, as JSON."""
    structs = [*answer.open(), *(e for d in deltas for e in answer.push(0, d)), *answer.close()]
    return [msgspec.json.decode(msgspec.json.encode(struct)) for struct in structs]


def test_a_string_is_one_turn_of_the_user():
    request = response_request(body(), INFO)
    assert request.messages == [{"role": "user", "content": "hi"}]
    assert request.sampling == SamplingParams()
    assert request.max_tokens is None
    assert request.n_logprobs is None


def test_times_are_told_by_deltas_and_at_the_end_where_they_are_asked_for():
    usage = Usage(n_prompt_tokens=5, n_completion_tokens=1)
    delta = Delta(text="a", so_far=Finish(reason="length", usage=usage))
    for fields, n_timed in (({}, 0), ({"timings": True}, 1), ({"timings_per_token": True}, 2)):
        answer = ResponsesAnswer(body(stream=True, **fields), "m", INFO)
        assert answer.requests[0].wants_timings is (n_timed == 2)
        timed = [event for event in events(answer, delta, last()) if "timings" in event]
        kinds = ["response.output_text.delta", "response.completed"]
        assert [event["type"] for event in timed] == kinds[2 - n_timed :]
        assert [event["timings"]["predicted_n"] for event in timed] == [1, 2][2 - n_timed :]


def test_instructions_come_first_and_parts_are_joined():
    items = [
        {"role": "developer", "content": "d"},
        {"role": "user", "content": [{"type": "input_text", "text": t} for t in "ab"]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "c"}]},
    ]
    request = response_request(body(input=items, instructions="be brief"), INFO)
    assert [(m["role"], m["content"]) for m in request.messages or []] == [
        ("system", "be brief"),
        ("system", "d"),
        ("user", "a\nb"),
        ("assistant", "c"),
    ]


def test_fields_reach_the_engine():
    fields = {"max_output_tokens": 7, "temperature": 0, "top_p": 0.5, "seed": 3, "stop": "x"}
    request = response_request(body(**fields, top_logprobs=2, cache_salt="s"), INFO)
    assert request.max_tokens == 7
    assert (request.sampling.temperature, request.sampling.top_p) == (0, 0.5)
    assert (request.sampling.seed, request.stop) == (3, ["x"])
    assert (request.n_logprobs, request.cache_salt) == (2, "s")


def test_events_come_in_order_and_count_from_zero():
    stream = events(ResponsesAnswer(body(), "m", INFO), Delta(text="a"), Delta(text="b"), last())
    assert [event["type"].removeprefix("response.") for event in stream] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in stream] == list(range(10))
    assert len({event["item_id"] for event in stream if "item_id" in event}) == 1
    assert stream[2]["item"]["content"] == []
    assert stream[6]["text"] == stream[7]["part"]["text"] == "ab"
    assert stream[9]["response"]["output"] == [stream[8]["item"]]


def test_text_that_comes_with_the_end_is_a_delta():
    stream = events(ResponsesAnswer(body(), "m", INFO), last(text="a"))
    assert [e["delta"] for e in stream if e["type"] == "response.output_text.delta"] == ["a"]


def test_an_answer_without_text_has_all_events_but_deltas():
    stream = events(ResponsesAnswer(body(), "m", INFO), last())
    assert [event["type"] for event in stream][2:5] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
    ]


@pytest.mark.parametrize(("reason", "status"), [("stop", "completed"), ("length", "incomplete")])
def test_the_end_says_whether_the_answer_is_whole(reason, status):
    *_, item_done, end = events(ResponsesAnswer(body(), "m", INFO), last(reason, text="a"))
    response = end["response"]
    assert end["type"] == f"response.{status}"
    assert response["status"] == item_done["item"]["status"] == status
    is_whole = status == "completed"
    assert response["incomplete_details"] == (None if is_whole else {"reason": "max_output_tokens"})
    assert (response["completed_at"] is not None) == is_whole
    assert response["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }


@pytest.mark.parametrize("texts", [(), ("a", "b")])
def test_a_failure_shows_what_there_was(texts):
    answer = ResponsesAnswer(body(), "m", INFO)
    for text in texts:
        answer.push(0, Delta(text=text))
    error = {"message": "gone", "type": "unavailable_error", "param": None, "code": "queue_full"}
    stream = [msgspec.json.decode(msgspec.json.encode(event)) for event in answer.fail(error)]
    assert [event["type"] for event in stream] == ["error", "response.failed"]
    assert (stream[0]["message"], stream[0]["code"]) == ("gone", "queue_full")
    failed = stream[1]
    assert failed["response"]["error"]["code"] == "rate_limit_exceeded"
    response = failed["response"]
    assert (response["status"], response["error"]["message"]) == ("failed", "gone")
    shown = [item["content"][0]["text"] for item in response["output"]]
    assert shown == (["ab"] if texts else [])
