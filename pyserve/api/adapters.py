"""GET and POST /lora-adapters, as in llama-server."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.adapters import AdaptersScaled, LoraAdapter, adapter_list, scales_by_name
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.schemas.fields.lora import ScaleAdaptersRequest
from pyserve.web.answer.leasing import LOOK_QUERY, ask_engine, look_at_engine
from pyserve.web.answer.target import choose_target
from pyserve.web.request.access import require_admin
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply

endpoint = Endpoint("adapters", tag="Models")


@endpoint.view(
    Operation(
        name="listAdapters",
        method="get",
        path="/lora-adapters",
        summary="The LoRA adapters of a model",
        details="The same as in llama-server.",
        query=LOOK_QUERY,
        response=LoraAdapter,
        is_list=True,
        example=lambda: [
            LoraAdapter(
                id=0,
                name="pirate",
                path="pirate.gguf",
                scale=1.0,
                model=f"{examples.MODEL}-pirate",
            )
        ],
        asks_model=True,
    )
)
def list_all() -> Response:
    target = choose_target()

    def answer(engine: Engine) -> list[LoraAdapter]:
        return adapter_list(target.profile.adapters, engine.adapter_scales({}))

    return json_reply(look_at_engine(target, answer))


@endpoint.view(
    Operation(
        name="scaleAdapters",
        method="post",
        path="/lora-adapters",
        summary="Set the scales of adapters for requests that name none",
        details="Until the server ends, or a reload of the configuration sets others. Takes "
        "llama-server's bare list, too. Needs an administrator's key, if keys are set.",
        request=ScaleAdaptersRequest,
        body={"adapters": [{"name": "pirate", "scale": 0.5}]},
        response=AdaptersScaled,
        example=AdaptersScaled,
        asks_model=True,
    )
)
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
