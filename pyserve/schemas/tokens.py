"""The request bodies of the endpoints around tokens, as llama-server has them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pyserve.schemas.common import ModelName, RequestModel, TokenId, check_text_size

MAX_TOKENS = 2**20


class TokenizeRequest(RequestModel):
    """A text to cut into tokens.

    add_special: with BOS where the model wants it. parse_special: names of control tokens become
    these tokens.
    """

    model: ModelName | None = None
    content: str
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None

    @model_validator(mode="after")
    def _text_is_bounded(self) -> TokenizeRequest:
        check_text_size(len(self.content.encode()), "content")
        return self


class DetokenizeRequest(RequestModel):
    """Tokens to make text of."""

    model: ModelName | None = None
    tokens: Annotated[list[TokenId], Field(max_length=MAX_TOKENS, fail_fast=True)]
