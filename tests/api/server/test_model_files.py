"""Models that are got, removed and named over HTTP, who may, and the events of it."""

from __future__ import annotations

import fcntl
import hashlib
import json
from typing import Any

import openai
import pytest

from pyserve.web.pulls.watching import watchers_of
from tests.api.ollama.test_files import ADMIN, KEYS, USER, with_file
from tests.support.client import client_of
from tests.support.front import Front, error_of
from tests.support.limits import SOON_S
from tests.support.server import wait_until

JOBS = "/models/jobs"
TINY = "org/tiny-GGUF:Q4_0"


@pytest.fixture
def front(start, models_dir, hub) -> Front:
    front: Front = start(models_dir=models_dir)
    return front


def begun(front: Front, model: str = TINY, **fields: Any) -> str:
    response = front.post("/models", {"model": model, **fields})
    assert response.status_code == 202, response.text
    assert response.get_json()["success"] is True
    return str(response.get_json()["job"]["id"])


def job(front: Front, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = front.client.get(f"{JOBS}/{job_id}").get_json()
    return found


def ended(front: Front, job_id: str) -> dict[str, Any]:
    wait_until(lambda: job(front, job_id)["processed"], SOON_S, "the pull is over")
    return job(front, job_id)


def test_a_model_is_got_and_its_job_says_so(front, models_dir, hub):
    (content,) = hub.files.values()
    sha256 = hashlib.sha256(content).hexdigest()
    found = ended(front, begun(front, sha256=sha256.upper()))
    assert (found["status"], found["error"], found["progress"]) == ("finished", None, 100.0)
    assert found["files"] == {"tiny-Q4_0.gguf": {"done": len(content), "total": len(content)}}
    assert (found["file_name"], found["file_size"]) == ("tiny-Q4_0.gguf", str(len(content)))
    assert (models_dir / "tiny-Q4_0.gguf").read_bytes() == content
    applied = front.post("/models/apply", {"id": f"hub@{TINY}"}).get_json()
    assert applied["status"] == f"http://localhost{JOBS}/{applied['uuid']}"
    assert ended(front, applied["uuid"])["status"] == "finished"
    listed = front.client.get(JOBS).get_json()["data"]
    assert [each["id"] for each in listed] == [applied["uuid"], found["id"]]


def test_one_that_is_cancelled_goes_on_where_it_was(front, models_dir, hub):
    """By its id, or as llama-server has it; asked for twice it is one."""
    hub.goes_on.clear()
    first = begun(front)
    assert begun(front) == first
    wait_until(lambda: job(front, first)["files"], SOON_S, "a part is there")
    assert job(front, first)["status"] == "running"
    front.client.delete(f"{JOBS}/{first}")
    hub.goes_on.set()
    assert ended(front, first)["status"] == "cancelled"
    assert list(models_dir.glob("*.gguf")) == []
    assert any((models_dir / ".incoming").glob("*.part"))
    hub.goes_on.clear()
    second = begun(front)
    wait_until(lambda: job(front, second)["files"], SOON_S, "a part is there")
    assert front.post("/models/unload", {"model": TINY}).get_json()["success"] is True
    hub.goes_on.set()
    assert ended(front, second)["status"] == "cancelled"
    assert ended(front, begun(front))["status"] == "finished"
    assert front.client.delete(f"{JOBS}/{second}").get_json()["status"] == "cancelled"


def test_what_goes_wrong_is_told_by_the_job(front, models_dir, hub):
    hub.wrong_hash = True
    found = ended(front, begun(front))
    assert found["status"] == "failed"
    assert "sha256" in found["error"]["message"]
    assert found["message"] == found["error"]["message"]
    hub.wrong_hash = False
    found = ended(front, begun(front, sha256="0" * 64))
    assert (found["status"], "sha256" in found["message"]) == ("failed", True)
    found = ended(front, begun(front, "org/none"))
    assert (found["status"], "org/none" in found["message"]) == ("failed", True)
    assert list(models_dir.glob("*.gguf")) == []


def test_at_most_some_are_got_at_once(front, hub):
    hub.goes_on.clear()
    (content,) = hub.files.values()
    hub.files |= {f"org/other{n}/other{n}-Q4_0.gguf": content for n in range(5)}
    ids = [begun(front, f"org/other{n}:Q4_0") for n in range(4)]
    response = front.post("/models", {"model": "org/other4:Q4_0"})
    assert (response.status_code, error_of(response)["code"]) == (503, "queue_full")
    hub.goes_on.set()
    assert {ended(front, each)["status"] for each in ids} == {"finished"}
    assert ended(front, begun(front, "org/other4:Q4_0"))["status"] == "finished"


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/models", {}, 400, "model"),
        ("/models", {"model": ""}, 400, "model"),
        ("/models", {"model": "x" * 3000}, 400, "model"),
        ("/models", {"model": "/etc/passwd"}, 404, "model"),
        ("/models", {"model": "file:///etc/passwd"}, 404, "model"),
        ("/models/pull", {"model": "https://example.com/x.gguf"}, 403, "model"),
        ("/models", {"model": TINY, "sha256": "xyz"}, 400, "sha256"),
        ("/models", {"model": "smollm2-135m-instruct", "sha256": "0" * 64}, 400, "sha256"),
        ("/models", {"model": TINY, "name": "tiny"}, 400, "name"),
        ("/models", {"model": TINY, "name": "../x"}, 400, "name"),
        ("/models/apply", {}, 400, "id"),
        ("/models/apply", {"id": "a", "url": "b"}, 400, "id"),
        ("/models/apply", {"id": "x", "overrides": {"a": 1}}, 400, "overrides"),
        ("/models/aliases", {"model": "none", "name": "x"}, 404, "model"),
        ("/models/aliases", {"model": "tiny", "name": "a\nb"}, 400, "name"),
    ],
)
def test_what_is_refused_begins_no_job(front, path, body, status, param):
    response = front.post(path, body)
    assert (response.status_code, error_of(response)["param"]) == (status, param)
    assert front.client.get(JOBS).get_json()["data"] == []


