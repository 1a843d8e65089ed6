"""The OpenAPI document and its page, held against the app."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pyserve.engine.config import Adapter
from pyserve.models.profile import ModelProfile
from pyserve.web.request.errors import STATUS_AND_TYPE
from tests.support.front import CHAT, GUARD, RESPONSES, Front, chat_body

READ = [
    "/models",
    "/models/tiny",
    "/lora-adapters",
    "/health",
    "/healthz",
    "/ready",
    "/readyz",
    "/ping",
    "/livez",
    "/version",
    "/",
    "/api/tags",
    "/api/ps",
    "/api/version",
]
# These have tests of their own.
CHANGE_FILES = {
    "/api/pull",
    "/api/copy",
    "/files",
    "/models",
    "/models/pull",
    "/models/apply",
    "/models/aliases",
}
BATCH = {"endpoint": "/v1/completions", "completion_window": "24h"}
STATUS_OF_NOBODY = 499  # the client has gone


@pytest.fixture
def front(start) -> Front:
    """A model with a LoRA adapter and fill-in-the-middle tokens."""
    adapters = (Adapter("pirate", "pirate.gguf", model_id="tiny-pirate"),)
    profiles = {"tiny": ModelProfile(adapters=adapters)}
    return start(engine={"adapters": adapters}, profiles=profiles, has_infill=True)


@pytest.fixture
def document(front) -> dict[str, Any]:
    response = front.client.get("/openapi.json")
    assert response.content_type == "application/json"
    found: dict[str, Any] = response.get_json()
    return found


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Fails unless `value` is as a schema of the document says."""
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def schema_of(operation: dict[str, Any], status: int) -> dict[str, Any]:
    schema: dict[str, Any] = operation["responses"][str(status)]["content"]["application/json"]
    return schema["schema"]


def own_methods(rule: Any) -> set[str]:
    """Without those that come with others."""
    return set(rule.methods) - {"OPTIONS", *(("HEAD",) if "GET" in rule.methods else ())}


def test_every_route_is_in_it_and_nothing_else(front, document):
    routes = set()
    for rule in front.app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        path = path.removeprefix("/v1") or "/"
        routes |= {(path, method.lower()) for method in own_methods(rule)}
    described = {
        (path, method) for path, methods in document["paths"].items() for method in methods
    }
    assert described == routes


def stored_ids(front: Front) -> dict[str, str]:
    """One of everything that is stored, by the names of their parameters."""
    response = front.post(RESPONSES, {"input": "x", "background": True}).get_json()
    conversation = front.post("/v1/conversations", {}).get_json()
    form = {"purpose": "batch", "file": (io.BytesIO(b"{}"), "in.jsonl")}
    file = front.client.post("/v1/files", data=form).get_json()
    batch = front.post("/v1/batches", {**BATCH, "input_file_id": file["id"]}).get_json()
    messages = {"requests": [{"custom_id": "a", "params": {}}]}
    message_batch = front.post("/v1/messages/batches", messages).get_json()
    return {
        "response_id": response["id"],
        "conversation_id": conversation["id"],
        "file_id": file["id"],
        "batch_id": batch["id"],
        "message_batch_id": message_batch["id"],
    }


def test_what_is_stored_is_read_as_it_says(front, document):
    stored = stored_ids(front)
    front.post(
        f"/v1/conversations/{stored['conversation_id']}/items",
        {"items": [{"role": "user", "content": "x"}]},
    )
    for described in (
        "/responses/{response_id}",
        "/responses/{response_id}/input_items",
        "/conversations/{conversation_id}",
        "/conversations/{conversation_id}/items",
        "/files",
        "/files/{file_id}",
        "/batches",
        "/batches/{batch_id}",
        "/messages/batches",
        "/messages/batches/{message_batch_id}",
    ):
        answer = front.client.get(f"/v1{described.format(**stored)}").get_json()
        check(document, schema_of(document["paths"][described]["get"], 200), answer)


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_the_examples_work_and_get_what_it_says(front, start, document, prefix):
    others = {"moderations": start(chat_template=GUARD), "classify": start(n_ranks=2)}
    stored = {"model": "tiny", "digest": "x", "id_slot": "0", **stored_ids(front)}

    def known(parameter: re.Match[str]) -> str:
        return stored[parameter[1]]

    for path, methods in document["paths"].items():
        if path in CHANGE_FILES or (prefix and any("servers" in each for each in methods.values())):
            continue
        if "post" in methods:
            (status, *_) = methods["post"]["responses"]
            given = methods["post"].get("requestBody")
            body = given and given["content"]["application/json"]["example"]
            if path.startswith(("/models/", "/cache/", "/api/show")) and body:
                body["model"] = "tiny"
            if path == "/batches":
                body["input_file_id"] = stored["file_id"]
            asked = others.get(path.rpartition("/")[2], front)
            response = asked.post(prefix + re.sub(r"{(\w+)}", known, path), body)
            assert response.status_code == int(status), (path, response.get_data(as_text=True))
            if response.status_code == 200:  # else it is not built, and shows no example
                check(document, schema_of(methods["post"], 200), response.get_json())


@pytest.mark.parametrize("path", READ)
def test_what_is_read_is_as_it_says(front, document, path):
    described = path.replace("/tiny", "/{model_id}")
    operation = document["paths"][described]["get"]
    check(document, schema_of(operation, 200), front.client.get(path).get_json())


def test_errors_are_as_it_says(front, document):
    named = document["components"]["responses"]
    for path, body, name in [
        (CHAT, {}, "BadRequest"),
        ("/v1/models/none", None, "NotFound"),
        (CHAT, chat_body("#refuse"), "InternalError"),
    ]:
        response = front.client.get(path) if body is None else front.post(path, body)
        assert response.status_code >= 400
        check(document, named[name]["content"]["application/json"]["schema"], response.get_json())


def test_every_status_of_an_error_is_in_it(document):
    shown = {
        int(s) for s in document["paths"]["/completions"]["post"]["responses"] if s != "default"
    }
    undescribed = {500, 501, STATUS_OF_NOBODY}  # faults, what is not built, no client
    assert {status for status, _ in STATUS_AND_TYPE.values()} - shown == undescribed
