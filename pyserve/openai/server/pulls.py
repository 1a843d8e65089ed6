"""Models that are got, and events of models, in the words of llama-server and of LocalAI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.memory.pulls import PullState, PullStatus
from pyserve.models.gallery import GalleryEntry
from pyserve.openai.server.models import STATUS_VALUES

EVERYTHING = "*"  # what an event is about that is of no single model


class JobError(msgspec.Struct, frozen=True):
    """Why a model was not got."""

    code: str
    message: str


class JobFile(msgspec.Struct, frozen=True):
    """Bytes of a file that are here, and all of them; null: not known."""

    done: int
    total: int | None


class PullJob(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is got. served: the id under which it is served then.

    progress: per cent of what is known. processed: it is over; uuid, file_name, file_size and
    downloaded_size (of the file that is got now) are LocalAI's names, as is that.
    """

    id: str
    object: Literal["model.pull"] = "model.pull"
    model: str
    created_at: int
    status: PullStatus
    message: str
    files: dict[str, JobFile]
    error: JobError | None
    served: str | None
    uuid: str
    processed: bool
    progress: float
    file_name: str
    file_size: str
    downloaded_size: str


class PullList(msgspec.Struct, frozen=True, kw_only=True):
    """The last ones, the newest first."""

    object: Literal["list"] = "list"
    data: list[PullJob]


class PullBegun(msgspec.Struct, frozen=True):
    """A model begins to be got."""

    job: PullJob
    success: bool = True


class PullApplied(msgspec.Struct, frozen=True):
    """The same as LocalAI tells it. status: the URL of the job."""

    uuid: str
    status: str


class ModelDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose file is no more, or a further name of one."""

    id: str
    object: Literal["model"] = "model"
    deleted: bool = True
    success: bool = True


class GalleryModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the gallery. size: bytes of its file; installed: it is there."""

    name: str
    description: str
    license: str
    size: int
    task: str
    installed: bool


class ModelEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event of a model; `*` is of no single one."""

    model: str
    event: Literal[
        "model_status",
        "model_remove",
        "models_reload",
        "download_progress",
        "download_finished",
        "download_failed",
    ]
    data: dict[str, Any] = {}


class Seen(msgspec.Struct, frozen=True):
    """What is known at a time: the models, and what is got, each by its id."""

    models: Mapping[str, ModelStatus] = {}
    pulls: Mapping[str, PullState] = {}


def pull_job(state: PullState) -> PullJob:
    files = {name: JobFile(each.done, each.total) for name, each in state.files.items()}
    name, last = next(reversed(files.items()), ("", JobFile(0, None)))
    n_done = sum(each.done for each in files.values())
    n_total = sum(each.total or 0 for each in files.values())
    is_whole = state.status == "finished"
    return PullJob(
        id=state.id,
        model=state.model,
        created_at=int(state.created),
        status=state.status,
        message=state.message,
        files=files,
        error=None if state.error is None else JobError(state.error.code, state.error.message),
        served=state.served,
        uuid=state.id,
        processed=state.status != "running",
        progress=100.0 if is_whole else min(100.0 * n_done / n_total if n_total else 0.0, 100.0),
        file_name=name,
        file_size="" if last.total is None else str(last.total),
        downloaded_size=str(last.done),
    )


def gallery_models(entries: Sequence[GalleryEntry], files: set[str]) -> list[GalleryModel]:
    """files: the names of those that are there."""
    return [
        GalleryModel(
            name=each.name,
            description=each.description,
            license=each.license,
            size=each.size_bytes,
            task=each.task,
            installed=each.file in files,
        )
        for each in entries
    ]


def model_events(before: Seen, after: Seen) -> Iterator[ModelEvent]:
    """What has happened between two times."""
    if before.models and before.models.keys() != after.models.keys():
        yield ModelEvent(EVERYTHING, "models_reload")
    for name in before.models.keys() - after.models.keys():
        yield ModelEvent(name, "model_remove")
    for name, status in after.models.items():
        told = _status(status)
        if name not in before.models or _status(before.models[name]) != told:
            yield ModelEvent(name, "model_status", told)
    for pull_id, pull in after.pulls.items():
        was = before.pulls.get(pull_id)
        if was is None and pull.status != "running":
            continue  # it was over before anybody looked
        if pull.files and (was is None or was.files != pull.files):
            yield ModelEvent(pull.model, "download_progress", msgspec.to_builtins(pull.files))
        if pull.status != "running" and (was is None or was.status == "running"):
            yield _end(pull)


def _status(status: ModelStatus) -> dict[str, Any]:
    told = {"status": STATUS_VALUES[status.state]}
    return told | {"failed": True} if status.state == "failed" else told


def _end(pull: PullState) -> ModelEvent:
    if pull.status == "finished":
        return ModelEvent(pull.model, "download_finished", {"served": pull.served})
    return ModelEvent(pull.model, "download_failed", {"message": pull.message})
