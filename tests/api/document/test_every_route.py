"""What holds for every route of the app, also for one that is new: all are taken from its URL map.

A route that needs something else than is given here fails: it is added with its reason.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any, NamedTuple

import msgspec
import pytest

from pyserve.api.endpoint import Endpoint
from pyserve.api.pages import EVERY, document_json
from pyserve.openai.document import examples
from pyserve.openai.document.errors import ERRORS, shown_status
from pyserve.openai.document.operation import Operation
from tests.api.openai.test_files_and_batches import archive_of
from tests.support.front import GUARD, Front
from tests.support.limits import SOON_S

ADMIN, USER, POOR = ("sk-of-the-admin", "sk-of-a-user", "sk-of-a-poor-user")
KEYS = f"""
[[keys]]
key = "{ADMIN}"
tenant = "first"
admin = true
[[keys]]
key = "{USER}"
tenant = "second"
[[keys]]
key = "{POOR}"
requests_per_minute = 1
"""
# The endpoints that need no key, and why.
OPEN = {
    "health": "probes have none; it names no model to them",
    "pages": "browsers load them before their user has typed a key; they show no model",
    "ollama_version": "clients look for it before they send a key; it names no model",
}
# Parameters of paths that are no ids of a tenant's objects.
PUBLIC = {
    "model": "a model; what a key may use is the key's matter",
    "model_id": "likewise",
    "name": "a file of the pages",
    "digest": "of a blob: not built",
    "job_id": "of a pull: an administrator's",
    "id_slot": "not built",
}
# Neither of a single document nor of a model's file: their bodies have tests of their own.
NEEDS_FILES = {
    "POST /api/pull",
    "POST /api/copy",
    "DELETE /api/delete",
    "POST /models",
    "POST /models/pull",
    "POST /models/apply",
    "POST /models/aliases",
    "DELETE /models",
    "DELETE /models/{model_id}",
}
MAX_BODY_BYTES = 2000
DOCUMENT = json.loads(document_json())
JSON = "application/json"


class Route(NamedTuple):
    """A method of a rule of the URL map. operation: what the document says of it."""

    rule: str
    method: str
    endpoint: Endpoint
    operation: Operation

    def path(self, values: dict[str, str] | None = None) -> str:
        return re.sub(r"<path:(\w+)>", lambda name: (values or {}).get(name[1], "x"), self.rule)

    @property
    def reads(self) -> bool:
        return self.operation.request is not None or bool(self.operation.form)

    @property
    def parameters(self) -> set[str]:
        return set(re.findall(r"<path:(\w+)>", self.rule))


@pytest.fixture
def front(start, tmp_path) -> Front:
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS)
    settings = {"max_body_bytes": MAX_BODY_BYTES, "max_file_mib": 1}
    return start(
        models=(examples.MODEL,),
        has_infill=True,
        chat_template=GUARD,
        engine={"n_seq_max": 1},
        api_key_file=keys,
        **settings,
    )


def routes_of(front: Front) -> list[Route]:
    endpoints = {each.blueprint.name: each for each in EVERY}
    operations = {
        (each.blueprint.name, of.path, of.method): of
        for each in EVERY
        for of in (*each.operations, *each.operations_of_model)
    }
    found = []
    for rule in front.app.url_map.iter_rules():
        prefix, name, _ = rule.endpoint.split(".")
        path = rule.rule.removeprefix("/v1" if prefix == "v1" else "") or "/"
        path = re.sub(r"<path:(\w+)>", r"{\1}", path)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            operation = operations[name, path, method.lower()]
            found.append(Route(rule.rule, method, endpoints[name], operation))
    assert len(found) > 150
    return found


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refused(route: Route, response: Any, status: int) -> None:
    """Fails unless the response is an error as the route's API tells them."""
    shape, where = route.operation.errors, (route.method, route.rule, response.text)
    described = DOCUMENT["paths"][route.operation.path][route.method.lower()]["responses"]
    assert response.status_code == (shown_status(status, shape) if status in ERRORS else status), (
        where
    )
    assert str(response.status_code) in described or status == 405, where
    assert response.content_type.startswith(JSON), where
    body = response.get_json()
    if shape.name == "Ollama":
        assert set(body) == {"error"}, where
        assert isinstance(body["error"], str), where
    elif shape.name == "Anthropic":
        assert (body["type"], set(body["error"])) == ("error", {"type", "message"}), where
    else:
        assert set(body["error"]) >= {"message", "type", "param", "code"}, where
    assert response.headers["X-Request-Id"], where


def test_only_what_is_named_here_is_open(front):
    for route in routes_of(front):
        response = front.client.open(route.path(), method=route.method)
        if route.endpoint.blueprint.name in OPEN:
            assert response.status_code in (200, 404), route
        else:
            refused(route, response, 401)


