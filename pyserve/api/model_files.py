"""POST, DELETE /models, /models/jobs, /models/aliases, /models/available: models of this machine,
got and removed over HTTP; and /models/sse, which tells of it.
"""

from __future__ import annotations

from flask import Response, current_app, request

from pyserve.api.endpoint import Endpoint
from pyserve.api.loading import PATIENCE
from pyserve.errors import InvalidRequestError, PermissionDeniedError
from pyserve.memory.pulls import FileShare, PullState
from pyserve.models.download.remote import remote_pull
from pyserve.models.gallery import load_gallery
from pyserve.openai.document.examples import CREATED, MODEL
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.models import ModelAction
from pyserve.openai.server.pulls import (
    GalleryModel,
    ModelDeleted,
    ModelEvent,
    PullApplied,
    PullBegun,
    PullJob,
    PullList,
    Seen,
    gallery_models,
    pull_job,
)
from pyserve.schemas.models import ApplyRequest, NameRequest, PullRequest
from pyserve.web.answer.model_names import usable_models
from pyserve.web.answer.sse import event_reply
from pyserve.web.pulls.jobs import begin, the_job, the_pulls
from pyserve.web.pulls.names import check_name, give_name, remove
from pyserve.web.pulls.pull import models_directory
from pyserve.web.pulls.watching import watchers_of
from pyserve.web.request.access import kept, require_owner
from pyserve.web.request.body import read_body
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.own_urls import own_url
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

ACCEPTED = 202
ADMIN = "Needs an administrator's key; without keys the server must be on loopback."
FORCE = "`true`: without waiting for its requests, which fail."
JOB = "pull_0123456789ab"

endpoint = Endpoint("model_files", tag="Models")


def example() -> PullJob:
    return pull_job(
        PullState(
            id=JOB,
            model=MODEL,
            created=CREATED,
            message=f"getting {MODEL}",
            files={f"{MODEL}.gguf": FileShare(21_000_000, 98_400_000)},
        )
    )


def begun() -> PullBegun:
    return PullBegun(example())


@endpoint.view(
    *(
        Operation(
            name=name,
            method="post",
            path=path,
            summary="Get a model: of the gallery, the hub, or a URL",
            details=f"It goes on in the background. {ADMIN}",
            request=PullRequest,
            body={"model": MODEL},
            response=PullBegun,
            example=begun,
            status=ACCEPTED,
        )
        for name, path in (("pullModel", "/models"), ("pullModelToo", "/models/pull"))
    )
)
def pull() -> Response:
    require_owner()
    body = read_body(PullRequest)
    return json_reply(PullBegun(_begun(body.model, body.name, body.sha256)), ACCEPTED)


@endpoint.view(
    Operation(
        name="applyModel",
        method="post",
        path="/models/apply",
        summary="Get a model, as LocalAI has it",
        details=ADMIN,
        request=ApplyRequest,
        body={"id": MODEL},
        response=PullApplied,
        example=lambda: PullApplied(JOB, f"http://localhost:8080/models/jobs/{JOB}"),
    )
)
def apply() -> Response:
    require_owner()
    body = read_body(ApplyRequest)
    job = _begun(body.model, body.name)
    return json_reply(PullApplied(job.id, own_url(f"/models/jobs/{job.id}")))


def _begun(model: str, name: str | None, sha256: str | None = None) -> PullJob:
    if name is not None:
        check_name(name, "name")
    get = remote_pull(model, load_gallery(), services().config.pull_allow, sha256)
    return pull_job(begin(model, get, name))


@endpoint.view(
    Operation(
        name="listPulls",
        method="get",
        path="/models/jobs",
        summary="Models that are got, or were lately, the newest first",
        details=ADMIN,
        response=PullList,
        example=lambda: PullList(data=[example()]),
    )
)
def jobs() -> Response:
    require_owner()
    return json_reply(PullList(data=[pull_job(each) for each in the_pulls().page()]))


