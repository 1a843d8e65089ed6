"""The objects of the models endpoints, and the properties of one model."""

from __future__ import annotations

from typing import Literal

import msgspec

from pyserve import __version__
from pyserve.engine.protocol import ModelInfo, SamplingParams

CAPABILITIES = ["chat", "completion", "edit", "embedding"]


class ModelMeta(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a model, under llama-server's names where it has one; null until it is loaded.

    n_ctx: most tokens of one request. size: bytes of the weights.
    """

    state: str
    architecture: str | None = None
    quantization: str | None = None
    n_params: int | None = None
    size: int | None = None
    n_ctx: int | None = None
    n_ctx_train: int | None = None
    n_vocab: int | None = None
    n_embd: int | None = None
    has_chat_template: bool | None = None
    capabilities: list[str] = []


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One served model. created: Unix seconds; meta goes beyond the specification."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "pyserve"
    meta: ModelMeta


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All served models."""

    object: Literal["list"] = "list"
    data: list[Model]


def model_object(model_id: str, created: int, state: str, info: ModelInfo | None) -> Model:
    """info: None while the model is not loaded."""
    meta = ModelMeta(state=state) if info is None else _meta(state, info)
    return Model(id=model_id, created=created, meta=meta)


def _meta(state: str, info: ModelInfo) -> ModelMeta:
    return ModelMeta(
        state=state,
        architecture=info.architecture,
        quantization=info.quantization,
        n_params=info.n_params,
        size=info.size_bytes,
        n_ctx=info.n_ctx,
        n_ctx_train=info.n_ctx_train,
        n_vocab=info.n_vocab,
        n_embd=info.n_embd,
        has_chat_template=info.has_chat_template,
        capabilities=CAPABILITIES,
    )


class GenerationDefaults(msgspec.Struct, frozen=True):
    """What a request gets that says nothing else. n_ctx: most tokens of one request."""

    n_ctx: int
    params: SamplingParams


class Modalities(msgspec.Struct, frozen=True):
    """What a model understands beside text."""

    vision: bool = False
    audio: bool = False


class Props(msgspec.Struct, frozen=True):
    """What llama-server's clients ask for before they begin. total_slots: requests at once."""

    default_generation_settings: GenerationDefaults
    total_slots: int
    model_alias: str
    chat_template: str
    bos_token: str
    eos_token: str
    modalities: Modalities
    build_info: str


def model_props(model_id: str, info: ModelInfo) -> Props:
    return Props(
        default_generation_settings=GenerationDefaults(info.n_ctx, SamplingParams()),
        total_slots=info.n_seq_max,
        model_alias=model_id,
        chat_template=info.chat_template,
        bos_token=info.bos_token,
        eos_token=info.eos_token,
        modalities=Modalities(),
        build_info=f"pyserve {__version__}",
    )