def test_files_are_removed_and_named_in_both_ways(start, models_dir):
    front = with_file(start, models_dir)
    named = {"model": "own", "name": "my:1b"}
    assert front.post("/models/aliases", named).get_json() == {"success": True, "model": "own"}
    (path,) = models_dir.glob("*.yaml")
    assert path.read_text() == 'name: "my:1b"\nalias: "own"\n'
    removed = front.client.delete("/v1/models/my:1b").get_json()
    assert removed == {"id": "my:1b", "object": "model", "deleted": True, "success": True}
    assert list(models_dir.glob("*.yaml")) == []
    for name, status in (("other", 403), ("../other", 404), ("own.gguf", 404), ("none", 404)):
        assert front.client.delete(f"/v1/models/{name}").status_code == status, name
    for query in ("", "?model=", "?model=own&force=perhaps"):
        assert front.client.delete(f"/models{query}").status_code == 400, query
    assert (models_dir / "own.gguf").is_file()
    assert front.client.delete("/models?model=own&force=true").get_json()["deleted"] is True
    assert not (models_dir / "own.gguf").exists()


def test_the_gallery_is_listed(start, models_dir):
    (models_dir / "SmolLM2-135M-Instruct-Q4_K_M.gguf").write_bytes(b"x")
    listed = start(models_dir=models_dir).client.get("/models/available").get_json()
    assert {"name", "description", "license", "size", "task", "installed"} == set(listed[0])
    assert len(listed) > 10


ASKED = [
    ("POST", "/models", {"model": "x"}),
    ("POST", "/models/pull", {"model": "x"}),
    ("POST", "/models/apply", {"id": "x"}),
    ("POST", "/models/aliases", {"model": "none", "name": "x"}),
    ("GET", JOBS, None),
    ("GET", f"{JOBS}/x", None),
    ("DELETE", f"{JOBS}/x", None),
    ("DELETE", "/models?model=none", None),
    ("DELETE", "/v1/models/none", None),
]


