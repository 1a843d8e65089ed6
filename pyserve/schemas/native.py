"""Request body of POST /completion, llama-server's own way to continue texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from pyserve.schemas.common import token_limit
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.unsupported import Unsupported

MAX_PROBS = 20
MAX_RESPONSE_FIELDS = 64
NProbs = Annotated[int, Field(ge=0, le=MAX_PROBS)]
ResponseField = Annotated[str, Field(max_length=256)]
ResponseFields = Annotated[
    list[ResponseField], Field(max_length=MAX_RESPONSE_FIELDS, fail_fast=True)
]


class NativeRequest(CompletionRequest):
    """Texts to continue, with the defaults of llama-server: an answer has no limit of its own.

    n_probs: log-probabilities of this many alternatives of each token; 0: none.
    response_fields: what the answer shows, as paths such as `generation_settings/seed`; absent or
    empty: all. Streams have the tokens, and answers the timings, whether asked for or not.
    """

    unsupported: ClassVar[Unsupported] = {
        **CompletionRequest.unsupported,
        "best_of": (1,),
        "echo": (False,),
        "return_token_ids": (False,),
        "suffix": ("",),
    }
    other_names: ClassVar[Mapping[str, str]] = {"n_probs": "logprobs"}

    logprobs: NProbs | None = None
    n_probs: NProbs | None = None
    response_fields: ResponseFields | None = None

    @property
    def n_max_tokens(self) -> int | None:
        return token_limit(self.max_tokens, self.n_predict)
