"""Events between two looks at models and pulls, and the share of a pull."""

from __future__ import annotations

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.memory.pulls import FileShare, PullState
from pyserve.openai.server.pulls import Seen, model_events, pull_job

PULL = PullState(id="p", model="org/a", created=1.0)


def model(name: str, state: str) -> ModelStatus:
    return ModelStatus(id=name, created=1, state=state)  # type: ignore[arg-type]


def seen(*models: ModelStatus, **pull: object) -> Seen:
    pulls = {"p": msgspec.structs.replace(PULL, **pull)} if pull else {}
    return Seen({each.id: each for each in models}, pulls)


def told(before: Seen, after: Seen) -> list[tuple[str, str, object]]:
    return [(each.model, each.event, each.data) for each in model_events(before, after)]


def test_models_that_come_go_and_change():
    before = seen(model("a", "ready"), model("b", "unloaded"), model("c", "loading"))
    after = seen(model("a", "ready"), model("c", "failed"), model("d", "unloaded"))
    assert told(before, after) == [
        ("*", "models_reload", {}),
        ("b", "model_remove", {}),
        ("c", "model_status", {"status": "unloaded", "failed": True}),
        ("d", "model_status", {"status": "unloaded"}),
    ]
    assert told(after, after) == []


def test_a_pull_is_told_from_its_first_bytes_to_its_end_once():
    files = {"f": FileShare(5, 10)}
    begun, half = seen(message="x"), seen(files=files)
    done = seen(files={"f": FileShare(10, 10)}, status="finished", served="a")
    failed = seen(files=files, status="failed", message="why")
    half_told = ("org/a", "download_progress", {"f": {"done": 5, "total": 10}})
    assert told(begun, half) == [half_told]
    assert told(half, done) == [
        ("org/a", "download_progress", {"f": {"done": 10, "total": 10}}),
        ("org/a", "download_finished", {"served": "a"}),
    ]
    assert told(half, failed) == [("org/a", "download_failed", {"message": "why"})]
    assert told(done, done) == told(Seen(), done) == []
    assert told(Seen(), half) == [half_told]


def test_the_share_of_a_pull_is_that_of_what_is_known():
    files = {"a": FileShare(10, 10), "b": FileShare(5, 20), "c": FileShare(0, None)}
    job = pull_job(msgspec.structs.replace(PULL, files=files))
    assert (job.progress, job.file_name, job.file_size) == (50.0, "c", "")
    assert pull_job(PULL).progress == 0.0
    assert pull_job(msgspec.structs.replace(PULL, status="finished")).progress == 100.0