def test_files_are_the_administrators(start, models_dir, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS)
    front = with_file(start, models_dir, api_key_file=keys)
    public = with_file(start, models_dir, host="0.0.0.0", insecure=True)

    def statuses(front: Front, key: str | None = None) -> set[int]:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return {
            front.client.open(path, method=method, json=body, headers=headers).status_code
            for method, path, body in ASKED
        }

    assert (statuses(front), statuses(front, USER), statuses(public)) == ({401}, {403}, {403})
    assert statuses(front, ADMIN) == {200, 404}


def events(response: Any) -> Any:
    for part in response.iter_encoded():
        for line in part.decode().split("\n\n"):
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_events_tell_the_models_and_how_far_they_are_got(front, hub):
    hub.goes_on.clear()
    watched = front.client.get("/models/sse", buffered=False)
    assert watched.content_type.startswith("text/event-stream")
    told = events(watched)
    assert next(told) == {"model": "tiny", "event": "model_status", "data": {"status": "loaded"}}
    job_id = begun(front)
    progress = next(told)
    assert (progress["model"], progress["event"]) == (TINY, "download_progress")
    assert set(progress["data"]["tiny-Q4_0.gguf"]) == {"done", "total"}
    hub.goes_on.set()
    ended(front, job_id)
    last = next(each for each in told if each["event"] != "download_progress")
    assert last == {"model": TINY, "event": "download_finished", "data": {"served": None}}
    watched.close()


def test_events_are_those_of_the_models_of_a_key_and_of_pulls_for_administrators(
    start, models_dir, hub, tmp_path
):
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS + 'models = ["b"]\n')  # of the last one, the user's
    front = start(models=("a", "b"), models_dir=models_dir, api_key_file=keys)
    assert front.client.get("/models/sse").status_code == 401
    hub.goes_on.clear()
    headers = {"Authorization": f"Bearer {ADMIN}"}
    front.post("/models", {"model": TINY}, headers=headers)

    def first(key: str, n: int) -> list[tuple[str, str]]:
        headers = {"Authorization": f"Bearer {key}"}
        watched = front.client.get("/models/sse", headers=headers, buffered=False)
        told = [next(found) for found in [events(watched)] for _ in range(n)]
        watched.close()
        return [(each["model"], each["event"]) for each in told]

    status = "model_status"
    assert first(ADMIN, 3) == [("a", status), ("b", status), (TINY, "download_progress")]
    assert first(USER, 1) == [("b", status)]
    hub.goes_on.set()
    wait_until(lambda: any(models_dir.glob("*.gguf")), SOON_S, "it is got")


def test_the_official_client_deletes_a_model(start, models_dir):
    front = with_file(start, models_dir)
    with client_of(front, is_strict=True) as client:
        deleted = client.models.delete("own")
        assert (deleted.id, deleted.object, deleted.deleted) == ("own", "model", True)
        with pytest.raises(openai.PermissionDeniedError):
            client.models.delete("other")
    assert not (models_dir / "own.gguf").exists()


def test_events_have_places_and_end_when_the_worker_stops(front):
    watchers = watchers_of(front.app)
    opened = [front.client.get("/models/sse", buffered=False) for _ in range(16)]
    response = front.client.get("/models/sse")
    assert (response.status_code, error_of(response)["code"]) == (503, "queue_full")
    opened.pop().close()
    opened.append(front.client.get("/models/sse", buffered=False))
    assert opened[-1].status_code == 200
    watchers.stop()
    for each in opened:
        assert len(list(events(each))) == 1  # that of the first look; then it ends
        each.close()
    front.client.get("/models/sse").close()


def test_a_pull_of_a_server_that_was_killed_has_failed(start, models_dir, hub):
    hub.goes_on.clear()
    first, second = start(models_dir=models_dir), start(models_dir=models_dir)
    job_id = begun(first)
    assert job(second, job_id)["status"] == "running"
    wait_until(lambda: job(second, job_id)["files"], SOON_S, "a part is there")
    fcntl.flock(first.app.extensions["pyserve"].memory.pulls._owner._fd, fcntl.LOCK_UN)
    found = job(second, job_id)
    assert (found["status"], found["error"]["code"]) == ("failed", "server_stopped")
    hub.goes_on.set()
    wait_until(lambda: any(models_dir.glob("*.gguf")), SOON_S, "its thread ends")