@endpoint.view(
    Operation(
        name="retrievePull",
        method="get",
        path="/models/jobs/{job_id}",
        summary="How far a model is got",
        details=ADMIN,
        response=PullJob,
        example=example,
    )
)
def job(job_id: str) -> Response:
    require_owner()
    return json_reply(pull_job(the_job(job_id)))


@endpoint.view(
    Operation(
        name="cancelPull",
        method="delete",
        path="/models/jobs/{job_id}",
        summary="Get a model no further",
        details=f"What is there stays: asked for again, it goes on from there. {ADMIN}",
        response=PullJob,
        example=example,
    )
)
def cancel(job_id: str) -> Response:
    require_owner()
    the_pulls().cancel(the_job(job_id).id)
    return json_reply(pull_job(the_job(job_id)))


@endpoint.view(
    Operation(
        name="watchModels",
        method="get",
        path="/models/sse",
        summary="Events of models as they happen",
        details="First the state of every model, then what changes: `model_status`,"
        " `model_remove`, `models_reload`; to those who may have models got also"
        " `download_progress`, `download_finished` and `download_failed`.",
        response=ModelEvent,
        example=lambda: ModelEvent(MODEL, "model_status", {"status": "loaded"}),
        media_type="text/event-stream",
        may_be_unavailable=True,
    )
)
def watch() -> Response:
    parts = services()
    watchers = watchers_of(current_app)
    leave = watchers.enter()
    pulls = the_pulls() if _is_owner() else None

    def look() -> Seen:
        got = [] if pulls is None else pulls.page()
        return Seen({each.id: each for each in usable_models()}, {each.id: each for each in got})

    check = ClientWatch(request.environ).check
    return event_reply(watchers.frames(kept(look), check, parts.keep_alive_s), leave)


def _is_owner() -> bool:
    try:
        require_owner()
    except PermissionDeniedError:
        return False
    return True


@endpoint.view(
    Operation(
        name="deleteModel",
        method="delete",
        path="/models/{model_id}",
        summary="Remove a model's file, or a further name of a model",
        details=f"Only of the models directory, and when its requests have ended. {ADMIN}",
        headers=PATIENCE,
        query={"force": FORCE},
        response=ModelDeleted,
        example=lambda: ModelDeleted(id=MODEL),
        may_be_unavailable=True,
    )
)
def delete(model_id: str) -> Response:
    return _deleted(model_id)


@endpoint.view(
    Operation(
        name="deleteNamedModel",
        method="delete",
        path="/models",
        summary="The same, as llama-server has it",
        details=ADMIN,
        headers=PATIENCE,
        query={"model": "The model.", "force": FORCE},
        response=ModelDeleted,
        example=lambda: ModelDeleted(id=MODEL),
        may_be_unavailable=True,
    )
)
def delete_named() -> Response:
    return _deleted(request.args.get("model", ""))


def _deleted(name: str) -> Response:
    require_owner()
    if not name:
        raise InvalidRequestError("model is required", param="model")
    force = request.args.get("force", "false").lower()
    if force not in ("true", "false"):
        raise InvalidRequestError('force must be "true" or "false"', param="force")
    remove(name, is_forced=force == "true")
    return json_reply(ModelDeleted(id=name))


@endpoint.view(
    Operation(
        name="nameModel",
        method="post",
        path="/models/aliases",
        summary="Give a model a further name",
        details=f"The name stays when the server is started again. {ADMIN}",
        request=NameRequest,
        body={"model": MODEL, "name": "small"},
        response=ModelAction,
        example=lambda: ModelAction(success=True, model=MODEL),
    )
)
def name() -> Response:
    require_owner()
    body = read_body(NameRequest)
    return json_reply(ModelAction(success=True, model=give_name(body.model, body.name, "name")))


@endpoint.view(
    Operation(
        name="availableModels",
        method="get",
        path="/models/available",
        summary="The models of the gallery, as LocalAI has it",
        response=GalleryModel,
        is_list=True,
        example=lambda: gallery_models(load_gallery().models[:1], set()),
    )
)
def available() -> Response:
    directory = models_directory(services())
    there = {path.name for path in directory.glob("*.gguf")}
    return json_reply(gallery_models(load_gallery().models, there))
