"""LoRA adapters of requests (`lora`), and the objects of GET and POST /lora-adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from pyserve.engine.adapters import unknown_adapter
from pyserve.engine.config import Adapter
from pyserve.engine.protocol import ModelInfo
from pyserve.errors import InvalidRequestError
from pyserve.schemas.fields.lora import LoraChoice


class LoraAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter of a model. scale: in requests that name no adapters.

    path: the name of its file. model: the name of the model with this adapter alone.
    """

    id: int
    name: str
    path: str
    scale: float
    model: str


class AdaptersScaled(msgspec.Struct, frozen=True):
    """Confirms that the new scales apply to all later requests."""

    success: bool = True


def adapter_list(adapters: Sequence[Adapter], scales: Mapping[str, float]) -> list[LoraAdapter]:
    """All adapters of a model with their current scales."""
    return [
        LoraAdapter(
            id=index,
            name=adapter.name,
            path=Path(adapter.path).name,
            scale=scales.get(adapter.name, adapter.scale),
            model=adapter.model_id,
        )
        for index, adapter in enumerate(adapters)
    ]


def scales_by_name(
    choices: Sequence[LoraChoice], info: ModelInfo, param: str = "lora"
) -> dict[str, float]:
    """Scales by name. Raises InvalidRequestError for an adapter unknown or named twice."""
    scales: dict[str, float] = {}
    for index, choice in enumerate(choices):
        where = f"{param}.{index}.{'id' if choice.name is None else 'name'}"
        name = _name_of(choice, info, where)
        if name in scales:
            raise InvalidRequestError(f"{where}: the adapter {name!r} is there twice", param=where)
        scales[name] = 1.0 if choice.scale is None else choice.scale
    return scales


def request_adapters(lora: Sequence[LoraChoice] | None, info: ModelInfo) -> dict[str, float] | None:
    """A request's adapters; None if it has no such field. Raises as above."""
    return None if lora is None else scales_by_name(lora, info)


def _name_of(choice: LoraChoice, info: ModelInfo, where: str) -> str:
    if choice.id is not None:
        if choice.id >= len(info.adapters):
            message = f"{where} is {choice.id}, the model has {len(info.adapters)} adapters"
            raise InvalidRequestError(message, param=where)
        return info.adapters[choice.id]
    if choice.name not in info.adapters:
        raise unknown_adapter(str(choice.name), info.adapters, where)
    return str(choice.name)
