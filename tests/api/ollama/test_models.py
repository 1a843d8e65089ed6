"""GET /api/tags, /api/ps, /api/version, / and POST /api/show."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from pyserve import __version__
from pyserve.backend.protocol import ModelStatus
from pyserve.engine.config import Adapter
from pyserve.models.profile import ModelProfile
from pyserve.openai.document.examples import INFO
from tests.support.front import Front
from tests.support.tiny.llama import write_tiny_llama

HEX = set("0123456789abcdef")


@pytest.fixture
def front(start, tmp_path) -> Front:
    """A loaded model with an adapter, and one that is not loaded, of one file."""
    path = write_tiny_llama(tmp_path / "own.gguf")
    adapter = Adapter("pirate", "pirate.gguf", model_id="tiny-pirate")
    profile = ModelProfile(
        aliases=("own.gguf", "own", "short", "any-*"),
        defaults={"temperature": 0.5},
        stop=("END",),
        adapters=(adapter,),
    )
    there = ModelStatus(
        id="tiny", created=1, state="ready", info=INFO, profile=profile, model_path=str(path)
    )
    away = ModelStatus(id="away", created=1, state="unloaded", model_path=str(path))
    gone = ModelStatus(id="gone", created=1, state="unloaded", model_path=str(tmp_path / "no"))
    front: Front = start(models=(), others=(there, away, gone))
    return front


def named(front: Front) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in front.client.get("/api/tags").get_json()["models"]}


def test_tags_have_all_names_and_the_facts_of_the_file(front, tmp_path):
    found = named(front)
    assert set(found) == {
        "tiny:latest", "short:latest", "tiny-pirate:latest", "away:latest", "gone:latest"
    }  # fmt: skip
    tiny = found["tiny:latest"]
    assert tiny["model"] == tiny["name"]
    assert tiny["size"] == (tmp_path / "own.gguf").stat().st_size
    assert datetime.fromisoformat(tiny["modified_at"]).tzinfo is not None
    assert (len(tiny["digest"]), set(tiny["digest"]) <= HEX) == (64, True)
    assert tiny["digest_is_hash"] is False
    assert found["short:latest"]["digest"] == tiny["digest"]
    details = tiny["details"]
    assert (details["format"], details["family"]) == ("gguf", "llama")
    assert details["parameter_size"][-1] in "KM"
    assert details == found["away:latest"]["details"]
    assert found["tiny-pirate:latest"]["digest"] != tiny["digest"]
    assert found["tiny-pirate:latest"]["details"] == details
    assert (found["gone:latest"]["size"], found["gone:latest"]["digest"]) == (0, "")


def test_ps_has_those_that_are_loaded(front):
    (tiny,) = front.client.get("/api/ps").get_json()["models"]
    assert (tiny["name"], tiny["size_vram"]) == ("tiny:latest", 0)
    assert tiny["context_length"] == INFO.n_ctx
    assert datetime.fromisoformat(tiny["expires_at"]).year == 2318


@pytest.mark.parametrize("name", ["tiny", "tiny:latest", "short", "any-thing", "away"])
def test_show_has_what_the_file_says(front, name):
    found = front.post("/api/show", {"model": name}).get_json()
    assert found["model_info"]["general.architecture"] == "llama"
    assert found["model_info"]["general.parameter_count"] > 0
    assert found["model_info"]["tokenizer.ggml.tokens"] is None
    assert "tokenizer.chat_template" not in found["model_info"]
    assert found["details"]["family"] == "llama"
    assert found["capabilities"][0] == "completion"


def test_show_has_template_and_defaults(front):
    found = front.post("/api/show", {"name": "tiny"}).get_json()
    assert found["template"] == INFO.chat_template
    assert found["parameters"].split() == ["temperature", "0.5", "stop", '"END"']
    assert front.post("/api/show", {"name": "gone"}).get_json()["model_info"] == {}


def test_an_unknown_model_is_not_found(front):
    response = front.post("/api/show", {"model": "other"})
    assert (response.status_code, set(response.get_json())) == (404, {"error"})
    response = front.post("/api/show", {})
    assert (response.status_code, response.get_json()) == (400, {"error": "model is required"})


def test_the_version_is_one_that_clients_know(front):
    found = front.client.get("/api/version").get_json()
    assert found["pyserve"] == __version__
    assert [int(part) for part in found["version"].split(".")] > [0, 20]


@pytest.mark.parametrize(
    ("settings", "accept", "is_running"),
    [
        ({}, {"Accept": "text/plain"}, False),
        ({"ollama": True}, {"Accept": "text/plain"}, True),
        ({}, {}, False),
        ({"ollama": True}, {}, True),
        ({"ollama": True}, {"Accept": "*/*"}, True),
        ({"ollama": True}, {"Accept": "application/json"}, False),
        ({"ollama": True}, {"Accept": "text/html, */*;q=0.5"}, False),
    ],
)
def test_the_root_says_that_ollama_is_running_where_asked(start, settings, accept, is_running):
    response = start(**settings).client.get("/", headers=accept)
    assert response.status_code == 200
    assert (response.text == "Ollama is running") is is_running
    assert start(**settings).client.head("/", headers=accept).status_code == 200


def test_a_key_sees_its_models(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[[keys]]\nkey = "sk-of-a-alone"\nmodels = ["a"]\n')
    front = start(models=("a", "b"), api_key_file=keys)
    headers = {"Authorization": "Bearer sk-of-a-alone"}
    assert front.client.get("/api/tags").status_code == 401
    assert front.client.get("/api/version").status_code == 200
    found = front.client.get("/api/tags", headers=headers).get_json()["models"]
    assert [model["name"] for model in found] == ["a:latest"]
    assert front.post("/api/show", {"model": "b"}, headers=headers).status_code == 404


def test_json_is_of_the_type_that_ollama_gives_it(front):
    assert front.client.get("/api/ps").content_type == "application/json; charset=utf-8"
    assert front.client.get("/api/nope").content_type == "application/json; charset=utf-8"
    assert front.client.get("/v1/models").content_type == "application/json"
