"""Request bodies of the token endpoints, as llama-server and vLLM have them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pyserve.schemas.common import ModelName, RequestModel, TokenId, check_text_size, invalid

MAX_TOKENS = 2**20


class TokenizeRequest(RequestModel):
    """A text to tokenize: llama-server's `content`, or vLLM's `prompt`.

    add_special: with BOS where the model wants it; vLLM's add_special_tokens says the same, and is
    true if absent. parse_special: names of control tokens become these tokens.
    """

    model: ModelName | None = None
    content: str | None = None
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None
    prompt: str | None = None
    add_special_tokens: bool | None = None

    @model_validator(mode="after")
    def _there_is_one_text(self) -> TokenizeRequest:
        if self.content is None and self.prompt is None:
            raise invalid("missing_required_parameter", "is required", "content")
        if self.content is not None and self.prompt is not None:
            raise invalid("invalid_value", "is another name of content: send one of them", "prompt")
        param = "content" if self.prompt is None else "prompt"
        check_text_size(len(self.text.encode()), param)
        return self

    @property
    def text(self) -> str:
        return (self.content if self.prompt is None else self.prompt) or ""

    @property
    def is_special_added(self) -> bool:
        if self.prompt is None:
            return bool(self.add_special)
        return self.add_special_tokens is not False


class DetokenizeRequest(RequestModel):
    """Token ids to decode."""

    model: ModelName | None = None
    tokens: Annotated[list[TokenId], Field(max_length=MAX_TOKENS, fail_fast=True)]
