"""The request body of (legacy) completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import (
    INT32_MAX,
    MAX_PROMPTS,
    StreamFields,
    Texts,
    TokenId,
    check_n_choices,
    check_text_size,
    invalid,
)
from pyserve.schemas.unsupported import UNSUPPORTED, Unsupported

MAX_PROMPT_TOKENS = 2**20
TokenIds = Annotated[
    list[TokenId], Field(min_length=1, max_length=MAX_PROMPT_TOKENS, fail_fast=True)
]
TokenLists = Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]


def _prompt_tag(prompt: object) -> str | None:
    """Texts, token ids and lists of token ids are told apart by the first element."""
    if isinstance(prompt, str):
        return "<text>"
    if not isinstance(prompt, list):
        return None
    first = prompt[0] if prompt else ""
    if isinstance(first, str):
        return "<texts>"
    return "<token_lists>" if isinstance(first, list) else "<tokens>"


Prompt = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[Texts, Tag("<texts>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[TokenLists, Tag("<token_lists>")],
    Discriminator(
        _prompt_tag,
        custom_error_type="invalid_type",
        custom_error_message="must be a string, a list of strings, token ids or lists of token ids",
    ),
]


class CompletionRequest(StreamFields):
    """Texts to continue. An absent prompt is an empty one."""

    unsupported: ClassVar[Unsupported] = {
        **UNSUPPORTED,
        "echo": (False,),
        "suffix": ("",),
        "add_special_tokens": (True,),
    }

    prompt: Prompt | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    best_of: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _scoring_is_not_built(cls, data: Any) -> Any:
        if (
            isinstance(data, dict)
            and type(data.get("max_tokens")) is int
            and not data["max_tokens"]
        ):
            message = "0 scores the prompt and needs echo, which is not supported by this server"
            raise invalid("unsupported_parameter", message, "max_tokens")
        return data

    @model_validator(mode="after")
    def _best_of_is_n(self) -> CompletionRequest:
        n = self.n or 1
        if self.best_of is not None and self.best_of != n:
            code = "invalid_value" if self.best_of < n else "unsupported_parameter"
            raise invalid(code, f"is {self.best_of}; only n, {n}, is supported", "best_of")
        return self

    @model_validator(mode="after")
    def _text_is_bounded(self) -> CompletionRequest:
        check_n_choices(len(self.prompts), self.n)
        check_text_size(sum(len(text.encode()) for text in self.texts), "prompt")
        return self

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts as a list: all texts, or all token ids."""
        return self.texts or self.token_lists

    @property
    def texts(self) -> list[str]:
        if self.prompt is None or isinstance(self.prompt, str):
            return [self.prompt or ""]
        return [prompt for prompt in self.prompt if isinstance(prompt, str)]

    @property
    def token_lists(self) -> list[list[int]]:
        if self.prompt is None or isinstance(self.prompt, str):
            return []
        tokens = [token for token in self.prompt if isinstance(token, int)]
        return [tokens] if tokens else [ids for ids in self.prompt if isinstance(ids, list)]
