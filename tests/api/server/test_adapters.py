from __future__ import annotations

import pytest

from pyserve.engine.config import Adapter
from pyserve.models.profile import ModelProfile
from tests.support.front import (
    CHAT,
    COMPLETIONS,
    EDITS,
    EMBEDDINGS,
    RESPONSES,
    chat_body,
    error_of,
)

ADAPTERS = (
    Adapter("pirate", "/models/pirate.gguf", 0.5, "tiny-pirate", ("pirate",)),
    Adapter("sql", "/models/queries.gguf", 0.0, "sql"),
)
BODIES = {
    CHAT: chat_body(),
    COMPLETIONS: {"prompt": "hello"},
    EDITS: {"instruction": "shout", "input": "hello"},
    EMBEDDINGS: {"input": "hello"},
    RESPONSES: {"input": "hello"},
}
LORA = "/v1/lora-adapters"


@pytest.fixture
def adapted(start):
    profiles = {"tiny": ModelProfile(adapters=ADAPTERS)}
    return start(engine={"adapters": ADAPTERS}, profiles=profiles)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("lora", "adapters"),
    [
        ([], {}),
        (None, None),
        ([{"name": "sql"}], {"sql": 1.0}),
        ([{"id": 0, "scale": -0.25}, {"name": "sql", "scale": 2}], {"pirate": -0.25, "sql": 2.0}),
    ],
)
def test_a_request_chooses_its_adapters(adapted, path, lora, adapters):
    assert adapted.post(path, BODIES[path] | {"lora": lora}).status_code == 200
    assert adapted.core.requests[-1].adapters == adapters


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("model", "resolved", "adapters"),
    [
        ("tiny", "tiny", None),
        ("anything", "tiny", None),
        ("tiny-pirate", "tiny-pirate", {"pirate": 0.5}),
        ("pirate", "tiny-pirate", {"pirate": 0.5}),
        ("sql", "sql", {"sql": 1.0}),
    ],
)
def test_an_adapter_is_a_model_of_its_own(adapted, path, model, resolved, adapters):
    response = adapted.post(path, BODIES[path] | {"model": model})
    assert response.status_code == 200
    assert response.headers["X-Model-Resolved"] == resolved
    assert response.get_json().get("model", resolved) == resolved
    assert adapted.core.requests[-1].adapters == adapters


def test_what_a_request_says_goes_before_the_model_it_names(adapted):
    adapted.post(CHAT, chat_body(model="sql", lora=[{"name": "pirate"}]))
    assert adapted.core.requests[-1].adapters == {"pirate": 1.0}


