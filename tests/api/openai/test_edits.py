from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import EDITS, error_of

CAT = "Black cat jumped out of the window"


def test_an_edit(start):
    front = start(FakeScript(texts=("\n A cat left. \n",)))
    response = front.post(EDITS, {"model": "x", "instruction": "rephrase", "input": CAT})
    body = response.get_json()
    assert response.status_code == 200
    assert body["object"] == "edit"
    assert body["model"] == "tiny"
    assert body["choices"] == [
        {
            "text": "A cat left.",
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "stop_reason": None,
        }
    ]
    assert body["usage"]["total_tokens"] > body["usage"]["completion_tokens"] > 0


def test_a_model_without_a_chat_template_gets_a_prompt(start):
    front = start(FakeScript(texts=("A cat left.\n### Input: more",)), has_chat_template=False)
    body = front.post("/edits", {"instruction": "rephrase", "input": CAT}).get_json()
    assert body["choices"][0]["text"] == "A cat left."
    assert CAT in (front.core.requests[0].prompt or "")


def test_inputs_times_n(front):
    body = {"instruction": "rephrase", "input": ["one", "two"], "n": 2}
    choices = front.post(EDITS, body).get_json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    assert [choice["text"].split()[-1] for choice in choices] == ["one", "one", "two", "two"]


@pytest.mark.parametrize(
    ("body", "param"), [({"input": "x"}, "instruction"), ({"instruction": 1}, "instruction")]
)
def test_an_edit_needs_an_instruction(front, body, param):
    response = front.post(EDITS, body)
    assert response.status_code == 400
    assert error_of(response)["param"] == param


def test_an_input_that_does_not_fit_is_refused(start):
    response = start(engine={"n_ctx": 100}).post(EDITS, {"instruction": "x", "input": "y " * 100})
    assert (response.status_code, error_of(response)["param"]) == (400, "input")


def test_an_edit_is_drafted_from_its_input(front):
    front.post(EDITS, {"instruction": "rephrase", "input": ["one", "two"]})
    assert sorted(request.draft for request in front.core.requests) == ["one", "two"]
