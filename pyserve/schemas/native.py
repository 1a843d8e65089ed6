"""Request body of POST /completion, llama-server's own way to continue texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Discriminator, Field, Tag

from pyserve.schemas.common import Texts, token_limit
from pyserve.schemas.completions import CompletionRequest, TokenIds, TokenLists, prompt_tag
from pyserve.schemas.fields.mixed import (
    AsPlainPrompt,
    MixedPrompts,
    Parts,
    is_mixed,
    mixed_texts,
)
from pyserve.schemas.unsupported import Unsupported

MAX_PROBS = 20
MAX_RESPONSE_FIELDS = 64
NProbs = Annotated[int, Field(ge=0, le=MAX_PROBS)]
ResponseField = Annotated[str, Field(max_length=256)]
ResponseFields = Annotated[
    list[ResponseField], Field(max_length=MAX_RESPONSE_FIELDS, fail_fast=True)
]


def _native_tag(prompt: object) -> str | None:
    return "<mixed>" if is_mixed(prompt) else prompt_tag(prompt)


# The forms of a prompt, by their tags.
BY_FORM = Discriminator(
    _native_tag,
    custom_error_type="invalid_type",
    custom_error_message="must be a string, token ids, or a list of them, mixed or not",
)

NativePrompt = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[Texts, Tag("<texts>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[TokenLists, Tag("<token_lists>")]
    | Annotated[MixedPrompts, Tag("<mixed>")],
    BY_FORM,
    AsPlainPrompt,
]


class NativeRequest(CompletionRequest):
    """Texts to continue, with the defaults of llama-server: an answer has no limit of its own.

    prompt: also texts and token ids mixed, as one prompt or as several, and objects with a
    `prompt_string`. n_probs: log-probabilities of this many alternatives of each token; 0: none.
    response_fields: what the answer shows, as paths such as `generation_settings/seed`; absent or
    empty: all. Streams have the tokens, and answers the timings, whether asked for or not.
    """

    unsupported: ClassVar[Unsupported] = {
        **CompletionRequest.unsupported,
        "best_of": (1,),
        "echo": (False,),
        "prompt_logprobs": (),
        "return_token_ids": (False,),
        "return_tokens_as_token_ids": (False,),
        "suffix": ("",),
        "truncate_prompt_tokens": (),
        "truncation_side": (),
    }
    other_names: ClassVar[Mapping[str, str]] = {"n_probs": "logprobs"}

    prompt: NativePrompt | None = None  # type: ignore[assignment]  # wider than OpenAI's
    logprobs: NProbs | None = None
    n_probs: NProbs | None = None
    response_fields: ResponseFields | None = None

    @property
    def n_max_tokens(self) -> int | None:
        return token_limit(self.max_tokens, self.n_predict)

    @property
    def mixed(self) -> list[str | Parts] | None:
        """The prompts, if they are neither texts nor token ids alone."""
        return self.prompt if is_mixed(self.prompt) else None

    @property
    def n_prompts(self) -> int:
        return len(self.mixed or self.prompts)

    @property
    def texts(self) -> list[str]:
        return super().texts if self.mixed is None else mixed_texts(self.mixed)
