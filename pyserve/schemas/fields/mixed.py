"""Prompts as llama-server's own endpoints take them: texts and token ids, also mixed in one prompt.

"text"   [1, 2]   [1, "text", 2]   {"prompt_string": "text"}   or a list of these
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeAlias, TypeGuard

from pydantic import BeforeValidator, Discriminator, Field, Tag

from pyserve.schemas.common import MAX_PROMPTS, TokenId, invalid

MAX_PARTS = 2**20

Parts: TypeAlias = list[int | str]


def _part_kind(value: object) -> str | None:
    """The tag of a part of a mixed list."""
    if isinstance(value, str):
        return "<text>"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "<token>" if is_number else None


def _prompt_kind(value: object) -> str | None:
    """The tag of one of several prompts. A list of texts alone would be several again."""
    if isinstance(value, str):
        return "<text>"
    if not isinstance(value, list):
        return None
    return "<parts>" if not value or "<token>" in map(_part_kind, value) else None


def plain_prompt(value: object) -> object:
    """A prompt, or a list of them, without objects; one of mixed parts as a list of one prompt."""
    value = _text_of(value)
    if not isinstance(value, list) or _is_uniform(value, int):
        return value
    if "<token>" in map(_part_kind, value):
        return [value]
    return [_text_of(each) for each in value]


def is_mixed(value: object) -> TypeGuard[list[str | Parts]]:
    """Whether a prompt without objects is neither texts nor token ids alone."""
    if not isinstance(value, list) or _is_uniform(value, int) or _is_uniform(value, str):
        return False
    return not all(isinstance(each, list) and _is_uniform(each, int) for each in value)


def _is_uniform(values: list[object], kind: type) -> bool:
    return set(map(type, values)) <= {kind}


def _text_of(value: object) -> object:
    """The text of an object that is a prompt without media; all else as it is."""
    match value:
        case {"prompt_string": str(text), **more} if not any(more.values()):
            return text
        case {"prompt_string": _, "multimodal_data": [_, *_]}:
            raise invalid("unsupported_content", "has multimodal_data: there are only texts")
        case {"content": [*parts], **more} if not any(more.values()):
            return "".join(map(_part_text, parts))
    return value


def _part_text(part: object) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    raise invalid("unsupported_content", "has content that is no text: there are only texts")


Part = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[TokenId, Tag("<token>")],
    Discriminator(
        _part_kind,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a token id",
    ),
]
_MixedPrompt = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[
        list[Part], Field(min_length=1, max_length=MAX_PARTS, fail_fast=True), Tag("<parts>")
    ],
    Discriminator(
        _prompt_kind,
        custom_error_type="invalid_type",
        custom_error_message="must be a string or a list of strings and token ids",
    ),
]
MixedPrompts = Annotated[list[_MixedPrompt], Field(max_length=MAX_PROMPTS, fail_fast=True)]
AsPlainPrompt = BeforeValidator(plain_prompt)


def mixed_texts(prompts: Iterable[str | Parts]) -> list[str]:
    """All texts of the prompts and of their parts."""
    parts = [part for each in prompts for part in ([each] if isinstance(each, str) else each)]
    return [part for part in parts if isinstance(part, str)]