@pytest.mark.parametrize(
    ("lora", "param", "text"),
    [
        ([{"name": "none"}], "lora.0.name", "its adapters are pirate, sql"),
        ([{"name": "sql"}, {"id": 2}], "lora.1.id", "is 2, the model has 2 adapters"),
        ([{"name": "sql"}, {"id": 1}], "lora.1.id", "'sql' is there twice"),
        ([{"id": -1}], "lora.0.id", "-1"),
        ([{"scale": 1}], "lora.0", "one of name and id"),
        ([{"name": "sql", "id": 1}], "lora.0", "one of name and id"),
        ([{"name": "sql", "scale": 1e9}], "lora.0.scale", "100"),
        ([{"name": "sql", "scale": True}], "lora.0.scale", "number"),
        ([{"name": ""}], "lora.0.name", "at least 1"),
        ([{"id": 0}] * 65, "lora", "64"),
        ({"name": "sql"}, "lora", "list"),
        ("sql", "lora", "list"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
def test_bad_choices(adapted, path, lora, param, text):
    response = adapted.post(path, BODIES[path] | {"lora": lora})
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, param)
    assert text in error["message"]
    assert adapted.core.requests == []


def test_a_model_without_adapters_says_so(front):
    error = error_of(front.post(CHAT, chat_body(lora=[{"name": "sql"}])))
    assert "'sql'; it has none" in error["message"]
    assert front.post(CHAT, chat_body(lora=[])).status_code == 200
    assert front.client.get(LORA).get_json() == []


def test_models_lists_adapters_after_their_model(adapted):
    models = adapted.client.get("/v1/models").get_json()["data"]
    assert [(model["id"], model["root"], model["parent"]) for model in models] == [
        ("tiny", "tiny", None),
        ("tiny-pirate", "pirate.gguf", "tiny"),
        ("sql", "queries.gguf", "tiny"),
    ]
    assert {model["status"]["value"] for model in models} == {"loaded"}
    assert adapted.client.get("/v1/models/pirate").get_json()["id"] == "tiny-pirate"


def test_an_adapter_is_loaded_with_its_model(adapted):
    response = adapted.post("/models/load", {"model": "sql"})
    assert response.get_json() == {"success": True, "model": "tiny"}


def test_strict_names_know_adapters(start):
    profiles = {"tiny": ModelProfile(adapters=ADAPTERS)}
    front = start(engine={"adapters": ADAPTERS}, profiles=profiles, strict_model_names=True)
    assert front.post(CHAT, chat_body(model="pirate")).status_code == 200
    response = front.post(CHAT, chat_body(model="other"))
    assert response.status_code == 404
    assert "tiny, tiny-pirate, sql" in error_of(response)["message"]


def test_scales_are_listed_and_set(adapted):
    listed = adapted.client.get(LORA).get_json()
    assert listed == [
        {"id": 0, "name": "pirate", "path": "pirate.gguf", "scale": 0.5, "model": "tiny-pirate"},
        {"id": 1, "name": "sql", "path": "queries.gguf", "scale": 0.0, "model": "sql"},
    ]
    assert adapted.client.get(f"{LORA}?model=sql").get_json() == listed
    # llama-server's clients send a bare list; what is not in it is switched off.
    response = adapted.post(LORA, [{"id": 1, "scale": 0.25}])
    assert response.get_json() == {"success": True}
    assert [each["scale"] for each in adapted.client.get(LORA).get_json()] == [0.0, 0.25]
    assert adapted.post(LORA, {"adapters": [{"name": "pirate"}]}).status_code == 200
    assert [each["scale"] for each in adapted.client.get(LORA).get_json()] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([{"id": 7, "scale": 1}], "adapters.0.id"),
        ([{"id": 0}, {"name": "pirate"}], "adapters.1.name"),
        ([3], "adapters.0"),
        ({}, "adapters"),
        ("no", None),
    ],
)
def test_bad_scales_change_nothing(adapted, body, param):
    response = adapted.post(LORA, body)
    assert (response.status_code, error_of(response)["param"]) == (400, param)
    assert [each["scale"] for each in adapted.client.get(LORA).get_json()] == [0.5, 0.0]


def test_only_administrators_set_scales(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(
        '[[keys]]\nname = "boss"\nkey = "boss-key-boss-key"\nadmin = true\n'
        '[[keys]]\nname = "user"\nkey = "user-key-user-key"\nmodels = ["tiny"]\n'
        '[[keys]]\nname = "sql"\nkey = "only-key-only-key"\nmodels = ["sql"]\n'
    )
    profiles = {"tiny": ModelProfile(adapters=ADAPTERS)}
    front = start(engine={"adapters": ADAPTERS}, profiles=profiles, api_key_file=keys)

    def ask(key, path, body):
        return front.post(path, body, headers={"Authorization": f"Bearer {key}"}).status_code

    body = [{"id": 0, "scale": 1}]
    assert ask("boss-key-boss-key", LORA, body) == 200
    assert ask("user-key-user-key", LORA, body) == 403
    # Who may use a model may use its adapters; a key may also be for one adapter alone.
    assert ask("user-key-user-key", CHAT, chat_body(model="pirate")) == 200
    assert ask("only-key-only-key", CHAT, chat_body(model="sql")) == 200
    assert ask("only-key-only-key", CHAT, chat_body(model="tiny")) == 404
