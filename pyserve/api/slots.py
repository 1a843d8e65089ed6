"""GET /slots, as in llama-server."""

from __future__ import annotations

from flask import Response, request

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine, EngineStats
from pyserve.errors import ModelNotLoadedError, QueueFullError
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.slots import Slot, slots_of
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.target import choose_target
from pyserve.web.request.replies import json_reply

endpoint = Endpoint("slots", tag="llama-server", is_below_v1=False)


@endpoint.view(
    Operation(
        name="slots",
        method="get",
        path="/slots",
        summary="How many requests a model runs, and can run",
        details="What a running request is made of is not told. A model that is not loaded has no"
        " slots, and is not loaded for it.",
        query={
            "model": "The model, if several are served.",
            "fail_on_no_slot": "1: 503 if no slot is free.",
        },
        response=Slot,
        is_list=True,
        example=lambda: slots_of(examples.INFO, EngineStats(n_running=1))[:2],
        asks_model=True,
    )
)
def get_slots() -> Response:
    target = choose_target()
    if not target.is_ready:
        return json_reply([])

    def answer(engine: Engine) -> list[Slot]:
        return slots_of(engine.info(), engine.stats())

    try:
        slots = ask_engine(target, answer, is_look=True)
    except ModelNotLoadedError:  # it has just left
        return json_reply([])
    if request.args.get("fail_on_no_slot") and all(slot.is_processing for slot in slots):
        raise QueueFullError(f"no slot is free: all {len(slots)} run requests")
    return json_reply(slots)


endpoint.not_built("slotAction", "/slots/{id_slot}", "save, restore or erase slots")
