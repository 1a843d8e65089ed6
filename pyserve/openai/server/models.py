"""Objects of GET /models and GET /props."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.engine.protocol import ModelInfo
from pyserve.openai.server.codex import CodexModel
from pyserve.openai.tools.formats import AnswerFormat
from pyserve.openai.tools.recognition import may_think

CAPABILITIES = ["chat", "completion", "edit", "embedding", "tools"]


class AnswerFormatMeta(msgspec.Struct, frozen=True, kw_only=True):
    """How a model's answers are read. origin: derived from its template, known by it, configured,
    or generic: the template knows no tools.

    calls: how arguments are written. reasoning: the texts around thoughts.
    """

    name: str
    origin: str
    calls: str
    call_begin: str
    reasoning: list[str] | None = None


class ModelMeta(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a model, under llama-server's names where it has one; null until it is loaded.

    n_ctx: most tokens of one request. size: bytes of the weights. memory: bytes that the model
    takes when it is loaded, or is predicted to take. pinned: it stays loaded.
    aliases: further names, maybe with * and ?. description: of the model's configuration.
    answer_format: of one loaded model that this process has used; null in lists.
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
    memory: int | None = None
    pinned: bool = False
    aliases: Sequence[str] = ()
    description: str = ""
    capabilities: list[str] = []
    answer_format: AnswerFormatMeta | None = None


class ModelLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A model's load state, in the words of llama-server's router.

    value: loaded, loading, unloading or unloaded. failed: it could not be loaded.
    """

    value: str
    failed: bool


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One served model. created: Unix seconds; status and meta go beyond the specification.

    root: itself, or the file of a LoRA adapter. parent: the model that the adapter belongs to.
    max_model_len: meta's n_ctx under vLLM's name.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "pyserve"
    root: str
    parent: str | None = None
    max_model_len: int | None = None
    status: ModelLoad
    meta: ModelMeta


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All served models. models: the same for Codex."""

    object: Literal["list"] = "list"
    data: list[Model]
    models: list[CodexModel] | msgspec.UnsetType = msgspec.UNSET


class CacheCleared(msgspec.Struct, frozen=True, kw_only=True):
    """Answers /cache/clear. models: whose prefixes in memory are gone; deleted_bytes: on disk."""

    success: bool = True
    models: list[str]
    deleted_bytes: int


class ModelAction(msgspec.Struct, frozen=True):
    """Confirms that an action on a model is done, or begun."""

    success: bool
    model: str


STATUS_VALUES = {
    "ready": "loaded",
    "loading": "loading",
    "unloading": "unloading",
    "unloaded": "unloaded",
    "failed": "unloaded",
    "stopped": "unloaded",
}


def model_object(status: ModelStatus, form: AnswerFormat | None = None) -> Model:
    """form: of its answers, where it is known."""
    meta = _meta(status)
    if form is not None:
        meta = msgspec.structs.replace(meta, answer_format=_format_meta(form))
    return Model(
        id=status.id,
        created=status.created,
        root=PurePath(status.model_path).name if status.parent else status.id,
        parent=status.parent,
        max_model_len=meta.n_ctx,
        status=ModelLoad(value=STATUS_VALUES[status.state], failed=status.state == "failed"),
        meta=meta,
    )


def _format_meta(form: AnswerFormat) -> AnswerFormatMeta:
    return AnswerFormatMeta(
        name=form.name,
        origin=form.origin,
        calls=form.calls.kind,
        call_begin=form.calls.trigger,
        reasoning=list(form.thinking) if form.thinking else None,
    )


def file_object(status: ModelStatus) -> Model | None:
    """The model under the name of its file, if that is one of its names and not its id."""
    name = PurePath(status.model_path).name
    if name == status.id or name not in status.profile.aliases:
        return None
    return msgspec.structs.replace(model_object(status), id=name)


def _meta(status: ModelStatus) -> ModelMeta:
    info = status.info
    meta = ModelMeta(
        state=status.state,
        memory=status.n_bytes or None,
        pinned=status.is_pinned,
        aliases=status.profile.aliases,
        description=status.profile.description,
    )
    if info is None:
        return meta
    return msgspec.structs.replace(
        meta,
        architecture=info.architecture,
        quantization=info.quantization,
        n_params=info.n_params,
        size=info.size_bytes,
        n_ctx=info.n_ctx,
        n_ctx_train=info.n_ctx_train,
        n_vocab=info.n_vocab,
        n_embd=info.n_embd,
        has_chat_template=info.has_chat_template,
        capabilities=_capabilities(info),
    )


def _capabilities(info: ModelInfo) -> list[str]:
    if info.n_ranks > 0:
        return ["rerank"]
    if not info.can_generate:
        return ["embedding"]
    return [*CAPABILITIES, "reasoning"] if may_think(info.file_template) else CAPABILITIES
