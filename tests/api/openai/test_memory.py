"""Stored responses: continued, listed, deleted, in the background, by tenant."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.client import client_of
from tests.support.front import RESPONSES, Front, error_of
from tests.support.limits import SOON_S

CONVERSATIONS = "/v1/conversations"
KEYS = """
[[keys]]
key = "key-of-the-first"
[[keys]]
key = "key-of-the-second"
"""


def ask(front: Front, text: str, **fields: Any) -> dict[str, Any]:
    response = front.post(RESPONSES, {"input": text, **fields})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.get_json()
    return found


def get(front: Front, path: str, **options: Any) -> Any:
    response = front.client.get(f"/v1/{path}", **options)
    assert response.status_code == 200, response.text
    return response.get_json()


def settle(front: Front) -> None:
    """Wait for what runs in the background."""
    assert front.app.extensions["pyserve"].background.wait(SOON_S)


def events(text: str) -> list[dict[str, Any]]:
    *blocks, end, _ = text.split("\n\n")
    assert end == "data: [DONE]"
    return [json.loads(block.split("data: ", 1)[1]) for block in blocks]


def prompt(front: Front) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in front.core.requests[-1].messages]


def test_a_response_is_read_again(front):
    answer = ask(front, "one", metadata={"a": "b"})
    assert answer["store"] is True
    assert get(front, f"responses/{answer['id']}") == answer
    assert get(front, f"responses/{answer['id']}/input_items")["data"][0]["content"] == [
        {"type": "input_text", "text": "one"}
    ]


def test_a_streamed_one_is_stored_before_its_end_is_told(front):
    response = front.post(RESPONSES, {"input": "one", "stream": True})
    last = events(response.text)[-1]["response"]
    assert get(front, f"responses/{last['id']}") == last


def test_previous_turns_come_before_the_new_one(front):
    first = ask(front, "one", instructions="Be kind")
    second = ask(front, "two", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    third = ask(front, "three", previous_response_id=second["id"], instructions="Be short")
    assert prompt(front) == [
        ("system", "Be short"),
        ("user", "one"),
        ("assistant", "one"),
        ("user", "two"),
        ("assistant", "two"),
        ("user", "three"),
    ]
    items = get(front, f"responses/{third['id']}/input_items")["data"]
    assert [item["content"][0]["text"] for item in items] == ["three"]
    n_tokens = front.post("/v1/responses/input_tokens", {"previous_response_id": third["id"]})
    assert n_tokens.get_json()["input_tokens"] > 4


def test_calls_and_their_results_are_remembered(start):
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    tool = {"type": "function", "name": "f"}
    front = start(FakeScript(texts=(call,)), chat_template="{% if tools %}<tool_call>{% endif %}")
    first = ask(front, "x", tools=[tool])
    output = {
        "type": "function_call_output",
        "call_id": first["output"][0]["call_id"],
        "output": "rain",
    }
    front.post(RESPONSES, {"input": [output], "previous_response_id": first["id"]})
    _, assistant, result = front.core.requests[-1].messages
    assert assistant["tool_calls"][0]["id"] == output["call_id"]
    assert (result["content"], result["tool_call_id"]) == ("rain", output["call_id"])


def test_an_item_is_referred_to_by_its_id(front):
    first = ask(front, "one")
    items = [
        {"type": "item_reference", "id": first["output"][0]["id"]},
        {"role": "user", "content": "two"},
    ]
    assert front.post(RESPONSES, {"input": items}).status_code == 200
    assert prompt(front) == [("assistant", "one"), ("user", "two")]
    missing = front.post(RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]})
    assert (missing.status_code, error_of(missing)["code"]) == (400, "not_found")


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        (
            {"previous_response_id": "resp_1"},
            400,
            "previous_response_not_found",
            "previous_response_id",
        ),
        ({"conversation": "conv_1"}, 404, "not_found", "conversation"),
        ({"conversation": {"id": "conv_1"}}, 404, "not_found", "conversation"),
        ({"background": True, "store": False}, 400, "invalid_value", "background"),
        (
            {"previous_response_id": "r", "conversation": "c"},
            400,
            "invalid_value",
            "conversation",
        ),
    ],
)
def test_what_is_not_there_is_refused(front, fields, status, code, param):
    response = front.post(RESPONSES, {"input": "x", **fields})
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)


def test_without_store_nothing_is_kept(front):
    answer = ask(front, "one", store=False)
    assert answer["store"] is False
    response = front.client.get(f"/v1/responses/{answer['id']}")
    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


def test_a_server_that_stores_nothing_says_so(start):
    front = start(response_store_mib=0)
    assert ask(front, "one", store=True)["store"] is False
    for fields in ({"background": True}, {"previous_response_id": "r"}, {"conversation": "c"}):
        response = front.post(RESPONSES, {"input": "x", **fields})
        assert (response.status_code, error_of(response)["param"]) == (400, next(iter(fields)))
    assert front.client.get("/v1/responses/resp_1").status_code == 404
    assert front.post(CONVERSATIONS, {}).status_code == 404


def test_what_is_deleted_is_gone(front):
    answer = ask(front, "one")
    path = f"/v1/responses/{answer['id']}"
    assert front.client.delete(path).get_json() == {
        "id": answer["id"],
        "object": "response",
        "deleted": True,
    }
    assert front.client.get(path).status_code == front.client.delete(path).status_code == 404
    response = front.post(RESPONSES, {"input": "x", "previous_response_id": answer["id"]})
    assert error_of(response)["code"] == "previous_response_not_found"


def test_a_response_in_the_background_goes_on_by_itself(front):
    answer = ask(front, "one two", background=True)
    assert (answer["status"], answer["output"], answer["background"]) == ("queued", [], True)
    settle(front)
    done = get(front, f"responses/{answer['id']}")
    assert done["status"] == "completed"
    assert done["output"][0]["content"][0]["text"] == "one two"
    assert front.stream_limit.n_held == 0
    again = front.client.post(f"/v1/responses/{answer['id']}/cancel").get_json()
    assert again == done, "one that has ended stays as it is"


def test_its_events_are_the_same_from_every_number_on(front):
    live = front.post(RESPONSES, {"input": "one two three", "background": True, "stream": True})
    seen = events(live.text)
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    assert [event["type"] for event in seen[:3]] == [
        "response.queued",
        "response.created",
        "response.in_progress",
    ]
    assert seen[-1]["type"] == "response.completed"
    response_id = seen[0]["response"]["id"]
    assert get(front, f"responses/{response_id}") == seen[-1]["response"]
    path = f"/v1/responses/{response_id}?stream=true"
    assert front.client.get(path).text == live.text
    for number in range(len(seen)):
        replayed = front.client.get(f"{path}&starting_after={number}").text
        assert events(replayed) == seen[number + 1 :]
    assert front.stream_limit.n_held == 0


def test_it_is_cancelled_on_demand(start):
    front = start(FakeScript(hold_after=1))
    answer = ask(front, "a b c", background=True)
    path = f"/v1/responses/{answer['id']}"
    for _ in range(2):
        assert front.client.post(f"{path}/cancel").get_json()["status"] == "cancelled"
    assert front.core.wait_cancelled(1, SOON_S)
    settle(front)
    assert get(front, f"responses/{answer['id']}")["status"] == "cancelled"
    assert front.stream_limit.n_held == 0


def test_deleting_it_ends_it(start):
    front = start(FakeScript(hold_after=1))
    answer = ask(front, "a b c", background=True)
    assert front.client.delete(f"/v1/responses/{answer['id']}").status_code == 200
    assert front.core.wait_cancelled(1, SOON_S)
    settle(front)
    assert front.client.get(f"/v1/responses/{answer['id']}").status_code == 404


@pytest.mark.parametrize("text", ["#refuse", "a b #fail=1"])
def test_what_goes_wrong_in_the_background_is_told(front, text):
    answer = ask(front, text, background=True)
    settle(front)
    done = get(front, f"responses/{answer['id']}")
    assert (done["status"], done["error"]["code"]) == ("failed", "server_error")
    replayed = events(front.client.get(f"/v1/responses/{answer['id']}?stream=true").text)
    assert [event["type"] for event in replayed[-2:]] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in replayed] == list(range(len(replayed)))


def test_others_can_neither_be_cancelled_nor_streamed(front):
    answer = ask(front, "one")
    path = f"/v1/responses/{answer['id']}"
    assert front.client.post(f"{path}/cancel").status_code == 400
    assert error_of(front.client.get(f"{path}?stream=true"))["param"] == "stream"


def test_one_that_is_not_finished_is_not_continued(start):
    front = start(FakeScript(hold_after=1))
    answer = ask(front, "a b c", background=True)
    response = front.post(RESPONSES, {"input": "x", "previous_response_id": answer["id"]})
    assert (response.status_code, error_of(response)["param"]) == (400, "previous_response_id")
    front.client.post(f"/v1/responses/{answer['id']}/cancel")
    settle(front)


def test_a_conversation_grows_with_its_turns(front):
    sent = {"metadata": {"t": "x"}, "items": [{"role": "user", "content": "hello"}]}
    conversation = front.post(CONVERSATIONS, sent).get_json()
    assert (conversation["object"], conversation["metadata"]) == ("conversation", {"t": "x"})
    path = f"conversations/{conversation['id']}"
    answer = ask(front, "one", conversation=conversation["id"])
    assert answer["conversation"] == {"id": conversation["id"]}
    ask(front, "two", conversation={"id": conversation["id"]}, stream=None)
    assert [text for _, text in prompt(front)] == ["hello", "one", "one", "two"]
    items = get(front, f"{path}/items?order=asc&limit=3")
    assert items["has_more"] is True
    assert items["first_id"] == items["data"][0]["id"]
    assert [item["role"] for item in items["data"]] == ["user", "user", "assistant"]
    one = items["data"][1]
    assert get(front, f"{path}/items/{one['id']}") == one
    added = front.post(f"/v1/{path}/items", {"items": [{"role": "user", "content": "more"}]})
    assert len(added.get_json()["data"]) == 1
    assert front.client.delete(f"/v1/{path}/items/{one['id']}").get_json()["id"] in path
    assert len(get(front, f"{path}/items?limit=100")["data"]) == 5
    changed = front.post(f"/v1/{path}", {"metadata": {"t": "y"}}).get_json()
    assert changed["metadata"] == get(front, path)["metadata"] == {"t": "y"}
    assert front.client.delete(f"/v1/{path}").get_json()["object"] == "conversation.deleted"
    assert front.client.get(f"/v1/{path}").status_code == 404
    assert get(front, f"responses/{answer['id']}") == answer


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "limit=²"])
def test_a_page_has_bounds(front, query):
    answer = ask(front, "one")
    response = front.client.get(f"/v1/responses/{answer['id']}/input_items?{query}")
    assert (response.status_code, error_of(response)["param"]) == (400, query.split("=")[0])


def test_tenants_see_nothing_of_each_other(start, tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text(KEYS)
    front = start(api_key_file=file)
    first, second = (
        {"Authorization": f"Bearer key-of-the-{which}"} for which in ("first", "second")
    )
    answer = front.post(RESPONSES, {"input": "one"}, headers=first).get_json()
    conversation = front.post(CONVERSATIONS, {}, headers=first).get_json()
    for path in (f"responses/{answer['id']}", f"conversations/{conversation['id']}"):
        for headers, status in ((first, 200), (second, 404), ({}, 401)):
            assert front.client.get(f"/v1/{path}", headers=headers).status_code == status
        assert front.client.delete(f"/v1/{path}", headers=second).status_code == 404
    for fields in ({"previous_response_id": answer["id"]}, {"conversation": conversation["id"]}):
        body = {"input": "two", **fields}
        assert front.post(RESPONSES, body, headers=second).status_code in (400, 404)
        assert front.post(RESPONSES, body, headers=first).status_code == 200


def test_a_conversation_that_is_too_long_is_refused(front):
    first = ask(front, "x" * 2**20, max_output_tokens=1)
    response = front.post(RESPONSES, {"input": "y" * 2**20, "previous_response_id": first["id"]})
    assert (response.status_code, error_of(response)["param"]) == (400, "previous_response_id")


def test_the_official_client(start):
    front = start()
    with client_of(front, is_strict=True) as client:
        first = client.responses.create(model="m", input="one")
        second = client.responses.create(model="m", input="two", previous_response_id=first.id)
        assert client.responses.retrieve(second.id).output_text == "two"
        assert [item.type for item in client.responses.input_items.list(second.id)] == ["message"]
        running = client.responses.create(model="m", input="three", background=True)
        settle(front)
        assert client.responses.retrieve(running.id).output_text == "three"
        stream = client.responses.retrieve(running.id, stream=True, starting_after=2)
        assert list(stream)[-1].type == "response.completed"
        assert client.responses.cancel(running.id).status == "completed"
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)
        conversation = client.conversations.create(metadata={"a": "b"})
        client.responses.create(model="m", input="one", conversation=conversation.id)
        items = list(client.conversations.items.list(conversation.id, order="asc", limit=1))
        assert [item.role for item in items] == ["user", "assistant"]
        client.conversations.items.delete(items[0].id, conversation_id=conversation.id)
        assert client.conversations.delete(conversation.id).deleted


def test_one_that_is_followed_takes_one_place(start):
    front = start(max_streams=1)
    live = front.post(RESPONSES, {"input": "x", "background": True, "stream": True})
    assert events(live.text)[-1]["type"] == "response.completed"
    path = f"/v1/responses/{events(live.text)[0]['response']['id']}?stream=true"
    settle(front)
    held = front.stream_limit.acquire()
    assert front.client.get(path).status_code == 503
    held.release()
    assert front.client.get(path).text == live.text
    assert front.stream_limit.n_held == 0


def test_one_key_follows_no_more_than_its_share(start, tmp_path):
    path = tmp_path / "keys.toml"
    keys = [
        f'[[keys]]\nkey = "{key}"\nmax_concurrency = 1\n'
        for key in ("key-of-one", "key-of-another")
    ]
    path.write_text("".join(keys))
    front = start(api_key_file=path, max_streams=4)
    headers = {"Authorization": "Bearer key-of-one"}
    body = {"input": "#hold=1 a b", "background": True}
    response_id = front.post(RESPONSES, body, headers=headers).get_json()["id"]
    followed = f"{RESPONSES}/{response_id}?stream=true"
    # The response itself is the only one that it may have computed at once.
    held = [front.client.get(followed, headers=headers, buffered=False) for _ in range(2)]
    assert [each.status_code for each in held] == [200, 200]
    refused = front.client.get(followed, headers=headers)
    assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")
    held.pop().close()
    held.append(front.client.get(followed, headers=headers, buffered=False))
    assert held[-1].status_code == 200
    other = front.post(
        RESPONSES, {"input": "x"}, headers={"Authorization": "Bearer key-of-another"}
    )
    assert other.status_code == 200
    front.core.release()
    for each in held:
        each.close()
