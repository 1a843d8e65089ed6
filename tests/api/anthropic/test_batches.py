"""/v1/messages/batches: the official client, results of all kinds, tenants, hostile bodies."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import msgspec
import pytest

from tests.api.anthropic.test_messages import body_of, error_of
from tests.api.openai.test_files_and_batches import FIRST, SECOND, archive_of, keyed
from tests.support.anthropic_client import anthropic_client_of
from tests.support.batches import Batches, by_custom_id
from tests.support.front import Front
from tests.support.limits import SOON_S
from tests.support.server import wait_until

BATCHES = "/v1/messages/batches"
_ALL = Batches(BATCHES, lambda batch: batch["processing_status"] == "ended")
get, ended = _ALL.get, _ALL.ended


def asked(custom_id: str, content: Any = "one two", **fields: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "params": body_of(content, model="tiny", **fields)}


def begin(front: Front, *requests: Any, headers: Any = None) -> str:
    response = front.post(BATCHES, {"requests": requests}, headers=headers)
    assert response.status_code == 200, response.text
    return str(response.get_json()["id"])


def results(front: Front, batch_id: str, headers: Any = None) -> dict[str, Any]:
    with front.client.get(f"{BATCHES}/{batch_id}/results", headers=headers) as response:
        assert response.content_type == "application/x-jsonl"
        return {name: each["result"] for name, each in by_custom_id(response.text).items()}


def counts(**others: int) -> dict[str, int]:
    return {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0} | others


def test_the_official_client(front, run):
    odd = "a\u2028b\nc \U0001f600"
    with anthropic_client_of(front) as client:
        requests: Any = [asked("a", odd), asked("b", temperature=9), asked("c", stream=True)]
        batch = client.messages.batches.create(requests=requests)
        assert (batch.processing_status, batch.ended_at, batch.results_url) == (
            "in_progress",
            None,
            None,
        )
        assert batch.request_counts.to_dict() == counts(processing=3)
        assert (batch.expires_at - batch.created_at).total_seconds() == 86400
        with pytest.raises(anthropic.AnthropicError, match="results_url"):
            client.messages.batches.results(batch.id)
        for early in (
            lambda: client.messages.batches.delete(batch.id),
            lambda: client.get(f"{BATCHES}/{batch.id}/results", cast_to=object),
        ):
            with pytest.raises((anthropic.BadRequestError, anthropic.NotFoundError)):
                early()
        run(front)
        ended(front, batch.id)
        batch = client.messages.batches.retrieve(batch.id)
        assert batch.request_counts.to_dict() == counts(succeeded=1, errored=2)
        assert batch.ended_at is not None
        assert batch.results_url == f"http://localhost{BATCHES}/{batch.id}/results"
        found = {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}
        done = found["a"]
        assert done.type == "succeeded"
        assert [block.to_dict() for block in done.message.content] == [
            {"type": "text", "text": odd}
        ]
        for name, word in (("b", "temperature"), ("c", "stream")):
            failed = found[name]
            assert failed.type == "errored"
            assert failed.error.error.type == "invalid_request_error"
            assert word in failed.error.error.message
        other = client.messages.batches.create(requests=requests[:1])
        assert [each.id for each in client.messages.batches.list(limit=1)] == [other.id, batch.id]
        page = client.messages.batches.list(before_id=batch.id)
        assert [each.id for each in page.data] == [other.id]
        assert client.messages.batches.delete(batch.id).to_dict() == {
            "id": batch.id,
            "type": "message_batch_deleted",
        }
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(batch.id)
        ended(front, other.id)
    assert all(request.background for request in front.core.requests)


def test_a_cancelled_one_keeps_what_is_done(front, run):
    batch_id = begin(front, asked("a"), *(asked(f"b{n}", f"#hold {n}") for n in range(3)))
    run(front)
    wait_until(lambda: len(front.core.requests) == 4, SOON_S, "all run")
    wait_until(lambda: get(front, batch_id)["request_counts"]["succeeded"], SOON_S, "one is done")
    told = front.post(f"{BATCHES}/{batch_id}/cancel", None).get_json()
    assert told["processing_status"] == "canceling"
    assert told["cancel_initiated_at"] >= told["created_at"]
    batch = ended(front, batch_id)
    assert batch["request_counts"] == counts(succeeded=1, canceled=3)
    found = results(front, batch_id)
    assert found["a"]["type"] == "succeeded"
    assert [found[f"b{n}"] for n in range(3)] == [{"type": "canceled"}] * 3
    again = front.post(f"{BATCHES}/{batch_id}/cancel", None)
    assert again.get_json() == batch


def test_one_whose_time_is_over_expires(front, run):
    batch_id = begin(front, asked("a", "#hold"))
    archive = archive_of(front)
    state = archive.batches.get("", batch_id)
    archive.batches.update(msgspec.structs.replace(state, expires=0.0), 0)
    run(front)
    assert ended(front, batch_id)["request_counts"] == counts(expired=1)
    assert results(front, batch_id) == {"a": {"type": "expired"}}


def test_requests_may_name_several_models_and_wait_for_a_server_that_has_all(start, run):
    first = start(models=("tiny", "other"))
    other = {"custom_id": "b", "params": body_of("#hold", model="other")}
    batch_id = begin(first, asked("a"), other)
    runner = run(first)
    wait_until(lambda: get(first, batch_id)["request_counts"]["succeeded"], SOON_S, "one is done")
    runner.stop()
    first.app.extensions["pyserve"].memory.close()
    narrow = start(models=("tiny", "third"))
    run(narrow)
    done = begin(narrow, asked("x"))
    assert ended(narrow, done)["request_counts"] == counts(succeeded=1)
    assert get(narrow, batch_id)["processing_status"] == "in_progress"
    whole = start(models=("tiny", "other"))
    run(whole)
    wait_until(lambda: whole.cores["other"].requests, SOON_S, "it goes on")
    assert not whole.cores["tiny"].requests
    front_cancel(whole, batch_id)


def front_cancel(front: Front, batch_id: str) -> None:
    front.post(f"{BATCHES}/{batch_id}/cancel", None)
    ended(front, batch_id)


def test_tenants_and_kinds_of_batches_do_not_see_each_other(start, run, tmp_path):
    front = keyed(start, tmp_path)
    assert front.client.get(BATCHES).status_code == 401
    run(front)
    batch_id = begin(front, asked("a"), headers=FIRST)
    ended(front, batch_id, FIRST)
    state = archive_of(front).batches.page("key-" + first_digest(front), "msgbatch", 1)[0][0]
    assert front.core.requests[-1].tenant == state.tenant
    client = front.client
    for method, path in (
        (client.get, f"{BATCHES}/{batch_id}"),
        (client.get, f"{BATCHES}/{batch_id}/results"),
        (client.post, f"{BATCHES}/{batch_id}/cancel"),
        (client.delete, f"{BATCHES}/{batch_id}"),
    ):
        response = method(path, headers=SECOND)
        assert (response.status_code, error_of(response)["type"]) == (404, "not_found_error")
    assert client.get(BATCHES, headers=SECOND).get_json()["data"] == []
    assert client.get("/v1/batches", headers=FIRST).get_json()["data"] == []
    assert client.get(f"/v1/batches/{batch_id}", headers=FIRST).status_code == 404
    assert client.post(f"/v1/batches/{batch_id}/cancel", headers=FIRST).status_code == 404
    assert set(results(front, batch_id, FIRST)) == {"a"}


def first_digest(front: Front) -> str:
    return front.core.requests[-1].tenant.removeprefix("key-")


def test_a_key_that_is_gone_ends_its_batches(start, run, tmp_path):
    keys = '[[keys]]\ntenant = "T"\nkey = "key-of-the-{}"\n'
    first = keyed(start, tmp_path, keys.format("first"))
    batch_id = begin(first, asked("a"), headers=FIRST)
    first.app.extensions["pyserve"].memory.close()
    front = keyed(start, tmp_path, keys.format("second"))
    run(front)
    assert ended(front, batch_id, SECOND)["request_counts"] == counts(errored=1)
    response = front.client.get(f"{BATCHES}/{batch_id}/results", headers=SECOND)
    assert "API key" in error_of(response)["message"]


def test_results_that_were_removed_are_told(front, run):
    batch_id = begin(front, asked("a"))
    run(front)
    ended(front, batch_id)
    (file,) = front.client.get("/v1/files").get_json()["data"]
    front.client.delete(f"/v1/files/{file['id']}")
    response = front.client.get(f"{BATCHES}/{batch_id}/results")
    assert (response.status_code, error_of(response)["type"]) == (404, "not_found_error")


MANY = [{"custom_id": f"c{n}", "params": {"model": f"m{n}"}} for n in range(65)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "requests"),
        ({"requests": []}, "requests"),
        ({"requests": "x"}, "requests"),
        ({"requests": [1]}, "requests.0"),
        ({"requests": [{"params": {}}]}, "requests.0.custom_id"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params"),
        ({"requests": [asked("a"), asked("a")]}, "requests.1.custom_id"),
        ({"requests": [asked("")]}, "requests.0.custom_id"),
        ({"requests": [asked("a\n")]}, "requests.0.custom_id"),
        ({"requests": [asked("a/b")]}, "requests.0.custom_id"),
        ({"requests": [asked("x" * 65)]}, "requests.0.custom_id"),
        ({"requests": [{"custom_id": "a", "params": []}]}, "requests.0.params"),
        ({"requests": MANY}, "requests"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bodies_that_are_refused_leave_nothing(front, body, named):
    response = front.post(BATCHES, body)
    assert response.status_code == 400
    assert error_of(response)["message"].startswith(named)
    assert list(archive_of(front).files.path("").iterdir()) == []


@pytest.mark.parametrize("name", ["limit=0", "limit=x", "after_id=x", "after_id=a&before_id=b"])
def test_queries_that_are_refused(front, name):
    response = front.client.get(f"{BATCHES}?{name}")
    assert (response.status_code, error_of(response)["type"]) == (400, "invalid_request_error")


def test_the_store_has_an_end_and_may_be_none(start, run):
    front = start(file_store_mib=1)
    large = asked("a", "x" * 900_000)
    batch_id = begin(front, large)
    response = front.post(BATCHES, {"requests": [large]})
    assert (response.status_code, "bytes" in error_of(response)["message"]) == (400, True)
    run(front)
    ended(front, batch_id)
    front.client.delete(f"{BATCHES}/{batch_id}")
    begin(front, large)
    none = start(file_store_mib=0)
    assert none.post(BATCHES, {"requests": [asked("a")]}).status_code == 404


def test_numbers_that_grow_on_a_line_are_refused_by_their_size(start):
    front = start(max_body_bytes=1000)
    body = {"requests": [{"custom_id": "a", "params": {"x": ["9E15"] * 110}}]}
    data = json.dumps(body).replace('"9E15"', "9E15")
    response = front.client.post(BATCHES, data=data, content_type="application/json")
    assert (response.status_code, error_of(response)["type"]) == (413, "request_too_large")
