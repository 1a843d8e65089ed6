"""OpenAPI operations of the LoRA endpoints."""

from __future__ import annotations

from pyserve.openai.adapters import AdaptersScaled, LoraAdapter
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.schemas.lora import ScaleAdaptersRequest

TAG = "Models"

ADAPTERS = (
    Operation(
        name="listAdapters",
        method="get",
        path="/lora-adapters",
        tag=TAG,
        summary="The LoRA adapters of a model",
        details="The same as in llama-server. `?model=` names the model if several are served.",
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
        may_be_unavailable=True,
    ),
    Operation(
        name="scaleAdapters",
        method="post",
        path="/lora-adapters",
        tag=TAG,
        summary="Set the scales of adapters for requests that name none",
        details="Until the server ends, or a reload of the configuration sets others. Takes "
        "llama-server's bare list, too. Needs an administrator's key, if keys are set.",
        request=ScaleAdaptersRequest,
        body={"adapters": [{"name": "pirate", "scale": 0.5}]},
        response=AdaptersScaled,
        example=AdaptersScaled,
    ),
)
