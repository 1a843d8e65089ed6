"""GET /slots, and what llama-server changes by POST, which is not here."""

from __future__ import annotations

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import GenerateRequest
from tests.support.front import error_of


def slots_of(front, query=""):
    response = front.client.get(f"/slots{query}")
    assert response.status_code == 200
    return response.get_json()


def test_a_slot_for_each_request_that_runs_at_once(start):
    front = start(engine={"n_seq_max": 3, "n_ctx": 99})
    slots = slots_of(front)
    assert [slot["id"] for slot in slots] == [0, 1, 2]
    assert {slot["n_ctx"] for slot in slots} == {99}
    assert all("params" not in slot for slot in slots)
    assert [slot["is_processing"] for slot in slots] == [False] * 3
    assert slots[0]["next_token"] == [{"has_next_token": False, "n_remain": -1}]


def test_running_requests_take_slots_and_are_not_shown(start):
    front = start(FakeScript(hold_after=1), engine={"n_seq_max": 2})
    assert slots_of(front, "?fail_on_no_slot=1")
    for n_running in (1, 2):
        stream = front.engine.submit(GenerateRequest(prompt="secret words of a client"))
        assert stream.get() is not None
        response = front.client.get("/slots")
        taken = [slot["is_processing"] for slot in response.get_json()]
        assert taken == [index < n_running for index in range(2)]
        assert "secret" not in response.text
    full = front.client.get("/slots?fail_on_no_slot=1")
    assert (full.status_code, error_of(full)["code"]) == (503, "queue_full")
    assert full.headers["Retry-After"]


def test_a_model_that_is_not_loaded_has_none_and_stays_so(front):
    assert front.post("/models/unload", {"model": "tiny"}).status_code == 200
    assert slots_of(front, "?fail_on_no_slot=1") == []
    (model,) = front.client.get("/v1/models").get_json()["data"]
    assert model["status"]["value"] == "unloaded"


def test_slots_need_a_key_where_keys_are_set(start):
    front = start(api_key=["k" * 20])
    assert front.client.get("/slots").status_code == 401
    headers = {"Authorization": f"Bearer {'k' * 20}"}
    assert front.client.get("/slots", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/props", "/v1/props", "/slots/0?action=erase"])
def test_what_is_not_here_says_so(front, path):
    response = front.post(path, {})
    error = error_of(response)
    assert (response.status_code, error["code"]) == (501, "not_supported")
    assert error["message"].startswith("this server does not ")
