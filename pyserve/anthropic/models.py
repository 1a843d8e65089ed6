"""Objects of GET /v1/models for Anthropic's clients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.errors import InvalidRequestError
from pyserve.openai.tools.recognition import may_think

DEFAULT_LIMIT, MAX_LIMIT = 20, 1000


class Support(msgspec.Struct, frozen=True):
    """Whether a model, or this server, can do something."""

    supported: bool


YES, NO = Support(True), Support(False)


class EffortSupport(msgspec.Struct, frozen=True):
    """Which efforts may be asked for."""

    supported: bool
    low: Support
    medium: Support
    high: Support
    xhigh: Support
    max: Support


class ThinkingTypes(msgspec.Struct, frozen=True):
    """Which types of `thinking` may be asked for."""

    enabled: Support
    adaptive: Support
    disabled: Support = YES
    between_tools: Support = NO


class ThinkingSupport(msgspec.Struct, frozen=True):
    """Whether a model thinks, as its chat template says."""

    supported: bool
    types: ThinkingTypes


class ContextManagement(msgspec.Struct, frozen=True):
    """Changes of a conversation by the server: there are none."""

    supported: bool = False


class ServerTools(msgspec.Struct, frozen=True):
    """Tools that the server runs: there are none."""

    supported: bool = False
    web_search: Support = NO
    code_execution: Support = NO


class MessagesCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do by the Messages API."""

    batch: Support
    citations: Support = NO
    code_execution: Support = NO
    context_management: ContextManagement = ContextManagement()
    effort: EffortSupport
    image_input: Support = NO
    pdf_input: Support = NO
    server_tools: ServerTools = ServerTools()
    structured_outputs: Support = YES
    thinking: ThinkingSupport


class MessagesModel(msgspec.Struct, frozen=True, kw_only=True):
    """One served model. The limits and capabilities are null until it is loaded."""

    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"] = "active"
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    capabilities: MessagesCapabilities | None = None


class MessagesModelList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the served models."""

    data: list[MessagesModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


def messages_model(status: ModelStatus, *, has_batches: bool) -> MessagesModel:
    """A model. has_batches: `/v1/messages/batches` is there."""
    created = datetime.fromtimestamp(status.created, UTC)
    model = MessagesModel(
        id=status.id, display_name=status.id, created_at=f"{created:%Y-%m-%dT%H:%M:%SZ}"
    )
    if status.info is None:
        return model
    thinks = Support(may_think(status.info.file_template))
    return msgspec.structs.replace(
        model,
        max_input_tokens=status.info.n_ctx,
        max_tokens=status.info.n_ctx,
        capabilities=MessagesCapabilities(
            batch=Support(has_batches),
            effort=EffortSupport(thinks.supported, thinks, thinks, thinks, thinks, thinks),
            thinking=ThinkingSupport(thinks.supported, ThinkingTypes(thinks, thinks)),
        ),
    )


def page_of(
    models: Sequence[MessagesModel],
    limit: str | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
) -> MessagesModelList:
    """The page that a query asks for. Raises InvalidRequestError for what it cannot mean."""
    n_most = page_limit(limit)
    ids = [model.id for model in models]
    check_edges(after_id, before_id)
    if before_id:
        rest = models[: _place(ids, before_id, "before_id")]
        shown = rest[-n_most:]
    else:
        rest = models[_place(ids, after_id, "after_id") + 1 :] if after_id else models
        shown = rest[:n_most]
    return MessagesModelList(
        data=list(shown),
        has_more=len(rest) > len(shown),
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
    )


def check_edges(after_id: str | None, before_id: str | None) -> None:
    """Raises InvalidRequestError for both."""
    if after_id and before_id:
        raise InvalidRequestError("before_id cannot be combined with after_id", param="before_id")


def page_limit(text: str | None) -> int:
    """`limit` of a query. Raises InvalidRequestError."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT):
        message = f"limit must be a number from 1 to {MAX_LIMIT}"
        raise InvalidRequestError(message, param="limit")
    return int(text)


def _place(ids: Sequence[str], wanted: str, param: str) -> int:
    if wanted not in ids:
        message = f"{param} is none of the {len(ids)} models"
        raise InvalidRequestError(message, param=param)
    return ids.index(wanted)
