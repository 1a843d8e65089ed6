"""GET and POST /lora-adapters, as in llama-server."""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.engine.protocol import Engine
from pyserve.openai.adapters import AdaptersScaled, LoraAdapter, adapter_list, scales_by_name
from pyserve.schemas.lora import ScaleAdaptersRequest
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.target import choose_target
from pyserve.web.request.access import require_admin
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply

blueprint = Blueprint("adapters", __name__)


@blueprint.get("/lora-adapters")
def list_all() -> Response:
    target = choose_target()

    def answer(engine: Engine) -> list[LoraAdapter]:
        return adapter_list(target.profile.adapters, engine.adapter_scales({}))

    return json_reply(ask_engine(target, answer))


@blueprint.post("/lora-adapters")
def scale() -> Response:
    """Set the scales of requests that name no adapters; later engines of the model have them."""
    require_admin()
    body = read_body(ScaleAdaptersRequest, list_field="adapters")
    target = choose_target(body)

    def answer(engine: Engine) -> AdaptersScaled:
        info = engine.info()
        off = dict.fromkeys(info.adapters, 0.0)
        engine.adapter_scales(off | scales_by_name(body.adapters, info, "adapters"))
        return AdaptersScaled()

    return json_reply(ask_engine(target, answer))
