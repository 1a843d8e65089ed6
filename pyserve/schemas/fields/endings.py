"""Where an answer ends, beside its limit of tokens: vLLM's names and llama-server's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from pyserve.schemas.common import INT32_MAX, RenamedFields, Stop, TokenId

MAX_STOP_TOKENS = 1024
MAX_DECODE_MS = 86_400_000
StopTokens = Annotated[list[TokenId], Field(max_length=MAX_STOP_TOKENS, fail_fast=True)]


class EndingFields(RenamedFields):
    """What ends an answer, and what may not.

    stop, stop_token_ids: the answer ends before the first of them. A constrained answer does so
    only where its constraint is met. min_tokens: it neither ends nor stops before so many.
    include_stop_str_in_output: what stopped it is a part of it.
    t_max_predict_ms: time for the answer from its first token on; < 1 is no limit.
    """

    other_names: ClassVar[Mapping[str, str]] = {"ban_eos_token": "ignore_eos"}

    stop: Stop | None = None
    stop_token_ids: StopTokens | None = None
    min_tokens: Annotated[int, Field(ge=0, le=INT32_MAX)] | None = None
    include_stop_str_in_output: bool | None = None
    ignore_eos: bool | None = None
    ban_eos_token: bool | None = None
    t_max_predict_ms: Annotated[int, Field(ge=-1, le=MAX_DECODE_MS)] | None = None
