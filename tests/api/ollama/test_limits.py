"""Keys, their limits, and a full server, as Ollama's clients see them."""

from __future__ import annotations

from typing import Any

import pytest

from pyserve.engine.fake.script import FakeScript
from tests.support.front import Front
from tests.support.limits import SOON_S
from tests.support.ollama_lines import CHAT, GENERATE, chat, prompt

KEY = "sk-of-a-user"
HEADERS = {"Authorization": f"Bearer {KEY}"}


def limited(start, tmp_path, limits: str, **settings: Any) -> Front:
    path = tmp_path / "keys.toml"
    path.write_text(f'[[keys]]\nkey = "{KEY}"\ntenant = "alice"\n{limits}\n')
    front: Front = start(api_key_file=path, **settings)
    return front


@pytest.mark.parametrize("path", [CHAT, GENERATE, "/api/embed", "/api/embeddings", "/api/tags"])
def test_without_a_key_nothing_is_answered(start, tmp_path, path):
    front = limited(start, tmp_path, "")
    response = front.client.get(path) if path == "/api/tags" else front.post(path, chat())
    assert (response.status_code, set(response.get_json())) == (401, {"error"})


def test_the_tenant_of_a_key_is_that_of_its_requests(start, tmp_path):
    front = limited(start, tmp_path, "")
    assert front.post(CHAT, chat(stream=False), headers=HEADERS).status_code == 200
    assert front.core.requests[0].tenant == "alice"


@pytest.mark.parametrize(
    ("limits", "fields", "status"),
    [
        ("requests_per_minute = 1", {}, 429),
        ("max_priority = 0", {"priority": 5}, 403),
        ("max_context = 4", {}, 400),
        ('endpoints = ["/chat/completions"]', {}, 403),
        ('models = ["other"]', {}, 404),
    ],
)
def test_the_limits_of_a_key_hold(start, tmp_path, limits, fields, status):
    front = limited(start, tmp_path, limits)
    for _ in range(2):
        response = front.post(CHAT, chat("one two three", **fields), headers=HEADERS)
    assert (response.status_code, set(response.get_json())) == (status, {"error"})
    assert (status == 429) == ("Retry-After" in response.headers)


def test_endpoints_of_a_key_can_be_those_of_ollama(start, tmp_path):
    front = limited(start, tmp_path, 'endpoints = ["/api"]')
    assert front.post(GENERATE, prompt(stream=False), headers=HEADERS).status_code == 200


def test_a_full_server_says_so(start):
    front = start(FakeScript(hold_after=1), max_streams=1)
    held = front.post(CHAT, chat("a b c"), buffered=False)
    assert front.core.wait_submitted(1, SOON_S)
    response = front.post(GENERATE, prompt())
    assert (response.status_code, set(response.get_json())) == (503, {"error"})
    assert int(response.headers["Retry-After"]) >= 1
    held.close()
    front.core.release()
    assert front.stream_limit.n_held == 0


def test_a_deadline_is_told(start):
    front = start(FakeScript(hold_after=1), engine={"n_seq_max": 1})
    held = front.post(CHAT, chat("a b c"), buffered=False)
    late = front.post(CHAT, chat("x"), headers={"X-Request-Timeout": "0.05"})
    assert (late.status_code, set(late.get_json())) == (503, {"error"})
    held.close()


def test_a_stream_that_is_not_read_to_its_end_is_cancelled(start):
    front = start(FakeScript(hold_after=1))
    response = front.post(CHAT, chat("a b c"), buffered=False)
    next(iter(response.response))
    response.close()
    assert front.core.cancelled
    assert front.stream_limit.n_held == 0
