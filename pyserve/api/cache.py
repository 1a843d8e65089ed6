"""POST /cache/clear: computed prefixes are given up, in memory and on disk."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.api.models import named_model
from pyserve.models.prefixes import clear_prefixes
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.models import CacheCleared
from pyserve.schemas.models import ClearCacheRequest
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.model_names import served_models
from pyserve.web.answer.target import target_of
from pyserve.web.request.access import require_admin
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services

endpoint = Endpoint("cache", tag="Models", is_below_v1=False)


@endpoint.view(
    Operation(
        name="clearCache",
        method="post",
        path="/cache/clear",
        summary="Give up computed prefixes, in memory and on disk",
        details="Running requests keep theirs. Needs an administrator's key, if keys are set.",
        request=ClearCacheRequest,
        body={"model": examples.MODEL},
        response=CacheCleared,
        example=lambda: CacheCleared(models=[examples.MODEL], deleted_bytes=66_000_000),
        asks_model=True,
    )
)
def clear() -> Response:
    require_admin()
    body = read_body(ClearCacheRequest)
    chosen = served_models()
    if body.model is not None:
        engine_id = named_model(body.model).engine_id
        chosen = [status for status in chosen if status.id == engine_id]
    # First those in memory: what is given up there could go to disk.
    loaded = [status for status in chosen if status.state == "ready" and status.parent is None]
    for status in loaded:
        ask_engine(target_of(status), lambda engine: engine.clear_prefixes())
    config, n_bytes = services().config, 0
    if config.prefix_cache_disk_mib > 0 and not config.prefix_cache_read_only:
        root = config.prefix_cache_dir.expanduser()
        paths = [""] if body.model is None else [status.model_path for status in chosen]
        n_bytes = sum(clear_prefixes(root, path) for path in paths)
    return json_reply(CacheCleared(models=[each.id for each in loaded], deleted_bytes=n_bytes))
