"""POST /v1/responses/compact, and its output as the input of later requests."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.openai.chat.compaction import TASK
from tests.support.client import client_of
from tests.support.front import RESPONSES, error_of

COMPACT = f"{RESPONSES}/compact"
HISTORY: list[Any] = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "My name is Alice."},
    {"role": "assistant", "content": "Hello Alice!"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "rain"},
    {"role": "user", "content": "Thanks."},
]


@pytest.fixture
def front(start):
    return start(FakeScript(texts=("Alice said hello.",)))


def compacted(front, **fields):
    response = front.post(COMPACT, {"model": "m", **fields})
    assert response.status_code == 200, response.text
    return response.get_json()


def turns(front):
    return [(turn["role"], turn["content"]) for turn in front.core.requests[-1].messages]


def test_what_was_said_stays_and_the_rest_is_summarized(front):
    body = compacted(front, input=HISTORY, instructions="Be brief.")
    assert body["object"] == "response.compaction"
    *kept, summary = body["output"]
    assert [(item["role"], item["content"][0]["text"]) for item in kept] == [
        ("developer", "Be kind."),
        ("user", "My name is Alice."),
        ("user", "Thanks."),
    ]
    assert (summary["type"], summary["id"][:4]) == ("compaction", "cmp_")
    assert body["usage"]["output_tokens"] == 3
    assert turns(front)[0] == ("system", "Be brief.")
    assert turns(front)[-1] == ("user", TASK)
    assert front.core.requests[-1].sampling.temperature == 0


def test_its_output_is_the_input_of_the_next_request(front):
    output = compacted(front, input=HISTORY)["output"]
    response = front.post(RESPONSES, {"input": [*output, {"role": "user", "content": "Go on"}]})
    assert response.status_code == 200
    assert "X-Ignored-Items" not in response.headers
    *_, (role, summary), last = turns(front)
    assert role == "user"
    assert summary.endswith("\n\nAlice said hello.")
    assert last == ("user", "Go on")
    again = compacted(front, input=output)["output"]
    assert [item["type"] for item in again] == ["message"] * 3 + ["compaction"]
    assert summary in [text for _, text in turns(front)]


def test_a_stored_response_is_compacted_with_what_it_continues(front):
    first = front.post(RESPONSES, {"input": "one"}).get_json()
    second = front.post(RESPONSES, {"input": "two", "previous_response_id": first["id"]})
    body = compacted(front, previous_response_id=second.get_json()["id"])
    assert [item["content"][0]["text"] for item in body["output"][:-1]] == ["one", "two"]


def test_a_summary_of_another_server_is_left_out_and_counted(front):
    items = [{"role": "user", "content": "x"}, {"type": "compaction", "encrypted_content": "gAAA"}]
    response = front.post(RESPONSES, {"input": items})
    assert response.headers["X-Ignored-Items"] == "compaction; n=1"


def test_a_conversation_that_does_not_fit_loses_its_oldest_turns(start):
    front = start(FakeScript(texts=("short",)), engine={"n_ctx": 256})
    items = [{"role": "user", "content": f"{n} " + "word " * 40} for n in range(8)]
    response = front.post(COMPACT, {"model": "m", "input": items})
    assert response.status_code == 200
    assert int(response.headers["X-Dropped-Messages"]) > 0
    assert len(response.get_json()["output"]) == 9, "what the user said stays whole"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": "x"}, "model", "missing_required_parameter"),
        ({"model": "m"}, "input", "missing_required_parameter"),
        ({"model": "m", "input": []}, "input", "missing_required_parameter"),
        (
            {"model": "m", "previous_response_id": "resp_1"},
            "previous_response_id",
            "previous_response_not_found",
        ),
    ],
)
def test_what_is_missing_is_named(front, body, param, code):
    response = front.post(COMPACT, body)
    error = error_of(response)
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)


def test_the_official_client(front):
    with client_of(front, is_strict=False) as client:
        body = client.responses.compact(model="m", input=HISTORY)
        assert body.output[-1].type == "compaction"
        sent = [item.model_dump(exclude_none=True, warnings=False) for item in body.output]
        answer = client.responses.create(model="m", input=sent)
        assert answer.output_text == "Alice said hello."
        with pytest.raises(openai.BadRequestError):
            client.responses.compact(model="m", input=[])
