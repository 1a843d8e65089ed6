"""The objects of the models endpoints."""

from __future__ import annotations

from typing import Literal

import msgspec

from pyserve.engine.protocol import ModelInfo


class ModelMeta(msgspec.Struct, frozen=True):
    """Facts about a loaded model, under the names that llama-server gives them."""

    n_vocab: int
    n_ctx: int
    n_ctx_train: int
    n_embd: int
    n_params: int
    size: int
    architecture: str
    quantization: str


class Model(msgspec.Struct, frozen=True):
    """One served model. created: Unix seconds; state and meta go beyond the specification."""

    id: str
    created: int
    state: str
    meta: ModelMeta | None
    object: Literal["model"] = "model"
    owned_by: str = "pyserve"


class ModelList(msgspec.Struct, frozen=True):
    """All served models."""

    data: list[Model]
    object: Literal["list"] = "list"


def model_object(model_id: str, created: int, state: str, info: ModelInfo | None) -> Model:
    """info: None while the model is not loaded."""
    return Model(model_id, created, state, None if info is None else _meta(info))


def _meta(info: ModelInfo) -> ModelMeta:
    return ModelMeta(
        n_vocab=info.n_vocab,
        n_ctx=info.n_ctx,
        n_ctx_train=info.n_ctx_train,
        n_embd=info.n_embd,
        n_params=info.n_params,
        size=info.size_bytes,
        architecture=info.architecture,
        quantization=info.quantization,
    )
