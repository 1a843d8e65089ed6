"""Request bodies of the token endpoints, as llama-server and vLLM have them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.common import ModelName, RequestModel, TokenId, check_text_size, invalid
from pyserve.schemas.fields.mixed import Part

MAX_TOKENS = 2**20
MAX_TEXTS = 2048


def _shape(value: object) -> str | None:
    if isinstance(value, str):
        return "<one>"
    return "<many>" if isinstance(value, list) else None


TextOrParts = Annotated[
    Annotated[str, Tag("<one>")]
    | Annotated[list[Part], Field(max_length=MAX_TOKENS, fail_fast=True), Tag("<many>")],
    Discriminator(
        _shape,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of strings and token ids",
    ),
]


class TokenizeRequest(RequestModel):
    """A text to tokenize: llama-server's `content`, or vLLM's `prompt`.

    content: also a list of texts and token ids, as llama-server takes it.
    add_special: with BOS where the model wants it; vLLM's add_special_tokens says the same, and is
    true if absent. parse_special: names of control tokens become these tokens.
    """

    model: ModelName | None = None
    content: TextOrParts | None = None
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None
    prompt: str | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def _there_is_one_text(self) -> TokenizeRequest:
        if self.content is None and self.prompt is None:
            raise invalid("missing_required_parameter", "is required", "content")
        if self.content is not None and self.prompt is not None:
            raise invalid("invalid_value", "is another name of content: send one of them", "prompt")
        param = "content" if self.prompt is None else "prompt"
        texts = [part for part in self.parts if isinstance(part, str)]
        if len(texts) > MAX_TEXTS:
            message = f"has {len(texts)} texts, at most {MAX_TEXTS}"
            raise invalid("invalid_value", message, param)
        check_text_size(sum(len(text.encode()) for text in texts), param)
        return self

    @property
    def parts(self) -> list[str | int]:
        """What to tokenize, in order."""
        given = self.content if self.prompt is None else self.prompt
        return given if isinstance(given, list) else [given or ""]

    @property
    def is_special_added(self) -> bool:
        if self.prompt is None:
            return bool(self.add_special)
        return self.add_special_tokens is not False


class TokenizeChatRequest(ChatRequest):
    """A conversation whose prompt is tokenized, as vLLM has it: a chat's body with `messages`."""

    with_pieces: bool | None = None
    return_token_strs: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _there_is_no_text(cls, data: Any) -> Any:
        for name in ("content", "prompt"):
            if data.get(name) is not None:
                raise invalid("invalid_value", "cannot be sent together with messages", name)
        return data


class DetokenizeRequest(RequestModel):
    """Token ids to decode."""

    model: ModelName | None = None
    tokens: Annotated[list[TokenId], Field(max_length=MAX_TOKENS, fail_fast=True)]