def test_bodies_and_methods_are_refused_in_the_familys_way(front):
    headers = bearer(ADMIN)
    for route in routes_of(front):
        where = route.path()
        other = front.client.open(where, method="PROPFIND", headers=headers)
        refused(route, other, 405)
        assert route.method in other.headers["Allow"], route
        if not route.reads or route.operation.status == 501:
            continue

        def sent(data: bytes, kind: str, route: Route = route, where: str = where) -> Any:
            return front.client.open(
                where, method=route.method, data=data, content_type=kind, headers=headers
            )

        refused(route, sent(b"{}", "text/plain"), 415)
        if route.operation.form:
            refused(route, sent(b"{", "multipart/form-data; boundary=b"), 400)
            large = b"x" * (2 << 20)
            refused(route, sent(large, "multipart/form-data; boundary=b"), 413)
        else:
            refused(route, sent(b"{", JSON), 400)
            refused(route, sent(b" " * (MAX_BODY_BYTES + 1), JSON), 413)


def ask(front: Front, route: Route, key: str, **headers: str) -> Any:
    """The response to the document's own example of a request."""
    return front.client.open(
        route.path({"model": examples.MODEL, "model_id": examples.MODEL}),
        method=route.method,
        json=route.operation.body,
        headers={**bearer(key), **headers},
    )


def are_stored(front: Front, key: str) -> dict[str, str]:
    """One of everything that a tenant has, by the names of the parameters of paths."""
    headers = bearer(key)
    said = {"input": "x", "background": True}
    turn = {"items": [{"role": "user", "content": "x"}]}
    form = {"purpose": "batch", "file": (io.BytesIO(b"{}"), "in.jsonl")}
    conversation = front.post("/v1/conversations", {}, headers=headers).get_json()["id"]
    items = front.post(f"/v1/conversations/{conversation}/items", turn, headers=headers)
    file = front.client.post("/v1/files", data=form, headers=headers).get_json()["id"]
    window = {"endpoint": "/v1/completions", "completion_window": "24h"}
    batch = front.post("/v1/batches", {**window, "input_file_id": file}, headers=headers)
    requests = {"requests": [{"custom_id": "a", "params": {}}]}
    messages = front.post("/v1/messages/batches", requests, headers=headers).get_json()["id"]
    archive = archive_of(front)
    (state,) = (each for each in archive.batches.claim(lambda _: True) if each.id == messages)
    over = msgspec.structs.replace(state, status="completed", times={"completed": 1.0})
    archive.batches.end(over)  # only then it has results
    return {
        "response_id": front.post("/v1/responses", said, headers=headers).get_json()["id"],
        "conversation_id": conversation,
        "item_id": items.get_json()["data"][0]["id"],
        "file_id": file,
        "batch_id": batch.get_json()["id"],
        "message_batch_id": messages,
    }


def test_a_tenant_finds_nothing_of_another(front):
    """What is deleted comes last, so that its owner finds everything."""
    stored = are_stored(front, USER)
    routes = [route for route in routes_of(front) if route.parameters - PUBLIC.keys()]
    assert len(routes) > 20
    for route in sorted(routes, key=lambda route: (route.method == "DELETE", -len(route.rule))):
        path = route.path(stored)
        assert path != route.path(), "one of these is to be stored first"
        told = {"json": route.operation.body} if route.reads else {}

        def asked(key: str, route: Route = route, path: str = path, told: Any = told) -> Any:
            return front.client.open(path, method=route.method, headers=bearer(key), **told)

        refused(route, asked(ADMIN), 404)
        assert asked(USER).status_code == 200 or route.method == "DELETE", path


def test_what_asks_a_model_has_deadlines_and_limits_and_nothing_else_has(front):
    """All of it is refused for a deadline that is none, and by a key that is used up."""
    poor = front.post("/v1/completions", {"prompt": "x"}, headers=bearer(POOR))
    assert poor.status_code == 200
    for route in routes_of(front):
        operation = route.operation
        if f"{route.method} {operation.path}" in NEEDS_FILES or operation.status == 501:
            continue
        malformed = ask(front, route, ADMIN, **{"X-Request-Timeout": "soon"})
        used_up = ask(front, route, POOR)
        if operation.asks_model:
            refused(route, malformed, 400)
            assert "X-Request-Timeout" in malformed.text, route
        if operation.asks_model and used_up.status_code != 403:  # those are administrators'
            refused(route, used_up, 429)
            assert int(used_up.headers["Retry-After"]) >= 1, route
        if not operation.asks_model:
            is_read = malformed.status_code == 400 and "X-Request-Timeout" in malformed.text
            assert is_read == ("X-Request-Timeout" in operation.headers), route
            assert used_up.status_code != 429, route


def test_a_deadline_that_passes_in_the_queue_is_told_in_the_familys_way(front):
    """Whatever generates waits behind a request that does not end."""
    prompt = {"prompt": "#hold=1 a b", "stream": True}
    held = front.post("/v1/completions", prompt, headers=bearer(USER), buffered=False)
    assert front.core.wait_submitted(1, SOON_S)
    for route in routes_of(front):
        is_other_models = route.rule.endswith("/classify")  # of those with a head, which do no more
        if route.endpoint.usecase and "/render" not in route.rule and not is_other_models:
            refused(route, ask(front, route, ADMIN, **{"X-Request-Timeout": "0.001"}), 503)
    held.close()
    assert front.stream_limit.n_held == 0
